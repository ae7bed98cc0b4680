// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the tree has open in a FUSE whose driver is in the tree, has mapped or executes, and who has
 * directories there. The
 * driver stands still while it is dumped, so nobody asks for anything: where it is and by which
 * numbers the driver knows it, its node and, of what is open, a handle, the kernel's memory says.
 * Restored it is opened by whom the driver serves, and nestor, which answers meanwhile
 * (fuse-play.c), says the same handle. The driver is told nothing of that, and finds all as it was.
 * That it has nothing besides that would be lost only who knows it can say (--enable-fs fuse).
 *
 * What is mapped is opened likewise: pages that are the task's own are in the images, all others
 * the driver is asked for later. What was written and it has not got yet, fuse-written.c waits for;
 * size and times are the kernel's where it writes later (writeback cache).
 *
 * Who is not of the user namespace of what others may use too, and whom the driver does not
 * serve, cannot change to a directory there, or execute anything (PR_SET_MM_MAP).
 */
#include "kinds/mounts/fuse.h"

#include "base/cleanup.h"
#include "base/names.h"
#include "base/table.h"
#include "collect/collect.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/survey.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- dump ---- */

static int refuse(const struct open_file *file, const char *why, struct error *err)
{
	return fail(err, ERR_UNSUPPORTED_FILE,
		    "%s is in a file system whose driver is in the tree (FUSE), %s", file->what,
		    why);
}

static bool is_path(const struct open_file *file)
{
	return file->number == UINT32_MAX;
}

/* By its descriptor, by what it has mapped, or executes. */
static bool is_opened(const struct open_file *file)
{
	return is_path(file) ? S_ISREG(file->stat.st_mode) : !(file->flags & O_PATH);
}

/* Whoever has it for that has to be let in. */
static bool is_entered(const struct open_file *file)
{
	return is_path(file) &&
	       (S_ISDIR(file->stat.st_mode) || strcmp(file->proc_name, "exe") == 0);
}

/* Whoever restores it asks as himself, and is told nothing (EOVERFLOW) where he has no number. */
static bool knows_us(const struct open_file *file, const char *name, uint64_t own)
{
	uint64_t inner, outer, count;
	autofree char *text = NULL;
	const char *at;
	int length;

	if (target_text(file->target, name, &text) < 0)
		return false;
	for (at = text; sscanf(at, "%" SCNu64 " %" SCNu64 " %" SCNu64 "%n", &inner, &outer, &count,
			       &length) == 3;
	     at += length)
		if (own >= outer && own - outer < count)
			return true;
	return false;
}

/* Cannot it be kept, and why? NULL: it can. */
static const char *reason(const struct open_file *file, const struct fuse_file *found,
			  const MntEntry *mount)
{
	bool regular = S_ISREG(file->stat.st_mode);

	if (!regular && !S_ISDIR(file->stat.st_mode))
		return "and is neither a directory nor a regular file";
	if (!found->has_name)
		return "and has no name there any more";
	if (is_entered(file) && found->for_others && mount->has_userns_id)
		return "which others than who mounted it may use, in a user namespace";
	if (is_path(file) && regular && mount->has_userns_id &&
	    !(knows_us(file, "uid_map", geteuid()) && knows_us(file, "gid_map", getegid())))
		return "and mapped in a user namespace to which whoever restores it is unknown";
	if (found->has_owner)
		return "and has an owner, who is sent signals (F_SETOWN)";
	if (!is_opened(file) || !regular)
		return NULL;
	return found->writes_back && !found->has_times
		       ? "which writes later what is written to it (writeback cache)"
	       : found->locks ? "which keeps locks of files that nobody else knows"
	       : found->open_flags & ~(uint32_t)FUSE_OPEN_FLAGS
		       ? "and was opened in a way that is not known"
	       : found->poll_handle > FUSE_MOST_OPENED ? "and has been polled, after which its "
							 "driver knows it by a number that takes "
							 "too long to get again"
						       : NULL;
}

/* What of f_flags a descriptor shows (fdinfo). */
static uint32_t shown_flags(uint32_t flags)
{
	enum { FOR_EXECUTION = 040 /* __FMODE_EXEC */ };

	return flags & ~(uint32_t)(O_CLOEXEC | FOR_EXECUTION);
}

static void fill(const struct open_file *file, const struct fuse_file *found, uint32_t mount_id,
		 RegFileEntry *reg)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	FuseFileEntry *fuse = snapshot_new(snapshot, FUSE_FILE_ENTRY, FuseFileEntry);

	fuse->node = found->node;
	fuse->has_uid = fuse->has_gid = !found->for_others;
	fuse->uid = found->for_others ? 0 : found->uid;
	fuse->gid = found->for_others ? 0 : found->gid;
	if (is_path(file))
		reg->flags = S_ISDIR(file->stat.st_mode) ? O_PATH | O_DIRECTORY
							 : shown_flags(found->flags);
	fuse->has_handle = fuse->has_open_flags = !(reg->flags & O_PATH);
	fuse->handle = found->handle;
	fuse->open_flags = found->open_flags;
	fuse->has_poll_handle = fuse->has_handle && found->poll_handle;
	fuse->poll_handle = found->poll_handle;
	reg->fuse = fuse;
	reg->name = arena_string(snapshot->arena, file->link);
	reg->mnt_id = (int32_t)mount_id;
	reg->has_size = reg->has_modified = false;
	reg->size = 0;
	reg->modified = 0;
}

static struct table *known_descriptions(struct collect *collect)
{
	static const char owner;
	void **kept = collect_state(collect, &owner);

	if (!*kept)
		*kept = arena_new(collect->arena, struct table);
	return *kept;
}

/*
 * One that is mapped, or executed, may be that of a descriptor too: then it is recorded once, by
 * whoever came first; where it stands and how it was opened its descriptor says.
 */
static bool is_known(const struct open_file *file, uint64_t address, RegFileEntry *reg)
{
	struct collect *collect = file->target->collect;
	struct table *known = known_descriptions(collect);
	RegFileEntry *first = address ? table_find(known, address) : NULL;

	if (address && !first)
		table_add(known, collect->arena, address, reg);
	if (!first)
		return false;
	if (!is_path(file)) {
		first->flags = reg->flags;
		first->pos = reg->pos;
	}
	reg->id = first->id;
	return true;
}

static bool is_covered(const struct live_namespace *namespace, const struct mount_line *line,
		       const char *path)
{
	size_t index = 0;

	while (namespace->order.mounts[index]->mnt_id != line->id)
		index++;
	return mount_covering(&namespace->order, index, path) != SIZE_MAX;
}

int mount_served_collect(const struct open_file *file, RegFileEntry *reg, struct error *err)
{
	struct collect *collect = file->target->collect;
	const struct mount_survey *survey = survey_of_mounts(collect);
	const struct live_namespace *namespace;
	struct fuse_file found;
	uint64_t description = 0;

	if (!collect_is_silent(collect, file->stat.st_dev))
		return 0;
	if (!externals_mounts_type(collect->options->externals, "fuse")) {
		refuse(file, "and what else that one keeps of it nobody else knows", err);
		return fail_option(err, "--enable-fs", "fuse");
	}
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);
	if (mount_id < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the mount of %s",
				  file->what);
	const struct mount_line *line = survey_find_mount(survey, mount_id, &namespace);
	if (!line)
		return refuse(file, "on a mount that is in no mount namespace of the tree", err);
	MntEntry *entry = namespace->entries[line - namespace->table.lines];
	if (!entry->fuse || !path_below(file->link, line->mountpoint) ||
	    is_covered(namespace, line, file->link))
		return refuse(file, "where its path does not lead to", err);
	if ((is_opened(file) && fuse_find_description(file, fd, &description)) ||
	    fuse_read_file(collect, fd, description, entry->fuse, &found))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read the kernel's memory",
				  file->what);
	const char *why = reason(file, &found, entry);
	if (why)
		return refuse(file, why, err);
	if (S_ISREG(file->stat.st_mode) && found.to_be_written) {
		fuse_note_written(file);
		refuse(file, "which has not got yet what was written to it", err);
		return fail_passing(err);
	}
	fill(file, &found, line->id, reg);
	if (!is_known(file, description, reg))
		mount_detached_hold(file, line->id);
	return 1;
}

/* ---- restore ---- */

int mounts_served_check(const struct snapshot *snapshot, const RegFileEntry *reg, struct error *err)
{
	const FuseFileEntry *fuse = reg->fuse;
	const MntEntry *mount =
		reg->mnt_id < 0 ? NULL
				: snapshot_mount(snapshot, (uint32_t)reg->mnt_id, NULL, NULL);

	if (mount && mount_is_fuse(mount) && reg->has_mode &&
	    (S_ISDIR(reg->mode) || S_ISREG(reg->mode)) &&
	    !fuse->has_handle == !!(reg->flags & O_PATH) && fuse->has_uid == fuse->has_gid &&
	    !(fuse->open_flags & ~(uint32_t)FUSE_OPEN_FLAGS) &&
	    (!fuse->has_poll_handle || (fuse->has_handle && S_ISREG(reg->mode))))
		return 0;
	return fail(err, ERR_IMAGE_INVALID,
		    "file %" PRIu32 " (%s) is in no FUSE whose driver is in the tree", reg->id,
		    reg->name);
}

static int open_by(const struct file_opener *opener, const RegFileEntry *reg, struct fuse_way *way,
		   struct error *err)
{
	way->mount = snapshot_mount(opener->snapshot, (uint32_t)reg->mnt_id, NULL, NULL);
	way->file_id = reg->id;
	autoclose int root_fd =
		mounts_open_root(opener, (uint32_t)reg->mnt_id, reg->name, &way->path);

	if (root_fd < 0)
		return fail_errno(err, ERR_FILE_MISSING, "cannot find the mount of %s", reg->name);
	way->root_fd = root_fd;
	return fuse_open_inside(opener, way, err);
}

int fuse_open_file(const struct file_opener *opener, const RegFileEntry *reg, int flags,
		   struct error *err)
{
	return open_by(opener, reg, &(struct fuse_way){ .flags = flags }, err);
}

int fuse_open_and_poll(const struct file_opener *opener, const RegFileEntry *reg, int flags,
		       uint64_t failing, struct error *err)
{
	struct fuse_way way = { .flags = flags, .failing = failing, .polled = true };

	return open_by(opener, reg, &way, err);
}

int mounts_served_open(struct file_opener *opener, const RegFileEntry *reg,
		       int (*flags_of)(const RegFileEntry *reg), struct error *err)
{
	int fd, polled = fuse_open_polled(opener, reg, flags_of, &fd, err);

	if (polled)
		return polled < 0 ? -1 : fd;
	return fuse_open_file(opener, reg, flags_of(reg), err);
}
