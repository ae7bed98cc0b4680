/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an archive tells of each file, one after the other. Private to the archive files. */
#ifndef NESTOR_KINDS_MOUNTS_ARCHIVE_ENTRY_H
#define NESTOR_KINDS_MOUNTS_ARCHIVE_ENTRY_H

#include "base/arena.h"
#include "base/error.h"
#include "kinds/mounts/tar.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#include <zlib.h>

struct archive_attribute {
	struct archive_attribute *next;
	const char *name;
	const void *value;
	size_t size;
};

struct archive_entry {
	enum tar_type type;
	const char *path, *link;
	mode_t mode;
	uint64_t uid, gid, size, inode; /* inode: its number; 0: it is not told */
	uint64_t stored;		/* bytes of its content in the archive */
	struct tar_segments segments;
	struct timespec times[2]; /* accessed, changed */
	dev_t device;
	bool socket;
	unsigned flags;	    /* as chattr(1) sets them */
	const char *memory; /* parts that have memory; NULL: it is not told */
	struct archive_attribute *attributes;
};

/* An archive that is read; all that it tells stays in the arena. */
struct archive_source {
	gzFile file;
	struct arena arena;
	const char *what;
};

/* 1: an entry, 0: the end. What is said of all that follow is none of their content. */
int archive_next(struct archive_source *source, struct archive_entry *ret_entry, struct error *err);
/* Is it a regular file, whose content comes next? */
bool archive_has_content(const struct archive_entry *entry);
int archive_skip_content(struct archive_source *source, const struct archive_entry *entry,
			 struct error *err);
int archive_take(struct archive_source *source, void *bytes, size_t size, struct error *err);
/* What is behind so many bytes up to the end of a block. */
int archive_skip_padding(struct archive_source *source, uint64_t size, struct error *err);
/* tar-sparse.c: the parts of one that has holes, as told before its content, or by its header. */
int tar_read_segments(struct archive_source *source, struct archive_entry *entry,
		      struct error *err);
int tar_read_old_segments(struct archive_source *source, const struct tar_header *header,
			  struct archive_entry *entry, struct error *err);
int archive_invalid(const struct archive_source *source, const char *why, struct error *err);

#endif
