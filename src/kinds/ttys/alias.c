// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Descriptions of /dev/tty, which every shell with job control holds. Opening it gives whatever
 * controls the opener's session then (tty_open_current_tty, drivers/tty/tty_io.c), and the
 * description stays with that, wherever it is passed on to, until the terminal is hung up.
 * TIOCGDEV tells its number, and the node that was opened is another file than the terminal's own.
 *
 * So it is opened by a member of the session, whose leader has taken the terminal by then
 * (task_call). A terminal that controls no session any more is taken by a process of ours for the
 * moment, which gives it up again (TIOCNOTTY). That of nestor's own session is opened by nestor.
 *
 * Numbers are those of a devpts, of which there may be several. Which terminal it is, of those with
 * that number, is told by the holder's session: the holder is asked whether that is its own
 * (TIOCGSID). What leaves more than one is refused.
 */
#include "kinds/ttys/ttys.h"

#include "base/cleanup.h"
#include "base/table.h"
#include "collect/collect.h"
#include "kernel/deputy.h"
#include "kernel/syscalls.h"
#include "kinds/opener.h"
#include "kinds/places.h"
#include "plan/plan.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef TIOCGDEV
#define TIOCGDEV _IOR('T', 0x32, unsigned)
#endif

enum {
	ALIAS_MAJOR = 5,
	ALIAS_MINOR = 0,
	KERNEL_LARGEFILE = 0100000, /* as in pty-make.c */
	NAME_ROOM = 64,
};

bool alias_is(const struct stat *stat)
{
	return major(stat->st_rdev) == ALIAS_MAJOR && minor(stat->st_rdev) == ALIAS_MINOR;
}

/* ---- Dump ---- */

/* It is ready for everything then (hung_up_tty_poll), and answers nothing. */
static bool is_hung_up(int fd)
{
	struct pollfd ready = { .fd = fd };

	return poll(&ready, 1, 0) > 0 && (ready.revents & POLLHUP);
}

int tty_number(int fd, dev_t *ret_number)
{
	unsigned number;

	if (ioctl(fd, TIOCGDEV, &number) < 0) {
		errno = errno != EIO || is_hung_up(fd) ? errno : EAGAIN;
		return -1;
	}
	/* new_encode_dev */
	*ret_number = makedev((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xfff00));
	return 0;
}

int alias_collect(const struct open_file *file, int fd, TtyInfoEntry *info, TtyFileEntry *tty,
		  dev_t *ret_terminal, struct error *err)
{
	static const char deleted[] = " (deleted)";
	struct arena *arena = file->target->collect->snapshot->arena;
	size_t length = strlen(file->link), end = strlen(deleted);
	uint32_t mount_id;

	if (length > end && strcmp(file->link + length - end, deleted) == 0)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is a controlling terminal, and its name is gone", file->what);
	*ret_terminal = 0;
	/* Hung up: nothing tells any more which it was. */
	if (tty_number(fd, ret_terminal) < 0 && errno != EIO)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell its terminal",
				  file->what);
	struct open_file named = *file;
	if (mount_path_of_left(file, &named.link, err))
		return -1;
	int mounted = mount_of_file(&named, &mount_id, err);
	if (mounted < 0)
		return -1;
	info->type = TTY_TYPE__CTTY;
	info->rdev = (uint32_t)file->stat.st_rdev;
	tty->path = arena_string(arena, named.link);
	tty->has_mount_id = mounted > 0;
	tty->mount_id = mount_id;
	return 0;
}

/* ---- Restore ---- */

static const TtyInfoEntry *find_info(const struct snapshot *snapshot, uint32_t id)
{
	const struct record *record = snapshot_record(snapshot, IMAGE_TTY_INFO, id);

	return record ? record->message : NULL;
}

const TtyInfoEntry *alias_terminal(const struct snapshot *snapshot, const TtyInfoEntry *info)
{
	if (info->type != TTY_TYPE__CTTY)
		return info;
	return info->has_terminal ? find_info(snapshot, info->terminal) : NULL;
}

int alias_check(const struct snapshot *snapshot, const TtyFileEntry *tty, const TtyInfoEntry *info,
		struct error *err)
{
	const TtyInfoEntry *terminal = alias_terminal(snapshot, info);

	if (info->type == TTY_TYPE__CTTY && info->rdev != makedev(ALIAS_MAJOR, ALIAS_MINOR))
		return fail(err, ERR_IMAGE_INVALID, "terminal %u is no /dev/tty", info->id);
	if (!tty->path || tty->master)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "terminal %u: the images do not tell where it was opened", info->id);
	if (info->has_terminal && (!terminal || terminal->type == TTY_TYPE__CTTY))
		return fail(err, ERR_IMAGE_INVALID,
			    "terminal %u is opened for %u, which is no terminal", info->id,
			    info->terminal);
	return 0;
}

static int open_node(const struct file_opener *opener, const TtyFileEntry *tty, struct error *err)
{
	autoclose int fd = tty->has_mount_id ? mounts_open(opener, tty->mount_id, tty->path, O_PATH)
					     : opener_open_path(opener, tty->path, O_PATH);
	struct stat found;

	if (fd < 0)
		return fail_errno(err, errno == ENOENT ? ERR_FILE_MISSING : ERR_IO,
				  "%s, which the tree has open", tty->path);
	if (fstat(fd, &found) < 0)
		return fail_errno(err, ERR_IO, "cannot read the attributes of %s", tty->path);
	if (!S_ISCHR(found.st_mode) || !alias_is(&found))
		return fail(err, ERR_FILE_CHANGED, "%s was the controlling terminal and is not now",
			    tty->path);
	return take_fd(&fd);
}

int alias_verify(const struct file_opener *opener, const TtyFileEntry *tty, struct error *err)
{
	autoclose int fd = tty->has_mount_id ? -1 : open_node(opener, tty, err);

	return tty->has_mount_id || fd >= 0 ? 0 : -1;
}

struct taking {
	int node, terminal, flags;
	int fd; /* what was opened */
};

static void name_of(char name[NAME_ROOM], int fd)
{
	snprintf(name, NAME_ROOM, "/proc/self/fd/%d", fd);
}

/* As the leader of a session that exists for the moment; what it opens is the caller's. */
static int take_and_open(void *data, struct error *err)
{
	struct taking *taking = data;
	char name[NAME_ROOM];

	name_of(name, taking->node);
	/* Sent to the group in the foreground by TIOCNOTTY. */
	signal(SIGHUP, SIG_IGN);
	if (setsid() < 0 || ioctl(taking->terminal, TIOCSCTTY, 0) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "it cannot be taken for a session");
	int fd = open(name, taking->flags | O_CLOEXEC);
	int failure = errno;
	if (ioctl(taking->terminal, TIOCNOTTY, 0) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "it cannot be given up again");
	errno = failure;
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "it cannot be opened");
	taking->fd = fd;
	return 0;
}

static int open_by_ours(int node, int terminal, int flags, struct error *err)
{
	struct taking taking = { node, terminal, flags, -1 };

	return deputy_run(take_and_open, &taking, err) < 0 ? -1 : taking.fd;
}

static int open_hung_up(int node, int flags, struct error *err)
{
	autoclose int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int unlocked = 0;
	autoclose int slave = master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) < 0
				      ? -1
				      : pty_open_peer(master, O_RDWR);

	if (slave < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a terminal to hang up");
	return open_by_ours(node, slave, flags, err);
}

static int remote(const struct file_opener *opener, const struct task *task,
		  struct task_request request, struct error *err)
{
	if (task_call(opener, task, &request, err) < 0)
		return -1;
	if (request.result < 0) {
		errno = (int)-request.result;
		return fail_errno(err, ERR_KERNEL_REFUSED, "nobody in its session can open it");
	}
	return (int)request.result;
}

#define REMOTE(nr, ...) remote(opener, task, (struct task_request){ nr, { __VA_ARGS__ }, 0 }, err)

/* By a task that stands in its session, with nestor's own root directory. */
static int open_by_member(const struct file_opener *opener, const struct task *task,
			  const struct caller *caller, int node, int flags, struct error *err)
{
	autoclose int pidfd = kernel_pidfd_open(opener->pids[task->index], 0);

	if (pidfd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "nobody is in its session");
	int given = REMOTE(SYS_pidfd_getfd, caller->coordinator, (uint64_t)node);
	if (given < 0)
		return -1;
	name_of((char *)(uintptr_t)caller->room, given);
	int number =
		REMOTE(SYS_openat, (uint64_t)AT_FDCWD, caller->room, (uint64_t)(flags | O_CLOEXEC));
	if (number < 0)
		return -1;
	autoclose int fd = kernel_pidfd_getfd(pidfd, number, 0);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot get the descriptor");
	if (REMOTE(SYS_close, (uint64_t)number) < 0 || REMOTE(SYS_close, (uint64_t)given) < 0)
		return -1;
	return take_fd(&fd);
}

/* Who is in the session and makes calls; NULL: none does. */
static const struct task *find_member(const struct file_opener *opener, uint32_t session)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; i < snapshot->n_tasks; i++)
		if (task_sessions(&snapshot->tasks[i]).pid[0] == session &&
		    task_caller(opener, &snapshot->tasks[i]))
			return &snapshot->tasks[i];
	return NULL;
}

static int open_for_session(const struct file_opener *opener, uint32_t session, int node, int flags,
			    struct error *err)
{
	const struct task *task = find_member(opener, session);

	if (!task)
		return fail(err, ERR_UNSUPPORTED_TASK, "nobody in its session can open it");
	return open_by_member(opener, task, task_caller(opener, task), node, flags, err);
}

/* We may have it by now, but it has to be that of this session of ours. */
static int open_own(int node, int terminal, int flags, struct error *err)
{
	autoclose int fd = opener_reopen(node, flags | O_CLOEXEC);
	dev_t own, wanted;

	if (fd < 0 || tty_number(fd, &own) < 0 || tty_number(terminal, &wanted) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "nestor has no controlling terminal");
	if (own != wanted)
		return fail(err, ERR_NOT_GIVEN, "it does not control the session of nestor");
	return take_fd(&fd);
}

static int open_alias(struct file_opener *opener, const TtyInfoEntry *terminal, int node, int flags,
		      struct error *err)
{
	if (!terminal)
		return open_hung_up(node, flags, err);
	if (terminal->sid)
		return open_for_session(opener, terminal->sid, node, flags, err);
	autoclose int slave = pty_open_any_slave(opener, terminal, err);
	if (slave < 0)
		return -1;
	return terminal->of_caller ? open_own(node, slave, flags, err)
				   : open_by_ours(node, slave, flags, err);
}

int alias_open(struct file_opener *opener, const TtyFileEntry *tty, const TtyInfoEntry *info,
	       struct error *err)
{
	int flags = (int)tty->flags & (O_ACCMODE | O_NONBLOCK | KERNEL_LARGEFILE);
	autoclose int node = open_node(opener, tty, err);
	int fd = node < 0 ? -1
			  : open_alias(opener, alias_terminal(opener->snapshot, info), node, flags,
				       err);

	return fd < 0 ? fail_while(err, "opening %s", tty->path) : fd;
}

/* ---- The plan ---- */

/* Somebody of each session opens what its tasks, or others, have of its terminal. */
struct call_room alias_calls(struct plan *plan, const struct task *task)
{
	static const char key;
	struct opening {
		bool is_made;
		struct table sessions, callers;
	} *opening = plan_kind_state(plan, &key, sizeof *opening);
	const struct snapshot *snapshot = plan->snapshot;
	const struct records *terminals = snapshot_records(snapshot, IMAGE_TTY_INFO);
	uint32_t session = task_sessions(task).pid[0];

	for (size_t i = 0; !opening->is_made && i < terminals->count; i++) {
		const TtyInfoEntry *info = terminals->records[i]->message;
		const TtyInfoEntry *terminal =
			info->type == TTY_TYPE__CTTY ? alias_terminal(snapshot, info) : NULL;

		if (terminal && terminal->sid && !table_find(&opening->sessions, terminal->sid))
			table_add(&opening->sessions, plan->arena, terminal->sid, opening);
	}
	opening->is_made = true;
	if (!session || !table_find(&opening->sessions, session))
		return (struct call_room){ 0 };
	if (!table_find(&opening->callers, session))
		table_add(&opening->callers, plan->arena, session, (void *)(uintptr_t)task);
	return (struct call_room){
		.bytes = table_find(&opening->callers, session) == task ? NAME_ROOM : 0,
		.at_once = 1,
	};
}
