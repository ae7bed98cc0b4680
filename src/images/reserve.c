// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Files that have their room before it is known what will be written to them; see images.h.
 *
 * Of writing to a new file of tmpfs nearly half is finding and adding its pages, 4 KiB each, and
 * one thread at a time does that for a file. Elsewhere it does not pay: on ext4 writing took longer
 * (measured: 1.6 against 1.2 s of processor time for 1 GiB).
 */
#include "images/directory.h"
#include "images/images.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/statfs.h>
#include <unistd.h>

enum { NAME_ROOM = 32, SHARE = 2 };

struct reserved_image {
	struct images_writer *writer;
	struct reserved_image *next;
	char name[NAME_ROOM];
	int fd;
	uint64_t size;
};

uint64_t images_room(const struct images_writer *writer)
{
	struct statfs fs;

	if (fstatfs(writer->staging_fd, &fs) || fs.f_type != TMPFS_MAGIC)
		return 0;
	return (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize / SHARE;
}

struct reserved_image *images_reserve(struct images_writer *writer)
{
	struct reserved_image *image = arena_new(&writer->arena, struct reserved_image);

	image->writer = writer;
	snprintf(image->name, sizeof image->name, "reserved-%zu", writer->n_reserved++);
	image->fd = openat(writer->staging_fd, image->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			   0600);
	if (image->fd < 0)
		return NULL;
	image->next = writer->reserved;
	writer->reserved = image;
	return image;
}

bool images_reserve_more(struct reserved_image *image, uint64_t size)
{
	if (fallocate(image->fd, 0, (off_t)image->size, (off_t)size))
		return false;
	image->size += size;
	return true;
}

static void drop(struct reserved_image **at)
{
	struct reserved_image *image = *at;

	*at = image->next;
	unlinkat(image->writer->staging_fd, image->name, 0);
	close(image->fd);
}

bool images_unreserve(struct images_writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	bool any = writer->n_reserved > 0;
	while (writer->reserved)
		drop(&writer->reserved);
	pthread_mutex_unlock(&writer->lock);
	return any;
}

/* The one that is nearest in size; none that is much too large. */
static struct reserved_image **find(struct images_writer *writer, uint64_t size)
{
	struct reserved_image **best = NULL;
	uint64_t best_distance = UINT64_MAX;

	for (struct reserved_image **at = &writer->reserved; *at; at = &(*at)->next) {
		uint64_t has = (*at)->size, distance = has > size ? has - size : size - has;

		if (size < has / SHARE || distance >= best_distance)
			continue;
		best = at;
		best_distance = distance;
	}
	return best;
}

int reserved_take(struct images_writer *writer, const char *name, uint64_t size)
{
	struct reserved_image **at = find(writer, size);

	if (!at)
		return -1;
	struct reserved_image *image = *at;
	if ((image->size > size && ftruncate(image->fd, (off_t)size)) ||
	    renameat(writer->staging_fd, image->name, writer->staging_fd, name)) {
		drop(at);
		return -1;
	}
	*at = image->next;
	manifest_add(&writer->manifest, &writer->arena, name, 0);
	return image->fd;
}
