// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * inotify(7): an instance and its watches, each an inode under a number (wd). The number is given
 * to the next watch by INOTIFY_IOC_SETNEXTWD. Watches come when the tree is complete, so that no
 * work of the restore is reported.
 *
 * Events that nobody has read cannot be put back: refused while there are any, unless they may be
 * lost (--force-lost); then the instance tells that some were, as when its queue is full. The
 * number that the next new watch gets is one above the highest, whatever it was.
 */
#include "kinds/files/files.h"
#include "kinds/opener.h"
#include "kinds/files/watched-inode.h"

#include "base/cleanup.h"
#include "base/compare.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "kinds/files/inotify-overflow.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef INOTIFY_IOC_SETNEXTWD
#define INOTIFY_IOC_SETNEXTWD _IOW('I', 0, int32_t)
#endif

/* What inotify_add_watch takes of what fdinfo shows. */
static const uint32_t settable = IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT;

static bool inotify_recognise(const struct open_file *file)
{
	return strcmp(file->link, "anon_inode:inotify") == 0 && !(file->flags & O_PATH);
}

static int check_unread(const struct open_file *file, InotifyFileEntry *record, struct error *err)
{
	autoclose int fd = collect_get_file(file, err);
	int size = 0;

	if (fd < 0)
		return -1;
	if (ioctl(fd, FIONREAD, &size) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot ask for unread events",
				  file->what);
	if (!size)
		return 0;
	if (loss_is_accepted(file->target->collect, LOSS_INOTIFY_EVENTS)) {
		loss_add(file->target, file->target->living, LOSS_INOTIFY_EVENTS,
			 "has not read them");
		record->has_overflow = record->overflow = true;
		return 0;
	}
	fail(err, ERR_UNSUPPORTED_FILE, "%s has %d bytes of events that nobody has read",
	     file->what, size);
	fail_hint(err, "try again when the task has read them; --force-lost inotify-events dumps "
		       "without, and tells it that events were lost");
	fail_option(err, "--force-lost", "inotify-events");
	return fail_passing(err);
}

static int add_watch(const struct open_file *file, const char *line, InotifyFileEntry *record,
		     struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	InotifyWdEntry *watch = snapshot_new(snapshot, INOTIFY_WD_ENTRY, InotifyWdEntry);

	if (sscanf(line,
		   "inotify wd:%" SCNx32 " ino:%" SCNx64 " sdev:%" SCNx32 " mask:%" SCNx32
		   " ignored_mask:%" SCNx32,
		   &watch->wd, &watch->i_ino, &watch->s_dev, &watch->mask,
		   &watch->ignored_mask) != 5)
		return fail(err, ERR_KERNEL_REFUSED, "%s: cannot read what it watches", file->what);
	watch->id = file->id;
	record->wd = arena_grow(snapshot->arena, record->wd, record->n_wd, sizeof *record->wd);
	record->wd[record->n_wd++] = watch;
	return watched_inode_collect(file, line, watch->s_dev, watch->i_ino, &watch->f_handle, err);
}

static int by_number(const void *a, const void *b)
{
	const InotifyWdEntry *const *one = a, *const *other = b;

	return compare_values((*one)->wd, (*other)->wd);
}

static int inotify_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	InotifyFileEntry *record =
		snapshot_new(file->target->collect->snapshot, INOTIFY_FILE_ENTRY, InotifyFileEntry);

	entry->ify = record;
	record->id = file->id;
	record->flags = file->flags;
	if (check_unread(file, record, err))
		return -1;
	for (const char *line = file->fdinfo; (line = strstr(line, "inotify wd:")); line++)
		if (add_watch(file, line, record, err))
			return -1;
	if (record->n_wd)
		qsort(record->wd, record->n_wd, sizeof *record->wd, by_number);
	return 0;
}

static int inotify_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const InotifyFileEntry *record = entry->ify;

	if (!record || record->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of inotify", entry->id);
	for (size_t i = 0; i < record->n_wd; i++) {
		const InotifyWdEntry *watch = record->wd[i];
		if (watch->wd == 0 || watch->wd > INT32_MAX || !(watch->mask & IN_ALL_EVENTS))
			return fail(err, ERR_IMAGE_INVALID,
				    "file %u: no watch has number %u, or "
				    "mask %#x",
				    entry->id, watch->wd, watch->mask);
		if (watched_inode_check(snapshot, entry->id, watch->f_handle, err))
			return -1;
	}
	return 0;
}

static int inotify_verify(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	for (size_t i = 0; i < entry->ify->n_wd; i++)
		if (watched_inode_verify(opener, entry->ify->wd[i]->f_handle, err))
			return -1;
	return 0;
}

static int inotify_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	autoclose int fd = inotify_init1(IN_CLOEXEC);

	(void)opener;
	if (fd < 0 || opener_set_flags(fd, entry->ify->flags) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make an inotify instance");
	if (entry->ify->overflow && inotify_make_overflow(fd))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "file %u: cannot tell that events were lost", entry->id);
	return take_fd(&fd);
}

static int watch_again(struct file_opener *opener, int fd, const InotifyWdEntry *watch,
		       struct error *err)
{
	char path[64] = "";
	int32_t number = (int32_t)watch->wd;
	autoclose int watched =
		watched_inode_open(opener, watch->s_dev, watch->f_handle, path, err);

	if (watched < 0)
		return -1;
	if (ioctl(fd, INOTIFY_IOC_SETNEXTWD, number) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot give a watch its number, %d",
				  number);
	int given = inotify_add_watch(fd, path, watch->mask & settable);
	if (given < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot watch %s",
				  watch->f_handle->path ? watch->f_handle->path : path);
	if (given != number)
		return fail(err, ERR_IMAGE_INVALID, "watches %d and %d are of one inode", given,
			    number);
	return 0;
}

static int inotify_connect(struct file_opener *opener, const FileEntry *entry, int fd,
			   struct error *err)
{
	for (size_t i = 0; i < entry->ify->n_wd; i++)
		if (watch_again(opener, fd, entry->ify->wd[i], err))
			return fail_while(err, "file %u", entry->id);
	return 0;
}

static void inotify_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "inotify instance, %zu watches", entry->ify->n_wd);
}

static struct file_fields inotify_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->ify->fown, &entry->ify->flags };
}

const struct file_kind inotify_kind = {
	.name = "inotify",
	.type = FD_TYPES__INOTIFY,
	.recognise = inotify_recognise,
	.collect = inotify_collect,
	.complete = watched_inode_complete,
	.check = inotify_check,
	.verify = inotify_verify,
	.open = inotify_open,
	.connect = inotify_connect,
	.describe = inotify_describe,
	.fields = inotify_fields,
};
