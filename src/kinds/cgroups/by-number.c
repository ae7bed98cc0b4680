// SPDX-License-Identifier: LGPL-2.1-or-later
/* The path of a cgroup by the number of its directory, which other objects know it by. */
#include "kinds/cgroups/cgroups.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kernel/by-handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HANDLE_OF_KERNFS = 0xfe /* FILEID_KERNFS, linux/exportfs.h */ };

/* The text of a descriptor's link below /proc/self/fd; false with errno. */
static bool path_of(int fd, char *text, size_t room)
{
	char link[64];

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, text, room - 1);
	text[length < 0 ? 0 : length] = '\0';
	return length >= 0;
}

/* From the root of the hierarchy on; NULL with errno, ESTALE: it is not there any more. */
static char *path_from_root(struct arena *arena, int root, uint64_t number)
{
	union {
		struct file_handle handle;
		uint8_t bytes[sizeof(struct file_handle) + sizeof number];
	} of = { .handle = { .handle_bytes = sizeof number, .handle_type = HANDLE_OF_KERNFS } };
	char above[MAX_CGROUP_PATH], path[2 * MAX_CGROUP_PATH];

	memcpy(of.handle.f_handle, &number, sizeof number);
	autoclose int fd = number ? open_by_handle_from(root, &of.handle, O_PATH | O_CLOEXEC) : -1;
	if (!number)
		errno = ESTALE;
	if (fd < 0 || !path_of(root, above, sizeof above) || !path_of(fd, path, sizeof path))
		return NULL;
	size_t length = strcmp(above, "/") == 0 ? 0 : strlen(above);
	errno = ESTALE;
	if (strncmp(path, above, length) != 0 || path[length] != '/')
		return NULL;
	return arena_string(arena, path + length);
}

int cgroup_path_by_number(const struct open_file *file, const char *hierarchy, const char *what,
			  uint64_t number, char **ret_path, struct error *err)
{
	struct collect *collect = file->target->collect;
	autoclose int root = cgroup_hierarchy_open(
		collect->arena, collect->options->externals->cgroups.yard, hierarchy);

	if (root < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open the hierarchy of cgroups");
	*ret_path = path_from_root(collect->arena, root, number);
	if (!*ret_path && errno != ESTALE && errno != ENOENT)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell its cgroup",
				  file->what);
	return *ret_path ? 0
			 : fail(err, ERR_UNSUPPORTED_FILE,
				"%s is %s a cgroup that is gone, or not seen from here", file->what,
				what);
}
