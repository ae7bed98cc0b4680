// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a recorded path leads to: looked at, compared with the record, and opened; see named-file.h.
 *
 * Many descriptions of one file follow each other in a tree (a data file, a log, /dev/null): what
 * the path of the last one led to is not looked for again.
 */
#include "kinds/files/named-file.h"

#include "kinds/files/alone.h"
#include "kinds/files/cgroup-place.h"
#include "kinds/files/kernel-log.h"
#include "kinds/files/process-file.h"
#include "kinds/files/regular.h"
#include "kinds/opener.h"

#include "base/cleanup.h"
#include "base/nanoseconds.h"
#include "base/foreign.h"
#include "base/log.h"
#include "base/names.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/sysmacros.h>

/* Major numbers: of null, zero, full, random, urandom, ...; of what have only a minor one. */
enum { MEMORY_DEVICES = 1, MISC_DEVICES = 10 };
/* linux/miscdevice.h: requests come with all that they are about. */
enum { AUTOFS = 235, LOOP_CONTROL = 237 };

bool named_file_is_plain_device(dev_t device)
{
	unsigned number = minor(device);

	if (major(device) == MISC_DEVICES)
		return number == AUTOFS || number == LOOP_CONTROL;
	if (kernel_log_is(device))
		return true; /* kernel-log.c */
	/* null 3, zero 5, full 7, random 8, urandom 9; not mem and port. */
	return major(device) == MEMORY_DEVICES &&
	       (number == 3 || number == 5 || (number >= 7 && number <= 9));
}

int regular_open_flags(const RegFileEntry *reg)
{
	int flags = (int)reg->flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY);

	/* Files never send signals, and show the flag as they were opened; devices that do (random)
	 * have to be told by fcntl (owner.c). */
	if (reg->has_mode && S_ISCHR(reg->mode))
		flags &= ~O_ASYNC;

	/* The file was made with O_TMPFILE; opening would make another one. */
	if (flags & TMPFILE_FLAG)
		flags &= ~O_TMPFILE;
	return flags;
}

bool regular_is_inside(const struct snapshot *snapshot, const RegFileEntry *reg)
{
	return reg && reg->mnt_id >= 0 &&
	       snapshot_mount(snapshot, (uint32_t)reg->mnt_id, NULL, NULL);
}

int regular_open_path(const struct file_opener *opener, const RegFileEntry *reg, int flags)
{
	const char *name = process_file_is(reg) ? process_file_path(opener, reg) : reg->name;

	return regular_is_inside(opener->snapshot, reg)
		       ? mounts_open(opener, (uint32_t)reg->mnt_id, name, flags)
		       : opener_open_path(opener, name, flags);
}

int64_t named_file_time(const struct stat *stat)
{
	return nanoseconds_of(stat->st_mtim);
}

/* Some archives keep whole seconds. */
static bool was_modified(const RegFileEntry *reg, const struct stat *found)
{
	int64_t now = named_file_time(found);

	return now % NANOSECONDS ? now != reg->modified
				 : now / NANOSECONDS != reg->modified / NANOSECONDS;
}

/* Is what stands at the path what was recorded? */
static int compare(const RegFileEntry *reg, const struct stat *found, struct error *err)
{
	if (reg->has_mode && (reg->mode & S_IFMT) != (found->st_mode & S_IFMT)) {
		fail(err, ERR_FILE_CHANGED, "%s was %s and is %s now", reg->name,
		     file_type_name(reg->mode), file_type_name(found->st_mode));
		return fail_hint(err, "put back what was there when the tree was dumped");
	}
	if (reg->has_size && reg->size != (uint64_t)found->st_size) {
		fail(err, ERR_FILE_CHANGED,
		     "the size of %s was %" PRIu64 " when the tree was dumped and is %jd now",
		     reg->name, reg->size, (intmax_t)found->st_size);
		return fail_hint(err, "put back the file as it was when the tree was dumped");
	}
	if (S_ISCHR(found->st_mode) && !(reg->flags & O_PATH) &&
	    !named_file_is_plain_device(found->st_rdev))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is a device that cannot be restored (%u:%u)", reg->name,
			    major(found->st_rdev), minor(found->st_rdev));
	return 0;
}

static int fail_to_open(const RegFileEntry *reg, struct error *err)
{
	if (errno != ENOENT && errno != ENOTDIR)
		return fail_errno(err, ERR_IO, "cannot open %s", reg->name);
	fail_errno(err, ERR_FILE_MISSING, "%s, which the tree has open or mapped", reg->name);
	return fail_hint(err, "put the file back where it was, or restore below a root directory "
			      "that has it (--root)");
}

static int compare_found(const RegFileEntry *reg, const struct stat *found, struct error *err)
{
	if (compare(reg, found, err))
		return -1;
	/* It may be the same nevertheless: copied, or touched. */
	if (reg->has_modified && S_ISREG(found->st_mode) && was_modified(reg, found))
		log_warning(
			"restore", "nestor",
			"%s has been changed or replaced since the tree was dumped: its time of "
			"modification is another",
			reg->name);
	return 0;
}

/* ---- The last one ---- */

/* What its path led to, and a description of that. */
struct last_named {
	const RegFileEntry *reg; /* NULL: none yet */
	struct stat found;
};

static struct last_named *last_named(struct file_opener *opener)
{
	static const char owner;
	void **state = opener_state(opener, &owner);

	if (!*state)
		*state = arena_new(opener->arena, struct last_named);
	return *state;
}

static bool leads_to_the_same(const struct last_named *last, const RegFileEntry *reg)
{
	return last->reg && last->reg->mnt_id == reg->mnt_id && !process_file_is(reg) &&
	       strcmp(last->reg->name, reg->name) == 0;
}

/* Not where a description is itself what the path leads to, or the name is looked at again. */
static bool is_opened_from_another(const RegFileEntry *reg)
{
	return !(reg->flags & (O_PATH | O_NOFOLLOW)) && !reg->has_alone;
}

int named_file_verify(struct file_opener *opener, const RegFileEntry *reg, struct error *err)
{
	struct last_named *last = last_named(opener);

	if (!leads_to_the_same(last, reg)) {
		last->reg = NULL;
		if (opener_look_at(opener, reg->name, (int)reg->flags, &last->found) < 0)
			return errno == ENOENT && cgroup_place_check(opener, reg->name) == 0
				       ? 0
				       : fail_to_open(reg, err);
		last->reg = reg;
	}
	return compare_found(reg, &last->found, err);
}

/* -1 without an error: it has to be looked for. */
static int open_as_the_last(struct file_opener *opener, const RegFileEntry *reg)
{
	const struct last_named *last = last_named(opener);
	int other = is_opened_from_another(reg) && leads_to_the_same(last, reg)
			    ? opener_file(opener, last->reg->id)
			    : -1;

	return other < 0 ? -1 : opener_reopen(other, regular_open_flags(reg));
}

/* ---- Opening ---- */

/* One that is in a cgroup, which may have to be made first. */
static int open_made(struct file_opener *opener, const RegFileEntry *reg, int flags,
		     struct error *err)
{
	int fd = regular_open_path(opener, reg, flags);

	if (fd >= 0 || errno != ENOENT || regular_is_inside(opener->snapshot, reg) ||
	    process_file_is(reg) || cgroup_place_check(opener, reg->name))
		return fd;
	return reg->has_mode && S_ISDIR(reg->mode)
		       ? cgroup_place_open_directory(opener, reg->name, flags, err)
		       : cgroup_place_open(opener, reg->name, flags, err);
}

/* The file at the path, looked at and not opened yet (O_PATH). */
static int find_named(struct file_opener *opener, const RegFileEntry *reg, struct stat *ret_found,
		      struct error *err)
{
	/* A description that is O_PATH is this one, with all that it shows. */
	int flags = reg->flags & O_PATH ? regular_open_flags(reg)
					: O_PATH | ((int)reg->flags & O_NOFOLLOW);
	autoclose int fd = open_made(opener, reg, flags, err);

	if (fd < 0)
		return err->name ? -1 : fail_to_open(reg, err);
	if (fstat(fd, ret_found) < 0)
		return fail_errno(err, ERR_IO, "cannot read the attributes of %s", reg->name);
	if (compare_found(reg, ret_found, err))
		return -1;
	return reg->has_alone ? alone_open(reg, -1, fd, err) : take_fd(&fd);
}

/*
 * A description shows that it was opened with O_NOFOLLOW, which only a name can be. Should the name
 * have become another file's, that one is opened, without waiting for anybody, and refused.
 */
static int open_by_name(const struct file_opener *opener, const RegFileEntry *reg,
			const struct stat *found, struct error *err)
{
	int flags = regular_open_flags(reg);
	autoclose int fd = regular_open_path(opener, reg, flags | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return fail_to_open(reg, err);
	if (opener_settle(fd, flags, found) == 0)
		return take_fd(&fd);
	return fail_errno(err, errno == ESTALE ? ERR_FILE_CHANGED : ERR_IO,
			  "%s was replaced while it was opened", reg->name);
}

static int open_found(struct file_opener *opener, const RegFileEntry *reg, struct stat *ret_found,
		      struct error *err)
{
	autoclose int found = find_named(opener, reg, ret_found, err);

	if (found < 0)
		return -1;
	if (reg->flags & O_PATH)
		return take_fd(&found);
	if (reg->flags & O_NOFOLLOW)
		return open_by_name(opener, reg, ret_found, err);
	int fd = opener_reopen(found, regular_open_flags(reg));
	return fd < 0 ? fail_to_open(reg, err) : fd;
}

int named_file_open(struct file_opener *opener, const RegFileEntry *reg, struct stat *ret_found,
		    struct error *err)
{
	struct last_named *last = last_named(opener);
	autoclose int again = open_as_the_last(opener, reg);

	if (again >= 0) {
		*ret_found = last->found;
		return compare_found(reg, ret_found, err) ? -1 : take_fd(&again);
	}
	last->reg = NULL;
	int fd = open_found(opener, reg, ret_found, err);
	if (fd >= 0 && !reg->has_alone && !process_file_is(reg))
		*last = (struct last_named){ reg, *ret_found };
	return fd;
}
