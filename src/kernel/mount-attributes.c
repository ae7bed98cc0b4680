// SPDX-License-Identifier: LGPL-2.1-or-later
/* See mount-attributes.h. */
#include "kernel/mount-attributes.h"

#include <stddef.h>
#include <sys/statvfs.h>

#ifndef ST_NOSYMFOLLOW
#define ST_NOSYMFOLLOW 0x2000
#endif

/* What is shown, and how it is asked for; one without a rule about times is strict. */
static const struct {
	unsigned long shown;
	uint64_t attribute;
} attributes[] = {
	{ ST_RDONLY, MOUNT_ATTR_RDONLY },
	{ ST_NOSUID, MOUNT_ATTR_NOSUID },
	{ ST_NODEV, MOUNT_ATTR_NODEV },
	{ ST_NOEXEC, MOUNT_ATTR_NOEXEC },
	{ ST_NOATIME, MOUNT_ATTR_NOATIME },
	{ ST_NODIRATIME, MOUNT_ATTR_NODIRATIME },
	{ ST_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW },
};

int mount_attributes_of(int fd, uint64_t *ret)
{
	struct statvfs fs;

	if (fstatvfs(fd, &fs))
		return -1;
	*ret = 0;
	for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
		if (fs.f_flag & attributes[i].shown)
			*ret |= attributes[i].attribute;
	if (!(fs.f_flag & (ST_NOATIME | ST_RELATIME)))
		*ret |= MOUNT_ATTR_STRICTATIME;
	return 0;
}
