// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What /proc says of a thread that is being stopped. Only ENOENT and ESRCH mean that it is gone:
 * any other failure is one of ours (descriptors that run out, memory, rights), and to take it for
 * an end would make less of the tree than there is.
 */
#include "collect/thread-state.h"

#include "base/procfs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum {
	TEXT_ROOM = 16384,
	PATH_ROOM = 64,
	DIRECTORY_LINKS = 2, /* of /proc/PID/task, beside one per thread */
};

int thread_fail_unread(pid_t pid, pid_t tid, const char *name, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read /proc/%d/task/%d/%s", pid, tid,
			  name);
}

static ssize_t read_file(pid_t pid, pid_t tid, const char *name, char *text, size_t size)
{
	char path[PATH_ROOM];

	snprintf(path, sizeof path, "/proc/%d/task/%d/%s", pid, tid, name);
	return procfs_read_into(AT_FDCWD, path, text, size);
}

int thread_state_read(pid_t pid, pid_t tid, struct thread_state *ret_state, struct error *err)
{
	struct thread_state state = { .name = "?" };
	char text[TEXT_ROOM];
	const char *field;

	if (read_file(pid, tid, "status", text, sizeof text) < 0) {
		if (!procfs_is_gone(errno))
			return thread_fail_unread(pid, tid, "status", err);
		*ret_state = state;
		return 0;
	}
	field = procfs_field(text, "Name:");
	if (field)
		snprintf(state.name, sizeof state.name, "%.*s", (int)strcspn(field, "\n"), field);
	field = procfs_field(text, "State:");
	if (!field)
		return fail(err, ERR_KERNEL_REFUSED, "/proc/%d/task/%d/status has no state", pid,
			    tid);
	state.state = *field;
	field = procfs_field(text, "TracerPid:");
	state.tracer = field ? atoi(field) : 0;
	*ret_state = state;
	return 0;
}

bool thread_has_ended(pid_t pid, pid_t tid, bool was_zombie)
{
	struct error unused = { 0 };
	struct thread_state state;

	if (thread_state_read(pid, tid, &state, &unused))
		return false;
	return state.state == 0 || state.state == 'X' || (state.state == 'Z' && !was_zombie);
}

int thread_is_kernel_worker(pid_t pid, pid_t tid, struct error *err)
{
	/* PF_IO_WORKER, PF_USER_WORKER (include/linux/sched.h): field 9 of stat(5). */
	enum { WORKER = 0x10 | 0x4000, SKIPPED = 6 };
	char text[1024];
	ssize_t length = read_file(pid, tid, "stat", text, sizeof text);
	const char *at = length > 0 ? strrchr(text, ')') : NULL;

	if (length < 0 && !procfs_is_gone(errno))
		return thread_fail_unread(pid, tid, "stat", err);
	for (int i = 0; at && i <= SKIPPED; i++)
		at = strchr(at + 1, ' ');
	return at && strtoul(at, NULL, 10) & WORKER;
}

int thread_count(pid_t pid, size_t *ret_count, struct error *err)
{
	char path[PATH_ROOM];
	struct stat attributes;

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	*ret_count = 0;
	if (stat(path, &attributes) < 0)
		return procfs_is_gone(errno)
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at %s", path);
	if (attributes.st_nlink > DIRECTORY_LINKS)
		*ret_count = attributes.st_nlink - DIRECTORY_LINKS;
	return 0;
}

bool thread_waits_for_vfork(pid_t pid, pid_t tid)
{
	struct error unused = { 0 }; /* if it cannot be told, the wait goes on to its deadline */
	struct thread_state state;
	char text[TEXT_ROOM];
	long nr;

	if (thread_state_read(pid, tid, &state, &unused) < 0 || state.state != 'D' ||
	    read_file(pid, tid, "syscall", text, sizeof text) <= 0 || !isdigit(text[0]))
		return false;
	nr = strtol(text, NULL, 10);
	return nr == SYS_vfork || nr == SYS_clone || nr == SYS_clone3;
}

int thread_fail_traced(pid_t pid, const struct thread_state *state, struct error *err)
{
	char path[PATH_ROOM], name[THREAD_NAME_ROOM] = "?";

	snprintf(path, sizeof path, "/proc/%d/comm", state->tracer);
	if (procfs_read_into(AT_FDCWD, path, name, sizeof name) > 0)
		name[strcspn(name, "\n")] = 0;
	fail(err, ERR_TASK_TRACED, "pid %d (%s) is being traced by pid %d (%s)", pid, state->name,
	     state->tracer, name);
	return fail_hint(err, "end the tracer (a debugger, strace, another dump) and try again");
}

/* For a text only: what cannot be read is a question mark. */
static struct thread_state read_for_words(pid_t pid, pid_t tid)
{
	struct error unused = { 0 };
	struct thread_state state = { .name = "?" };

	thread_state_read(pid, tid, &state, &unused);
	return state;
}

int thread_fail_vfork(pid_t pid, pid_t tid, struct error *err)
{
	struct thread_state state = read_for_words(pid, tid);

	fail(err, ERR_VFORK_IN_PROGRESS,
	     "pid %d (%s) waits for its vfork child to execute a program or to end", pid,
	     state.name);
	return fail_hint(err, "try again when the child has done so");
}

int thread_fail_timeout(pid_t pid, pid_t tid, struct error *err)
{
	struct thread_state state = read_for_words(pid, tid);
	char wchan[THREAD_NAME_ROOM] = "", who[PATH_ROOM] = "";

	if (read_file(pid, tid, "wchan", wchan, sizeof wchan) < 0)
		wchan[0] = 0;
	if (tid != pid)
		snprintf(who, sizeof who, "thread %d of ", tid);
	fail(err, ERR_STOP_TIMEOUT, "%spid %d (%s) did not stop, it is in state %c in wchan %s",
	     who, pid, state.name, state.state ? state.state : '?', wchan[0] ? wchan : "?");
	return fail_hint(err, "a longer --timeout may help");
}
