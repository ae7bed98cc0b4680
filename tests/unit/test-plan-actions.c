// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the coordinator does for kinds that ask for it, and in which order. */
#include "plan-fixture.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { FIRST = 31, COUNT = 4 }; /* network namespaces, one of each task */

static void make_with(struct fixture *fixture, const struct kind_table *table)
{
	if (snapshot_index(&fixture->snapshot, &fixture->err) ||
	    plan_make(&fixture->plan, &fixture->arena, &fixture->snapshot, &fixture_facts, table,
		      &fixture_options, &fixture->err))
		fail_msg("%s", fixture->err.text);
}

/* ---- namespaces that have something in common ---- */

/* A letter for each pair: "ba" says that b stands on a. */
static const char *relations;
static const char *joined;

static char letter_of(const struct namespace *namespace_)
{
	return (char)('a' + (int)(namespace_->id - FIRST));
}

static bool is_joined(const struct namespace *namespace_)
{
	return strchr(joined, letter_of(namespace_)) != NULL;
}

static bool stands_on(const struct namespace *namespace_, const struct namespace *other)
{
	for (const char *pair = relations; *pair; pair += 2)
		if (pair[0] == letter_of(namespace_) && pair[1] == letter_of(other))
			return true;
	return false;
}

static void add_networks(struct fixture *fixture)
{
	for (uint32_t i = 0; i < COUNT; i++) {
		struct task *task = fixture_add_task(fixture, 500 + i, i ? 500 : 0, 500);
		NsEntry *entry = snapshot_new(&fixture->snapshot, NS_ENTRY, NsEntry);

		entry->id = FIRST + i;
		entry->ns_cflag = CLONE_NEWNET;
		snapshot_add_namespace(&fixture->snapshot, entry);
		task->ids->has_net_ns_id = true;
		task->ids->net_ns_id = FIRST + i;
	}
}

/* Letters of those that such actions are about, in their order. */
static const char *letters(const struct plan *plan, enum action_kind kind, char *text)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->n_actions; i++)
		if (plan->actions[i].kind == kind)
			text[n++] = letter_of(plan->actions[i].plain);
	text[n] = '\0';
	return text;
}

static size_t place_of(const struct plan *plan, enum action_kind kind, bool last)
{
	size_t place = SIZE_MAX;

	for (size_t i = 0; i < plan->n_actions; i++)
		if (plan->actions[i].kind == kind && (last || place == SIZE_MAX))
			place = i;
	return place;
}

static int finish(const struct namespace *namespace_, struct error *err)
{
	(void)namespace_;
	(void)err;
	return 0;
}

static void namespaces_are_filled_after_what_they_stand_on(void **state)
{
	static const struct namespace_kind network = { .type = NAMESPACE_NET,
						       .is_joined = is_joined,
						       .stands_on = stands_on,
						       .finish = finish };
	static const struct namespace_kind alone = { .type = NAMESPACE_NET };
	static const struct namespace_kind beside = { .type = NAMESPACE_NET,
						      .is_joined = is_joined };
	static const struct {
		const struct namespace_kind *kind;
		const char *joined, *relations, *filled;
	} rows[] = {
		{ &network, "abcd", "", "abcd" },
		{ &network, "abcd", "abbccd", "dcba" },
		{ &network, "abcd", "badc", "abcd" },
		{ &network, "abcd", "abacbdcd", "dbca" },
		{ &network, "abcd", "ad", "bcda" },
		{ &network, "abcd", "ba", "abcd" },
		{ &network, "bc", "bccaba", "cb" },
		{ &network, "ac", "", "ac" },
		{ &network, "d", "dd", "d" },
		/* A circle, and who waits for it. */
		{ &network, "abcd", "abbaca", "dabc" },
		{ &network, "", "ab", "" },
		{ &beside, "abcd", "", "abcd" },
		{ &alone, "abcd", "ab", "" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct kind_table table = fixture_table;
		struct fixture fixture;
		char made[COUNT + 1], tied[COUNT + 1], filled[COUNT + 1], finished[COUNT + 1];

		table.namespaces[NAMESPACE_NET] = rows[i].kind;
		relations = rows[i].relations;
		joined = rows[i].joined;
		fixture_begin(&fixture);
		add_networks(&fixture);
		make_with(&fixture, &table);
		const struct plan *plan = &fixture.plan;
		assert_string_equal(letters(plan, ACTION_MAKE_NAMESPACE, made), "abcd");
		assert_string_equal(letters(plan, ACTION_JOIN_NAMESPACE, tied),
				    rows[i].kind->is_joined ? joined : "");
		if (strcmp(letters(plan, ACTION_FILL_NAMESPACE, filled), rows[i].filled) != 0)
			fail_msg("row %zu: %s", i, filled);
		if (*filled) {
			assert_true(place_of(plan, ACTION_MAKE_NAMESPACE, true) <
				    place_of(plan, ACTION_JOIN_NAMESPACE, false));
			assert_true(place_of(plan, ACTION_JOIN_NAMESPACE, true) <
				    place_of(plan, ACTION_FILL_NAMESPACE, false));
			assert_true(place_of(plan, ACTION_FILL_NAMESPACE, true) <
				    place_of(plan, ACTION_TELL_NAMESPACES, false));
		}
		assert_string_equal(letters(plan, ACTION_FINISH_NAMESPACE, finished),
				    rows[i].kind->finish ? joined : "");
		if (*finished) {
			assert_true(place_of(plan, ACTION_FILL_NAMESPACE, true) <
				    place_of(plan, ACTION_FINISH_NAMESPACE, false));
			assert_true(place_of(plan, ACTION_FINISH_NAMESPACE, true) <
				    place_of(plan, ACTION_TELL_NAMESPACES, false));
		}
		arena_done(&fixture.arena);
	}
}

/* ---- kinds that have something to do before the first process exists ---- */

static bool prepares_always(const struct snapshot *snapshot)
{
	(void)snapshot;
	return true;
}

static bool prepares_never(const struct snapshot *snapshot)
{
	(void)snapshot;
	return false;
}

static void kinds_of_each_stage_prepare(void **state)
{
	static struct task_kind all[STAGE_COUNT][3];
	static const struct task_kind *lists[STAGE_COUNT][4];
	struct kind_table table = fixture_table;
	struct fixture fixture;
	size_t stage = 0;

	(void)state;
	for (size_t i = 0; i < STAGE_COUNT; i++) {
		for (size_t k = 0; k < 3; k++)
			lists[i][k] = &all[i][k];
		all[i][1].prepares = prepares_never;
		all[i][2].prepares = prepares_always;
		table.tasks[i] = lists[i];
	}
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	make_with(&fixture, &table);
	for (size_t i = 0; i < fixture.plan.n_actions; i++)
		if (fixture.plan.actions[i].kind == ACTION_PREPARE)
			assert_ptr_equal(fixture.plan.actions[i].prepared, &all[stage++][2]);
	assert_int_equal(stage, STAGE_COUNT);
	assert_true(place_of(&fixture.plan, ACTION_PREPARE, true) <
		    place_of(&fixture.plan, ACTION_FORK, false));
	arena_done(&fixture.arena);
}

/* ---- files that are connected with others ---- */

enum { FILES = 5 };

static int connect_it(struct file_opener *opener, const FileEntry *entry, int fd, struct error *err)
{
	(void)opener;
	(void)entry;
	(void)fd;
	(void)err;
	return 0;
}

static bool is_first(const FileEntry *entry)
{
	return entry->id == 1;
}

static bool is_last(const FileEntry *entry)
{
	return entry->id == FILES;
}

static void files_are_connected_for_kind_or_aspect(void **state)
{
	static const struct file_kind plain = { .name = "plain",
						.type = FD_TYPES__REG,
						.recognise = recognises_nothing };
	static const struct file_kind connecting = { .name = "connecting",
						     .type = FD_TYPES__REG,
						     .recognise = recognises_nothing,
						     .connect = connect_it };
	static const struct file_aspect first = { .is_there = is_first },
					last = { .is_there = is_last };
	static const struct file_aspect *const both[] = { &first, &last, NULL }, *const none[] = {
		NULL
	};
	static const struct {
		const struct file_kind *kind;
		const struct file_aspect *const *aspects;
		const char *ids;
	} rows[] = { { &plain, NULL, "" },
		     { &plain, none, "" },
		     { &plain, both, "15" },
		     { &connecting, NULL, "12345" },
		     { &connecting, both, "12345" } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct file_kind *const files[] = { rows[i].kind, NULL };
		struct kind_table table = fixture_table;
		struct fixture fixture;
		char ids[FILES + 1] = "";

		table.files = files;
		table.aspects = rows[i].aspects;
		fixture_begin(&fixture);
		fixture_add_task(&fixture, 500, 0, 500);
		for (uint32_t id = 1; id <= FILES; id++) {
			fixture_add_file(&fixture, id);
			fixture_add_descriptor(&fixture, fixture.snapshot.tables[0], 10 + id, id,
					       0);
		}
		make_with(&fixture, &table);
		for (size_t k = 0; k < fixture.plan.n_actions; k++)
			if (fixture.plan.actions[k].kind == ACTION_CONNECT)
				ids[strlen(ids)] =
					(char)('0' +
					       fixture.plan.sources[fixture.plan.actions[k].source]
						       .file->id);
		assert_string_equal(ids, rows[i].ids);
		arena_done(&fixture.arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(namespaces_are_filled_after_what_they_stand_on),
		cmocka_unit_test(kinds_of_each_stage_prepare),
		cmocka_unit_test(files_are_connected_for_kind_or_aspect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
