/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory of images: the only place that opens image files.
 *
 * Writing: everything goes to a staging folder inside the directory; images_commit syncs, moves
 * the files up and writes the manifest (name, size and xxh3-128 of every file) last. A dump that
 * is given up leaves the directory as it was.
 *
 * Reading: images_open verifies the manifest (sizes always, checksums of everything), or, for a
 * directory written by another tool (no manifest, no nestor_version in the inventory), only the
 * framing. Then every record is unpacked into the snapshot and indexed.
 */
#ifndef NESTOR_IMAGES_IMAGES_H
#define NESTOR_IMAGES_IMAGES_H

#include "base/error.h"
#include "model/snapshot.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct images_writer;
struct images;

/* dir_fd is borrowed. */
struct images_writer *images_writer_new(int dir_fd, struct error *err);
/*
 * Large images are begun to be written back while others are copied, so that all is done earlier;
 * but that waits wherever the queue of the disk is full: not to be done while a tree stands still
 * that is to go on.
 */
void images_write_back_late(struct images_writer *writer);
/* Removes the staging folder unless committed. NULL is fine. */
void images_writer_free(struct images_writer *writer);

/*
 * A raw image (pages-<id>.img, or the content after a record) open for writing in the staging
 * folder; the descriptor is the caller's.
 */
int images_create_raw(struct images_writer *writer, enum image_kind kind, uint64_t number,
		      struct error *err);

/* One that is not wanted after all, whose descriptor is closed, is no part of the dump. */
void images_drop_raw(struct images_writer *writer, enum image_kind kind, uint64_t number);

/*
 * A raw image of known size that is summed from the buffers it is written from; the commit reads
 * through the others. It consists of pieces, each of which is written from its start to its end
 * by one thread. These functions may be called by several threads at a time, each with a
 * piece_writer of its own.
 */
struct summed_image;
struct piece_writer;

struct summed_image *images_create_summed(struct images_writer *writer, enum image_kind kind,
					  uint64_t number, uint64_t size, struct error *err);
size_t summed_image_pieces(const struct summed_image *image);
/* Once all pieces are written, by whoever ended the last one. */
void summed_image_finish(struct summed_image *image);

struct piece_writer *piece_writer_new(void);
void piece_writer_free(struct piece_writer *writer);
/* Tells which bytes of the image the piece is. */
void piece_begin(struct piece_writer *writer, struct summed_image *image, size_t piece,
		 uint64_t *ret_from, uint64_t *ret_to);
int piece_write(struct piece_writer *writer, const void *bytes, size_t size, struct error *err);
void piece_end(struct piece_writer *writer);

/*
 * Before the tree is stopped: files that have their room already. A summed image takes the one that
 * is nearest in size. What cannot be reserved is no error; what is left over goes with
 * images_unreserve, or where room is missing. Only images_unreserve may be called by any thread.
 */
struct reserved_image;

/* How much may be: 0 where it does not pay. */
uint64_t images_room(const struct images_writer *writer);
struct reserved_image *images_reserve(struct images_writer *writer); /* NULL: it cannot be made */
bool images_reserve_more(struct reserved_image *image, uint64_t size);
/* Has there ever been any? */
bool images_unreserve(struct images_writer *writer);

/*
 * Starts an image whose row says that content comes after the record: framing and record; returns
 * a descriptor to append the content.
 */
int images_create_content(struct images_writer *writer, enum image_kind kind, uint64_t number,
			  const void *message, struct error *err);

/*
 * Packs every record of the snapshot into its files. May be begun before, after which nobody
 * changes the snapshot: of a large one much is there by the time that it is asked for.
 */
void images_begin_snapshot(struct images_writer *writer, const struct snapshot *snapshot);
int images_write_snapshot(struct images_writer *writer, const struct snapshot *snapshot,
			  struct error *err);
/* The pages of its tasks alone, for a later dump. */
int images_write_pages(struct images_writer *writer, const struct snapshot *snapshot,
		       struct error *err);
/* stats-dump goes to its own place (the work directory); not part of the manifest. */
int images_write_stats(int dir_fd, const char *name, const StatsEntry *stats, struct error *err);
/*
 * Removes from the dumps before the one in the directory, a dump or a pre-dump, all pages that it
 * does not need of them; they can be restored no longer, but for it. Tells how many.
 */
int images_dedup(int dir_fd, uint64_t *ret_pages, struct error *err);

/* cpuinfo.img, by itself: it needs no dump around it. ERR_IMAGE_MISSING where there is none. */
int images_write_processor(int dir_fd, const CpuinfoEntry *processor, struct error *err);
const CpuinfoEntry *images_read_processor(int dir_fd, struct arena *arena, struct error *err);
/* The dump has pages that are in an earlier one alone, which is there as seen from it. */
int images_refer_to(struct images_writer *writer, const char *path, int parent_fd,
		    struct error *err);
int images_commit(struct images_writer *writer, struct error *err);
/* The dump was given up after it was committed: removes what it has written. */
void images_take_back(struct images_writer *writer);

/* dir_fd is borrowed and must stay open. The snapshot is filled and indexed, in `arena`. */
struct images *images_open(int dir_fd, struct arena *arena, struct snapshot *ret_snapshot,
			   struct error *err);
void images_free(struct images *images);

bool images_written_by_nestor(const struct images *images);
/* A fresh descriptor of a pages file (page_source), for reading. */
int images_open_pages(const struct images *images, uint64_t source, struct error *err);
/* The same of an image with content after its record, which begins at record->content. */
int images_open_content(const struct images *images, enum image_kind kind, uint64_t number,
			struct error *err);
/*
 * The whole of an image of another tool that is no list of records, with a zero behind it: how many
 * bytes that is; 0 and NULL if it is not there; -1: it cannot be read, or has more than `most`.
 */
ssize_t images_read_content(const struct images *images, enum image_kind kind, uint64_t number,
			    size_t most, struct arena *arena, char **ret_bytes, struct error *err);

#endif
