// SPDX-License-Identifier: LGPL-2.1-or-later
/* Thin wrappers; see syscalls.h. */
#include "kernel/syscalls.h"

#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

int kernel_kcmp(pid_t one, pid_t other, enum kcmp_object object, unsigned long one_index,
		unsigned long other_index)
{
	/* The kernel numbers: FILE 0, VM 1, FILES 2, FS 3, SIGHAND 4. */
	return (int)syscall(SYS_kcmp, one, other, object, one_index, other_index);
}

int kernel_pidfd_open(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

int kernel_pidfd_getfd(int pidfd, int number, unsigned flags)
{
	return (int)syscall(SYS_pidfd_getfd, pidfd, number, flags);
}

int kernel_rseq(void *area, uint32_t size, int flags, uint32_t signature)
{
	return (int)syscall(SYS_rseq, area, size, flags, signature);
}

int kernel_mseal(void *start, size_t size)
{
	return (int)syscall(SYS_mseal, start, size, 0);
}

int kernel_get_robust_list(pid_t tid, uint64_t *ret_head, uint64_t *ret_length)
{
	uint64_t head = 0, length = 0;

	if (syscall(SYS_get_robust_list, tid, &head, &length))
		return -1;
	*ret_head = head;
	*ret_length = length;
	return 0;
}

int kernel_ioprio_get(int which, int who)
{
	return (int)syscall(SYS_ioprio_get, which, who);
}

int kernel_sched_getattr(pid_t tid, struct sched_attributes *ret_attributes)
{
	struct sched_attributes attributes = { 0 };

	if (syscall(SYS_sched_getattr, tid, &attributes, sizeof attributes, 0))
		return -1;
	*ret_attributes = attributes;
	return 0;
}

ssize_t kernel_sched_getaffinity(pid_t tid, void *ret_mask, size_t size)
{
	return syscall(SYS_sched_getaffinity, tid, size, ret_mask);
}

int kernel_capget(pid_t tid, struct capability_sets *ret_sets)
{
	struct capability_header header = { CAPABILITY_VERSION, tid };
	struct capability_data data[2] = { 0 };

	if (syscall(SYS_capget, &header, data))
		return -1;
	*ret_sets = (struct capability_sets){
		.effective = data[0].effective | (uint64_t)data[1].effective << 32,
		.permitted = data[0].permitted | (uint64_t)data[1].permitted << 32,
		.inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32,
	};
	return 0;
}
