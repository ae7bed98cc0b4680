// SPDX-License-Identifier: LGPL-2.1-or-later
/* The content of an unlinked file that is made again, from its image: plain, or in chunks. */
#include "kinds/files/ghost.h"

#include "base/cleanup.h"
#include "images/images.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct filling {
	const struct file_opener *opener;
	const struct record *ghost;
	int fd;
	const char *path; /* for messages */
};

static ssize_t read_some(int from, void *bytes, size_t size)
{
	ssize_t got;

	do
		got = read(from, bytes, size);
	while (got < 0 && errno == EINTR);
	return got;
}

/*
 * Reads the header of the next chunk: 1 if there was one, 0 at the end of the image; -1 with
 * errno, ENODATA where it ends within a header.
 */
static int read_chunk(int from, uint64_t *ret_offset, uint64_t *ret_length)
{
	uint8_t packed[64];
	uint32_t size = 0;

	ssize_t got = read_some(from, &size, sizeof size);
	if (got <= 0)
		return got < 0 ? -1 : 0;
	errno = ENODATA;
	if (got != sizeof size || size > sizeof packed)
		return -1;
	got = read_some(from, packed, size);
	if (got != (ssize_t)size) {
		errno = got < 0 ? errno : ENODATA;
		return -1;
	}
	GhostChunkEntry *chunk = ghost_chunk_entry__unpack(NULL, size, packed);
	errno = ENODATA;
	if (!chunk)
		return -1;
	*ret_offset = chunk->off;
	*ret_length = chunk->len;
	ghost_chunk_entry__free_unpacked(chunk, NULL);
	return 1;
}

static int fill_chunk(const struct filling *filling, int from, uint64_t offset, uint64_t length,
		      struct error *err)
{
	uint64_t size = ghost_entry(filling->ghost)->size;

	if (offset > size || length > size - offset)
		return fail(err, ERR_IMAGE_INVALID,
			    "a part of the unlinked file %s is outside of it", filling->path);
	int copied = ghost_content_fill(filling->fd, from, offset, length);
	if (copied < 0)
		return fail_errno(err, ERR_IO, "cannot fill the unlinked file %s", filling->path);
	return copied > 0 ? fail(err, ERR_IMAGE_TRUNCATED,
				 "the content of the unlinked file %s ends early", filling->path)
			  : 0;
}

static int fill_chunks(const struct filling *filling, int from, struct error *err)
{
	const GhostFileEntry *entry = ghost_entry(filling->ghost);
	uint64_t offset = 0, length = 0;
	int more;

	if (entry->size > INT64_MAX)
		return fail(err, ERR_IMAGE_INVALID, "the unlinked file %s has an impossible size",
			    filling->path);
	if (ghost_content_resize(filling->fd, entry->size) < 0)
		return fail_errno(err, ERR_IO, "cannot set the size of the unlinked file %s",
				  filling->path);
	while ((more = read_chunk(from, &offset, &length)) > 0)
		if (fill_chunk(filling, from, offset, length, err))
			return -1;
	if (more < 0 && errno == ENODATA)
		return fail(err, ERR_IMAGE_TRUNCATED,
			    "the content of the unlinked file %s ends early", filling->path);
	if (more < 0)
		return fail_errno(err, ERR_IO, "cannot read the content of the unlinked file %s",
				  filling->path);
	if (ghost_content_reserve(filling->fd, entry))
		return fail_errno(err, ERR_IO, "cannot reserve memory for the unlinked file %s",
				  filling->path);
	return 0;
}

int ghost_fill(const struct file_opener *opener, const struct record *ghost, int fd,
	       const char *path, struct error *err)
{
	const struct filling filling = { opener, ghost, fd, path };

	autoclose int from = images_open_content(opener->images, IMAGE_GHOST_FILE, ghost->key, err);
	if (from < 0)
		return -1;
	if (lseek(from, (off_t)ghost->content, SEEK_SET) < 0)
		return fail_errno(err, ERR_IO, "cannot read the content of the unlinked file %s",
				  path);
	if (ghost_entry(ghost)->has_chunks && ghost_entry(ghost)->chunks)
		return fill_chunks(&filling, from, err);
	if (ghost_content_fill(fd, from, 0, INT64_MAX) < 0)
		return fail_errno(err, ERR_IO, "cannot fill the unlinked file %s", path);
	return 0;
}
