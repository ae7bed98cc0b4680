// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Puts the sources at the numbers that the plan gave them, in the descriptor table of who makes the
 * first task: above those of the tree, and where that is born with them, at its own. Any of these
 * numbers may be in use there, by other sources too: whoever is in the way goes to a number that is
 * free. So it takes one descriptor more than there are, and no room above.
 */
#include "run/raw.h"
#include "run/state.h"

#include <fcntl.h>
#include <sys/syscall.h>

void run_prepare_placing(const struct run *run, struct placing *placing)
{
	size_t n = run->plan->n_sources, end = run->plan->first_source + n;

	*placing = (struct placing){ .plan = run->plan,
				     .at = arena_array(run->arena, int, n + 1),
				     .who = arena_array(run->arena, uint32_t, end) };
	for (size_t i = 0; i < n; i++) {
		const struct source *source = &run->plan->sources[i];
		bool elsewhere = source->kind == SOURCE_COORDINATOR || source->holder;
		placing->at[i] = elsewhere ? -1 : run->source_fds[i];
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

static long place(struct placing *placing, size_t i)
{
	const struct source *source = &placing->plan->sources[i];
	uint32_t number = source->number;
	uint32_t in_the_way = *who_is_on(placing, number);
	long from = placing->at[i], result;

	if (from == number)
		return raw_call(SYS_fcntl, number, F_SETFD, flags_of(source) ? FD_CLOEXEC : 0, 0,
				0);
	if (in_the_way) {
		result = raw_call(SYS_fcntl, number, F_DUPFD, 0, 0, 0);
		if (result < 0)
			return result;
		be_at(placing, in_the_way - 1, result);
	}
	result = raw_call(SYS_dup3, (uint64_t)from, number, flags_of(source), 0, 0);
	if (result < 0)
		return result;
	be_at(placing, i, number);
	return raw_call(SYS_close, (uint64_t)from, 0, 0, 0, 0);
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
		if (placing->at[i] >= 0)
			result = place(placing, i);
	for (size_t i = 0; i < plan->n_sources && result >= 0; i++)
		if (plan->sources[i].kind == SOURCE_COORDINATOR)
			result = place_pidfd(holder, plan->sources[i].number);
	return result;
}
