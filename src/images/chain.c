// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Dumps that have pages of earlier dumps. The link "parent" leads from one directory to the one
 * before it, as CRIU has it; a run of pages that is there is told by its address alone, and looked
 * up in the pages of the same task. Of an earlier dump only what says where pages are is read, and
 * so is one that holds nothing else (pre-dump).
 *
 * Where nestor wrote the later dump, "parent-sum" holds the checksum of the earlier one's manifest:
 * another dump in that place, made since, is not taken for it.
 */
#include "images/reading.h"

#include "base/cleanup.h"
#include "images/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_DIRECTORIES = 256 };

static const char no_way_back[] = "restore where the earlier dumps are, at the same distance, or "
				  "dump the tree once more without --prev-images-dir";

static bool is_earlier(const struct pagemap *pagemap)
{
	for (size_t i = 0; i < pagemap->n_runs; i++)
		if (pagemap->runs[i].source == PAGES_EARLIER)
			return true;
	return false;
}

/* --- The way back --- */

/* Who gives us images may not have us read those of others by them. */
static int check_owner(int from_fd, int fd, const char *path, struct error *err)
{
	struct stat from, status;

	if (fstat(from_fd, &from) || fstat(fd, &status))
		return fail_errno(err, ERR_IO, "cannot look at %s", path);
	if (from.st_uid == status.st_uid || from.st_uid == 0 || from.st_uid == geteuid())
		return 0;
	return fail(
		err, ERR_FOREIGN_OWNER,
		"the earlier dump in %s belongs to user %u, the one that refers to it to user %u",
		path, status.st_uid, from.st_uid);
}

int chain_open_directory(int from_fd, const char *path, struct error *err)
{
	autoclose int fd = openat(from_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		fail_errno(err, errno == ENOENT || errno == ENOTDIR ? ERR_IMAGE_MISSING : ERR_IO,
			   "cannot open %s, where the earlier dump is", path);
		return fail_hint(err, "%s", no_way_back);
	}
	return check_owner(from_fd, fd, path, err) ? -1 : take_fd(&fd);
}

static int follow_link(int from_fd, struct error *err)
{
	char path[PATH_MAX];
	ssize_t length = readlinkat(from_fd, PARENT_LINK, path, sizeof path - 1);

	if (length < 0) {
		fail_errno(err, errno == ENOENT || errno == EINVAL ? ERR_IMAGE_MISSING : ERR_IO,
			   "pages are in an earlier dump, to which the link \"%s\" should lead",
			   PARENT_LINK);
		return fail_hint(err, "%s", no_way_back);
	}
	path[length] = '\0';
	return chain_open_directory(from_fd, path, err);
}

/* Images without a manifest say nothing of what was there. */
static int check_sum(const struct reading *from, int fd, struct error *err)
{
	char sum[CHECKSUM_TEXT_SIZE], *wanted;

	if (!from->manifest.n_lines)
		return 0;
	ssize_t size = foreign_read(from->dir_fd, PARENT_SUM, CHECKSUM_TEXT_SIZE, from->arena,
				    &wanted, err);
	if (size < 0)
		return err->name == ERR_NONE
			       ? fail(err, ERR_IMAGE_MISSING, "%s is not there", PARENT_SUM)
			       : -1;
	wanted[strcspn(wanted, "\n")] = '\0';
	if (manifest_sum(fd, from->arena, sum, err))
		return -1;
	if (strcmp(sum, wanted) == 0)
		return 0;
	fail(err, ERR_IMAGE_ALTERED, "the earlier dump is not the one whose pages are needed");
	return fail_hint(err, "%s", no_way_back);
}

/* --- Reading --- */

static void set_level(struct pagemap *pagemap, uint32_t level)
{
	for (size_t i = 0; i < pagemap->n_runs; i++)
		if (pagemap->runs[i].source != PAGES_EARLIER)
			pagemap->runs[i].source =
				page_source(level, (uint32_t)pagemap->runs[i].source);
}

/* One earlier dump, whose own earlier pages are still to be found. */
static int read_directory(struct reading *reading, uint32_t level, struct error *err)
{
	bool failed = reading_list(reading, err) || reading_load(reading, err) ||
		      reading_check_large_sums(reading, err);

	free(reading->buffer);
	reading->buffer = NULL;
	for (size_t i = 0; !failed && i < reading->loader.n_pagemaps; i++)
		set_level(&reading->loader.pagemaps[i].pagemap, level);
	return failed ? -1 : 0;
}

static bool any_earlier(const struct reading *reading)
{
	const struct image_loader *loader = &reading->loader;

	for (size_t i = 0; i < loader->n_pagemaps; i++)
		if (is_earlier(&loader->pagemaps[i].pagemap))
			return true;
	return false;
}

/* Is another dump to be read: for its pages, or, with `all`, because there is one? */
static bool goes_on(const struct reading *reading, bool all)
{
	struct stat status;

	return any_earlier(reading) ||
	       (all && fstatat(reading->dir_fd, PARENT_LINK, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISLNK(status.st_mode));
}

static bool needs_earlier(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		if (is_earlier(&snapshot->tasks[i].pages))
			return true;
	for (size_t i = 0; i < snapshot->n_shared_memory; i++)
		if (is_earlier(&snapshot->shared_memory[i]->pages))
			return true;
	return false;
}

/* A link that leads back to a dump that was read would lead there for ever. */
static int check_circle(struct reading *const *readings, size_t n_readings, int fd,
			struct error *err)
{
	struct stat status, earlier;

	if (fstat(fd, &status))
		return fail_errno(err, ERR_IO, "cannot look at an earlier dump");
	for (size_t i = 0; i < n_readings; i++)
		if (readings[i]->dir_fd >= 0 && fstat(readings[i]->dir_fd, &earlier) == 0 &&
		    earlier.st_dev == status.st_dev && earlier.st_ino == status.st_ino)
			return fail(err, ERR_IMAGE_INVALID,
				    "dumps refer to one another in a circle");
	return 0;
}

static void add_directory(struct images *images, const struct reading *reading)
{
	images->directories = arena_grow(reading->arena, images->directories, images->n_directories,
					 sizeof *images->directories);
	struct directory *directory = &images->directories[images->n_directories++];
	*directory = (struct directory){ .fd = reading->dir_fd };
	directory_take(directory, reading);
}

static struct reading *new_reading(struct arena *arena, int fd)
{
	struct reading *reading = arena_new(arena, struct reading);

	*reading = (struct reading){ .dir_fd = fd, .arena = arena };
	reading->loader.pages_only = true;
	reading->loader.snapshot = arena_new(arena, struct snapshot);
	*reading->loader.snapshot = (struct snapshot){ .arena = arena };
	return reading;
}

/* Reads one dump after another, as long as there are pages that one before it has. */
static int read_chain(struct images *images, struct reading **readings, size_t *n_readings,
		      bool all, struct error *err)
{
	struct arena *arena = readings[0]->arena;

	for (;;) {
		struct reading *last = readings[*n_readings - 1];

		if (*n_readings > 1 && !goes_on(last, all))
			return 0;
		if (*n_readings == MOST_DIRECTORIES)
			return fail(err, ERR_IMAGE_INVALID, "%d dumps refer to one another",
				    MOST_DIRECTORIES);
		int fd = follow_link(last->dir_fd, err);
		if (fd < 0)
			return -1;
		struct reading *next = new_reading(arena, fd);
		readings[(*n_readings)++] = next;
		add_directory(images, next);
		if (check_circle(readings, *n_readings - 1, fd, err) || check_sum(last, fd, err) ||
		    read_directory(next, (uint32_t)images->n_directories - 1, err))
			return fail_while(err, "reading an earlier dump");
		directory_take(&images->directories[images->n_directories - 1], next);
	}
}

/* --- Resolving --- */

static const struct pagemap *find_pagemap(const struct pagemap_of *pagemaps, size_t n_pagemaps,
					  enum image_kind kind, uint64_t number)
{
	for (size_t i = 0; i < n_pagemaps; i++)
		if (pagemaps[i].kind == kind && pagemaps[i].number == number)
			return &pagemaps[i].pagemap;
	return NULL;
}

/* The parts of [start, end) as the earlier dump has them; false where it has not all of it. */
static bool add_parts(struct snapshot *snapshot, struct pagemap *pagemap,
		      const struct pagemap *earlier, size_t *next, uint64_t start, uint64_t end)
{
	while (start < end) {
		while (*next < earlier->n_runs && memory_run_end(&earlier->runs[*next]) <= start)
			++*next;
		const struct memory_run *run =
			*next < earlier->n_runs ? &earlier->runs[*next] : NULL;
		if (!run || run->address > start)
			return false;
		uint64_t stop = memory_run_end(run) < end ? memory_run_end(run) : end;
		pagemap_add_run(
			snapshot, pagemap,
			(struct memory_run){ .address = start,
					     .pages = (stop - start) / 4096,
					     .source = run->source,
					     .offset = run->offset + start - run->address });
		start = stop;
	}
	return true;
}

static int resolve(struct snapshot *snapshot, struct pagemap *pagemap,
		   const struct reading *earlier, enum image_kind kind, uint64_t number,
		   struct error *err)
{
	const struct pagemap *pages =
		find_pagemap(earlier->loader.pagemaps, earlier->loader.n_pagemaps, kind, number);
	struct pagemap old = *pagemap;
	size_t next = 0;

	if (!is_earlier(pagemap))
		return 0;
	pagemap->runs = NULL;
	pagemap->n_runs = 0;
	for (size_t i = 0; i < old.n_runs; i++) {
		const struct memory_run *run = &old.runs[i];
		if (run->source != PAGES_EARLIER)
			pagemap_add_run(snapshot, pagemap, *run);
		else if (!pages || !add_parts(snapshot, pagemap, pages, &next, run->address,
					      memory_run_end(run)))
			return fail(err, ERR_IMAGE_INVALID,
				    "pages at 0x%" PRIx64 " of %s %" PRIu64
				    " are not in the earlier dump",
				    run->address, kind == IMAGE_PAGEMAP ? "task" : "shared memory",
				    number);
	}
	return 0;
}

/* From the earliest on, so that what a dump refers to is known. */
static int resolve_chain(struct reading **readings, size_t n_readings, struct error *err)
{
	for (size_t i = n_readings - 1; i-- > 1;) {
		struct image_loader *loader = &readings[i]->loader;
		for (size_t k = 0; k < loader->n_pagemaps; k++) {
			struct pagemap_of *of = &loader->pagemaps[k];
			if (resolve(loader->snapshot, &of->pagemap, readings[i + 1], of->kind,
				    of->number, err))
				return -1;
		}
	}
	return 0;
}

static int resolve_dump(struct snapshot *snapshot, const struct reading *earlier, struct error *err)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		struct task *task = &snapshot->tasks[i];
		if (resolve(snapshot, &task->pages, earlier, IMAGE_PAGEMAP, task->pstree->pid, err))
			return -1;
	}
	for (size_t i = 0; i < snapshot->n_shared_memory; i++) {
		struct shared_memory *memory = snapshot->shared_memory[i];
		if (resolve(snapshot, &memory->pages, earlier, IMAGE_PAGEMAP_SHMEM, memory->shmid,
			    err))
			return -1;
	}
	return 0;
}

int chain_open(struct images *images, struct reading *reading, struct error *err)
{
	struct reading *readings[MOST_DIRECTORIES] = { reading };
	size_t n_readings = 1;

	add_directory(images, reading);
	if (!needs_earlier(reading->loader.snapshot))
		return 0;
	if (read_chain(images, readings, &n_readings, false, err) ||
	    resolve_chain(readings, n_readings, err) ||
	    resolve_dump(reading->loader.snapshot, readings[1], err))
		return -1;
	return 0;
}

void chain_close(struct images *images)
{
	for (size_t i = 1; i < images->n_directories; i++)
		close(images->directories[i].fd);
}

/* --- For a dump after it --- */

/* What is there no longer is there for nobody. */
static void leave_out_removed(struct images *images, struct snapshot *snapshot)
{
	for (size_t i = 0; i < images->n_pagemaps; i++) {
		struct pagemap *pagemap = &images->pagemaps[i].pagemap;
		struct pagemap all = *pagemap;

		pagemap->runs = NULL;
		pagemap->n_runs = 0;
		for (size_t k = 0; k < all.n_runs; k++) {
			struct memory_run rest = all.runs[k], piece;
			while (directory_take_piece(&images->directories[page_level(rest.source)],
						    &rest, &piece))
				pagemap_add_run(snapshot, pagemap, piece);
		}
	}
}

/* Pages of every dump of the chain are at level 1 and further back for the next dump. */
static struct images *open_earlier(int fd, bool all, struct arena *arena, struct error *err)
{
	struct reading *readings[MOST_DIRECTORIES] = { NULL };
	autofree struct images *images = calloc(1, sizeof *images);
	size_t n_readings = 2;

	if (!images) {
		fail_errno(err, ERR_IO, "cannot start reading images");
		close(fd);
		return NULL;
	}
	/* Its place is that of the dump that is to come. */
	readings[0] = new_reading(arena, -1);
	add_directory(images, readings[0]);
	readings[1] = new_reading(arena, fd);
	add_directory(images, readings[1]);
	bool failed = read_directory(readings[1], 1, err);
	directory_take(&images->directories[1], readings[1]);
	if (!failed && goes_on(readings[1], all))
		failed = read_chain(images, readings, &n_readings, all, err) ||
			 resolve_chain(readings, n_readings, err);
	if (failed) {
		images_free(take_ptr(images));
		return NULL;
	}
	images->pagemaps = readings[1]->loader.pagemaps;
	images->n_pagemaps = readings[1]->loader.n_pagemaps;
	leave_out_removed(images, readings[1]->loader.snapshot);
	return take_ptr(images);
}

struct images *chain_open_earlier(int fd, struct arena *arena, struct error *err)
{
	return open_earlier(fd, false, arena, err);
}

struct images *chain_open_all(int fd, struct arena *arena, struct error *err)
{
	return open_earlier(fd, true, arena, err);
}

const struct pagemap *chain_task_pages(const struct images *images, uint32_t pid)
{
	return find_pagemap(images->pagemaps, images->n_pagemaps, IMAGE_PAGEMAP, pid);
}
