// SPDX-License-Identifier: LGPL-2.1-or-later
#include "short-call.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <unistd.h>

/* sys/ptrace.h does not go together with linux/ptrace.h. */
extern long ptrace(int request, ...);

enum {
	MUCH = 4096,
	ENTRIES = 1024, /* bytes: any entry has room */
};

/* Files of the kernel want all at once. */
static bool is_plain(pid_t tid, uint64_t fd)
{
	char path[64], target[64] = "";

	snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, (int)fd);
	return readlink(path, target, sizeof target - 1) > 0 && target[0] == '/' &&
	       strncmp(target, "/proc/", 6) != 0 && strncmp(target, "/sys/", 5) != 0 &&
	       strncmp(target, "/dev/", 5) != 0;
}

/* Which argument is the size; -1: it is done as a whole. */
static int argument_of(pid_t tid, const struct ptrace_syscall_info *info)
{
	const __u64 *args = info->entry.args;

	switch (info->entry.nr) {
	case SYS_read:
	case SYS_write:
	case SYS_pread64:
	case SYS_pwrite64:
		return is_plain(tid, args[0]) ? 2 : -1;
	case SYS_getdents64:
		return 2;
	case SYS_sendfile:
		return is_plain(tid, args[0]) && is_plain(tid, args[1]) ? 3 : -1;
	default:
		return -1;
	}
}

void shorten_call(pid_t tid, const struct ptrace_syscall_info *info)
{
	int argument = argument_of(tid, info);
	struct user_regs_struct regs;
	struct iovec vector = { &regs, sizeof regs };

	if (argument < 0 || info->entry.args[argument] <= MUCH)
		return;
	uint64_t size = info->entry.nr == SYS_getdents64 ? ENTRIES : info->entry.args[argument] / 2;
	ptrace(PTRACE_GETREGSET, tid, 1, &vector);
	*(argument == 2 ? &regs.rdx : &regs.r10) = size;
	ptrace(PTRACE_SETREGSET, tid, 1, &vector);
}
