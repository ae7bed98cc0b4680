// SPDX-License-Identifier: LGPL-2.1-or-later
#include "older-kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	FEATURE_MOVE = 1 << 16, /* UFFD_FEATURE_MOVE, 6.8 */
};

/* Before 6.18 the proc of another pid namespace is mounted by a process that is in it. */
static bool is_pidns(pid_t tid, uint64_t key)
{
	char text[] = "pidns", found[sizeof text] = "";
	struct iovec local = { found, sizeof found }, remote = { (void *)key, sizeof found };

	return process_vm_readv(tid, &local, 1, &remote, 1, 0) == (ssize_t)sizeof found &&
	       memcmp(found, text, sizeof text) == 0;
}

static long mount_of(pid_t tid, uint64_t fd)
{
	char path[64], line[256];
	long id = -1;

	snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", tid, (int)fd);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file))
		sscanf(line, "mnt_id: %ld", &id);
	if (file)
		fclose(file);
	return id;
}

static bool has_mount(pid_t tid, long id)
{
	char path[64], *line = NULL;
	size_t room = 0;
	bool found = false;

	snprintf(path, sizeof path, "/proc/%d/mountinfo", tid);
	FILE *file = fopen(path, "re");
	while (file && !found && getline(&line, &room, file) > 0)
		found = strtol(line, NULL, 10) == id;
	free(line);
	if (file)
		fclose(file);
	return found;
}

static bool is_of_nsfs(pid_t tid, uint64_t fd)
{
	char path[64], target[64] = "";

	snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, (int)fd);
	return readlink(path, target, sizeof target - 1) > 0 && strstr(target, ":[");
}

/* Before 6.15 only mounts of the caller's namespace are copied, and what shows a namespace. */
static bool is_elsewhere(pid_t tid, uint64_t fd)
{
	long id = mount_of(tid, fd);

	return id >= 0 && !has_mount(tid, id) && !is_of_nsfs(tid, fd);
}

static int before_6_15(pid_t tid, const struct ptrace_syscall_info *info)
{
	const __u64 *args = info->entry.args;

	switch (info->entry.nr) {
	case SYS_fsconfig:
		return args[1] == FSCONFIG_SET_FD && is_pidns(tid, args[2]) ? EINVAL : 0;
	case SYS_open_tree:
		return args[2] & OPEN_TREE_CLONE && args[2] & AT_EMPTY_PATH &&
				       is_elsewhere(tid, args[0])
			       ? EINVAL
			       : 0;
	default:
		return 0;
	}
}

/* Files of that name there are with CONFIG_PROC_CHILDREN. */
static bool is_children_file(pid_t tid, uint64_t path)
{
	static const char name[] = "/children";
	char text[256] = "";
	size_t first = PAGE - path % PAGE;
	struct iovec local = { text, sizeof text - 1 },
		     remote[] = { { (void *)path, first < local.iov_len ? first : local.iov_len },
				  { (void *)(path + first),
				    first < local.iov_len ? local.iov_len - first : 0 } };

	if (process_vm_readv(tid, &local, 1, remote, 2, 0) <= 0)
		return false;
	size_t length = strlen(text);
	return length >= sizeof name && strcmp(text + length + 1 - sizeof name, name) == 0;
}

static bool asks_for_moves(pid_t tid, uint64_t api)
{
	struct uffdio_api asked = { 0 };
	struct iovec local = { &asked, sizeof asked }, remote = { (void *)api, sizeof asked };

	return process_vm_readv(tid, &local, 1, &remote, 1, 0) == (ssize_t)sizeof asked &&
	       asked.features & FEATURE_MOVE;
}

static int request_before_6_7(pid_t tid, uint64_t request, uint64_t argument)
{
	uint64_t type = request >> 8 & 0xff, nr = request & 0xff;

	/* PAGEMAP_SCAN, 6.7; of namespaces NS_GET_MNTNS_ID and later, of pidfds all, 6.11 */
	if ((type == 'f' && nr == 16) || (type == 0xb7 && nr >= 5) || type == 0xff)
		return ENOTTY;
	return type == UFFDIO && nr == _UFFDIO_API && asks_for_moves(tid, argument) ? EINVAL : 0;
}

static int as_6_1(pid_t tid, const struct ptrace_syscall_info *info)
{
	const __u64 *args = info->entry.args;

	switch (info->entry.nr) {
	case SYS_access:
		return is_children_file(tid, args[0]) ? ENOENT : 0;
	case SYS_openat:
		return is_children_file(tid, args[1]) ? ENOENT : 0;
	case SYS_ioctl:
		return request_before_6_7(tid, args[1], args[2]);
	case SYS_madvise: /* MADV_GUARD_INSTALL and MADV_GUARD_REMOVE, 6.13 */
		return args[2] == 102 || args[2] == 103 ? EINVAL : 0;
	case SYS_prctl: /* PR_TIMER_CREATE_RESTORE_IDS, 6.15 */
		return args[0] == 77 ? EINVAL : 0;
	case SYS_fcntl: /* F_DUPFD_QUERY, 6.10 */
		return args[1] == 1027 ? EINVAL : 0;
	case SYS_getsockopt: /* SO_PASSPIDFD and SO_PEERPIDFD, 6.5 */
		return args[1] == SOL_SOCKET && (args[2] == 76 || args[2] == 77) ? ENOPROTOOPT : 0;
	case SYS_ptrace: /* of system calls that are dispatched to users, 6.4 */
		return args[0] == 0x4210 || args[0] == 0x4211 ? EIO : 0;
	default:
		/* cachestat, statmount, listmount, ... */
		return info->entry.nr >= 451 ? ENOSYS : 0;
	}
}

int older_kernel_refuses(enum kernel_age age, pid_t tid, const struct ptrace_syscall_info *info)
{
	int problem = before_6_15(tid, info);

	return !problem && age == KERNEL_OLDEST ? as_6_1(tid, info) : problem;
}
