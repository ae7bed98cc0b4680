// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Making pseudo-terminals; see pty.c. In a devpts of a mount namespace of the tree one is made when
 * that is mounted, by the path by which the master was opened, which shows. But where the terminal
 * controls a session, or a mount shows its slave, it has to be there before: it is made in the
 * devpts before that is mounted anywhere. Slaves are opened by their paths all the same. The devpts
 * of somebody outside, which the tree has mounted too, is there before.
 */
#include "kinds/ttys/ttys.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/names.h"
#include "kinds/opener.h"
#include "kinds/places.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

enum {
	MOST_MASTERS = 4096,
	PTMX_MAJOR = 5,
	PTMX_MINOR = 2,
	KERNEL_LARGEFILE = 0100000, /* open(2) adds it; the C library's O_LARGEFILE is 0 */
};

/* O_CLOEXEC would stay in the flags of the description (ptm_open_peer). */
int pty_open_peer(int master, int flags)
{
	int fd = ioctl(master, TIOCGPTPEER, flags | O_NOCTTY);

	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

static const MntEntry *own_devpts(const struct snapshot *snapshot, const TtyInfoEntry *info)
{
	return info->has_mount_id ? mounts_own_devpts(snapshot, info->mount_id) : NULL;
}

/* That of somebody outside which the tree has mounted: it is there all the time. */
static const MntEntry *bound_devpts(const struct snapshot *snapshot, const TtyInfoEntry *info)
{
	return info->has_mount_id && !own_devpts(snapshot, info)
		       ? mounts_bound_devpts(snapshot, info->mount_id, info->ptmx)
		       : NULL;
}

bool pty_is_early(const struct snapshot *snapshot, const TtyInfoEntry *info)
{
	const MntEntry *own = own_devpts(snapshot, info);
	const MntEntry *devpts = own ? own : bound_devpts(snapshot, info);
	char root[16];

	if (!devpts)
		return !info->has_mount_id;
	snprintf(root, sizeof root, "/%u", info->pty ? info->pty->index : 0);
	return info->sid || info->type == TTY_TYPE__EXT_TTY ||
	       mounts_show_file(snapshot, devpts->root_dev, root);
}

struct made_pty {
	struct made_pty *next;
	uint32_t id;
	size_t place; /* of the master, kept until all files are open */
	bool is_taken;
};

/* Takes path_fd, -1 with errno. To open just any device may do something. */
static int open_if_ptmx(int path_fd, const char *name, int flags, struct error *err)
{
	autoclose int fd = path_fd;
	struct stat found;

	if (fd < 0 || fstat(fd, &found) < 0)
		return -1;
	if (!S_ISCHR(found.st_mode) || found.st_rdev != makedev(PTMX_MAJOR, PTMX_MINOR))
		return fail(err, ERR_FILE_CHANGED,
			    "%s was where terminals are made (ptmx) and is not now", name);
	return opener_reopen(fd, flags);
}

/* 0 with *ret_fd -1: the path that the tree opened leads to nothing, or to another devpts, here. */
static int open_named(const struct file_opener *opener, const TtyInfoEntry *info, int root,
		      int flags, int *ret_fd)
{
	struct error changed = { 0 };
	struct stat wanted, made;

	*ret_fd = -1;
	autoclose int fd = open_if_ptmx(opener_open_path(opener, info->ptmx, O_PATH), info->ptmx,
					flags, &changed);
	/* EACCES: there are no devices (nodev); ENODEV: there is no devpts beside it. */
	if (fd < 0)
		return changed.name || names_lead_nowhere(errno) || errno == EACCES ||
				       errno == ENODEV || errno == ENXIO
			       ? 0
			       : -1;
	autoclose int peer = pty_open_peer(fd, O_PATH);
	if (peer < 0 || fstat(root, &wanted) < 0 || fstat(peer, &made) < 0)
		return -1;
	if (wanted.st_dev == made.st_dev)
		*ret_fd = take_fd(&fd);
	return 0;
}

/*
 * By the path that the tree opened, if that leads to the same devpts here, or by its own ptmx,
 * which may be all that is mounted.
 */
static int open_bound(const struct file_opener *opener, const TtyInfoEntry *info,
		      const MntEntry *bound, int flags, struct error *err)
{
	autoclose int root = opener_open_path(opener, bound->bound_path, O_PATH);
	struct stat found;
	int fd;

	if (root < 0 || fstat(root, &found) < 0 || open_named(opener, info, root, flags, &fd) < 0)
		return -1;
	if (fd >= 0)
		return fd;
	return open_if_ptmx(S_ISDIR(found.st_mode) ? openat(root, "ptmx", O_PATH | O_CLOEXEC)
						   : take_fd(&root),
			    "ptmx", flags, err);
}

static int open_ptmx(struct file_opener *opener, const TtyInfoEntry *info, struct error *err)
{
	int flags = O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
	const MntEntry *devpts = own_devpts(opener->snapshot, info);

	if (devpts && pty_is_early(opener->snapshot, info)) {
		int fd = mounts_early_devpts(opener, devpts, err);
		return fd < 0 ? -1 : openat(fd, "ptmx", flags);
	}
	/* Its other side is gone, as is its number. */
	if (!info->ptmx)
		return open("/dev/ptmx", flags);
	const MntEntry *bound = bound_devpts(opener->snapshot, info);
	if (bound && pty_is_early(opener->snapshot, info))
		return open_bound(opener, info, bound, flags, err);
	return open_if_ptmx(info->has_mount_id
				    ? mounts_open(opener, info->mount_id, info->ptmx, O_PATH)
				    : opener_open_path(opener, info->ptmx, O_PATH),
			    info->ptmx, flags, err);
}

/* Numbers below the wanted one that are free here are passed over. */
static int open_master(struct file_opener *opener, const TtyInfoEntry *info, struct error *err)
{
	int passed[MOST_MASTERS], result = -1;
	uint32_t index = 0;
	size_t n_passed = 0;
	bool is_numbered = info->ptmx || own_devpts(opener->snapshot, info);

	while (n_passed < MOST_MASTERS) {
		int fd = open_ptmx(opener, info, err);
		if (fd < 0 || ioctl(fd, TIOCGPTN, &index) < 0) {
			if (!err->name)
				fail_errno(err, ERR_KERNEL_REFUSED,
					   "terminal %u: cannot make it (%s)", info->id,
					   info->ptmx ? info->ptmx : "outside");
			if (fd >= 0)
				close(fd);
			break;
		}
		if (!is_numbered || index == info->pty->index) {
			result = fd;
			break;
		}
		passed[n_passed++] = fd;
		if (index > info->pty->index) {
			fail(err, ERR_TERMINAL_IN_USE, "terminal number %u is in use here",
			     info->pty->index);
			break;
		}
	}
	while (n_passed)
		close(passed[--n_passed]);
	return result;
}

/* Whoever takes it may wait for what comes. */
static int give_master(struct file_opener *opener, int master, const TtyInfoEntry *info,
		       struct error *err)
{
	int fd = fcntl(master, F_DUPFD_CLOEXEC, 3);

	if (fd < 0 || fcntl(fd, F_SETFL, 0) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot give its master away",
			   info->id);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	opener_give_master(opener, fd);
	return 0;
}

static struct made_pty *make_pty(struct file_opener *opener, const TtyInfoEntry *info,
				 struct error *err)
{
	void **first = opener_state(opener, &pty_kind);
	int unlocked = 0;

	for (struct made_pty *pty = *first; pty; pty = pty->next)
		if (pty->id == info->id)
			return pty;
	int master = open_master(opener, info, err);
	if (master < 0)
		return NULL;
	struct made_pty *pty = arena_new(opener->arena, struct made_pty);
	*pty = (struct made_pty){ .next = *first,
				  .id = info->id,
				  .place = opener_keep(opener, master) };
	*first = pty;
	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot unlock it", info->id);
		return NULL;
	}
	if (pty_size_write(master, info, err))
		return NULL;
	if (outside_is_orphan(info, opener->externals) && give_master(opener, master, info, err))
		return NULL;
	return pty;
}

int pty_take_master(struct file_opener *opener, const TtyInfoEntry *info, struct error *err)
{
	struct made_pty *pty = make_pty(opener, info, err);
	int fd = pty ? fcntl(opener_kept(opener, pty->place), F_DUPFD_CLOEXEC, 3) : -1;

	return pty && fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot open it",
					  info->id)
			     : fd;
}

/* 0 with *ret_fd -1: it leads to none, or, where another devpts is mounted by now, to another. */
static int open_by_path(const struct file_opener *opener, const TtyFileEntry *tty,
			const TtyInfoEntry *info, int master, int flags, int *ret_fd)
{
	bool own = own_devpts(opener->snapshot, info);
	struct stat wanted, named;

	*ret_fd = -1;
	if (!own && (!(flags & KERNEL_LARGEFILE) || !bound_devpts(opener->snapshot, info)))
		return 0;
	if (!own) {
		autoclose int peer = pty_open_peer(master, O_PATH);
		if (peer < 0 || fstat(peer, &wanted) < 0)
			return -1;
		autoclose int fd =
			mounts_open(opener, tty->mount_id, tty->path, O_PATH | O_NOFOLLOW);
		if (fd < 0 || fstat(fd, &named) < 0)
			return errno_tells_nothing(errno) ? -1 : 0;
		if (wanted.st_dev != named.st_dev || wanted.st_rdev != named.st_rdev)
			return 0;
	}
	*ret_fd = mounts_open(opener, tty->mount_id, tty->path, flags | O_NOCTTY | O_CLOEXEC);
	return *ret_fd < 0 && errno_tells_nothing(errno) ? -1 : 0;
}

/*
 * By its path, where the mount is there by now; that of a terminal in our own needs none. By way
 * of its master it was opened without O_LARGEFILE, and shows the same path; but not where that was
 * made before the mount.
 */
int pty_open_slave(struct file_opener *opener, const TtyFileEntry *tty, const TtyInfoEntry *info,
		   struct error *err)
{
	int flags = (int)tty->flags & (O_ACCMODE | O_NONBLOCK | KERNEL_LARGEFILE), fd = -1;

	if (info->type == TTY_TYPE__EXT_TTY && outside_is_given(opener, info))
		return outside_open(opener, info, flags, err);
	struct made_pty *pty = make_pty(opener, info, err);
	if (!pty)
		return -1;
	bool of_master = !(flags & KERNEL_LARGEFILE) && !pty_is_early(opener->snapshot, info) &&
			 tty->mount_id == info->mount_id;
	if (tty->path && tty->has_mount_id && !of_master &&
	    open_by_path(opener, tty, info, opener_kept(opener, pty->place), flags, &fd) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot open %s", info->id,
				  tty->path);
	if (fd < 0)
		fd = pty_open_peer(opener_kept(opener, pty->place), flags);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot open it", info->id)
		      : fd;
}

int pty_open_any_slave(struct file_opener *opener, const TtyInfoEntry *info, struct error *err)
{
	if (info->type == TTY_TYPE__EXT_TTY && outside_is_given(opener, info))
		return outside_open(opener, info, O_RDWR | O_NONBLOCK, err);
	struct made_pty *pty = make_pty(opener, info, err);
	int fd = pty ? pty_open_peer(opener_kept(opener, pty->place), O_RDWR | O_NONBLOCK) : -1;
	return pty && fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot open it",
					  info->id)
			     : fd;
}

static int open_terminal(struct file_opener *opener, const struct plan *plan, uint64_t id,
			 struct error *err)
{
	const struct record *record =
		snapshot_record(opener->snapshot, IMAGE_TTY_INFO, (uint32_t)id);

	(void)plan;
	if (!record)
		return fail(err, ERR_IMAGE_INVALID, "there is no terminal %" PRIu64, id);
	/* A slave that opens and closes is seen by a master whose own was never open. */
	return pty_was_open(opener->snapshot, record->message)
		       ? pty_open_any_slave(opener, record->message, err)
		       : pty_take_master(opener, record->message, err);
}

const struct source_opener terminal_source = { SOURCE_TERMINAL, open_terminal };
