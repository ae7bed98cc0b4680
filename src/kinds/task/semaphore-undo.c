// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the end of a process takes back from System V semaphores (SEM_UNDO, semop(2)). The kernel
 * keeps it in a list of the process (sysvsem.undo_list) and shows it to nobody, so it is a loss.
 *
 * Whether there is a list can be told: kcmp(2) compares where it is, and who has just been forked
 * has none. But there is one as well where threads were made (CLONE_SYSVSEM), nestor's own among
 * them, with nothing in it. So it counts where the ipc namespace has semaphores at all; of a
 * process with threads, where it is also who has changed one of them last (GETPID). Threads that
 * others have overtaken since are not seen.
 */
#include "kinds/task/task.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "kernel/deputy.h"
#include "kernel/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <unistd.h>

union argument {
	int value;
	struct semid_ds *state;
	struct seminfo *info;
};

struct looking {
	int namespace_fd, pidfd;
	bool is_own; /* the namespace that we are in */
	pid_t tid;
	pid_t changed_by; /* 0: anybody */
	bool has_list, found;
};

static bool is_changed_by(int id, unsigned long count, pid_t pid)
{
	for (unsigned long i = 0; i < count; i++)
		if (!pid || semctl(id, (int)i, GETPID) == pid)
			return true;
	return false;
}

static int look_inside(void *data, struct error *err)
{
	struct looking *looking = data;
	struct seminfo info;
	struct semid_ds state;

	int differs = kernel_kcmp(looking->tid, getpid(), KCMP_OBJECT_SEMAPHORE_UNDO, 0, 0);
	/* A kernel without such semaphores. */
	if (differs < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
		return 0;
	if (differs < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot compare lists of semaphores");
	looking->has_list = differs > 0;
	if (!looking->has_list)
		return 0;
	/* Who has no privilege outside of the user namespace of the task has it inside. */
	if (!looking->is_own && setns(looking->namespace_fd, CLONE_NEWIPC) &&
	    (errno != EPERM || deputy_enter_user(looking->pidfd, CLONE_NEWIPC)))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter an ipc namespace");
	int last = semctl(0, 0, SEM_INFO, (union argument){ .info = &info });
	if (last < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot see which semaphores there are");
	for (int i = 0; i <= last && !looking->found; i++) {
		int id = semctl(i, 0, SEM_STAT_ANY, (union argument){ .state = &state });
		if (id < 0 && errno != EINVAL && errno != EIDRM)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read semaphores");
		looking->found = id >= 0 && is_changed_by(id, state.sem_nsems, looking->changed_by);
	}
	return 0;
}

static bool is_own_namespace(int fd)
{
	struct stat own, other;

	return stat("/proc/self/ns/ipc", &own) == 0 && fstat(fd, &other) == 0 &&
	       own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

static int look(const struct target *target, struct looking *looking, struct error *err)
{
	autoclose int fd = target_open(target, "ns/ipc", O_RDONLY);
	autoclose int pidfd = kernel_pidfd_open(target->pid, 0);

	if (fd < 0)
		return fail_errno(err, procfs_error(errno), "pid %d: cannot open its ipc namespace",
				  target->pid);
	*looking = (struct looking){ .namespace_fd = fd,
				     .pidfd = pidfd,
				     .is_own = is_own_namespace(fd),
				     .tid = target->tid,
				     .changed_by = target->n_threads > 1 ? target->pid : 0 };
	return deputy_run(look_inside, looking, err) ? -1 : 0;
}

/* One task that has no list, once there is one: others are compared with it at no cost. */
static pid_t *without_list(struct collect *collect)
{
	void **state = collect_state(collect, &semaphore_undo_kind);

	if (!*state)
		*state = arena_new(collect->arena, pid_t);
	return *state;
}

static int collect(struct target *target, struct error *err)
{
	pid_t *without = without_list(target->collect);
	struct looking looking = { 0 };

	if (target->zombie ||
	    (*without && kernel_kcmp(target->tid, *without, KCMP_OBJECT_SEMAPHORE_UNDO, 0, 0) == 0))
		return 0;
	if (look(target, &looking, err))
		return -1;
	if (!looking.has_list)
		*without = target->tid;
	if (looking.found)
		loss_add(target, 0, LOSS_SEMAPHORE_UNDO, "the kernel shows it to nobody");
	return 0;
}

const struct task_kind semaphore_undo_kind = {
	.name = "undoing of semaphores",
	.collect = collect,
};
