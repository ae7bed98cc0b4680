// SPDX-License-Identifier: LGPL-2.1-or-later
/* What every reader of a stopped task needs: its /proc files and its memory; see collect.h. */
#include "collect/collect.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/read-ahead.h"
#include "collect/thread-state.h"
#include "kernel/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

/* PIDFD_THREAD, 6.9: that of the process is its leader's, who may be dead. */
unsigned target_pidfd_flags(const struct target *target)
{
	return target->living ? O_EXCL : 0;
}

int target_get_fd(const struct target *target, uint32_t number)
{
	struct kept_fd *kept = &target->collect->pidfd;

	if (kept->tid != target->tid) {
		kept_fd_close(kept);
		kept->fd = kernel_pidfd_open(target->tid, target_pidfd_flags(target));
		if (kept->fd < 0)
			return -1;
		kept->tid = target->tid;
	}
	return kernel_pidfd_getfd(kept->fd, (int)number, 0);
}

void kept_fd_close(struct kept_fd *kept)
{
	if (kept->tid)
		close(kept->fd);
	kept->tid = 0;
}

int collect_go_on(const struct collect *collect, struct error *err)
{
	int number = collect->asked_to_stop ? collect->asked_to_stop(collect->asked_data) : 0;

	return number ? fail(err, ERR_INTERRUPTED, "SIG%s asked to stop, while reading the tree",
			     sigabbrev_np(number))
		      : 0;
}

static int open_folder(const struct target *target)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/%d", target->tid);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* That of the thread that asks. */
static struct target_folder *own_folder(const struct target *target)
{
	struct collect *collect = target->collect;

	return &collect->folders[!pthread_equal(pthread_self(), collect->first_thread)];
}

struct target_folder *target_enter(const struct target *target)
{
	struct target_folder *folder = own_folder(target);
	int fd = folder->target ? -1 : open_folder(target);

	/* Without it every file is looked for by its whole path. */
	if (fd < 0)
		return NULL;
	*folder = (struct target_folder){ target, fd };
	return folder;
}

void target_leave(struct target_folder **folder)
{
	if (!*folder)
		return;
	close((*folder)->fd);
	(*folder)->target = NULL;
}

/* From where a file below the folder is found, and by what name. */
struct way {
	char path[PATH_MAX];
	const char *name;
	int from, opened;
};

static void forget_way(struct way *way)
{
	int saved = errno;

	if (way->opened >= 0)
		close(way->opened);
	errno = saved;
}

/* A name as long as paths may be (BELOW_ROOT) leaves no room for what leads to it. */
static int find_way(const struct target *target, const char *name, struct way *way)
{
	const struct target_folder *folder = own_folder(target);

	way->name = name;
	way->opened = -1;
	way->from = folder->fd;
	if (folder->target == target && *name)
		return 0;
	way->name = way->path;
	way->from = AT_FDCWD;
	if (snprintf(way->path, PATH_MAX, "/proc/%d/%s", target->tid, name) < PATH_MAX)
		return 0;
	way->name = name;
	way->from = way->opened = open_folder(target);
	return way->opened < 0 ? -1 : 0;
}

#define autoway __attribute__((cleanup(forget_way))) struct way

/*
 * Links of a task that ends between the look-up of their names and their use are refused like those
 * of one that may not be looked at (proc_ns_readlink, proc_pid_get_link), and so may a zombie's be
 * (ptrace_may_access). Only who is still as it was has refused; of others ESRCH is said.
 */
static ssize_t told(const struct target *target, const char *name, ssize_t result)
{
	static const char of_threads[] = "task/";
	int error = errno;
	pid_t tid = target->tid;

	if (result >= 0 || (error != EACCES && error != EPERM))
		return result;
	if (strncmp(name, of_threads, strlen(of_threads)) == 0)
		tid = atoi(name + strlen(of_threads));
	errno = thread_has_ended(target->pid, tid, target->zombie) ? ESRCH : error;
	return result;
}

int target_open(const struct target *target, const char *name, int flags)
{
	autoway way;

	if (find_way(target, name, &way))
		return -1;
	return (int)told(target, name, openat(way.from, way.name, flags | O_CLOEXEC));
}

bool target_peek(struct target *target, uint64_t address, void *bytes, size_t size)
{
	struct iovec local = { bytes, size }, remote = { (void *)address, size };
	ssize_t got = process_vm_readv(target->tid, &local, 1, &remote, 1, 0);

	if (got < 0 && errno_tells_nothing(errno))
		target->peek_failure = errno;
	return got == (ssize_t)size;
}

/*
 * 1: it is silent, and looked at; 0: it is not; -1 with errno. Whoever asks for no attribute is
 * told the device, and by the kernel alone (fuse_getattr).
 */
static int look_at_silent(struct collect *collect, const struct way *way, struct stat *ret_stat)
{
	autoclose int fd = openat(way->from, way->name, O_PATH | O_CLOEXEC);
	struct statx found;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &found) < 0)
		return -1;
	if (!collect_is_silent(collect, makedev(found.stx_dev_major, found.stx_dev_minor)))
		return 0;
	if (collect->assistant && !pthread_equal(pthread_self(), collect->first_thread)) {
		errno = EAGAIN;
		return -1;
	}
	return collect->silent.look(collect, fd, ret_stat) ? -1 : 1;
}

int target_look(const struct target *target, const char *name, struct stat *ret_stat)
{
	autoway way;

	if (find_way(target, name, &way))
		return -1;
	int silent =
		target->collect->silent.n ? look_at_silent(target->collect, &way, ret_stat) : 0;
	if (silent)
		return (int)told(target, name, silent < 0 ? -1 : 0);
	return (int)told(target, name, fstatat(way.from, way.name, ret_stat, 0));
}

int target_mount_of(const struct target *target, const char *name, struct statx *ret)
{
	autoway way;

	if (find_way(target, name, &way))
		return -1;
	return (int)told(target, name,
			 statx(way.from, way.name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT,
			       STATX_TYPE | STATX_MNT_ID, ret));
}

ssize_t target_link(const struct target *target, const char *name, char *buffer, size_t size)
{
	autoway way;

	if (find_way(target, name, &way))
		return -1;
	return told(target, name, readlinkat(way.from, way.name, buffer, size));
}

ssize_t target_text(const struct target *target, const char *name, char **ret_text)
{
	autoway way;

	if (find_way(target, name, &way))
		return -1;
	return told(target, name, procfs_read_new(way.from, way.name, ret_text));
}

int target_open_mem(const struct target *target, struct error *err)
{
	int fd = target_open(target, "mem", O_RDWR);

	if (fd >= 0)
		return fd;
	return fail_errno(err, procfs_error(errno), "cannot open the memory of pid %d",
			  target->pid);
}

static uint64_t stat_field(const char *text, unsigned field)
{
	for (unsigned at = 3; text && at < field; at++) {
		text = strchr(text, ' ');
		if (text)
			text++;
	}
	/* Negative numbers (priority, nice, tpgid) come out as their two's complement. */
	return text ? strtoull(text, NULL, 10) : 0;
}

bool target_has_capabilities(const struct target *target)
{
	const CredsEntry *creds = target->task->threads[0]->thread_core->creds;

	for (size_t i = 0; creds && i < creds->n_cap_prm; i++)
		if (creds->cap_prm[i])
			return true;
	return !creds;
}

uint64_t target_stat_field(const struct target *target, unsigned field)
{
	return stat_field(target->stat, field);
}

uint64_t target_leader_field(const struct target *target, unsigned field)
{
	return stat_field(target->leader_stat, field);
}

char *target_read(struct target *target, const char *name, struct error *err)
{
	autofree char *text = NULL;
	ssize_t length = read_ahead_take(target, name, &text);

	if (length >= 0)
		return arena_copy(target->collect->arena, text, (size_t)length + 1);
	if (procfs_is_gone(errno))
		fail_errno(err, ERR_TREE_CHANGED, "pid %d is gone: cannot read /proc/%d/%s",
			   target->pid, target->pid, name);
	else
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot read /proc/%d/%s", target->pid, name);
	return NULL;
}

int collect_check_privileges(const struct collect *collect, bool signals, struct error *err)
{
	for (size_t i = 0; i < collect->n_targets; i++) {
		const struct target *target = &collect->targets[i];

		if (target->zombie)
			continue;
		char path[32];

		snprintf(path, sizeof path, "/proc/%d/mem", target->tid);
		if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS)) {
			if (errno != EACCES && errno != EPERM)
				return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at %s",
						  path);
			fail(err, ERR_NO_PRIVILEGE, "not allowed to open %s", path);
			return fail_hint(err, "it takes CAP_DAC_OVERRIDE for tasks of other users");
		}
		if (signals && kill(target->pid, 0)) {
			if (errno != EPERM)
				return fail_errno(err, procfs_error(errno), "cannot reach pid %d",
						  target->pid);
			fail(err, ERR_NO_PRIVILEGE, "not allowed to end pid %d", target->pid);
			return fail_hint(err, "it takes CAP_KILL; or let the tree go on with "
					      "--leave-running");
		}
	}
	return 0;
}

size_t target_pid_levels(const struct target *target)
{
	uint64_t numbers[MAX_PID_LEVELS + 1];
	const char *levels = procfs_field(target->status, "NSpid:");

	return levels ? procfs_numbers(levels, 10, numbers, MAX_PID_LEVELS + 1) : 1;
}
