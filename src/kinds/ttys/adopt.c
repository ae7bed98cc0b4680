// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Terminals as CRIU writes them: either side has a record of its own, by the same index, and the
 * name of what was opened is a file of its own, which nobody has a descriptor of. It knows but the
 * devpts of nestor's own mount namespace.
 *
 * A slave whose master is not in the images is a terminal outside: that of the caller (--shell-job)
 * if its session is led by nobody of the tree.
 */
#include "kinds/ttys/ttys.h"

#include "base/table.h"
#include "model/records.h"

#include <sys/sysmacros.h>

enum { PTMX_MAJOR = 5, PTMX_MINOR = 2 };

struct adopting {
	struct snapshot *snapshot;
	struct table masters, slaves; /* tty_info_entry by index + 1 */
	struct table sessions;	      /* the same by the session, of terminals */
	struct table leaders;	      /* tasks by their pid */
	struct table names;	      /* file_entry of names, by id */
};

static bool is_master(const TtyInfoEntry *info)
{
	return info->rdev == makedev(PTMX_MAJOR, PTMX_MINOR);
}

static TtyInfoEntry *info_of(const struct snapshot *snapshot, uint32_t id)
{
	const struct record *record = snapshot_record(snapshot, IMAGE_TTY_INFO, id);

	return record ? record->message : NULL;
}

static TtyInfoEntry *side(const struct table *of, const TtyInfoEntry *info)
{
	return table_find(of, (uint64_t)info->pty->index + 1);
}

/* What the master knows goes to the record of the slave, which stands for both from now on. */
static void merge(TtyInfoEntry *slave, TtyInfoEntry *master)
{
	slave->has_slave_exclusive = true;
	slave->slave_exclusive = slave->exclusive;
	slave->exclusive = master->exclusive;
	slave->locked = master->locked;
	slave->packet_mode = master->packet_mode;
	slave->rdev = master->rdev;
	/* Either may know of the session. */
	if (!slave->sid) {
		slave->sid = master->sid;
		slave->pgrp = master->pgrp;
	}
	master->sid = master->pgrp = 0;
}

static void find_sides(struct adopting *adopting)
{
	const struct records *infos = snapshot_records(adopting->snapshot, IMAGE_TTY_INFO);

	for (size_t i = 0; i < infos->count; i++) {
		TtyInfoEntry *info = infos->records[i]->message;
		if (info->type == TTY_TYPE__PTY && info->pty)
			table_add(is_master(info) ? &adopting->masters : &adopting->slaves,
				  adopting->snapshot->arena, (uint64_t)info->pty->index + 1, info);
	}
}

/* One that stands for a terminal, and no longer for the master of one that has a slave. */
static void adopt_terminal(struct adopting *adopting, TtyInfoEntry *info)
{
	TtyInfoEntry *master = side(&adopting->masters, info);
	TtyInfoEntry *slave = side(&adopting->slaves, info);

	if (info == master && slave)
		return;
	if (info == slave && master) {
		merge(slave, master);
	} else if (info == slave) {
		info->type = TTY_TYPE__EXT_TTY;
		info->has_of_caller = info->of_caller =
			!info->sid || !table_find(&adopting->leaders, info->sid);
	}
	if (info->sid)
		table_add(&adopting->sessions, adopting->snapshot->arena, info->sid, info);
}

/* /dev/tty was opened for the terminal that has the same session, and is a side of it. */
static void find_alias(const struct adopting *adopting, TtyInfoEntry *alias)
{
	TtyInfoEntry *terminal = alias->sid ? table_find(&adopting->sessions, alias->sid) : NULL;

	if (!terminal)
		return;
	alias->has_terminal = true;
	alias->terminal = terminal->id;
	if (alias->exclusive)
		terminal->has_slave_exclusive = terminal->slave_exclusive = true;
}

static void adopt_file(struct adopting *adopting, TtyFileEntry *tty)
{
	TtyInfoEntry *info = info_of(adopting->snapshot, tty->tty_info_id);
	FileEntry *name = snapshot_file(adopting->snapshot, tty->regf_id);

	if (!info || !name || !name->reg)
		return;
	table_add(&adopting->names, adopting->snapshot->arena, name->id, name);
	tty->has_regf_id = false;
	if (info->type == TTY_TYPE__CTTY) {
		tty->path = name->reg->name;
		return;
	}
	if (info->type != TTY_TYPE__PTY || !info->pty)
		return;
	const TtyInfoEntry *master = side(&adopting->masters, info);
	TtyInfoEntry *slave = side(&adopting->slaves, info);
	tty->has_master = true;
	tty->master = info == master;
	if (tty->master && slave)
		tty->tty_info_id = slave->id;
	if (tty->master)
		(slave ? slave : info)->ptmx = name->reg->name;
}

static bool is_kept(const FileEntry *file, const void *data)
{
	const struct adopting *adopting = data;

	return table_find(&adopting->names, file->id) == NULL;
}

static void adopt_infos(struct adopting *adopting)
{
	const struct records *infos = snapshot_records(adopting->snapshot, IMAGE_TTY_INFO);

	find_sides(adopting);
	for (size_t i = 0; i < infos->count; i++) {
		TtyInfoEntry *info = infos->records[i]->message;
		if (info->type == TTY_TYPE__PTY && info->pty)
			adopt_terminal(adopting, info);
	}
	for (size_t i = 0; i < infos->count; i++) {
		TtyInfoEntry *info = infos->records[i]->message;
		if (info->type == TTY_TYPE__CTTY)
			find_alias(adopting, info);
	}
}

static int adopt(struct snapshot *snapshot, const struct images *images, struct error *err)
{
	struct adopting adopting = { .snapshot = snapshot };

	(void)images;
	(void)err;
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		table_add(&adopting.leaders, snapshot->arena, task_pids(&snapshot->tasks[i]).pid[0],
			  &snapshot->tasks[i]);
	adopt_infos(&adopting);
	for (size_t i = 0; i < snapshot->n_files; i++)
		if (snapshot->files[i]->tty && snapshot->files[i]->tty->has_regf_id)
			adopt_file(&adopting, snapshot->files[i]->tty);
	snapshot_keep_files(snapshot, is_kept, &adopting);
	return 0;
}

const struct tree_kind terminals_tree_kind = { .name = "terminals", .adopt = adopt };
