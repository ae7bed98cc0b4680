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
	TAR_SPARSE = 'S', /* these three of GNU tar */
	TAR_LONG_NAME = 'L',
	TAR_LONG_LINK = 'K',
	TAR_EXTENDED = 'x',
	TAR_GLOBAL = 'g',
};

/* A number of a header, and one of an extended header; false: it is none. */
bool tar_field(const char *field, size_t size, uint64_t *ret);
bool tar_decimal(const char *text, uint64_t *ret);
/* Seconds since 1970 with decimal places. */
bool tar_time(const char *text, struct timespec *ret_time);

/* tar-records.c: records of an extended header, one after another; `bytes` is the caller's. */
struct tar_records {
	char *bytes;
	size_t length, room;
	long file_system; /* on which the files are; 0: not asked yet */
};
struct error;
struct file_parts;
void tar_add_record(struct tar_records *records, const char *key, const void *value, size_t size);
void tar_add_number(struct tar_records *records, const char *key, uint64_t value);
void tar_add_time(struct tar_records *records, const char *key, const struct timespec *time);
void tar_add_attribute(struct tar_records *records, const char *name, const void *value,
		       size_t size);
/* All of the file itself; `follow`: by way of a descriptor in /proc, of what it refers to. */
int tar_add_attributes(struct tar_records *records, const char *path, bool follow,
		       struct error *err);
int tar_add_flags(struct tar_records *records, int fd, const char *path, struct error *err);
/* What has memory, where that is told: the caller's. */
int tar_add_parts(struct tar_records *records, int fd, const char *path,
		  struct file_parts *ret_parts, struct error *err);

/* tar-sparse.c: the parts of a file that are stored, in order. */
struct tar_segment {
	uint64_t at, size;
};
struct tar_segments {
	struct tar_segment *all;
	size_t n;
	uint64_t bytes; /* of all */
	bool sparse;	/* the others are holes */
};
struct arena;
/* One of all bytes where there are no holes to speak of; -1 with errno. */
int tar_find_segments(int fd, uint64_t size, struct arena *arena, struct tar_segments *ret);
/* The list before the content of a file of that size, in whole blocks. */
char *tar_segments_text(const struct tar_segments *segments, uint64_t size, struct arena *arena,
			size_t *ret_length);

#define TAR_SPARSE_MAJOR "GNU.sparse.major"
#define TAR_SPARSE_MINOR "GNU.sparse.minor"
#define TAR_SPARSE_SIZE	 "GNU.sparse.realsize"
#define TAR_SPARSE_NAME	 "GNU.sparse.name"

#define TAR_XATTR  "SCHILY.xattr."
#define TAR_SOCKET "NESTOR.type"
#define TAR_FLAGS  "SCHILY.fflags"
#define TAR_MEMORY "NESTOR.memory"
#define TAR_INODE  "NESTOR.inode"

#endif
