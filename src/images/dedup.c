// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Removing from earlier dumps what a later one does not need: pages that it has itself, or that the
 * tree has no longer. They become holes, so that what is left stays where it is.
 *
 * The manifest of an earlier dump says first what is removed (manifest.h), and vouches for what is
 * left, whether the holes are there or not; so at every moment of a crash the later dump can be
 * restored, and the holes are made by another try. From then on the earlier dump is refused where
 * it would need what is gone, and so is another one that was made after it.
 */
#include "images/reading.h"

#include "base/cleanup.h"
#include "base/compare.h"
#include "base/whole.h"
#include "images/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_MANIFEST "manifest-new"

/* The dump itself is that of level 1 (chain_open_all). */
enum { FIRST_EARLIER = 2 };

struct dedup {
	const struct images *images;
	struct arena *arena;
	struct memory_run *needed; /* in earlier dumps: by source and offset */
	size_t n_needed;
	uint64_t pages; /* that are removed now */
};

/* ---- What is needed ---- */

static int compare_runs(const void *a, const void *b)
{
	const struct memory_run *one = a, *other = b;

	return compare_values(one->source, other->source)
		       ?: compare_values(one->offset, other->offset);
}

static void find_needed(struct dedup *dedup)
{
	const struct images *images = dedup->images;

	for (size_t i = 0; i < images->n_pagemaps; i++) {
		const struct pagemap *pagemap = &images->pagemaps[i].pagemap;
		for (size_t k = 0; k < pagemap->n_runs; k++) {
			if (page_level(pagemap->runs[k].source) < FIRST_EARLIER)
				continue;
			dedup->needed = arena_grow(dedup->arena, dedup->needed, dedup->n_needed,
						   sizeof *dedup->needed);
			dedup->needed[dedup->n_needed++] = pagemap->runs[k];
		}
	}
	if (dedup->n_needed)
		qsort(dedup->needed, dedup->n_needed, sizeof *dedup->needed, compare_runs);
}

static void add_range(struct arena *arena, struct manifest_line *line, uint64_t start, uint64_t end)
{
	/* The end of a file that is no whole page is nobody's. */
	end -= end % IMAGE_PAGE_SIZE;
	if (start >= end)
		return;
	line->removed = arena_grow(arena, line->removed, line->n_removed, sizeof *line->removed);
	line->removed[line->n_removed++] = (struct byte_range){ start, end - start };
}

/* Between what is needed of a file. */
static void find_gaps(const struct dedup *dedup, uint64_t source, struct manifest_line *line)
{
	uint64_t at = 0;

	line->removed = NULL;
	line->n_removed = 0;
	for (size_t i = 0; i < dedup->n_needed; i++) {
		const struct memory_run *run = &dedup->needed[i];
		if (run->source != source)
			continue;
		if (run->offset > at)
			add_range(dedup->arena, line, at, run->offset);
		uint64_t end = run->offset + memory_run_bytes(run);
		at = end > at ? end : at;
	}
	add_range(dedup->arena, line, at, line->size);
}

static uint64_t bytes_removed(const struct manifest_line *line)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < line->n_removed; i++)
		bytes += line->removed[i].size;
	return bytes;
}

/* ---- Files ---- */

/* The very file that was checked, for writing; by another name it may be somebody else's. */
static int open_pages(const struct directory *directory, const struct source *source,
		      struct error *err)
{
	struct stat status;
	char path[64];
	autoclose int checked = checksum_open(directory->fd, source->name, &source->stamp, err);

	if (checked < 0)
		return -1;
	if (fstat(checked, &status))
		return fail_errno(err, ERR_IO, "cannot look at %s", source->name);
	if (status.st_nlink > 1) {
		fail(err, ERR_IO, "%s has %ju names, and its pages are not removed", source->name,
		     (uintmax_t)status.st_nlink);
		return fail_hint(err, "copy the earlier dump, so that it is not another one, too");
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", checked);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? fail_errno(err, ERR_IO, "cannot open %s for writing", source->name) : fd;
}

static int punch(int fd, const char *name, uint64_t start, uint64_t size, struct error *err)
{
	while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)start, (off_t)size))
		if (errno != EINTR)
			return fail_errno(err, ERR_IO, "cannot remove pages from %s", name);
	return 0;
}

static int make_holes(const struct directory *directory, const struct source *source,
		      const struct manifest_line *line, struct error *err)
{
	if (!line->n_removed)
		return 0;
	autoclose int fd = open_pages(directory, source, err);
	if (fd < 0)
		return -1;
	for (size_t i = 0; i < line->n_removed; i++)
		if (punch(fd, line->name, line->removed[i].offset, line->removed[i].size, err))
			return -1;
	return 0;
}

/* ---- The manifest ---- */

static int read_manifest(const struct directory *directory, struct arena *arena,
			 struct manifest *manifest, struct error *err)
{
	char *bytes;
	ssize_t size = manifest_read(directory->fd, arena, &bytes, err);

	if (size < 0 && err->name == ERR_NONE) {
		fail(err, ERR_IMAGE_UNSUPPORTED,
		     "no manifest vouches for the earlier dump, which is another tool's");
		return fail_hint(err, "criu dedup removes pages from images of criu");
	}
	if (size < 0 || manifest_parse(manifest, arena, bytes, (size_t)size, err))
		return -1;
	if (!manifest->any_removed)
		manifest->was = checksum_bytes(bytes, (size_t)size);
	return 0;
}

static int sum_anew(const struct directory *directory, struct manifest *manifest, struct error *err)
{
	for (size_t i = 0; i < directory->n_sources; i++) {
		const struct source *source = &directory->sources[i];
		struct manifest_line *line = manifest_find(manifest, source->name);
		if (source->kind != IMAGE_PAGES || !line->n_removed)
			continue;
		struct checksum_file file = { .name = source->name,
					      .removed = line->removed,
					      .n_removed = line->n_removed,
					      .stamp = source->stamp };
		if (checksum_files(directory->fd, &file, 1, err))
			return -1;
		line->sum = file.sum;
	}
	return 0;
}

/* Behind the end of a file, where nothing is: can the file system do it at all? */
static int try_punch(int fd, uint64_t size)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)(size + IMAGE_PAGE_SIZE - size % IMAGE_PAGE_SIZE), IMAGE_PAGE_SIZE);
}

/* In the place of the other one at once, and on the disk before anything is removed. */
static int put_manifest(const struct directory *directory, const struct manifest *manifest,
			struct arena *arena, struct error *err)
{
	struct text text;

	text_init(&text, arena);
	manifest_print(manifest, &text);
	autoclose int fd = foreign_create(directory->fd, NEW_MANIFEST, 0600, "the manifest", err);
	if (fd < 0)
		return -1;
	if (write_whole(fd, (const uint8_t *)text.string, text.length) || fsync(fd) ||
	    try_punch(fd, text.length) ||
	    renameat(directory->fd, NEW_MANIFEST, directory->fd, MANIFEST_NAME) ||
	    fsync(directory->fd)) {
		fail_errno(err, ERR_IO, "cannot remove pages, or tell so in %s", MANIFEST_NAME);
		unlinkat(directory->fd, NEW_MANIFEST, 0);
		return -1;
	}
	return 0;
}

/* ---- One earlier dump ---- */

struct earlier {
	uint32_t level;
	struct manifest manifest; /* with what is to be removed */
	uint64_t bytes;		  /* that are there still, by what it said */
};

static int list_removed(const struct dedup *dedup, struct earlier *earlier, struct error *err)
{
	const struct directory *directory = &dedup->images->directories[earlier->level];

	for (size_t i = 0; i < directory->n_sources; i++) {
		const struct source *source = &directory->sources[i];
		if (source->kind != IMAGE_PAGES)
			continue;
		struct manifest_line *line = manifest_find(&earlier->manifest, source->name);
		if (!line)
			return fail(err, ERR_IMAGE_ALTERED, "%s was changed meanwhile",
				    MANIFEST_NAME);
		uint64_t before = bytes_removed(line);
		find_gaps(dedup, page_source(earlier->level, (uint32_t)source->number), line);
		earlier->bytes += bytes_removed(line) - before;
		autoclose int fd = line->n_removed ? open_pages(directory, source, err) : -1;
		if (line->n_removed && fd < 0)
			return -1;
	}
	return 0;
}

/* One that cannot be done leaves all as they are. */
static int prepare(const struct dedup *dedup, struct earlier *earlier, struct error *err)
{
	const struct directory *directory = &dedup->images->directories[earlier->level];

	if (read_manifest(directory, dedup->arena, &earlier->manifest, err) ||
	    list_removed(dedup, earlier, err))
		return -1;
	if (!earlier->bytes)
		return 0;
	earlier->manifest.any_removed = true;
	return sum_anew(directory, &earlier->manifest, err);
}

static int carry_out(struct dedup *dedup, struct earlier *earlier, struct error *err)
{
	const struct directory *directory = &dedup->images->directories[earlier->level];

	if (earlier->bytes && put_manifest(directory, &earlier->manifest, dedup->arena, err))
		return -1;
	dedup->pages += earlier->bytes / IMAGE_PAGE_SIZE;
	/* Also where that was broken off the last time. */
	for (size_t i = 0; i < directory->n_sources; i++)
		if (directory->sources[i].kind == IMAGE_PAGES &&
		    make_holes(directory, &directory->sources[i],
			       manifest_find(&earlier->manifest, directory->sources[i].name), err))
			return -1;
	return 0;
}

static int dedup_all(struct dedup *dedup, struct error *err)
{
	size_t count = dedup->images->n_directories - FIRST_EARLIER;
	struct earlier *all = arena_array(dedup->arena, struct earlier, count + 1);

	find_needed(dedup);
	for (size_t i = 0; i < count; i++) {
		all[i] = (struct earlier){ .level = (uint32_t)i + FIRST_EARLIER };
		if (prepare(dedup, &all[i], err))
			return fail_while(err, "looking at an earlier dump, %zu back", i + 1);
	}
	for (size_t i = 0; i < count; i++)
		if (carry_out(dedup, &all[i], err))
			return fail_while(err, "removing from an earlier dump, %zu back", i + 1);
	return 0;
}

int images_dedup(int dir_fd, uint64_t *ret_pages, struct error *err)
{
	struct arena arena;
	int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);

	*ret_pages = 0;
	if (fd < 0)
		return fail_errno(err, ERR_IO, "cannot open the images directory");
	arena_init(&arena);
	struct dedup dedup = { .arena = &arena };
	struct images *images = chain_open_all(fd, &arena, err);
	dedup.images = images;
	int result = images ? dedup_all(&dedup, err) : -1;
	*ret_pages = dedup.pages;
	images_free(images);
	arena_done(&arena);
	return result;
}
