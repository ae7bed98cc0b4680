// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Threads whose outer ids their makers may not name (plan/lower/guided-threads.c). For each in
 * turn: the last pids of those levels are written, the leader makes the thread, and what it got is
 * read from /proc. In a namespace that is shared with others somebody may have forked in between:
 * then the thread ends, and is made again.
 */
#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "pids/last-pids.h"
#include "run/state.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_ATTEMPTS = 100, THREAD_GONE_MICROSECONDS = 10 * 1000 * 1000 };

/* The service for one pid namespace. */
struct guide {
	struct last_pids *last_pids;
};

static void clear(uint64_t address)
{
	__atomic_store_n(word_at(address), 0, __ATOMIC_RELEASE);
}

static struct guide *guide_of(struct run *run, const struct guided_thread *guided, pid_t leader,
			      struct error *err)
{
	struct guide **place;
	char path[64];

	if (!run->guides)
		run->guides =
			arena_array(run->arena, struct guide *, run->plan->n_guided_namespaces + 1);
	place = &run->guides[guided->namespace];
	if (*place)
		return *place;
	snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)leader);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		fail_errno(err, ERR_TASK_DIED, "cannot open %s", path);
		return NULL;
	}
	struct guide *guide = arena_new(run->arena, struct guide);
	guide->last_pids = last_pids_open(fd, err);
	if (!guide->last_pids)
		return NULL;
	*place = guide;
	return guide;
}

/* Of our own pid namespace; 0 if it cannot be read. */
static uint32_t own_last_pid(void)
{
	char text[32];

	if (procfs_read_into(AT_FDCWD, "/proc/sys/kernel/ns_last_pid", text, sizeof text) <= 0)
		return 0;
	return (uint32_t)strtoul(text, NULL, 10);
}

/*
 * A namespace that others use too goes on counting where it was, at once: from here it would give
 * them the numbers that the next threads want.
 */
static int put_back(const struct run *run, const struct guide *guide,
		    const struct pid_vector *wanted, uint32_t last_pid, struct error *err)
{
	uint32_t numbers[MAX_PID_LEVELS] = { 0 };

	if (run->plan->own_pid_namespace || !last_pid)
		return 0;
	numbers[wanted->levels - 1] = last_pid;
	return last_pids_set(guide->last_pids, numbers, wanted->levels, err);
}

/* Last pids, innermost first; 0 where clone3 names the id. */
static int set_last_pids(const struct guide *guide, const struct guided_thread *guided,
			 struct error *err)
{
	const struct pid_vector *wanted = &guided->pids;
	uint32_t numbers[MAX_PID_LEVELS];

	for (size_t i = 0; i < wanted->levels; i++) {
		size_t level = wanted->levels - 1 - i;
		numbers[i] = level < guided->n_guided_levels ? wanted->pid[level] - 1 : 0;
	}
	return last_pids_set(guide->last_pids, numbers, wanted->levels, err);
}

/* The ids of a thread, outermost first; those of levels outside of the tree are left out. */
static size_t read_ids(pid_t leader, const char *tid, size_t levels, uint64_t *ret_ids)
{
	char path[300], status[8192];
	uint64_t numbers[MAX_PID_LEVELS + 1];

	snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)leader, tid);
	if (procfs_read_into(AT_FDCWD, path, status, sizeof status) <= 0)
		return 0;
	const char *field = procfs_field(status, "NSpid:");
	size_t n = field ? procfs_numbers(field, 10, numbers, MAX_PID_LEVELS + 1) : 0;
	if (n < levels)
		return 0;
	memcpy(ret_ids, numbers + (n - levels), levels * sizeof *ret_ids);
	return levels;
}

/* The thread that has just been made, by its id in its own namespace; 0 with errno. */
static pid_t find_thread(pid_t leader, const struct pid_vector *wanted, uint64_t innermost,
			 uint64_t *ret_ids)
{
	char path[64];
	const char *name;
	int failure = 0;

	snprintf(path, sizeof path, "/proc/%d/task", (int)leader);
	autoclosedir DIR *threads = listing_open(AT_FDCWD, path);
	while (listing_next(threads, &name))
		if (!read_ids(leader, name, wanted->levels, ret_ids))
			failure = errno;
		else if (ret_ids[wanted->levels - 1] == innermost)
			return (pid_t)strtol(name, NULL, 10);
	if (!errno)
		errno = failure ? failure : ESRCH;
	return 0;
}

static bool ids_are(const struct pid_vector *wanted, const uint64_t *ids)
{
	for (size_t level = 0; level < wanted->levels; level++)
		if (ids[level] != wanted->pid[level])
			return false;
	return true;
}

/* Its inner ids are free again once it is gone. */
static int wait_until_gone(pid_t leader, pid_t tid, struct error *err)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000 };
	uint64_t until = monotonic_microseconds() + THREAD_GONE_MICROSECONDS;
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/task/%d", (int)leader, (int)tid);
	while (access(path, F_OK) == 0 || errno_tells_nothing(errno)) {
		if (monotonic_microseconds() > until)
			return fail(err, ERR_RESTORE_TIMEOUT,
				    "thread %d, which got a wrong id, does not end", (int)tid);
		nanosleep(&pause, NULL);
	}
	return 0;
}

/*
 * Leader and thread (if it was made) go on by the verdict; the thread ends, the leader comes to its
 * request again. A number is free only some time after its thread has left /proc (release_task
 * frees pids last).
 */
static int again(struct run *run, const struct guided_thread *guided, pid_t tid, struct error *err)
{
	const struct timespec pause = { .tv_nsec = 200 * 1000 };
	pid_t leader = run_leader(&run->tasks[guided->task])->tid;

	clear(guided->request_word);
	clear(guided->go_word);
	clear(guided->made_word);
	run_set_word(word_at(guided->retry_word), 1);
	run_set_word(word_at(guided->verdict_word), 1);
	if ((tid && wait_until_gone(leader, tid, err)) ||
	    run_wait_program(run, word_at(guided->request_word), 1, err))
		return -1;
	clear(guided->verdict_word);
	clear(guided->retry_word);
	if (!tid)
		nanosleep(&pause, NULL);
	return 0;
}

/* One attempt: 1 the thread has its ids, 0 it has not and is gone, -1 with err. */
static int try_once(struct run *run, const struct guided_thread *guided, const struct guide *guide,
		    struct error *err)
{
	const struct pid_vector *wanted = &guided->pids;
	pid_t leader = run_leader(&run->tasks[guided->task])->tid;
	uint64_t ids[MAX_PID_LEVELS] = { 0 };
	uint32_t last_pid = own_last_pid();

	if (set_last_pids(guide, guided, err))
		return -1;
	run_set_word(word_at(guided->go_word), 1);
	if (run_wait_program(run, word_at(guided->made_word), 1, err) ||
	    put_back(run, guide, wanted, last_pid, err))
		return -1;
	int64_t result = (int64_t)*slot_at(guided->result_slot);
	if (result == -EEXIST)
		return again(run, guided, 0, err);
	if (result < 0) {
		errno = (int)-result;
		return fail_errno(err, ERR_PROGRAM_FAILED, "clone3");
	}
	pid_t tid = find_thread(leader, wanted, (uint64_t)result, ids);
	if (!tid)
		return fail_errno(err, procfs_is_gone(errno) ? ERR_TASK_DIED : ERR_KERNEL_REFUSED,
				  "cannot find the thread that %s made",
				  run->tasks[guided->task].planned->program->name);
	if (ids_are(wanted, ids)) {
		run_set_word(word_at(guided->verdict_word), 1);
		return 1;
	}
	return again(run, guided, tid, err);
}

static int fail_taken(const struct run *run, const struct guided_thread *guided, struct error *err)
{
	const struct pid_vector *wanted = &guided->pids;
	uint32_t numbers[MAX_PID_LEVELS];

	for (size_t i = 0; i < wanted->levels; i++)
		numbers[i] = wanted->pid[wanted->levels - 1 - i];
	return fail_pid_in_use(run, guided->name, numbers, wanted->levels,
			       !run->plan->own_pid_namespace, err);
}

int run_guide(struct run *run, const void *guided_thread, struct error *err)
{
	const struct guided_thread *guided = guided_thread;
	struct run_thread *leader = run_leader(&run->tasks[guided->task]);

	if (run_find_pids(run, &leader, 1, err))
		return -1;
	const struct guide *guide = guide_of(run, guided, leader->tid, err);
	if (!guide)
		return -1;
	for (int attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
		int done = try_once(run, guided, guide, err);
		if (done < 0)
			return fail_while(err, "%s: making thread %s",
					  leader->planned->program->name,
					  pid_vector_text(&guided->pids));
		if (done)
			return 0;
	}
	return fail_taken(run, guided, err);
}

int run_end_guides(struct run *run, bool restored, struct error *err)
{
	int result = 0;

	for (size_t i = 0; run->guides && i < run->plan->n_guided_namespaces; i++) {
		const struct guided_namespace *namespace = &run->plan->guided_namespaces[i];
		const struct guide *guide = run->guides[i];

		if (!guide)
			continue;
		if (restored &&
		    last_pids_set(guide->last_pids, namespace->last_pids, namespace->n_levels, err))
			result = -1;
		last_pids_close(guide->last_pids);
	}
	run->guides = NULL;
	return result;
}
