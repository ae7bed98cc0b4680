// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Witnesses; see witness.h. nestor itself is one where its ids, its namespaces and its capabilities
 * fit (__ptrace_may_access and cap_ptrace_access_check of the kernel: equal ids; no capability that
 * the other lacks). Else a keeper is forked, which enters the pid namespace and forks the witness
 * there. The keeper is its parent, so that nobody of the tree gets to see its end, and ends it as
 * soon as the pipe from us is closed, by whatever has become of us.
 *
 * The witness gets a number of our choice where that is allowed, for otherwise the next process of
 * the tree would have another one than without us.
 */
#include "collect/witness.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/end-child.h"
#include "kernel/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MAP_ROOM = 16384, /* 340 extents */
	PATIENCE = 5000,  /* milliseconds */
	FIRST_NUMBER = 29000,
	ATTEMPTS = 8,
	ATTEMPTS_APART = 3000,
};

/* What is alike of threads with one witness. */
struct likeness {
	ino_t user_namespace, pid_namespace;
	uint64_t uid, gid; /* real ones, as we see them */
};

struct witness {
	struct witness *next;
	struct likeness of;
	size_t index;
	pid_t number; /* -1: there can be none */
	pid_t keeper; /* 0: it is nestor itself */
	int control;
};

/* Whom a thread was given: most that are asked for are as the one before, with the same one. */
struct given {
	uint32_t user_namespace, pid_namespace; /* ids of the survey */
	uint64_t uid, gid, permitted;
	pid_t number;
};

struct witnesses {
	struct witness *first;
	struct given last; /* number 0: nobody yet */
};

static struct witnesses *witnesses(struct collect *collect)
{
	static const char owner;
	void **state = collect_state(collect, &owner);

	if (!*state)
		*state = arena_new(collect->arena, struct witnesses);
	return *state;
}

static ino_t namespace_of(const char *who, const char *type)
{
	char path[64];
	struct stat stat_;

	snprintf(path, sizeof path, "/proc/%s/ns/%s", who, type);
	return stat(path, &stat_) == 0 ? stat_.st_ino : 0;
}

static bool read_likeness(const struct target *target, size_t thread, struct likeness *ret_of)
{
	const char *status = target->threads[thread].status;
	char who[32];

	snprintf(who, sizeof who, "%d", target->tid);
	ret_of->user_namespace = namespace_of(who, "user");
	ret_of->pid_namespace = namespace_of(who, "pid");
	return procfs_number(status, "Uid:", 10, &ret_of->uid) &&
	       procfs_number(status, "Gid:", 10, &ret_of->gid) && ret_of->user_namespace &&
	       ret_of->pid_namespace;
}

static bool has_ids(const struct likeness *of)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	return getresuid(&ruid, &euid, &suid) == 0 && getresgid(&rgid, &egid, &sgid) == 0 &&
	       of->uid == ruid && of->uid == euid && of->uid == suid && of->gid == rgid &&
	       of->gid == egid && of->gid == sgid;
}

/* Is nestor itself one whom a thread like this has all rights over? */
static bool fits_ourselves(const struct target *target, size_t thread, const struct likeness *of)
{
	const char *status = target->threads[thread].status;
	struct capability_sets own;
	uint64_t permitted;
	if (!procfs_number(status, "CapPrm:", 16, &permitted) || kernel_capget(0, &own) < 0 ||
	    prctl(PR_GET_DUMPABLE) != 1)
		return false;
	return of->user_namespace == namespace_of("self", "user") &&
	       of->pid_namespace == namespace_of("self", "pid") && has_ids(of) &&
	       !(own.permitted & ~permitted);
}

/* --- making one ---------------------------------------------------------------------------- */

struct wanted {
	int pidfd;
	bool enters_user, enters_pid;
	bool entered;	   /* the keeper has entered the user namespace */
	bool has_ids;	   /* as we have: nothing to be taken */
	uint32_t uid, gid; /* as we see them */
	bool mapped;	   /* they have numbers inside too: */
	uint32_t inner_uid, inner_gid;
	pid_t number;  /* if it is free */
	size_t levels; /* of pid namespaces below ours */
};

/* The number inside for one that we see. */
static bool inside(pid_t pid, const char *name, uint64_t id, uint32_t *ret_id)
{
	char path[64], map[MAP_ROOM], *line = map;
	uint64_t extent[3];

	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	if (procfs_read_into(AT_FDCWD, path, map, sizeof map) <= 0)
		return false;
	while (procfs_numbers(line, 10, extent, 3) == 3) {
		if (id - extent[1] < extent[2]) {
			*ret_id = (uint32_t)(extent[0] + (id - extent[1]));
			return true;
		}
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return false;
}

static pid_t fork_there(const struct wanted *wanted)
{
	pid_t numbers[MAX_PID_LEVELS];
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)numbers,
		.set_tid_size = wanted->levels,
	};

	for (int i = 0; wanted->levels && i < ATTEMPTS; i++) {
		for (size_t level = 0; level < wanted->levels; level++)
			numbers[level] = wanted->number + i;
		long pid = syscall(SYS_clone3, &args, sizeof args);
		if (pid >= 0)
			return (pid_t)pid;
		if (errno != EEXIST)
			break;
	}
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static bool take_ids(uint32_t uid, uint32_t gid)
{
	return syscall(SYS_setresgid, gid, gid, gid) == 0 &&
	       syscall(SYS_setresuid, uid, uid, uid) == 0;
}

/*
 * Ids that the user namespace does not map can only be brought along; capabilities with them, to
 * enter it. Who has no privilege outside has it inside.
 */
static bool become_alike(const struct wanted *wanted)
{
	bool taken = wanted->has_ids;

	if (!taken && !wanted->entered) {
		prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
		taken = take_ids(wanted->uid, wanted->gid);
	}
	if (wanted->enters_user && !wanted->entered && setns(wanted->pidfd, CLONE_NEWUSER) < 0)
		return false;
	return taken || (wanted->mapped && take_ids(wanted->inner_uid, wanted->inner_gid));
}

/* The witness; all that it has to do is to be there. */
static void be_witness(const struct wanted *wanted, int report)
{
	const struct capability_header header = { .version = CAPABILITY_VERSION };
	const struct capability_data none[2] = { 0 };
	pid_t number = (pid_t)syscall(SYS_getpid);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!become_alike(wanted) || syscall(SYS_capset, &header, none) < 0 ||
	    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write(report, &number, sizeof number) != sizeof number)
		_exit(1);
	for (;;)
		pause();
}

/* The keeper; it lives until nobody has the other end of `control`. */
static void keep_witness(struct wanted *wanted, int report, int control)
{
	struct pollfd end = { .fd = control };
	pid_t witness;

	if (wanted->enters_pid && setns(wanted->pidfd, CLONE_NEWPID) < 0) {
		/* Without privileges: those that the user namespace gives. */
		if (!wanted->enters_user || setns(wanted->pidfd, CLONE_NEWUSER | CLONE_NEWPID) < 0)
			_exit(1);
		wanted->entered = true;
	}
	witness = fork_there(wanted);
	if (witness == 0)
		be_witness(wanted, report);
	close(report);
	if (witness > 0) {
		while (poll(&end, 1, -1) < 0 && errno == EINTR)
			;
		end_child(witness);
	}
	_exit(0);
}

static void start_keeper(struct witness *witness, struct wanted *wanted)
{
	struct pollfd told = { .events = POLLIN };
	int control[2], report[2];
	pid_t number;

	if (pipe2(control, O_CLOEXEC) < 0)
		return;
	if (pipe2(report, O_CLOEXEC) < 0) {
		close(control[0]);
		close(control[1]);
		return;
	}
	witness->keeper = fork();
	if (witness->keeper == 0) {
		close(control[1]);
		close(report[0]);
		keep_witness(wanted, report[1], control[0]);
	}
	close(control[0]);
	close(report[1]);
	witness->control = control[1];
	told.fd = report[0];
	if (witness->keeper > 0 && poll(&told, 1, PATIENCE) == 1 &&
	    read(report[0], &number, sizeof number) == sizeof number)
		witness->number = number;
	close(report[0]);
}

static void make_witness(struct witness *witness, const struct target *target, size_t thread)
{
	uint64_t numbers[MAX_PID_LEVELS + 1];
	const char *levels = procfs_field(target->threads[thread].status, "NSpid:");
	size_t n = levels ? procfs_numbers(levels, 10, numbers, MAX_PID_LEVELS + 1) : 1;
	struct wanted wanted = {
		.enters_user = witness->of.user_namespace != namespace_of("self", "user"),
		.enters_pid = witness->of.pid_namespace != namespace_of("self", "pid"),
		.has_ids = has_ids(&witness->of),
		.uid = (uint32_t)witness->of.uid,
		.gid = (uint32_t)witness->of.gid,
		/* No two of ours try the same: a fork that fails so late has cost all of it. */
		.number = FIRST_NUMBER + (pid_t)(witness->index % ATTEMPTS_APART),
		.levels = n - 1,
	};
	autoclose int pidfd = kernel_pidfd_open(target->tid, target->living ? O_EXCL : 0);

	wanted.pidfd = pidfd;
	wanted.mapped = inside(target->tid, "uid_map", witness->of.uid, &wanted.inner_uid) &&
			inside(target->tid, "gid_map", witness->of.gid, &wanted.inner_gid);
	if (pidfd >= 0)
		start_keeper(witness, &wanted);
}

static pid_t find_witness(struct target *target, size_t thread)
{
	struct collect *collect = target->collect;
	struct witness *witness, **first = &witnesses(collect)->first;
	struct likeness of = { 0 };

	if (!read_likeness(target, thread, &of))
		return -1;
	if (fits_ourselves(target, thread, &of))
		return getpid();
	for (witness = *first; witness; witness = witness->next)
		if (memcmp(&witness->of, &of, sizeof of) == 0)
			return witness->number;
	witness = arena_new(collect->arena, struct witness);
	*witness = (struct witness){ .next = *first,
				     .of = of,
				     .index = *first ? (*first)->index + 1 : 0,
				     .number = -1,
				     .control = -1 };
	*first = witness;
	make_witness(witness, target, thread);
	return witness->number;
}

pid_t witness_for(struct target *target, size_t thread)
{
	const char *status = target->threads[thread].status;
	struct given *last = &witnesses(target->collect)->last, now = {
		.user_namespace = target->task->ids->user_ns_id,
		.pid_namespace = target->task->ids->pid_ns_id,
		.number = last->number,
	};
	bool known = procfs_number(status, "Uid:", 10, &now.uid) &&
		     procfs_number(status, "Gid:", 10, &now.gid) &&
		     procfs_number(status, "CapPrm:", 16, &now.permitted);

	if (known && last->number > 0 && memcmp(last, &now, offsetof(struct given, number)) == 0)
		return last->number;
	now.number = find_witness(target, thread);
	if (known)
		*last = now;
	return now.number;
}

void witnesses_end(struct collect *collect)
{
	for (struct witness *witness = witnesses(collect)->first; witness;
	     witness = witness->next) {
		if (witness->control >= 0)
			close(witness->control);
		witness->control = -1;
		if (witness->keeper > 0)
			waitpid(witness->keeper, NULL, 0);
		witness->keeper = 0;
	}
	*witnesses(collect) = (struct witnesses){ 0 };
}
