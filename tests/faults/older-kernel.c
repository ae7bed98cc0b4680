// SPDX-License-Identifier: LGPL-2.1-or-later
#include "older-kernel.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

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

bool older_kernel_refuses(pid_t tid, const struct ptrace_syscall_info *info)
{
	const __u64 *args = info->entry.args;

	switch (info->entry.nr) {
	case SYS_fsconfig:
		return args[1] == FSCONFIG_SET_FD && is_pidns(tid, args[2]);
	case SYS_open_tree:
		return args[2] & OPEN_TREE_CLONE && args[2] & AT_EMPTY_PATH &&
		       is_elsewhere(tid, args[0]);
	default:
		return false;
	}
}
