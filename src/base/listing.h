/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names in a directory. readdir returns NULL at the end and for a failure alike: whoever takes
 * the one for the other sees less than there is. So:
 *
 *	autoclosedir DIR *dir = listing_open(dir_fd, "fd");
 *	const char *name;
 *
 *	while (listing_next(dir, &name))
 *		...
 *	if (errno)
 *		return fail_errno(...);
 *
 * A directory that could not be opened is one whose list fails: NULL is allowed, with errno as it
 * was.
 */
#ifndef NESTOR_BASE_LISTING_H
#define NESTOR_BASE_LISTING_H

#include <dirent.h>
#include <stdbool.h>

/* NULL with errno set if it cannot be opened. */
DIR *listing_open(int dir_fd, const char *path);

/* Of an open directory, which it takes; -1 with errno is allowed. */
DIR *listing_of(int fd);

/* One more, but for "." and ".."; false with errno 0 at the end, with another where it fails. */
bool listing_next(DIR *dir, const char **ret_name);
bool listing_next_entry(DIR *dir, const struct dirent **ret_entry);

#endif
