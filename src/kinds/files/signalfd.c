// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * signalfd(2): a mask. What is read are the signals of whoever reads, which come back with the
 * tasks; the file has no queue of its own.
 */
#include "kinds/files/files.h"
#include "kinds/opener.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool signalfd_recognise(const struct open_file *file)
{
	return strcmp(file->link, "anon_inode:[signalfd]") == 0 && !(file->flags & O_PATH);
}

static int signalfd_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	uint64_t mask = 0;

	if (!procfs_number(file->fdinfo, "sigmask:", 16, &mask))
		return fail(err, ERR_KERNEL_REFUSED, "%s: fdinfo has no mask", file->what);
	entry->sgfd = snapshot_new(file->target->collect->snapshot, SIGNALFD_ENTRY, SignalfdEntry);
	entry->sgfd->id = file->id;
	entry->sgfd->flags = file->flags;
	entry->sgfd->sigmask = mask;
	return 0;
}

static int signalfd_check(const struct snapshot *snapshot, const FileEntry *entry,
			  struct error *err)
{
	(void)snapshot;
	if (!entry->sgfd || entry->sgfd->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a signalfd",
			    entry->id);
	return 0;
}

static int signalfd_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const uint64_t mask = entry->sgfd->sigmask;
	/* Not the C library's, whose masks are larger than the kernel's. */
	autoclose int fd = (int)syscall(SYS_signalfd4, -1, &mask, sizeof mask, SFD_CLOEXEC);

	(void)opener;
	if (fd < 0 || opener_set_flags(fd, entry->sgfd->flags) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a signalfd");
	return take_fd(&fd);
}

static void signalfd_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "signalfd, mask %016" PRIx64, entry->sgfd->sigmask);
}

static struct file_fields signalfd_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->sgfd->fown, &entry->sgfd->flags };
}

const struct file_kind signalfd_kind = {
	.name = "signalfd",
	.type = FD_TYPES__SIGNALFD,
	.recognise = signalfd_recognise,
	.collect = signalfd_collect,
	.check = signalfd_check,
	.open = signalfd_open,
	.describe = signalfd_describe,
	.fields = signalfd_fields,
};
