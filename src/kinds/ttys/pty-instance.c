// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The other side of a master, while a tree is dumped. TIOCGPTPEER finds it by way of the ptmx that
 * the master was opened by, and fails (ENODEV) where that is on a mount that is gone and the devpts
 * was another one beside it (devpts_mntget, fs/devpts/inode.c). It is found by its number then, in
 * the devpts that the kernel's memory names.
 */
#include "kinds/ttys/ttys.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PLACES(X)                                       \
	X(FILE_DATA, "file", "private_data")            \
	X(TTY_OF_FILE, "tty_file_private", "tty")       \
	X(TTY_INDEX, "tty_struct", "index")             \
	X(TTY_LINK, "tty_struct", "link")               \
	X(TTY_DRIVER_DATA, "tty_struct", "driver_data") \
	X(DEVPTS_SUPER, "pts_fs_info", "sb")            \
	X(SUPER_DEVICE, "super_block", "s_dev")         \
	X(SUPER_MAGIC, "super_block", "s_magic")

KERNEL_PLACES(PLACES, N_PLACES);

enum { KERNEL_MINOR_BITS = 20 };

/* 1: nobody may look; -1 with errno. */
static int devpts_of(struct collect *collect, int master, uint32_t index, dev_t *ret_devpts)
{
	struct kernel_reader *by;
	int cannot = collect_read_kernel(collect, &places, &by);

	if (cannot)
		return cannot;
	uint64_t file = kernel_file(by, master);
	uint64_t tty = kernel_pointer(by, kernel_pointer(by, file, FILE_DATA), TTY_OF_FILE);
	uint64_t slave = kernel_pointer(by, tty, TTY_LINK);
	uint64_t super = kernel_pointer(by, kernel_pointer(by, tty, TTY_DRIVER_DATA), DEVPTS_SUPER);
	uint32_t device = kernel_number(by, super, SUPER_DEVICE);
	if (kernel_pointer(by, slave, TTY_LINK) != tty ||
	    kernel_number(by, tty, TTY_INDEX) != index ||
	    kernel_number(by, super, SUPER_MAGIC) != DEVPTS_SUPER_MAGIC)
		kernel_has_changed(by);
	*ret_devpts =
		makedev(device >> KERNEL_MINOR_BITS, device & ((1U << KERNEL_MINOR_BITS) - 1));
	return kernel_reader_end(by);
}

static int open_by_name(struct collect *collect, const struct pty_side *side, const char *what,
			struct error *err)
{
	char name[16];
	dev_t devpts;
	int cannot = devpts_of(collect, side->master, side->index, &devpts);

	if (cannot < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot see of which devpts its terminal is", what);
	if (cannot)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s was opened on a mount that is gone, and of which devpts its "
			    "terminal is can be seen only in the kernel's memory, where nestor may "
			    "not look",
			    what);
	snprintf(name, sizeof name, "%" PRIu32, side->index);
	int fd = mount_open_terminal(collect, devpts, name, err);
	if (fd < 0 && !err->name && errno == ENOENT)
		fail(err, ERR_UNSUPPORTED_FILE,
		     "%s: the devpts that its terminal is of is mounted nowhere that can be seen "
		     "from here",
		     what);
	return fd;
}

int pty_open_other(struct collect *collect, const struct pty_side *side, int flags,
		   const char *what, struct error *err)
{
	int fd = pty_open_peer(side->master, flags);
	char self[32];

	if (fd < 0 && errno == ENODEV) {
		autoclose int named = open_by_name(collect, side, what, err);
		if (named < 0 && err->name)
			return -1;
		snprintf(self, sizeof self, "/proc/self/fd/%d", named);
		fd = named < 0 || flags & O_PATH ? take_fd(&named)
						 : open(self, flags | O_NOCTTY | O_CLOEXEC);
	}
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot find its other side", what)
		      : fd;
}
