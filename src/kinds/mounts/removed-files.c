// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Files that mounts of the tree show and that were removed from a file system which nestor's own
 * namespace has, too: each is carried as an archive of its own. A restore makes it where it was,
 * for as long as it takes to mount it (origins.c).
 *
 * One that has another name is still there for others, so it cannot be made once more. And one that
 * is open by another mount too would become two.
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "images/images.h"
#include "kinds/mounts/archive.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/survey.h"
#include "kinds/places.h"

#include <inttypes.h>
#include <sys/stat.h>

/* ---- dump ---- */

static uint32_t find(const struct mount_survey *survey, const struct stat *stat)
{
	for (size_t i = 0; i < survey->n_removed; i++)
		if (survey->removed[i].device == stat->st_dev &&
		    survey->removed[i].inode == stat->st_ino)
			return (uint32_t)i + 1;
	return 0;
}

bool mounts_carry_file(struct collect *collect, const struct stat *stat)
{
	const struct mount_survey *survey = survey_of_mounts(collect);

	return survey && find(survey, stat) != 0;
}

static int write_file(struct collect *collect, uint32_t number, int root_fd, const char *what,
		      struct error *err)
{
	if (collect->looking)
		return 0;
	autoclose int fd = images_create_raw(collect->images, IMAGE_REMOVED_FILE, number, err);
	struct archive_writer *writer = fd < 0 ? NULL : archive_writer_new(fd, false, err);
	if (!writer)
		return -1;
	struct error unused = { 0 };
	int result = archive_add_alone(writer, root_fd, "file", err);
	return archive_writer_end(writer, result ? &unused : err) || result
		       ? fail_while(err, "%s", what)
		       : 0;
}

static int check(const struct stat *stat, uint64_t limit, const MntEntry *entry, const char *what,
		 struct error *err)
{
	uint64_t size = (uint64_t)stat->st_blocks * 512;

	if (stat->st_nlink) {
		survey_refuse(what, "shows a file that was removed and has another name", err);
		return fail_hint(err, "--external mnt[%s]:NAME has it given from outside",
				 entry->mountpoint);
	}
	if (size <= limit)
		return 0;
	fail(err, ERR_UNSUPPORTED_MOUNT,
	     "%s shows a removed file of %" PRIu64 " bytes; the limit is %" PRIu64
	     " (--ghost-limit)",
	     what, size, limit);
	return fail_hint(err, "raise it with --ghost-limit");
}

int mount_removed_collect(struct collect *collect, MntEntry *entry, int root_fd, const char *what,
			  struct error *err)
{
	struct mount_survey *survey = survey_of_mounts(collect);
	struct stat stat;

	if (fstat(root_fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at what %s shows", what);
	if (!S_ISREG(stat.st_mode))
		return 0;
	mount_origin_describe(collect, entry, &stat);
	entry->origin->has_content = true;
	entry->origin->content = find(survey, &stat);
	if (entry->origin->content)
		return 0;
	if (check(&stat, collect_ghost_limit(collect, root_fd), entry, what, err))
		return -1;
	survey->removed = arena_grow(collect->arena, survey->removed, survey->n_removed,
				     sizeof *survey->removed);
	survey->removed[survey->n_removed++] = (struct removed_file){ stat.st_dev, stat.st_ino };
	entry->origin->content = (uint32_t)survey->n_removed;
	return write_file(collect, entry->origin->content, root_fd, what, err);
}

/* ---- restore ---- */

int mount_removed_fill(const struct file_opener *opener, const MntEntry *mount, int fd,
		       struct error *err)
{
	autoclose int from = images_open_content(opener->images, IMAGE_REMOVED_FILE,
						 mount->origin->content, err);

	return from < 0 ? -1 : archive_extract_alone(from, fd, mount->mountpoint, err);
}
