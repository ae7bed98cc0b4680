// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Puts the sources at the numbers that the plan gave them, in the descriptor table of who makes the
 * first task: above those of the tree, and where that is born with them, at its own. Any of these
 * numbers may be in use there, by other sources too: whoever is in the way goes to its own first.
 * Where that ends with the one that it began with, that goes to a number that is free meanwhile. So
 * it takes one descriptor more than there are, no room above, and mostly one call for each.
 */
#include "run/raw.h"
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

void run_prepare_placing(const struct run *run, struct placing *placing)
{
	size_t n = run->plan->n_sources, end = run->plan->first_source + n;

	*placing = (struct placing){ .plan = run->plan,
				     .at = arena_array(run->arena, int, n + 1),
				     .first_at = arena_array(run->arena, int, n + 1),
				     .chain = arena_array(run->arena, uint32_t, n + 1),
				     .who = arena_array(run->arena, uint32_t, end) };
	for (size_t i = 0; i < n; i++) {
		const struct source *source = &run->plan->sources[i];
		bool elsewhere = source->kind == SOURCE_COORDINATOR || source->holder;
		placing->at[i] = placing->first_at[i] = elsewhere ? -1 : run->source_fds[i];
	}
}

/* Which source is on a number that sources may get, and 1; 0: none. */
__attribute__((always_inline)) static inline uint32_t *who_is_on(struct placing *placing, long fd)
{
	const struct plan *plan = placing->plan;

	return fd >= 0 && (uint64_t)fd < plan->first_source + plan->n_sources ? &placing->who[fd]
									      : NULL;
}

/* O_CLOEXEC matters for those alone that the task is born with. */
__attribute__((always_inline)) static inline uint64_t flags_of(const struct source *source)
{
	return source->born && source->descriptor->flags & FD_CLOEXEC ? O_CLOEXEC : 0;
}

__attribute__((always_inline)) static inline void be_at(struct placing *placing, size_t i, long fd)
{
	uint32_t *who = who_is_on(placing, placing->at[i]);

	if (who)
		*who = 0;
	placing->at[i] = (int)fd;
	who = who_is_on(placing, fd);
	if (who)
		*who = (uint32_t)i + 1;
}

/* What somebody has left and nobody has come to. */
static void close_left(struct placing *placing)
{
	for (size_t i = 0; i < placing->plan->n_sources; i++) {
		long left = placing->first_at[i];
		const uint32_t *who = who_is_on(placing, left);
		if (left < 0 || left == placing->at[i] || (who && *who))
			continue;
		raw_call(SYS_close, (uint64_t)left, 0, 0, 0, 0);
		placing->first_at[i] = -1;
	}
}

/* Its number is free. Where it was before, the next one comes, or it is closed at the end. */
static long place(struct placing *placing, size_t i)
{
	const struct source *source = &placing->plan->sources[i];
	int from = placing->at[i];
	long result;

	if ((uint32_t)from == source->number)
		return raw_call(SYS_fcntl, source->number, F_SETFD,
				flags_of(source) ? FD_CLOEXEC : 0, 0, 0);
	result = raw_call(SYS_dup3, (uint64_t)from, source->number, flags_of(source), 0, 0);
	if (result < 0)
		return result;
	be_at(placing, i, source->number);
	return from == placing->first_at[i] ? 0 : raw_call(SYS_close, (uint64_t)from, 0, 0, 0, 0);
}

static long move_aside(struct placing *placing, size_t i)
{
	long result = raw_call(SYS_fcntl, (uint64_t)placing->at[i], F_DUPFD, 0, 0, 0);

	if (result == -EMFILE) {
		close_left(placing);
		result = raw_call(SYS_fcntl, (uint64_t)placing->at[i], F_DUPFD, 0, 0, 0);
	}
	if (result >= 0)
		be_at(placing, i, result);
	return result;
}

/* With all that are in the way, the last of them first. */
static long place_chain(struct placing *placing, uint32_t first)
{
	uint32_t n = 0, i = first;
	long result = 0;

	for (;;) {
		placing->chain[n++] = i;
		uint32_t in_the_way = *who_is_on(placing, placing->plan->sources[i].number);
		if (!in_the_way || in_the_way - 1 == i)
			break;
		i = in_the_way - 1;
		if (i != first)
			continue;
		result = move_aside(placing, first);
		break;
	}
	while (n-- > 0 && result >= 0)
		result = place(placing, placing->chain[n]);
	return result;
}

static bool is_placed(const struct placing *placing, size_t i)
{
	return placing->at[i] == (int)placing->plan->sources[i].number &&
	       placing->first_at[i] != placing->at[i];
}

/* The own pidfd last: it may come to lie on any number that is not taken. */
static long place_pidfd(pid_t pid, uint32_t number)
{
	long fd = raw_call(SYS_pidfd_open,
			   pid ? (uint64_t)pid : (uint64_t)raw_call(SYS_getpid, 0, 0, 0, 0, 0), 0,
			   0, 0, 0);

	if (fd < 0 || fd == number)
		return fd;
	long result = raw_call(SYS_dup3, (uint64_t)fd, number, 0, 0, 0);
	raw_call(SYS_close, (uint64_t)fd, 0, 0, 0, 0);
	return result;
}

long run_place_sources(struct placing *placing, pid_t holder)
{
	const struct plan *plan = placing->plan;
	long result = 0;

	for (size_t i = 0; i < plan->n_sources; i++)
		if (placing->at[i] >= 0)
			be_at(placing, i, placing->at[i]);
	for (size_t i = 0; i < plan->n_sources && result >= 0; i++)
		if (placing->at[i] >= 0 && !is_placed(placing, i))
			result = place_chain(placing, (uint32_t)i);
	if (result >= 0)
		close_left(placing);
	for (size_t i = 0; i < plan->n_sources && result >= 0; i++)
		if (plan->sources[i].kind == SOURCE_COORDINATOR)
			result = place_pidfd(holder, plan->sources[i].number);
	return result;
}
