// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Texts of /proc that are read on another processor before they are asked for. Most of the time
 * of reading a small task is the kernel's work of printing them; nothing is decided by it. A text
 * that is wanted before its turn has come is read by who wants it.
 */
#include "collect/read-ahead.h"

#include "base/arena.h"
#include "collect/collect.h"
#include "collect/assistant.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is read of every task, and costs something. */
static const char *const names[] = { "smaps", "limits", "timers", "personality", "oom_score_adj" };
/* Not those of namespaces: they are wanted of all tasks before anything else. */
static const char *const links[] = { "cwd", "root", "exe" };
enum {
	N_NAMES = sizeof names / sizeof *names,
	N_LINKS = sizeof links / sizeof *links,
	LINK_ROOM = 64, /* longer ones are read when they are asked for */
};

/* The texts of one task. */
struct read_ahead {
	struct errand errand;
	struct target *target;
	struct {
		char *text; /* allocated; NULL once taken */
		ssize_t length;
		int error;
	} files[N_NAMES];
	struct {
		char text[LINK_ROOM];
		ssize_t length;
	} links[N_LINKS];
};

static void read_texts(struct errand *errand, enum assistant_thread thread)
{
	struct read_ahead *ahead = (struct read_ahead *)errand;
	autoleave folder = target_enter(ahead->target);

	(void)thread;
	for (size_t i = 0; i < N_NAMES; i++) {
		ahead->files[i].length =
			target_text(ahead->target, names[i], &ahead->files[i].text);
		ahead->files[i].error = errno;
	}
	for (size_t i = 0; i < N_LINKS; i++)
		ahead->links[i].length =
			target_link(ahead->target, links[i], ahead->links[i].text, LINK_ROOM);
}

/* The place of a name in a list, which is its length if it is not there. */
static size_t find(const char *const *list, size_t count, const char *name)
{
	size_t i = 0;

	while (i < count && strcmp(list[i], name) != 0)
		i++;
	return i;
}

void read_ahead_start(struct collect *collect)
{
	for (size_t i = 0; i < collect->n_targets; i++) {
		struct target *target = &collect->targets[i];

		if (target->zombie)
			continue;
		target->ahead = arena_new(collect->arena, struct read_ahead);
		target->ahead->errand.run = read_texts;
		target->ahead->target = target;
		assistant_give(collect->assistant, &target->ahead->errand);
	}
}

void read_ahead_end(struct collect *collect)
{
	for (size_t i = 0; i < collect->n_targets; i++) {
		for (size_t k = 0; collect->targets[i].ahead && k < N_NAMES; k++) {
			free(collect->targets[i].ahead->files[k].text);
			collect->targets[i].ahead->files[k].text = NULL;
		}
		read_ahead_forget_descriptors(&collect->targets[i]);
	}
}

ssize_t read_ahead_take(struct target *target, const char *name, char **ret_text)
{
	struct read_ahead *ahead = target->ahead;
	size_t i = find(names, N_NAMES, name);

	if (!ahead || i == N_NAMES)
		return target_text(target, name, ret_text);
	assistant_need(target->collect->assistant, &ahead->errand);
	if (!ahead->files[i].text && ahead->files[i].length >= 0)
		return target_text(target, name, ret_text); /* a second time */
	*ret_text = ahead->files[i].text;
	ahead->files[i].text = NULL;
	errno = ahead->files[i].error;
	return ahead->files[i].length;
}

static ssize_t read_descriptor_link(struct target *target, const char *name, char *buffer,
				    size_t size)
{
	const struct descriptor_ahead *ahead =
		read_ahead_descriptor(target, (uint32_t)strtoul(name + 3, NULL, 10));
	size_t length = ahead && ahead->has_link ? strlen(ahead->link) : 0;

	if (!length || length > size)
		return target_link(target, name, buffer, size);
	memcpy(buffer, ahead->link, length);
	return (ssize_t)length;
}

ssize_t read_ahead_link(struct target *target, const char *name, char *buffer, size_t size)
{
	struct read_ahead *ahead = target->ahead;
	size_t i = find(links, N_LINKS, name);

	if (strncmp(name, "fd/", 3) == 0)
		return read_descriptor_link(target, name, buffer, size);
	if (!ahead || i == N_LINKS)
		return target_link(target, name, buffer, size);
	assistant_need(target->collect->assistant, &ahead->errand);
	if (ahead->links[i].length <= 0 || ahead->links[i].length == LINK_ROOM ||
	    (size_t)ahead->links[i].length > size)
		return target_link(target, name, buffer, size);
	memcpy(buffer, ahead->links[i].text, (size_t)ahead->links[i].length);
	return ahead->links[i].length;
}
