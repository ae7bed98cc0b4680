// SPDX-License-Identifier: LGPL-2.1-or-later
/* What every reader of a stopped task needs: its /proc files and its memory; see collect.h. */
#include "collect/collect.h"

#include "base/cleanup.h"
#include "collect/read-ahead.h"
#include "kernel/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int target_pidfd(const struct target *target)
{
	/* PIDFD_THREAD, 6.9: that of the process is its leader's, who may be dead. */
	return kernel_pidfd_open(target->tid, target->living ? O_EXCL : 0);
}

int target_mem_fd(struct target *target, struct error *err)
{
	if (target->mem_fd < 0)
		target->mem_fd = openat(target->proc_fd, "mem", O_RDWR | O_CLOEXEC);
	if (target->mem_fd >= 0)
		return target->mem_fd;
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open the memory of pid %d", target->pid);
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
	if (errno == ENOENT || errno == ESRCH)
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
		if (faccessat(target->proc_fd, "mem", R_OK | W_OK, AT_EACCESS) && errno == EACCES) {
			fail(err, ERR_NO_PRIVILEGE, "not allowed to open /proc/%d/mem",
			     target->pid);
			return fail_hint(err, "it takes CAP_DAC_OVERRIDE for tasks of other users");
		}
		if (signals && kill(target->pid, 0) && errno == EPERM) {
			fail(err, ERR_NO_PRIVILEGE, "not allowed to end pid %d", target->pid);
			return fail_hint(err, "it takes CAP_KILL; or let the tree go on with "
					      "--leave-running");
		}
	}
	return 0;
}
