// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Raw images that are summed from the buffers that they are written from, while those are in the
 * processor's cache; see images.h. The pieces are those of checksum.h.
 */
#include "images/directory.h"
#include "images/format.h"
#include "images/images.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { WRITE_BACK_FROM = 4 * 1024 * 1024 };

struct summed_image {
	struct images_writer *writer;
	const char *name;
	size_t line; /* in the manifest */
	int fd;	     /* -1 once finished */
	uint64_t size;
	XXH128_canonical_t *sums; /* one per piece */
	struct summed_image *next;
};

struct piece_writer {
	XXH3_state_t *state;
	struct summed_image *image;
	size_t piece;
	uint64_t at, end;
};

static struct summed_image *new_image(struct images_writer *writer, const char *name, int fd,
				      uint64_t size)
{
	struct summed_image *image = arena_new(&writer->arena, struct summed_image);

	*image = (struct summed_image){
		.writer = writer,
		.name = arena_string(&writer->arena, name),
		.line = writer->manifest.n_lines - 1,
		.fd = fd,
		.size = size,
		.sums = arena_array(&writer->arena, XXH128_canonical_t,
				    checksum_count_pieces(size)),
		.next = writer->summed,
	};
	return writer->summed = image;
}

struct summed_image *images_create_summed(struct images_writer *writer, enum image_kind kind,
					  uint64_t number, uint64_t size, struct error *err)
{
	char name[IMAGE_NAME_SIZE];
	struct summed_image *image = NULL;

	pthread_mutex_lock(&writer->lock);
	image_name(name, kind, number);
	int fd = reserved_take(writer, name, size);
	if (fd < 0)
		fd = staging_create(writer, name, O_WRONLY, err);
	if (fd >= 0)
		image = new_image(writer, name, fd, size);
	pthread_mutex_unlock(&writer->lock);
	return image;
}

size_t summed_image_pieces(const struct summed_image *image)
{
	return checksum_count_pieces(image->size);
}

void summed_image_finish(struct summed_image *image)
{
	struct images_writer *writer = image->writer;

	pthread_mutex_lock(&writer->lock);
	struct manifest_line *line = &writer->manifest.lines[image->line];
	line->size = image->size;
	line->sum = checksum_join_pieces(image->sums, summed_image_pieces(image));
	line->has_sum = true;
	pthread_mutex_unlock(&writer->lock);
	close(image->fd);
	image->fd = -1;
}

void summed_images_close(struct images_writer *writer)
{
	for (struct summed_image *image = writer->summed; image; image = image->next)
		if (image->fd >= 0)
			close(image->fd);
	writer->summed = NULL;
}

void images_write_back_late(struct images_writer *writer)
{
	writer->writes_back_late = true;
}

struct piece_writer *piece_writer_new(void)
{
	struct piece_writer *writer = calloc(1, sizeof *writer);
	XXH3_state_t *state = XXH3_createState();

	if (!writer || !state)
		out_of_memory();
	writer->state = state;
	return writer;
}

void piece_writer_free(struct piece_writer *writer)
{
	if (!writer)
		return;
	XXH3_freeState(writer->state);
	free(writer);
}

void piece_begin(struct piece_writer *writer, struct summed_image *image, size_t piece,
		 uint64_t *ret_from, uint64_t *ret_to)
{
	writer->image = image;
	writer->piece = piece;
	writer->at = piece * CHECKSUM_PIECE;
	writer->end = image->size - writer->at < CHECKSUM_PIECE ? image->size
								: writer->at + CHECKSUM_PIECE;
	*ret_from = writer->at;
	*ret_to = writer->end;
	XXH3_128bits_reset(writer->state);
}

int piece_write(struct piece_writer *writer, const void *data, size_t size, struct error *err)
{
	const uint8_t *bytes = data;
	bool again = false;

	XXH3_128bits_update(writer->state, bytes, size);
	while (size) {
		ssize_t done = pwrite(writer->image->fd, bytes, size, (off_t)writer->at);
		if (done < 0 && errno == EINTR)
			continue;
		/* Others may have more than they need; by now, as another thread may see to it. */
		if (done < 0 && errno == ENOSPC && !again) {
			again = true;
			if (images_unreserve(writer->image->writer))
				continue;
			errno = ENOSPC;
		}
		if (done <= 0)
			return fail_errno(err, ERR_IO, "cannot write %s", writer->image->name);
		bytes += done;
		writer->at += (uint64_t)done;
		size -= (size_t)done;
	}
	return 0;
}

void piece_end(struct piece_writer *writer)
{
	uint64_t start = writer->piece * CHECKSUM_PIECE, size = writer->end - start;

	assert(writer->at == writer->end);
	/* A disk begins with it now, not when all is synced; a failure is reported then. */
	if (size >= WRITE_BACK_FROM && !writer->image->writer->writes_back_late)
		sync_file_range(writer->image->fd, (off_t)start, (off_t)size,
				SYNC_FILE_RANGE_WRITE);
	XXH128_canonicalFromHash(&writer->image->sums[writer->piece],
				 XXH3_128bits_digest(writer->state));
}
