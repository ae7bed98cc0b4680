// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The dump of pseudo-terminals (pty.c): which master, slave and /dev/tty are of one terminal, and
 * what it is like. That is complete when the descriptors of all tasks are known.
 */
#include "kinds/ttys/ttys.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/probe.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef TIOCGPTLCK
#define TIOCGPTLCK _IOR('T', 0x39, int)
#endif

enum { PTMX_MAJOR = 5, PTMX_MINOR = 2, TTY_MINOR = 0, SLAVE_MAJOR = 136, LAST_SLAVE_MAJOR = 143 };

static bool is_master(const struct stat *stat)
{
	return major(stat->st_rdev) == PTMX_MAJOR && minor(stat->st_rdev) == PTMX_MINOR;
}

static bool is_slave(const struct stat *stat)
{
	unsigned number = major(stat->st_rdev);

	return number >= SLAVE_MAJOR && number <= LAST_SLAVE_MAJOR;
}

static unsigned slave_index(dev_t number)
{
	return minor(number) + ((major(number) - SLAVE_MAJOR) << 20);
}

/* ---- Dump ---- */

struct known_pty {
	struct known_pty *next;
	dev_t device; /* of its devpts */
	uint32_t index;
	TtyInfoEntry *info;
	bool has_master, has_slave;
	bool is_refused; /* and is left as it is */
	bool is_gone;	 /* the master is closed by all, or this was hung up */
	/* Who has the master, and its number there; without one the same of a slave. */
	const struct target *target;
	uint32_t number;
	dev_t slave;	      /* its number as a device, where one is there */
	const char *what;     /* one of its descriptors, for messages */
	pid_t session, group; /* as we see them; 0: none */
};

bool pty_recognise(const struct open_file *file)
{
	return S_ISCHR(file->stat.st_mode) && !(file->flags & O_PATH) &&
	       (is_master(&file->stat) || is_slave(&file->stat) || alias_is(&file->stat));
}

/* A description of /dev/tty. */
struct known_alias {
	struct known_alias *next;
	TtyInfoEntry *info;
	const struct target *target; /* who has it, and its number there */
	uint32_t number;
	dev_t terminal; /* its number as a device; 0: hung up */
	bool is_own;	/* is it to be that of the holder's session? */
	bool is_exclusive;
	const char *what;
};

/* What a holder is asked: the index of a call. */
struct tty_asked {
	struct tty_asked *next;
	const char *what;
	size_t call;
};

struct known_ttys {
	struct known_pty *ptys;
	struct known_alias *aliases;
	uint32_t last_id;
};

static struct known_ttys *known_ttys(struct collect *collect)
{
	void **known = collect_state(collect, &pty_kind);

	if (!*known)
		*known = arena_new(collect->arena, struct known_ttys);
	return *known;
}

static TtyInfoEntry *new_info(struct collect *collect)
{
	TtyInfoEntry *info = snapshot_new(collect->snapshot, TTY_INFO_ENTRY, TtyInfoEntry);

	info->id = ++known_ttys(collect)->last_id;
	info->type = TTY_TYPE__PTY;
	snapshot_add_record(collect->snapshot, IMAGE_TTY_INFO, info->id, info);
	return info;
}

/* A number of one that is gone may be another's by now. */
static struct known_pty *known_pty(struct collect *collect, dev_t device, uint32_t index,
				   bool is_gone)
{
	struct known_ttys *known = known_ttys(collect);
	struct known_pty *pty = known->ptys;

	while (pty && (pty->device != device || pty->index != index || pty->is_gone != is_gone))
		pty = pty->next;
	if (pty)
		return pty;
	pty = arena_new(collect->arena, struct known_pty);
	*pty = (struct known_pty){
		.next = known->ptys, .device = device, .index = index, .is_gone = is_gone
	};
	pty->info = new_info(collect);
	pty->info->pty = snapshot_new(collect->snapshot, TTY_PTY_ENTRY, TtyPtyEntry);
	pty->info->pty->index = index;
	known->ptys = pty;
	return pty;
}

static int duplicate_of(const struct target *target, uint32_t number)
{
	return target_get_fd(target, number);
}

static void set_name(TtyInfoEntry *info, const struct stat *name)
{
	info->has_uid = info->has_gid = info->has_mode = true;
	info->uid = name->st_uid;
	info->gid = name->st_gid;
	info->mode = name->st_mode & 07777;
}

/* Then it answers nothing; an error that is one of its own does not come twice. */
static bool was_hung_up(int fd)
{
	unsigned index;
	int locked;

	return ioctl(fd, TIOCGPTN, &index) < 0 && errno == EIO &&
	       ioctl(fd, TIOCGPTLCK, &locked) < 0 && errno == EIO;
}

static int collect_master(const struct open_file *file, int fd, struct known_pty **ret_pty,
			  struct error *err)
{
	struct collect *collect = file->target->collect;
	int index, locked = 0;
	uint32_t mount_id;
	struct stat name;

	if (was_hung_up(fd))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is a master that was hung up (TIOCVHANGUP)", file->what);
	if (ioctl(fd, TIOCGPTN, &index) < 0 || ioctl(fd, TIOCGPTLCK, &locked) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell its number",
				  file->what);
	/* Only its name: an open would be seen by the master. */
	const struct pty_side side = { fd, (uint32_t)index };
	autoclose int peer = pty_open_other(collect, &side, O_PATH, file->what, err);
	if (peer < 0)
		return -1;
	if (fstat(peer, &name) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look at its other side",
				  file->what);
	const char *path;
	int mounted = mount_of_terminal(file, name.st_dev, "ptmx", &mount_id, &path, err);
	if (mounted < 0)
		return -1;
	/* What follows is about who has it, whatever of it is refused. */
	struct known_pty *pty = known_pty(collect, name.st_dev, (uint32_t)index, false);
	TtyInfoEntry *info = pty->info;
	pty->has_master = true;
	pty->target = file->target;
	pty->number = file->number;
	pty->what = file->what;
	info->ptmx = arena_string(collect->snapshot->arena, path);
	info->locked = locked != 0;
	info->has_mount_id = mounted > 0;
	info->mount_id = mount_id;
	set_name(info, &name);
	info->rdev = (uint32_t)file->stat.st_rdev;
	/* What is to wait on both sides is read and written through it. */
	pty->is_refused = (file->flags & O_ACCMODE) != O_RDWR;
	if (pty->is_refused)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is a master that was not opened to read and write", file->what);
	pty->is_refused = pty_state_read(fd, info, collect->snapshot->arena, file->what, err) != 0;
	if (pty->is_refused)
		return -1;
	/* The master tells both to whoever asks; ENOTTY: it controls no session. */
	pty->session = pty->group = 0;
	if ((ioctl(fd, TIOCGSID, &pty->session) < 0 && errno != ENOTTY) ||
	    (ioctl(fd, TIOCGPGRP, &pty->group) < 0 && errno != ENOTTY))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell whom it controls",
				  file->what);
	*ret_pty = pty;
	return 0;
}

static int collect_path_of_slave(const struct open_file *file, TtyFileEntry *tty,
				 TtyInfoEntry *info, struct error *err)
{
	char name[16];
	uint32_t mount_id;
	const char *path;

	snprintf(name, sizeof name, "%u", slave_index(file->stat.st_rdev));
	int mounted = mount_of_terminal(file, file->stat.st_dev, name, &mount_id, &path, err);
	if (mounted <= 0)
		return mounted;
	tty->path = arena_string(file->target->collect->snapshot->arena, path);
	tty->has_mount_id = true;
	tty->mount_id = mount_id;
	if (!info->has_mount_id) {
		info->has_mount_id = true;
		info->mount_id = mount_id;
	}
	return 0;
}

/* The name of a slave goes with the master (devpts_pty_kill), and the terminal is hung up. */
static bool pty_name_is_gone(const char *link)
{
	static const char suffix[] = " (deleted)";
	size_t length = strlen(link), end = strlen(suffix);

	return length > end && strcmp(link + length - end, suffix) == 0;
}

/* Each side has its own; EIO: hung up. -1 with errno. */
static int is_slave_exclusive(int fd)
{
	int exclusive = 0;

	return ioctl(fd, TIOCGEXCL, &exclusive) < 0 && errno != EIO ? -1 : exclusive != 0;
}

static int collect_slave(const struct open_file *file, int fd, TtyFileEntry *tty, struct error *err)
{
	dev_t number = file->stat.st_rdev;
	bool is_gone = pty_name_is_gone(file->link);

	if (!is_gone && tty_number(fd, &number) < 0) {
		if (errno != EIO) /* hung up */
			return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell its number",
					  file->what);
		is_gone = true;
	}
	struct known_pty *pty = known_pty(file->target->collect, file->stat.st_dev,
					  slave_index(file->stat.st_rdev), is_gone);

	int exclusive = is_gone ? 0 : is_slave_exclusive(fd);

	if (exclusive < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read how it is used",
				  file->what);
	pty->info->has_slave_exclusive = pty->info->slave_exclusive = exclusive;
	pty->has_slave = true;
	pty->slave = file->stat.st_rdev;
	if (!pty->has_master) {
		pty->target = file->target;
		pty->number = file->number;
		pty->what = file->what;
	}
	tty->tty_info_id = pty->info->id;
	return is_gone ? 0 : collect_path_of_slave(file, tty, pty->info, err);
}

static int collect_alias(const struct open_file *file, int fd, TtyFileEntry *tty, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct known_ttys *known = known_ttys(collect);
	struct known_alias *alias = arena_new(collect->arena, struct known_alias);

	*alias = (struct known_alias){ .next = known->aliases,
				       .info = new_info(collect),
				       .target = file->target,
				       .number = file->number,
				       .what = file->what };
	tty->tty_info_id = alias->info->id;
	known->aliases = alias;
	int exclusive = is_slave_exclusive(fd);
	if (exclusive < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read how it is used",
				  file->what);
	alias->is_exclusive = exclusive;
	return alias_collect(file, fd, alias->info, tty, &alias->terminal, err);
}

int pty_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	autoclose int fd = duplicate_of(file->target, file->number);
	struct known_pty *pty = NULL;
	TtyFileEntry *tty = snapshot_new(collect->snapshot, TTY_FILE_ENTRY, TtyFileEntry);

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot get the descriptor",
				  file->what);
	entry->tty = tty;
	tty->id = file->id;
	tty->flags = file->flags;
	tty->fown = snapshot_new(collect->snapshot, FOWN_ENTRY, FownEntry);
	tty->has_master = true;
	tty->master = is_master(&file->stat);
	if (alias_is(&file->stat))
		return collect_alias(file, fd, tty, err);
	if (!tty->master)
		return collect_slave(file, fd, tty, err);
	if (collect_master(file, fd, &pty, err))
		return -1;
	tty->tty_info_id = pty->info->id;
	return 0;
}

/* While the other side is closed, and was not always, the master sees an end (EPOLLHUP). */
static int sees_end(int master)
{
	struct pollfd ready = { .fd = master };

	return poll(&ready, 1, 0) < 0 ? -1 : (ready.revents & POLLHUP) != 0;
}

static int collect_queues(struct collect *collect, const struct known_pty *pty, struct error *err)
{
	autoclose int master = duplicate_of(pty->target, pty->number);
	struct error refused = { 0 };

	if (master < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot get the descriptor",
				  pty->what);
	int closed = sees_end(master);
	if (closed < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell whether it is closed",
				  pty->what);
	pty->info->has_slave_closed = pty->info->slave_closed = closed;
	bool was_open = pty->has_slave || pty->info->slave_closed;
	if (was_open && pty->info->locked) {
		collect_refuse_file(collect,
				    "%s is a terminal that was locked when its other side had been "
				    "open (TIOCSPTLCK): what waits in it is not to be seen",
				    pty->what);
		return 0;
	}
	const struct pty_side side = { master, pty->index };
	int flags = O_RDWR | O_NONBLOCK;
	autoclose int slave = was_open ? pty_open_other(collect, &side, flags, pty->what, err) : -1;
	if (was_open && slave < 0)
		return -1;
	if (pty_queues_read(master, slave, pty->info, collect->snapshot->arena, pty->what,
			    &refused) == 0)
		return 0;
	if (refused.name != ERR_UNSUPPORTED_FILE) {
		*err = refused;
		return -1;
	}
	collect_refuse_file(collect, "%s", refused.text);
	return 0;
}

static int complete_outside(struct collect *collect, struct known_pty *pty, struct error *err)
{
	struct outside_terminal outside = { .collect = collect,
					    .target = pty->target,
					    .device = pty->device,
					    .slave = pty->slave,
					    .info = pty->info,
					    .is_gone = pty->is_gone,
					    .what = pty->what };
	struct stat named;
	autoclose int fd = duplicate_of(pty->target, pty->number);

	if (fd < 0 || fstat(fd, &named) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot get the descriptor",
				  pty->what);
	if (!alias_is(&named))
		set_name(pty->info, &named);
	if (!outside_allow(&outside) || pty->is_gone)
		return 0;
	outside_find_session(&outside);
	return pty_state_read(fd, pty->info, collect->snapshot->arena, pty->what, err);
}

/*
 * What the holder's own terminal is, or is not, narrows it down where several devpts have that
 * number; NULL where it does not.
 */
static struct known_pty *narrow_down(struct known_alias *alias, struct known_pty *first)
{
	pid_t session = tty_session_of(alias->target);
	struct known_pty *found = NULL;

	alias->is_own = tty_is_own(alias->target, alias->terminal);
	for (struct known_pty *pty = first; pty; pty = pty->next) {
		if (pty->is_gone || pty->index != slave_index(alias->terminal) ||
		    (session && pty->session == session) != alias->is_own)
			continue;
		if (found)
			return NULL;
		found = pty;
	}
	return found;
}

void *tty_ask_own(const struct asking *asking)
{
	struct collect *collect = asking->target->collect;
	struct tty_asked *asked = NULL;

	for (struct known_alias *it = known_ttys(collect)->aliases; it; it = it->next) {
		if (it->target != asking->target || !it->is_own)
			continue;
		struct tty_asked *next = arena_new(collect->arena, struct tty_asked);
		uint64_t session = probe_buffer(asking->probe, sizeof(uint64_t));
		*next = (struct tty_asked){ asked, it->what,
					    probe_ask(asking->probe, SYS_ioctl, it->number,
						      TIOCGSID, session) };
		asked = next;
	}
	return asked;
}

int tty_answer_own(const struct asking *asking, void *asked, struct error *err)
{
	for (const struct tty_asked *it = asked; it; it = it->next)
		if (probe_result(asking->probe, it->call) < 0)
			return fail(err, ERR_UNSUPPORTED_FILE,
				    "%s may be of several terminals that have its number",
				    it->what);
	return 0;
}

/* Of one whose other descriptions are all outside, the device of the devpts is not to be seen. */
static struct known_pty *pty_of_alias(struct collect *collect, struct known_alias *alias)
{
	struct known_ttys *known = known_ttys(collect);
	uint32_t index = slave_index(alias->terminal);
	struct known_pty *found = NULL;
	size_t count = 0;

	for (struct known_pty *pty = known->ptys; pty; pty = pty->next)
		if (!pty->is_gone && pty->index == index) {
			found = pty;
			count++;
		}
	if (count > 1)
		return narrow_down(alias, known->ptys);
	if (!found) {
		found = known_pty(collect, tty_devpts_of(alias->target, alias->terminal), index,
				  false);
		found->what = alias->what;
		found->target = alias->target;
		found->number = alias->number;
		found->slave = alias->terminal;
	}
	return found;
}

static void complete_aliases(struct collect *collect)
{
	for (struct known_alias *it = known_ttys(collect)->aliases; it; it = it->next) {
		struct known_pty *pty = it->terminal ? pty_of_alias(collect, it) : NULL;
		if (it->terminal && !pty)
			collect_refuse_file(collect,
					    "%s may be of several terminals that have its number",
					    it->what);
		if (!pty)
			continue;
		it->info->has_terminal = true;
		it->info->terminal = pty->info->id;
		pty->has_slave = true;
		/* No other description of the slave may be in the tree. */
		if (it->is_exclusive)
			pty->info->has_slave_exclusive = pty->info->slave_exclusive = true;
	}
}

static int complete_inside(struct collect *collect, const struct known_pty *pty, struct error *err)
{
	/* Somebody may only look (nestor tree). */
	if (collect->images && collect_queues(collect, pty, err))
		return -1;
	pty->info->sid = tty_number_of(collect, pty->session, true);
	pty->info->pgrp = tty_number_of(collect, pty->group, false);
	if (pty->session && !pty->info->sid)
		collect_refuse_file(collect, "%s controls a session that is outside of the tree",
				    pty->what);
	return 0;
}

int pty_complete(struct collect *collect, struct error *err)
{
	const struct known_ttys *known = known_ttys(collect);

	complete_aliases(collect);
	for (struct known_pty *pty = known->ptys; pty; pty = pty->next)
		if (pty->has_master && !pty->is_refused && complete_inside(collect, pty, err))
			return -1;
	/* What controls no session by now may be one of these. */
	for (struct known_pty *pty = known->ptys; pty; pty = pty->next)
		if (!pty->has_master && complete_outside(collect, pty, err))
			return -1;
	/* As other readers want to know it. */
	for (struct known_alias *it = known->aliases; it; it = it->next) {
		const TtyInfoEntry *terminal = alias_terminal(collect->snapshot, it->info);
		it->info->sid = terminal ? terminal->sid : 0;
		it->info->pgrp = terminal ? terminal->pgrp : 0;
	}
	return 0;
}
