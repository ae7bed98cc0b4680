// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What fcntl(2) sets of an open file (F_SETFL), whatever it is: O_APPEND and O_NOATIME are kept and
 * told (F_GETFL) also of pipes, sockets and descriptors of other sorts, where they mean nothing.
 * What is opened by its name has them from there. O_NONBLOCK and O_DIRECT, which do mean something,
 * are a matter of each kind, O_ASYNC of the owner (owner.c).
 *
 * O_NOATIME takes the owner of the inode, or CAP_FOWNER (setfl), so it comes before the inode is
 * given away.
 */
#include "kinds/files/files.h"

#include "kinds/opener.h"

#include <errno.h>
#include <fcntl.h>

enum { OF_ALL = O_APPEND | O_NOATIME };

static bool status_flags_are_there(const FileEntry *entry)
{
	struct file_fields fields = fields_of_file(&kinds, entry);

	return entry->type != FD_TYPES__REG && fields.flags && *fields.flags & OF_ALL &&
	       !(*fields.flags & O_PATH);
}

static int status_flags_connect(struct file_opener *opener, const FileEntry *entry, int fd,
				struct error *err)
{
	int wanted = (int)*fields_of_file(&kinds, entry).flags & OF_ALL, now = fcntl(fd, F_GETFL);

	if (inode_is_given(opener, entry))
		return 0;
	if (now < 0 || ((now & wanted) != wanted && fcntl(fd, F_SETFL, now | wanted) < 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "file %u: cannot set its flags",
				  entry->id);
	return 0;
}

const struct file_aspect status_flags_aspect = {
	.name = "status flags",
	.is_there = status_flags_are_there,
	.connect = status_flags_connect,
};
