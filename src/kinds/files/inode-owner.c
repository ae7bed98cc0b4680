// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Whom a pipe or a socket belongs to: user, group and permissions of its inode, which fstat(2)
 * shows. Who opens a pipe again (/dev/stdout is a link to /proc/self/fd/1) needs permission of it.
 * By the user of a socket rules of routing go (uidrange), addresses are shared (SO_REUSEPORT is for
 * sockets of one user), and /proc/net and sock_diag(7) tell it. A change of its owner changes
 * that, too (sockfs_setattr). By the credentials of who made it firewalls know what a socket sends
 * (skuid, owner of nftables and iptables), and netlink what may be asked through it. No call tells
 * these, but the ids are the inode's unless that was given away; so it is made under them
 * (kernel/made-as.h).
 * A netlink socket of a user whose holder has no capabilities is made by somebody without: else
 * some program with more rights that got it for its output would ask for things with nestor's
 * (netlink_ns_capable).
 *
 * Only what differs from what nestor's own would have is recorded. Where nestor has no right to
 * give it away, which only happens to what somebody outside has made, it belongs to nestor's user,
 * and that is told.
 */
#include "kinds/files/files.h"

#include "base/log.h"
#include "collect/collect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PERMISSIONS = 07777, OF_PIPES = 0600, OF_SOCKETS = 0777 };

/* What pipe(2) and socket(2) give; 0: of other kinds, whose inodes are no matter of ours. */
static mode_t usual_permissions(const FileEntry *entry)
{
	switch (entry->type) {
	case FD_TYPES__PIPE:
		return OF_PIPES;
	case FD_TYPES__INETSK:
	case FD_TYPES__UNIXSK:
	case FD_TYPES__NETLINKSK:
	case FD_TYPES__PACKETSK:
		return OF_SOCKETS;
	default:
		return 0;
	}
}

static int inode_owner_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	const struct stat *stat = &file->stat;
	mode_t usual = usual_permissions(entry), mode = stat->st_mode & PERMISSIONS;

	(void)err;
	if (!usual || (stat->st_uid == geteuid() && stat->st_gid == getegid() && mode == usual))
		return 0;
	InodeOwnerEntry *owner =
		snapshot_new(file->target->collect->snapshot, INODE_OWNER_ENTRY, InodeOwnerEntry);
	owner->uid = stat->st_uid;
	owner->gid = stat->st_gid;
	owner->mode = mode;
	owner->has_without_capabilities = owner->without_capabilities =
		entry->type == FD_TYPES__NETLINKSK && stat->st_uid &&
		!target_has_capabilities(file->target);
	entry->inode_owner = owner;
	return 0;
}

static int inode_owner_check(const struct snapshot *snapshot, const FileEntry *entry,
			     struct error *err)
{
	const InodeOwnerEntry *owner = entry->inode_owner;

	(void)snapshot;
	if (!owner)
		return 0;
	if (!usual_permissions(entry) || owner->mode & ~(uint32_t)PERMISSIONS ||
	    owner->uid == UINT32_MAX || owner->gid == UINT32_MAX)
		return fail(err, ERR_IMAGE_INVALID,
			    "file %u has an owner that none of its kind has", entry->id);
	return 0;
}

static bool inode_owner_is_there(const FileEntry *entry)
{
	return entry->inode_owner != NULL;
}

bool inode_is_given(const struct file_opener *opener, const FileEntry *entry)
{
	char key[32] = "";

	if (entry->type == FD_TYPES__PIPE)
		snprintf(key, sizeof key, "pipe[%u]", entry->pipe->pipe_id);
	else if (entry->type == FD_TYPES__UNIXSK)
		snprintf(key, sizeof key, "socket[%u]", entry->usk->ino);
	return key[0] && externals_fd(opener->externals, key) >= 0;
}

/* EINVAL: an id that nestor's user namespace does not have. */
static int give(const FileEntry *entry, int fd, struct error *err)
{
	const InodeOwnerEntry *owner = entry->inode_owner;
	char what[32];

	if (fchown(fd, owner->uid, owner->gid) == 0)
		return 0;
	if (errno != EPERM && errno != EINVAL)
		return fail_errno(err, ERR_KERNEL_REFUSED, "file %u: cannot give it to user %u",
				  entry->id, owner->uid);
	snprintf(what, sizeof what, "file %u", entry->id);
	log_warning("restore", what, "it belongs to nestor's user, not to user %u, group %u: %s",
		    owner->uid, owner->gid, strerror(errno));
	return 0;
}

static int inode_owner_connect(struct file_opener *opener, const FileEntry *entry, int fd,
			       struct error *err)
{
	const InodeOwnerEntry *owner = entry->inode_owner;
	struct stat now;

	if (inode_is_given(opener, entry))
		return 0;
	if (fstat(fd, &now) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "file %u: cannot see its owner",
				  entry->id);
	if ((now.st_uid != owner->uid || now.st_gid != owner->gid) && give(entry, fd, err))
		return -1;
	if ((now.st_mode & PERMISSIONS) != owner->mode && fchmod(fd, owner->mode) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "file %u: cannot set its permissions",
				  entry->id);
	return 0;
}

const struct file_aspect inode_owner_aspect = {
	.name = "inode owner",
	.collect = inode_owner_collect,
	.check = inode_owner_check,
	.is_there = inode_owner_is_there,
	.connect = inode_owner_connect,
};
