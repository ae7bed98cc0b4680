// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/clone-mount.h"

#include "base/cleanup.h"
#include "kernel/visit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>

struct cloning {
	int path_fd;
	const char *name;
};

static int clone_there(struct visitor *visitor, void *data, struct error *err)
{
	const struct cloning *cloning = data;
	autoclose int fd = open_tree(cloning->path_fd, "",
				     AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | OPEN_TREE_CLONE |
					     OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a mount of %s alone",
				  cloning->name);
	return visitor ? visitor_hand_over(visitor, fd, err) : take_fd(&fd);
}

static int clone_by_visit(int namespace_fd, struct cloning *cloning, struct error *err)
{
	const struct visit there = {
		.what = "copies the mount of an unlinked file",
		.namespaces = &namespace_fd,
		.n_namespaces = 1,
		.brief = true,
		.function = clone_there,
		.data = cloning,
		.size = sizeof *cloning,
	};
	int fd;

	if (namespace_fd < 0)
		return clone_there(NULL, cloning, err);
	return visit(&there, &fd, 1, err) ? -1 : fd;
}

int clone_mount(int namespace_fd, int path_fd, uint64_t set, uint64_t clear, const char *name,
		struct error *err)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear };
	struct cloning cloning = { path_fd, name };
	autoclose int mount_fd = clone_by_visit(namespace_fd, &cloning, err);
	char self[64];

	if (mount_fd < 0)
		return -1;
	if (mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attr, sizeof attr))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a mount of %s alone", name);
	/* With the descriptor of the mount that ends, but for what is open on it. */
	snprintf(self, sizeof self, "/proc/self/fd/%d", mount_fd);
	int fd = open(self, O_PATH | O_CLOEXEC);
	return fd < 0 ? fail_errno(err, ERR_IO, "cannot open %s", name) : fd;
}
