// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/listing.h"
#include "base/cleanup.h"

#include <fcntl.h>
#include <string.h>

DIR *listing_of(int fd)
{
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		cleanup_close(&fd);
	return dir;
}

DIR *listing_open(int dir_fd, const char *path)
{
	return listing_of(openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

bool listing_next_entry(DIR *dir, const struct dirent **ret_entry)
{
	const struct dirent *entry;

	if (!dir)
		return false;
	do {
		errno = 0;
		entry = readdir(dir);
	} while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
	if (entry)
		*ret_entry = entry;
	return entry;
}

bool listing_next(DIR *dir, const char **ret_name)
{
	const struct dirent *entry;

	if (!listing_next_entry(dir, &entry))
		return false;
	*ret_name = entry->d_name;
	return true;
}
