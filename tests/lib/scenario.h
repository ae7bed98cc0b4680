/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a scenario program needs. A scenario is one small program that brings itself (and its
 * children) into a state, says so, and after the restore checks that the state is still there:
 *
 *	int main(int argc, char **argv)
 *	{
 *		scenario_begin(argc, argv);
 *		... reach the state ...
 *		scenario_ready();	(dumped, killed and restored in here)
 *		scenario_check(umask(022) == 027, "umask is another one");
 *		return scenario_end();
 *	}
 *
 * Its head comment tells tests/run-scenarios what to do; see docs/testing.md. The working
 * directory is the state directory: files of the scenario are made there by relative names.
 * The harness holds no descriptor but 0 (/dev/null), 1 and 2 (the log, a regular file), has no
 * thread and no handler, and speaks with the runner through files in the state directory only.
 */
#ifndef NESTOR_TESTS_SCENARIO_H
#define NESTOR_TESTS_SCENARIO_H

#include <stdbool.h>
#include <sys/types.h>

/* First call of main: session leader, descriptors, umask 022. argv[1] is the state directory. */
void scenario_begin(int argc, char **argv);

/* What this run may name things outside of its directory by: the runner removes cgroups of that
 * name and those that go on with a '-' (tests/run-scenarios). */
void scenario_own_name(char *name, size_t size);

/* Tells the runner that the state is reached; returns once the restored tree is to go on. */
void scenario_ready(void);

/*
 * For other tasks and threads than the one that calls scenario_ready: waits for the same moment.
 * It sleeps 2 ms at a time, so whatever state the caller is in stays as it is.
 */
void scenario_wait_restored(void);
/* The same without waiting. Async-signal-safe, keeps errno. */
bool scenario_is_restored(void);

/* Records a failure in the log when the condition does not hold. Any process, any thread. */
void scenario_check(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For setting up: ends the whole scenario at once when the condition does not hold. */
void scenario_need(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line in the log. */
void scenario_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes the result file and returns 0, or 1 when a check failed in this process. */
int scenario_end(void);

/*
 * A child that runs body(data) and leaves with its result, or with 1 when one of its checks
 * failed. scenario_reap waits for it and checks that it left with 0.
 */
pid_t scenario_child(int (*body)(void *data), void *data);
/* The same in a new pid namespace: the child is its init. Other CLONE_NEW* flags allowed. */
pid_t scenario_child_in(unsigned long long clone_flags, int (*body)(void *data), void *data);
void scenario_reap(pid_t pid);
/*
 * A whole main: all is done by such a child, which says mark "inside" once it is in its state, and
 * checks itself after scenario_wait_restored. Returns what main does.
 */
int scenario_all_inside(int argc, char **argv, unsigned long long clone_flags,
			int (*body)(void *data));

/*
 * The same in a new user namespace, whose maps the caller writes before the body runs; NULL: not
 * written. The texts are those of user_namespaces(7).
 */
struct scenario_users {
	const char *uids, *gids;
	bool deny_setgroups;
};
pid_t scenario_child_users(unsigned long long clone_flags, const struct scenario_users *users,
			   int (*body)(void *data), void *data);
/* Writes a map (uid_map, gid_map, setgroups) of a task, "self" or as /proc names it. */
void scenario_write_map(const char *pid, const char *name, const char *text);

/*
 * Marks order the tasks of a scenario before it is ready (and after it is restored), without
 * descriptors or shared memory: setting a mark makes a file, waiting polls for it.
 */
void scenario_mark(const char *name);
void scenario_wait_mark(const char *name);
bool scenario_is_marked(const char *name);

/*
 * The ids of the calling thread (thread, process, group, session) at every level that a restore
 * has to keep, as text to be compared: those above the namespace of an init that is the dump's
 * root are left out.
 */
enum { SCENARIO_IDS_ROOM = 2048 };
void scenario_ids(char text[SCENARIO_IDS_ROOM]);
/* At how many levels the calling thread has an id, as far as /proc shows. */
unsigned scenario_levels(void);

/*
 * A state that lasts for a time only. On a machine that is too busy the time may be over before the
 * program is let go: then it says so, and the runner, if nothing has failed, runs it once more with
 * a patience that is larger: a factor for such times.
 */
unsigned scenario_patience(void);
void scenario_time_is_over(void);

/* Sleeps, whatever signals arrive. */
void scenario_sleep_ms(unsigned milliseconds);

#endif
