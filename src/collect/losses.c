// SPDX-License-Identifier: LGPL-2.1-or-later
/* State that would be lost; see losses.h. */
#include "collect/losses.h"

#include "base/log.h"
#include "base/text.h"
#include "collect/collect.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WHO_ROOM = 64, LONG_LIST = 160 };

static const struct {
	const char *name, *what;
} losses[LOSS_COUNT] = {
#define LOSS(symbol, name, what) { name, what },
	LOSSES(LOSS)
#undef LOSS
};

struct lost {
	struct text *lines;
	size_t n;
	uint64_t kinds;
	struct told {
		pid_t tid;
		enum loss loss;
	} * told;
	size_t n_told;
	pid_t last_thread;
	const char *last_why;
};

static uint64_t bit_of(enum loss loss)
{
	return UINT64_C(1) << loss;
}

static bool find_loss(const char *name, size_t length, uint64_t *ret_bits)
{
	if (length == strlen("all") && strncmp(name, "all", length) == 0) {
		*ret_bits = UINT64_MAX;
		return true;
	}
	for (size_t i = 0; i < LOSS_COUNT; i++)
		if (strlen(losses[i].name) == length &&
		    strncmp(losses[i].name, name, length) == 0) {
			*ret_bits = bit_of((enum loss)i);
			return true;
		}
	return false;
}

int losses_parse(const char *text, uint64_t *ret_accepted, struct error *err)
{
	*ret_accepted = 0;
	for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		size_t length = strcspn(at, ",");
		uint64_t bits;

		if (!find_loss(at, length, &bits)) {
			fail(err, ERR_USAGE, "--force-lost: \"%.*s\" is no state that can be lost",
			     (int)length, at);
			return fail_hint(err, "nestor(1) lists them; a refusal says which it is");
		}
		*ret_accepted |= bits;
	}
	return 0;
}

static struct lost *lost_of(struct collect *collect)
{
	static const char owner;
	void **kept = collect_state(collect, &owner);

	if (!*kept)
		*kept = arena_new(collect->arena, struct lost);
	return *kept;
}

/* One line for each thread and reason. */
static void tell(struct lost *lost, struct arena *arena, const char *who, pid_t tid, enum loss loss,
		 const char *why)
{
	if (lost->n && lost->last_thread == tid && lost->last_why == why) {
		text_add(&lost->lines[lost->n - 1], ", %s", losses[loss].name);
		return;
	}
	lost->last_thread = tid;
	lost->last_why = why;
	lost->lines = arena_grow(arena, lost->lines, lost->n, sizeof *lost->lines);
	text_init(&lost->lines[lost->n], arena);
	text_add(&lost->lines[lost->n++], "%s %s: %s", who, why, losses[loss].name);
}

/* Threads may be asked more than once. */
static bool is_new(struct lost *lost, struct arena *arena, pid_t tid, enum loss loss)
{
	for (size_t i = lost->n_told; i-- > 0;)
		if (lost->told[i].tid == tid && lost->told[i].loss == loss)
			return false;
	lost->told = arena_grow(arena, lost->told, lost->n_told, sizeof *lost->told);
	lost->told[lost->n_told++] = (struct told){ tid, loss };
	return true;
}

bool loss_is_accepted(const struct collect *collect, enum loss loss)
{
	return collect->options->accepted_losses & bit_of(loss);
}

void loss_add(struct target *target, size_t thread, enum loss loss, const char *why)
{
	struct collect *collect = target->collect;
	struct lost *lost = lost_of(collect);
	pid_t tid = target->threads[thread].tid;
	char who[WHO_ROOM];

	if (!is_new(lost, collect->arena, tid, loss))
		return;
	if (thread == target->living)
		snprintf(who, sizeof who, "pid %d", target->pid);
	else
		snprintf(who, sizeof who, "thread %d of pid %d", tid, target->pid);
	if (loss_is_accepted(collect, loss)) {
		log_warning("collect", who, "%s: %s is lost", why, losses[loss].what);
		return;
	}
	lost->kinds |= bit_of(loss);
	tell(lost, collect->arena, who, tid, loss, why);
}

void loss_forbidden(struct target *target, size_t thread, enum loss loss)
{
	static const char why[] = "has a seccomp filter that does not let it be asked for this";

	target->collect->wants_guard = true;
	loss_add(target, thread, loss, why);
}

int losses_report(struct collect *collect, struct error *err)
{
	struct lost *lost = lost_of(collect);
	struct text names;

	text_init(&names, collect->arena);
	for (size_t i = 0; i < LOSS_COUNT; i++)
		if (lost->kinds & bit_of((enum loss)i))
			text_add(&names, "%s%s", names.length ? "," : "", losses[i].name);
	for (size_t i = 0; i < lost->n; i++) {
		fail_text(err, ERR_STATE_LOST, lost->lines[i].string);
		fail_hint(err, "--force-lost%s%s dumps without this state",
			  names.length < LONG_LIST ? " " : "",
			  names.length < LONG_LIST ? names.string : "");
		fail_option(err, "--force-lost", "%s", names.string);
		if (collect_pass(collect, err))
			return -1;
	}
	return 0;
}
