/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The header block of a tar archive (POSIX.1-2001, pax). Private to the archive files. */
#ifndef NESTOR_KINDS_MOUNTS_TAR_H
#define NESTOR_KINDS_MOUNTS_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { TAR_BLOCK = 512 };

struct tar_header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
	char link[100], magic[6], version[2], user[32], group[32], major[8], minor[8];
	char prefix[155], padding[12];
};
_Static_assert(sizeof(struct tar_header) == TAR_BLOCK, "struct tar_header");

enum tar_type {
	TAR_FILE = '0',
	TAR_OLD_FILE = '\0',
	TAR_HARD_LINK = '1',
	TAR_SYMBOLIC_LINK = '2',
	TAR_CHARACTER_DEVICE = '3',
	TAR_BLOCK_DEVICE = '4',
	TAR_DIRECTORY = '5',
	TAR_FIFO = '6',
	TAR_EXTENDED = 'x',
	TAR_GLOBAL = 'g',
};

/* A number of a header, and one of an extended header; false: it is none. */
bool tar_field(const char *field, size_t size, uint64_t *ret);
bool tar_decimal(const char *text, uint64_t *ret);
/* Seconds since 1970 with decimal places. */
bool tar_time(const char *text, struct timespec *ret_time);

#define TAR_XATTR  "SCHILY.xattr."
#define TAR_SOCKET "NESTOR.type"
#define TAR_FLAGS  "SCHILY.fflags"
#define TAR_MEMORY "NESTOR.memory"
#define TAR_INODE  "NESTOR.inode"

#endif
