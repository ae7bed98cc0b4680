// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Event counters (eventfd(2)): a count, and whether reading takes all of it or one (EFD_SEMAPHORE,
 * which fdinfo shows from 6.5 on; before, nothing tells without reading, which would take from the
 * count). Who waits in a call waits again after a restore, as in any call that was interrupted.
 *
 * In the images EFD_SEMAPHORE stands among the flags of the file: it is O_WRONLY, and an eventfd is
 * always O_RDWR.
 *
 * What cgroups of v1 were told to count it up for is in kinds/cgroups/events.c.
 */
#include "kinds/files/files.h"
#include "kinds/opener.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static bool eventfd_recognise(const struct open_file *file)
{
	return strcmp(file->link, "anon_inode:[eventfd]") == 0 && !(file->flags & O_PATH);
}

static int eventfd_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	uint64_t value = 0, is_semaphore = 0;

	if (!procfs_number(file->fdinfo, "eventfd-count:", 16, &value) ||
	    !procfs_number(file->fdinfo, "eventfd-semaphore:", 10, &is_semaphore))
		return fail(err, ERR_KERNEL_TOO_OLD,
			    "%s: the kernel does not show the state of an eventfd (Linux 6.5)",
			    file->what);
	entry->efd =
		snapshot_new(file->target->collect->snapshot, EVENTFD_FILE_ENTRY, EventfdFileEntry);
	entry->efd->id = file->id;
	entry->efd->flags = file->flags | (is_semaphore ? EFD_SEMAPHORE : 0);
	entry->efd->counter = value;
	return 0;
}

static int eventfd_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	(void)snapshot;
	if (!entry->efd || entry->efd->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of an eventfd",
			    entry->id);
	if (entry->efd->counter == UINT64_MAX)
		return fail(err, ERR_IMAGE_INVALID, "file %u: no eventfd counts so far", entry->id);
	return 0;
}

static int eventfd_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const EventfdFileEntry *record = entry->efd;
	const int flags = (int)(record->flags & (EFD_SEMAPHORE | EFD_NONBLOCK));
	/* All that eventfd2 takes; most never count as far as that. */
	const bool counts = record->counter <= UINT32_MAX;
	autoclose int fd = eventfd(counts ? (unsigned)record->counter : 0, EFD_CLOEXEC | flags);

	(void)opener;
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make an eventfd");
	if (!counts && eventfd_write(fd, record->counter) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "file %u: cannot let an eventfd count to %" PRIu64, entry->id,
				  record->counter);
	return take_fd(&fd);
}

static void eventfd_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "eventfd%s, count %" PRIu64,
		 entry->efd->flags & EFD_SEMAPHORE ? " (semaphore)" : "", entry->efd->counter);
}

static struct file_fields eventfd_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->efd->fown, &entry->efd->flags };
}

const struct file_kind eventfd_kind = {
	.name = "eventfd",
	.type = FD_TYPES__EVENTFD,
	.recognise = eventfd_recognise,
	.collect = eventfd_collect,
	.check = eventfd_check,
	.open = eventfd_open,
	.describe = eventfd_describe,
	.fields = eventfd_fields,
};
