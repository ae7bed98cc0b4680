// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From files to a snapshot; see images.h.
 *
 * Files are taken in the order of the kinds in format.h, each read once: checked against the
 * manifest, then parsed from the same bytes. What may be large, page content and unlinked files,
 * is summed without being kept. A directory of another tool has no manifest: there the files that
 * the table knows are read, and others, which say nothing that is restored yet, are left.
 */
#include "images/reading.h"

#include "base/cleanup.h"
#include "base/compare.h"
#include "base/listing.h"
#include "base/log.h"
#include "images/directory.h"
#include "images/others.h"
#include "images/pagemap.h"
#include "images/users.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	/* All but raw pages is read whole; no honest dump comes near this. */
	MAX_IMAGE_SIZE = 1024 * 1024 * 1024,
};

static const char dump_again[] = "dump the tree once more, or restore from another copy";

static int missing(const char *name, struct error *err)
{
	fail(err, ERR_IMAGE_MISSING, "%s is not there", name);
	return fail_hint(err, "%s", dump_again);
}

static int open_image(int dir_fd, const char *name, struct stat *ret_status, struct error *err)
{
	int fd = foreign_open(dir_fd, name, ret_status, err);

	return fd < 0 && err->name == ERR_NONE ? missing(name, err) : fd;
}

static void make_room(struct reading *reading, size_t room)
{
	if (room <= reading->room)
		return;
	room = room < 2 * reading->room ? 2 * reading->room : room;
	uint8_t *larger = realloc(reading->buffer, room);
	if (!larger)
		out_of_memory();
	reading->buffer = larger;
	reading->room = room;
}

static int altered(struct error *err, const char *name)
{
	fail(err, ERR_IMAGE_ALTERED, "%s does not hold what the dump wrote", name);
	return fail_hint(err, "%s", dump_again);
}

static int check_size(const struct manifest_line *line, uint64_t size, struct error *err)
{
	if (size > line->size)
		return altered(err, line->name);
	if (size < line->size) {
		fail(err, ERR_IMAGE_TRUNCATED, "%s has %" PRIu64 " of %" PRIu64 " bytes",
		     line->name, size, line->size);
		return fail_hint(err, "%s", dump_again);
	}
	return 0;
}

bool image_is_too_large(off_t size)
{
	return size > MAX_IMAGE_SIZE;
}

/* The whole file into the buffer, which has room for more. */
static int read_whole(struct reading *reading, const struct source *source, size_t *ret_size,
		      struct error *err)
{
	struct stat status;
	autoclose int fd = open_image(reading->dir_fd, source->name, &status, err);
	size_t size = 0;

	if (fd < 0 || (source->line && check_size(source->line, (uint64_t)status.st_size, err)))
		return -1;
	if (image_is_too_large(status.st_size))
		return fail(err, ERR_IMAGE_INVALID, "%s is too large", source->name);
	make_room(reading, (size_t)status.st_size + 1);
	for (;;) {
		ssize_t got = read(fd, reading->buffer + size, reading->room - size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno(err, ERR_IO, "cannot read %s", source->name);
		size += (size_t)got;
		if (size > (size_t)status.st_size)
			return fail(err, ERR_IMAGE_ALTERED, "%s grew while it was read",
				    source->name);
		if (got == 0 || size == (size_t)status.st_size)
			break;
	}
	*ret_size = size;
	return 0;
}

static int read_image(struct reading *reading, const struct source *source, struct error *err)
{
	size_t size = 0;

	if (read_whole(reading, source, &size, err))
		return -1;
	if (source->line) {
		if (check_size(source->line, size, err))
			return -1;
		if (!XXH128_isEqual(source->line->sum, checksum_bytes(reading->buffer, size)))
			return altered(err, source->name);
	}
	return image_load(&reading->loader, source->name, reading->buffer, size, err);
}

/* Mapped, since of what follows the record only the headers of chunks are looked at. */
static int parse_mapped(struct reading *reading, const struct source *source, struct error *err)
{
	size_t size = source->stamp.size;
	autoclose int fd = checksum_open(reading->dir_fd, source->name, &source->stamp, err);

	if (fd < 0)
		return -1;
	if (size == 0)
		return image_load(&reading->loader, source->name, NULL, 0, err);
	void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return fail_errno(err, ERR_IO, "cannot map %s", source->name);
	int result = image_load(&reading->loader, source->name, bytes, size, err);
	munmap(bytes, size);
	return result;
}

/* Only the size for now: all large images are summed together, on two threads. */
static int note_large(struct reading *reading, struct source *source, struct error *err)
{
	struct stat status;

	if (foreign_look(reading->dir_fd, source->name, &status, err))
		return err->name == ERR_NONE ? missing(source->name, err) : -1;
	source->stamp = file_stamp_of(&status);
	if (source->line && check_size(source->line, source->stamp.size, err))
		return -1;
	reading->large[reading->n_large] =
		(struct checksum_file){ .name = source->name,
					.removed = source->line ? source->line->removed : NULL,
					.n_removed = source->line ? source->line->n_removed : 0,
					.stamp = source->stamp };
	reading->large_sources[reading->n_large++] = source;
	bool has_record = source->kind != IMAGE_KINDS && image_format(source->kind)->magic;
	return has_record ? parse_mapped(reading, source, err) : 0;
}

int reading_check_large_sums(struct reading *reading, struct error *err)
{
	if (!reading->manifest.n_lines || !reading->n_large)
		return 0;
	if (checksum_files(reading->dir_fd, reading->large, reading->n_large, err))
		return -1;
	for (size_t i = 0; i < reading->n_large; i++)
		if (!XXH128_isEqual(reading->large_sources[i]->line->sum, reading->large[i].sum))
			return altered(err, reading->large[i].name);
	return 0;
}

/* Of a dump that another one takes pages from. */
static bool is_wanted(const struct reading *reading, const struct source *source)
{
	return !reading->loader.pages_only || source->kind == IMAGE_INVENTORY ||
	       source->kind == IMAGE_PAGEMAP || source->kind == IMAGE_PAGEMAP_SHMEM ||
	       source->kind == IMAGE_PAGES;
}

static bool is_large(const struct source *source)
{
	return source->kind == IMAGE_KINDS || image_format(source->kind)->rest;
}

static int compare_sources(const void *a, const void *b)
{
	const struct source *one = a, *other = b;

	return compare_values(one->kind, other->kind) ?: compare_values(one->number, other->number);
}

static void add_source(struct reading *reading, const char *name, const struct manifest_line *line)
{
	struct source source = { .line = line, .name = name };

	if (!image_recognise(name, &source.kind, &source.number)) {
		if (!line)
			return;
		source.kind = IMAGE_KINDS;
	}
	reading->sources = arena_grow(reading->arena, reading->sources, reading->n_sources,
				      sizeof *reading->sources);
	reading->sources[reading->n_sources++] = source;
}

/* Everything that another tool left and that the table knows. */
static int list_directory(struct reading *reading, struct error *err)
{
	autoclosedir DIR *folder = listing_open(reading->dir_fd, ".");
	const char *name;

	while (listing_next(folder, &name))
		add_source(reading, arena_string(reading->arena, name), NULL);
	return errno ? fail_errno(err, ERR_IO, "cannot list the images directory") : 0;
}

static int list_manifest(struct reading *reading, const char *bytes, size_t size, struct error *err)
{
	if (manifest_parse(&reading->manifest, reading->arena, bytes, size, err))
		return err->hint[0] ? -1 : fail_hint(err, "%s", dump_again);
	for (size_t i = 0; i < reading->manifest.n_lines; i++)
		add_source(reading, reading->manifest.lines[i].name, &reading->manifest.lines[i]);
	return 0;
}

static int incomplete(int dir_fd, const char *what, struct error *err)
{
	fail(err, ERR_IMAGES_INCOMPLETE, "the directory holds no complete dump: %s", what);
	if (faccessat(dir_fd, STAGING_NAME, F_OK, 0) == 0)
		return fail_hint(err, "a dump into it was interrupted; dump the tree once more");
	return fail_hint(err, "name the directory of a finished dump with -D, or dump once more");
}

int reading_list(struct reading *reading, struct error *err)
{
	char *bytes;
	ssize_t size = manifest_read(reading->dir_fd, reading->arena, &bytes, err);

	if (size >= 0) {
		if (list_manifest(reading, bytes, (size_t)size, err))
			return -1;
	} else if (err->name != ERR_NONE) {
		return -1;
	} else if (faccessat(reading->dir_fd, "inventory.img", F_OK, 0)) {
		return incomplete(reading->dir_fd, "there is no inventory.img", err);
	} else if (list_directory(reading, err)) {
		return -1;
	}
	qsort(reading->sources, reading->n_sources, sizeof *reading->sources, compare_sources);
	return 0;
}

static int check_inventory(const struct reading *reading, struct error *err)
{
	const InventoryEntry *inventory = reading->loader.snapshot->inventory;

	if (!inventory)
		return incomplete(reading->dir_fd, "there is no inventory.img", err);
	if (!reading->manifest.n_lines && inventory->nestor_version)
		return incomplete(reading->dir_fd, "there is no manifest", err);
	if (!inventory->has_fdinfo_per_id || !inventory->fdinfo_per_id)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "inventory.img: images with descriptors listed by pid cannot be read");
	return 0;
}

int reading_load(struct reading *reading, struct error *err)
{
	reading->large = arena_array(reading->arena, struct checksum_file, reading->n_sources + 1);
	reading->large_sources =
		arena_array(reading->arena, const struct source *, reading->n_sources + 1);
	for (size_t i = 0; i < reading->n_sources; i++) {
		struct source *source = &reading->sources[i];
		if (source->kind > IMAGE_INVENTORY && !reading->loader.snapshot->inventory)
			break;
		if (!is_wanted(reading, source))
			continue;
		if (is_large(source) ? note_large(reading, source, err)
				     : read_image(reading, source, err))
			return -1;
		if (source->kind == IMAGE_INVENTORY && check_inventory(reading, err))
			return -1;
	}
	return check_inventory(reading, err);
}

static int missing_image(enum image_kind kind, uint64_t number, struct error *err)
{
	char name[IMAGE_NAME_SIZE];

	return missing(image_name(name, kind, number), err);
}

static int check_task_images(const struct task *task, struct error *err)
{
	uint32_t pid = task->pstree->pid;

	if (!task->core)
		return missing_image(IMAGE_CORE, pid, err);
	if (task_is_zombie(task))
		return 0;
	for (size_t i = 0; i < task->n_threads; i++)
		if (!task->threads[i])
			return missing_image(IMAGE_CORE, task->pstree->threads[i], err);
	if (!task->ids && !task->core->ids)
		return missing_image(IMAGE_IDS, pid, err);
	if (!task->mm)
		return missing_image(IMAGE_MM, pid, err);
	if (!task->fs)
		return missing_image(IMAGE_FS, pid, err);
	uint32_t files_id = task->ids ? task->ids->files_id : task->core->ids->files_id;
	return files_id ? 0
			: fail(err, ERR_IMAGE_INVALID, "ids of task %" PRIu32 ": 0 is no id", pid);
}

/*
 * A copy that was broken off may have its full size. Where a manifest vouches for the content that
 * would show; without one, holes are as good as zeros, which a copying tool may have made of zeros.
 */
static void tell_of_holes(const struct reading *reading, const struct source *source)
{
	struct error unused = { 0 };
	autoclose int fd = checksum_open(reading->dir_fd, source->name, &source->stamp, &unused);
	off_t hole = fd < 0 ? -1 : lseek(fd, 0, SEEK_HOLE);

	if (hole >= 0 && (uint64_t)hole < source->stamp.size)
		log_warning("images", source->name,
			    "it has holes, the first at %" PRIu64
			    ", and no manifest vouches for it: taking them for zeros",
			    (uint64_t)hole);
}

const struct source *directory_find(const struct directory *directory, enum image_kind kind,
				    uint64_t number)
{
	struct source wanted = { .kind = kind, .number = number };

	return bsearch(&wanted, directory->sources, directory->n_sources, sizeof wanted,
		       compare_sources);
}

int directory_check_pages(const struct directory *directory, const struct memory_run *run,
			  uint64_t needed, const char *whose, uint64_t number, struct error *err)
{
	const struct source *source = directory_find(directory, IMAGE_PAGES, (uint32_t)run->source);

	if (!source)
		return missing_image(IMAGE_PAGES, (uint32_t)run->source, err);
	if (source->stamp.size >= needed)
		return 0;
	fail(err, ERR_IMAGE_TRUNCATED, "%s has %" PRIu64 " of the %" PRIu64 " bytes of %s %" PRIu64,
	     source->name, source->stamp.size, needed, whose, number);
	return fail_hint(err, "%s", dump_again);
}

void directory_take(struct directory *directory, const struct reading *reading)
{
	directory->sources = reading->sources;
	directory->n_sources = reading->n_sources;
	directory->any_removed = reading->manifest.any_removed;
}

static void advance(struct memory_run *run, uint64_t bytes)
{
	run->address += bytes;
	run->offset += bytes;
	run->pages -= bytes / IMAGE_PAGE_SIZE;
}

/* The first range that ends behind where the run begins. */
static size_t first_removed(const struct manifest_line *line, const struct memory_run *run)
{
	size_t low = 0, high = line->n_removed;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct byte_range *range = &line->removed[middle];
		if (range->offset + range->size <= run->offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool directory_take_piece(const struct directory *directory, struct memory_run *rest,
			  struct memory_run *ret_piece)
{
	const struct source *source =
		directory->any_removed
			? directory_find(directory, IMAGE_PAGES, (uint32_t)rest->source)
			: NULL;
	const struct manifest_line none = { 0 },
				   *line = source && source->line ? source->line : &none;
	uint64_t end = rest->offset + memory_run_bytes(rest), stop = end;

	for (size_t i = first_removed(line, rest); i < line->n_removed && rest->pages; i++) {
		const struct byte_range *range = &line->removed[i];
		uint64_t range_end = range->offset + range->size;

		if (range->offset > rest->offset) {
			stop = range->offset < end ? range->offset : end;
			break;
		}
		advance(rest, (range_end < end ? range_end : end) - rest->offset);
	}
	if (!rest->pages)
		return false;
	*ret_piece = *rest;
	ret_piece->pages = (stop - rest->offset) / IMAGE_PAGE_SIZE;
	advance(rest, stop - rest->offset);
	return true;
}

static int check_removed(const struct images *images, const struct memory_run *run,
			 const char *whose, uint64_t number, struct error *err)
{
	const struct directory *directory = &images->directories[page_level(run->source)];
	struct memory_run rest = *run, piece;

	if (directory_take_piece(directory, &rest, &piece) && piece.pages == run->pages)
		return 0;
	fail(err, ERR_IMAGE_MISSING,
	     "pages of %s %" PRIu64 " were removed, as a later dump has them", whose, number);
	return fail_hint(err, "restore the later dump, for which that was done (dedup)");
}

static int check_pages(const struct images *images, const struct pagemap *pagemap,
		       const char *whose, uint64_t number, struct error *err)
{
	struct memory_run own = { .source = page_source(0, pagemap->pages_id) };

	if (pagemap->own_size && directory_check_pages(&images->directories[0], &own,
						       pagemap->own_size, whose, number, err))
		return -1;
	for (size_t i = 0; i < pagemap->n_runs; i++) {
		const struct memory_run *run = &pagemap->runs[i];
		if (check_removed(images, run, whose, number, err))
			return -1;
		if (run->source != own.source &&
		    directory_check_pages(&images->directories[page_level(run->source)], run,
					  run->offset + memory_run_bytes(run), whose, number, err))
			return -1;
	}
	return 0;
}

/* Of all pages files that nothing vouches for. */
static void tell_of_all_holes(const struct reading *reading)
{
	for (size_t i = 0; i < reading->n_sources; i++)
		if (reading->sources[i].kind == IMAGE_PAGES && !reading->sources[i].line)
			tell_of_holes(reading, &reading->sources[i]);
}

static int compare_files(const void *a, const void *b)
{
	const FileEntry *const *one = a, *const *other = b;

	return compare_values((*one)->id, (*other)->id);
}

/* Files in order of their ids, as look-ups like them, and each id once. */
static int sort_files(struct snapshot *snapshot, struct error *err)
{
	if (snapshot->n_files)
		qsort(snapshot->files, snapshot->n_files, sizeof *snapshot->files, compare_files);
	for (size_t i = 1; i < snapshot->n_files; i++)
		if (snapshot->files[i]->id == snapshot->files[i - 1]->id)
			return fail(err, ERR_IMAGE_INVALID,
				    "files.img: file %" PRIu32 " is there twice",
				    snapshot->files[i]->id);
	return 0;
}

/* What no single file can show: that all of them are there, and that they fit each other. */
static int check_together(const struct images *images, struct reading *reading, struct error *err)
{
	struct snapshot *snapshot = reading->loader.snapshot;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		if (check_task_images(task, err) ||
		    check_pages(images, &task->pages, "task", task->pstree->pid, err))
			return -1;
	}
	for (size_t i = 0; i < snapshot->n_shared_memory; i++)
		if (check_pages(images, &snapshot->shared_memory[i]->pages, "shared memory",
				snapshot->shared_memory[i]->shmid, err))
			return -1;
	tell_of_all_holes(reading);
	if (sort_files(snapshot, err) || reading_check_large_sums(reading, err))
		return -1;
	if (!snapshot->inventory->nestor_version) {
		image_resolve_memfds(snapshot);
		others_adopt(snapshot);
	}
	if (snapshot_index(snapshot, err))
		return -1;
	return reading->loader.users_inside ? users_adopt(snapshot, err) : 0;
}

struct images *images_open(int dir_fd, struct arena *arena, struct snapshot *ret_snapshot,
			   struct error *err)
{
	struct snapshot snapshot = { .arena = arena };
	struct reading reading = { .dir_fd = dir_fd,
				   .arena = arena,
				   .loader = { .snapshot = &snapshot } };
	autofree struct images *images = calloc(1, sizeof *images);

	if (!images) {
		fail_errno(err, ERR_IO, "cannot start reading images");
		return NULL;
	}
	bool failed = reading_list(&reading, err) || reading_load(&reading, err) ||
		      chain_open(images, &reading, err) || check_together(images, &reading, err);
	free(reading.buffer);
	if (failed) {
		images_free(take_ptr(images));
		return NULL;
	}
	images->by_nestor = snapshot.inventory->nestor_version != NULL;
	*ret_snapshot = snapshot;
	return take_ptr(images);
}

void images_free(struct images *images)
{
	if (!images)
		return;
	chain_close(images);
	free(images);
}

bool images_written_by_nestor(const struct images *images)
{
	return images->by_nestor;
}

/* The file that was checked, or none. */
static int open_checked(const struct directory *directory, enum image_kind kind, uint64_t number,
			struct error *err)
{
	const struct source *source = directory_find(directory, kind, number);

	return source ? checksum_open(directory->fd, source->name, &source->stamp, err)
		      : missing_image(kind, number, err);
}

int images_open_pages(const struct images *images, uint64_t source, struct error *err)
{
	return open_checked(&images->directories[page_level(source)], IMAGE_PAGES, (uint32_t)source,
			    err);
}

int images_open_content(const struct images *images, enum image_kind kind, uint64_t number,
			struct error *err)
{
	return open_checked(&images->directories[0], kind, number, err);
}

const CpuinfoEntry *images_read_processor(int dir_fd, struct arena *arena, struct error *err)
{
	enum { MOST_BYTES = 64 * 1024 };
	struct snapshot snapshot = { .arena = arena };
	char name[IMAGE_NAME_SIZE], *bytes;
	ssize_t size = foreign_read(dir_fd, image_name(name, IMAGE_CPUINFO, 0), MOST_BYTES, arena,
				    &bytes, err);

	if (size < 0) {
		if (err->name == ERR_NONE)
			missing(name, err);
		return NULL;
	}
	if (image_parse(&snapshot, name, (const uint8_t *)bytes, (size_t)size, err))
		return NULL;
	const struct record *record = snapshot_record(&snapshot, IMAGE_CPUINFO, 0);
	if (!record)
		fail(err, ERR_IMAGE_TRUNCATED, "%s holds no record", name);
	return record ? record->message : NULL;
}
