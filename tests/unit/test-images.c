// SPDX-License-Identifier: LGPL-2.1-or-later
/* The directory of images: what was written is read again, and what was damaged is refused. */
#include "images/images.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/procfs.h"
#include "images/checksum.h"
#include "images/format.h"
#include "images/manifest.h"
#include "images/parse.h"
#include "images/users.h"
#include "model/namespaces.h"
#include "sample-snapshot.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

/* A directory of its own for each test, and an arena. */
struct fixture {
	struct arena arena;
	char path[64];
	int dir_fd;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	arena_init(&fixture->arena);
	strcpy(fixture->path, "/tmp/nestor-images-XXXXXX");
	assert_non_null(mkdtemp(fixture->path));
	fixture->dir_fd = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fixture->dir_fd >= 0);
	*state = fixture;
	return 0;
}

static void empty_directory(int dir_fd)
{
	DIR *folder = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	assert_non_null(folder);
	for (const struct dirent *entry; (entry = readdir(folder));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    unlinkat(dir_fd, entry->d_name, 0))
			assert_return_code(unlinkat(dir_fd, entry->d_name, AT_REMOVEDIR), errno);
	closedir(folder);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	empty_directory(fixture->dir_fd);
	close(fixture->dir_fd);
	rmdir(fixture->path);
	arena_done(&fixture->arena);
	free(fixture);
	return 0;
}

static void must(int result, const struct error *err)
{
	if (result)
		fail_msg("%s", err->text);
}

static void write_sample(struct fixture *fixture)
{
	struct error err = { 0 };
	struct snapshot snapshot;

	sample_snapshot(&snapshot, &fixture->arena);
	struct images_writer *writer = images_writer_new(fixture->dir_fd, &err);
	if (!writer)
		fail_msg("%s", err.text);
	must(sample_write(writer, &snapshot, &err), &err);
	must(images_commit(writer, &err), &err);
	images_writer_free(writer);
}

static enum error_name open_error(const struct fixture *fixture, struct error *ret_err)
{
	struct arena arena;
	struct snapshot snapshot;

	*ret_err = (struct error){ 0 };
	arena_init(&arena);
	struct images *images = images_open(fixture->dir_fd, &arena, &snapshot, ret_err);
	images_free(images);
	arena_done(&arena);
	assert_true((images == NULL) == (ret_err->name != ERR_NONE));
	return ret_err->name;
}

/* Refused by this name, and the text says which file. */
static void expect_error(const struct fixture *fixture, enum error_name name, const char *about)
{
	struct error err;

	if (open_error(fixture, &err) != name)
		fail_msg("%s instead of %s: %s", error_name(err.name), error_name(name), err.text);
	if (!strstr(err.text, about))
		fail_msg("\"%s\" does not tell of %s", err.text, about);
}

static void expect_hint(const struct fixture *fixture)
{
	struct error err;

	assert_int_not_equal(open_error(fixture, &err), ERR_NONE);
	assert_true(err.hint[0]);
}

static char *read_file(struct fixture *fixture, const char *name, size_t *ret_size)
{
	char *bytes;
	ssize_t size = procfs_read(&fixture->arena, fixture->dir_fd, name, &bytes);

	assert_true(size >= 0);
	*ret_size = (size_t)size;
	return bytes;
}

static void write_file(const struct fixture *fixture, const char *name, const void *bytes,
		       size_t size)
{
	autoclose int fd =
		openat(fixture->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
}

static bool exists(const struct fixture *fixture, const char *name)
{
	return faccessat(fixture->dir_fd, name, F_OK, 0) == 0;
}

static void check_same_message(const void *one, const void *other)
{
	const ProtobufCMessage *messages[] = { one, other };
	size_t sizes[2];
	uint8_t *packed[2];

	for (int i = 0; i < 2; i++) {
		sizes[i] = protobuf_c_message_get_packed_size(messages[i]);
		packed[i] = calloc(1, sizes[i] + 1);
		protobuf_c_message_pack(messages[i], packed[i]);
	}
	assert_int_equal(sizes[0], sizes[1]);
	assert_memory_equal(packed[0], packed[1], sizes[0]);
	free(packed[0]);
	free(packed[1]);
}

static void check_same_pagemap(const struct pagemap *one, const struct pagemap *other)
{
	assert_int_equal(one->present, other->present);
	assert_int_equal(one->pages_id, other->pages_id);
	assert_int_equal(one->n_runs, other->n_runs);
	for (size_t i = 0; i < one->n_runs; i++)
		assert_memory_equal(&one->runs[i], &other->runs[i], sizeof one->runs[i]);
}

static void check_same_task(const struct task *one, const struct task *other)
{
	check_same_message(one->pstree, other->pstree);
	check_same_message(one->core, other->core);
	assert_int_equal(one->n_threads, other->n_threads);
	for (size_t i = 0; i < one->n_threads; i++)
		check_same_message(one->threads[i], other->threads[i]);
	assert_int_equal(one->mm == NULL, other->mm == NULL);
	check_same_pagemap(&one->pages, &other->pages);
	if (!one->mm)
		return;
	check_same_message(one->mm, other->mm);
	check_same_message(one->fs, other->fs);
	check_same_message(one->ids, other->ids);
	assert_non_null(other->table);
}

static void check_same_records(const struct records *one, const struct records *other)
{
	assert_int_equal(one->count, other->count);
	for (size_t i = 0; i < one->count; i++) {
		const struct record *a = one->records[i], *b = other->records[i];
		assert_int_equal(a->key, b->key);
		check_same_message(a->message, b->message);
		assert_int_equal(a->payload_size, b->payload_size);
		if (a->payload_size)
			assert_memory_equal(a->payload, b->payload, a->payload_size);
	}
}

static void check_same_snapshot(const struct snapshot *one, const struct snapshot *other)
{
	assert_int_equal(one->n_tasks, other->n_tasks);
	for (size_t i = 0; i < one->n_tasks; i++)
		check_same_task(&one->tasks[i], &other->tasks[i]);
	assert_int_equal(one->n_files, other->n_files);
	for (size_t i = 0; i < one->n_files; i++)
		check_same_message(one->files[i], other->files[i]);
	assert_int_equal(one->n_tables, other->n_tables);
	assert_int_equal(one->tables[0]->n_descriptors, other->tables[0]->n_descriptors);
	for (enum image_kind kind = 0; kind < IMAGE_KINDS; kind++)
		check_same_records(snapshot_records(one, kind), snapshot_records(other, kind));
	assert_int_equal(one->n_namespaces, other->n_namespaces);
	for (size_t i = 0; i < one->n_namespaces; i++)
		check_same_message(one->namespaces[i], other->namespaces[i]);
	check_same_pagemap(&one->shared_memory[0]->pages, &other->shared_memory[0]->pages);
}

static void test_round_trip(void **state)
{
	struct fixture *fixture = *state;
	struct snapshot written, read;
	struct error err = { 0 };
	char content[64] = "";

	write_sample(fixture);
	sample_snapshot(&written, &fixture->arena);
	struct images *images = images_open(fixture->dir_fd, &fixture->arena, &read, &err);
	if (!images)
		fail_msg("%s", err.text);
	check_same_snapshot(&written, &read);
	assert_true(images_written_by_nestor(images));
	assert_string_equal(read.inventory->nestor_version, NESTOR_VERSION);
	assert_true(read.inventory->fdinfo_per_id);
	assert_false(exists(fixture, "nestor-staging"));

	autoclose int pages = images_open_pages(images, 1, &err);
	assert_int_equal(pread(pages, content, 1, 4 * 4096), 1);
	assert_int_equal(content[0], 16 + 4);
	autoclose int ghost = images_open_content(images, IMAGE_GHOST_FILE, SAMPLE_GHOST, &err);
	assert_true(pread(ghost, content, sizeof content, (off_t)sample_ghost(&read)->content) > 0);
	assert_string_equal(content, SAMPLE_GHOST_CONTENT);
	images_free(images);
}

enum { MANY = 40000 };

/* Descriptions of unlinked files, each with a name of its own, and pipes with content. */
static void add_many(struct snapshot *snapshot)
{
	for (uint32_t i = 1; i <= MANY; i++) {
		FileEntry *file = snapshot_new(snapshot, FILE_ENTRY, FileEntry);
		RemapFilePathEntry *remap =
			snapshot_new(snapshot, REMAP_FILE_PATH_ENTRY, RemapFilePathEntry);
		PipeDataEntry *pipe = snapshot_new(snapshot, PIPE_DATA_ENTRY, PipeDataEntry);
		/* Scattered: an odd factor changes places among 32 bits, and loses none. */
		file->id = i * 2654435761u;
		file->type = FD_TYPES__REG;
		file->reg = snapshot_new(snapshot, REG_FILE_ENTRY, RegFileEntry);
		file->reg->id = file->id;
		file->reg->fown = snapshot_new(snapshot, FOWN_ENTRY, FownEntry);
		file->reg->name = arena_printf(snapshot->arena, "/%u", i);
		snapshot_add_file(snapshot, file);
		remap->orig_id = file->id;
		remap->remap_id = i;
		snapshot_add_record(snapshot, IMAGE_REMAP_FPATH, file->id, remap);
		pipe->pipe_id = i << 8;
		pipe->has_size = true;
		snapshot_add_record(snapshot, IMAGE_PIPES_DATA, pipe->pipe_id, pipe);
	}
}

/* Look-ups that go through all records take minutes here. */
static void test_many_records(void **state)
{
	struct fixture *fixture = *state;
	struct snapshot snapshot, read;
	struct error err = { 0 };
	struct images_writer *writer = images_writer_new(fixture->dir_fd, &err);

	sample_snapshot(&snapshot, &fixture->arena);
	add_many(&snapshot);
	must(sample_write(writer, &snapshot, &err), &err);
	must(images_commit(writer, &err), &err);
	images_writer_free(writer);
	struct images *images = images_open(fixture->dir_fd, &fixture->arena, &read, &err);
	if (!images)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < read.n_files; i++) {
		const FileEntry *file = read.files[i];
		assert_ptr_equal(snapshot_file(&read, file->id), file);
		const struct record *remap = snapshot_record(&read, IMAGE_REMAP_FPATH, file->id);
		if (!remap)
			continue;
		uint32_t n = ((RemapFilePathEntry *)remap->message)->remap_id;
		if (file->reg->name[1] >= '0' && file->reg->name[1] <= '9')
			assert_int_equal(n, strtoul(file->reg->name + 1, NULL, 10));
	}
	for (uint32_t i = 1; i <= MANY; i++)
		assert_non_null(snapshot_record(&read, IMAGE_PIPES_DATA, i << 8));
	assert_null(snapshot_record(&read, IMAGE_PIPES_DATA, 1));
	assert_null(snapshot_file(&read, 0));
	images_free(images);
}

static void test_tasks_in_any_order(void **state)
{
	struct fixture *fixture = *state;
	struct snapshot snapshot, read;
	struct error err = { 0 };
	struct images_writer *writer = images_writer_new(fixture->dir_fd, &err);

	assert_non_null(writer);
	sample_snapshot(&snapshot, &fixture->arena);
	for (size_t i = 0; i < snapshot.n_tasks / 2; i++) {
		struct task first = snapshot.tasks[i],
			    *last = &snapshot.tasks[snapshot.n_tasks - 1 - i];
		snapshot.tasks[i] = *last;
		*last = first;
	}
	must(sample_write(writer, &snapshot, &err), &err);
	must(images_commit(writer, &err), &err);
	images_writer_free(writer);
	struct images *images = images_open(fixture->dir_fd, &fixture->arena, &read, &err);
	if (!images)
		fail_msg("%s", err.text);
	sample_snapshot(&snapshot, &fixture->arena);
	assert_int_equal(read.n_tasks, snapshot.n_tasks);
	assert_int_equal(read.tasks[0].pstree->pid, snapshot.tasks[0].pstree->pid);
	for (size_t i = 1; i < read.n_tasks; i++)
		assert_true(read.tasks[i].parent < &read.tasks[i]);
	images_free(images);
}

static void test_earlier_dump_survives_until_commit(void **state)
{
	struct fixture *fixture = *state;
	struct error err = { 0 };
	struct snapshot snapshot;

	write_sample(fixture);
	write_file(fixture, "dump.log", "kept", 4);
	struct images_writer *writer = images_writer_new(fixture->dir_fd, &err);
	assert_non_null(writer);
	assert_null(images_writer_new(fixture->dir_fd, &err));
	assert_int_equal(err.name, ERR_BUSY);
	sample_snapshot(&snapshot, &fixture->arena);
	snapshot.n_tasks = 1;
	snapshot.n_shared_memory = 0;
	must(images_write_snapshot(writer, &snapshot, &err) && err.name != ERR_BUSY, &err);
	must(open_error(fixture, &err), &err);
	images_writer_free(writer);
	assert_false(exists(fixture, "nestor-staging"));
	must(open_error(fixture, &err), &err);

	/* The second attempt succeeds; nothing of the first dump is left. */
	writer = images_writer_new(fixture->dir_fd, &err);
	snapshot.tasks[0].pages.present = false;
	must(images_write_snapshot(writer, &snapshot, &err), &err);
	must(images_commit(writer, &err), &err);
	images_writer_free(writer);
	must(open_error(fixture, &err), &err);
	assert_true(exists(fixture, "dump.log"));
	assert_false(exists(fixture, "core-102.img"));
	assert_false(exists(fixture, "pages-1.img"));
}

static void test_leftover_staging_is_cleared(void **state)
{
	struct fixture *fixture = *state;
	struct error err;

	assert_return_code(mkdirat(fixture->dir_fd, "nestor-staging", 0700), errno);
	write_file(fixture, "nestor-staging/core-1.img", "x", 1);
	expect_error(fixture, ERR_IMAGES_INCOMPLETE, "no inventory.img");
	expect_hint(fixture);
	write_sample(fixture);
	must(open_error(fixture, &err), &err);
	assert_false(exists(fixture, "core-1.img"));
}

static void test_every_missing_file_is_named(void **state)
{
	struct fixture *fixture = *state;
	struct manifest manifest;
	struct error err = { 0 };
	size_t size;

	write_sample(fixture);
	char *bytes = read_file(fixture, MANIFEST_NAME, &size);
	must(manifest_parse(&manifest, &fixture->arena, bytes, size, &err), &err);
	for (size_t i = 0; i < manifest.n_lines; i++) {
		const char *name = manifest.lines[i].name;
		assert_return_code(renameat(fixture->dir_fd, name, fixture->dir_fd, "away"), errno);
		expect_error(fixture, ERR_IMAGE_MISSING, name);
		expect_hint(fixture);
		assert_return_code(renameat(fixture->dir_fd, "away", fixture->dir_fd, name), errno);
	}
	must(open_error(fixture, &err), &err);
}

static void test_every_damaged_file_is_named(void **state)
{
	struct fixture *fixture = *state;
	struct manifest manifest;
	struct error err = { 0 };
	size_t size;

	write_sample(fixture);
	char *list = read_file(fixture, MANIFEST_NAME, &size);
	must(manifest_parse(&manifest, &fixture->arena, list, size, &err), &err);
	for (size_t i = 0; i < manifest.n_lines; i++) {
		const char *name = manifest.lines[i].name;
		char *bytes = read_file(fixture, name, &size);
		write_file(fixture, name, bytes, size - 1);
		expect_error(fixture, ERR_IMAGE_TRUNCATED, name);
		expect_hint(fixture);
		write_file(fixture, name, bytes, size + 1);
		expect_error(fixture, ERR_IMAGE_ALTERED, name);
		bytes[size / 2] ^= 0x10;
		write_file(fixture, name, bytes, size);
		expect_error(fixture, ERR_IMAGE_ALTERED, name);
		expect_hint(fixture);
		bytes[size / 2] ^= 0x10;
		write_file(fixture, name, bytes, size);
	}
	must(open_error(fixture, &err), &err);
}

static void test_damaged_manifest(void **state)
{
	struct fixture *fixture = *state;
	struct error err;
	size_t size;

	write_sample(fixture);
	char *bytes = read_file(fixture, MANIFEST_NAME, &size);
	for (size_t cut = 1; cut < size; cut += cut < 200 ? 1 : 41) {
		write_file(fixture, MANIFEST_NAME, bytes, cut);
		expect_error(fixture, ERR_IMAGE_TRUNCATED, MANIFEST_NAME);
	}
	bytes[60] ^= 1;
	write_file(fixture, MANIFEST_NAME, bytes, size);
	expect_error(fixture, ERR_IMAGE_ALTERED, MANIFEST_NAME);
	expect_hint(fixture);
	bytes[60] ^= 1;
	bytes[strlen("nestor-manifest ")] = '9';
	write_file(fixture, MANIFEST_NAME, bytes, size);
	expect_error(fixture, ERR_IMAGE_UNSUPPORTED, MANIFEST_NAME);
	bytes[strlen("nestor-manifest ")] = '1';
	write_file(fixture, MANIFEST_NAME, bytes, size);
	must(open_error(fixture, &err), &err);
	assert_return_code(unlinkat(fixture->dir_fd, MANIFEST_NAME, 0), errno);
	expect_error(fixture, ERR_IMAGES_INCOMPLETE, "manifest");
	expect_hint(fixture);
}

static void check_manifest_refused(struct arena *arena, const char *lines)
{
	struct manifest manifest = { 0 };
	struct error err = { 0 };
	struct text text;
	char sum[CHECKSUM_TEXT_SIZE];

	text_init(&text, arena);
	text_add(&text, "nestor-manifest 1\n%s", lines);
	checksum_text(sum, checksum_bytes(text.string, text.length));
	text_add(&text, "end %s\n", sum);
	assert_int_equal(manifest_parse(&manifest, arena, text.string, text.length, &err), -1);
	assert_int_equal(err.name, ERR_IMAGE_INVALID);
}

static void test_manifest_lines_are_untrusted(void **state)
{
	struct fixture *fixture = *state;

#define SUM "00112233445566778899aabbccddeeff"
	check_manifest_refused(&fixture->arena, SUM " 12 ../etc/passwd\n");
	check_manifest_refused(&fixture->arena, SUM " 12 ..\n");
	check_manifest_refused(&fixture->arena, SUM " 12 manifest\n");
	check_manifest_refused(&fixture->arena, SUM " 12 \n");
	check_manifest_refused(&fixture->arena, SUM " -12 core-1.img\n");
	check_manifest_refused(&fixture->arena, SUM " 99999999999999999999 core-1.img\n");
	check_manifest_refused(&fixture->arena, "0011 12 core-1.img\n");
	check_manifest_refused(&fixture->arena, SUM " 12 core-1.img\n" SUM " 13 core-1.img\n");
	check_manifest_refused(&fixture->arena, "\n");
#undef SUM
}

/* Pieces in any order, each from several buffers; the reader sums the file on its own. */
static void test_summed_image(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t size = CHECKSUM_PIECE + 12345;
	struct error err = { 0 };
	struct snapshot snapshot;
	autofree uint8_t *bytes = malloc(size);

	for (uint64_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 2654435761U >> 13);
	sample_snapshot(&snapshot, &fixture->arena);
	struct images_writer *writer = images_writer_new(fixture->dir_fd, &err);
	assert_non_null(writer);
	struct summed_image *image = images_create_summed(writer, "pages-9.img", size, &err);
	assert_non_null(image);
	assert_int_equal(summed_image_pieces(image), 2);
	struct piece_writer *piece = piece_writer_new();
	for (size_t i = 2; i-- > 0;) {
		uint64_t from, to, middle;

		piece_begin(piece, image, i, &from, &to);
		middle = from + (to - from) / 3;
		must(piece_write(piece, bytes + from, middle - from, &err), &err);
		must(piece_write(piece, bytes + middle, to - middle, &err), &err);
		piece_end(piece);
	}
	summed_image_finish(image);
	piece_writer_free(piece);
	must(sample_write(writer, &snapshot, &err), &err);
	must(images_commit(writer, &err), &err);
	images_writer_free(writer);
	assert_int_equal(open_error(fixture, &err), ERR_NONE);
	autoclose int fd = openat(fixture->dir_fd, "pages-9.img", O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "!!", 2, 777), 2);
	expect_error(fixture, ERR_IMAGE_ALTERED, "pages-9.img");
}

/* Large files are summed in pieces. */
static void test_large_pages_file(void **state)
{
	struct fixture *fixture = *state;
	const size_t size = 9 << 20;
	struct error err = { 0 };
	struct snapshot snapshot;

	sample_snapshot(&snapshot, &fixture->arena);
	struct images_writer *writer = images_writer_new(fixture->dir_fd, &err);
	assert_non_null(writer);
	autoclose int fd = images_create_raw(writer, "pages-9.img", &err);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "\xab", 1, size - 1), 1);
	must(sample_write(writer, &snapshot, &err), &err);
	must(images_commit(writer, &err), &err);
	images_writer_free(writer);
	must(open_error(fixture, &err), &err);
	write_file(fixture, "pages-9.img", "", 0);
	expect_error(fixture, ERR_IMAGE_TRUNCATED, "pages-9.img");
}

/* The directory as another tool writes it: no manifest, an inventory without our version. */
static void make_foreign(struct fixture *fixture)
{
	static const uint8_t inventory[] = { 0x16, 0x31, 0x31, 0x58, 4, 0, 0, 0, 8, 2, 0x10, 1 };

	write_sample(fixture);
	assert_return_code(unlinkat(fixture->dir_fd, MANIFEST_NAME, 0), errno);
	write_file(fixture, "inventory.img", inventory, sizeof inventory);
}

static void test_directory_of_another_tool(void **state)
{
	struct fixture *fixture = *state;
	struct snapshot snapshot;
	struct error err = { 0 };

	make_foreign(fixture);
	write_file(fixture, "netdev-9.img", "not read", 8);
	struct images *images = images_open(fixture->dir_fd, &fixture->arena, &snapshot, &err);
	if (!images)
		fail_msg("%s", err.text);
	assert_false(images_written_by_nestor(images));
	images_free(images);
	/* Its parent is yet to hear of the stop, which an exit code of 0 would deny. */
	for (size_t i = 0; i < snapshot.n_tasks; i++)
		if (task_is_stopped(&snapshot.tasks[i]))
			assert_int_equal(snapshot.tasks[i].core->tc->exit_code, SIGSTOP);
	/* No image of descriptors is a task without descriptors. */
	char name[32];
	snprintf(name, sizeof name, "fdinfo-%u.img", snapshot.tasks[0].ids->files_id);
	assert_return_code(unlinkat(fixture->dir_fd, name, 0), errno);
	images = images_open(fixture->dir_fd, &fixture->arena, &snapshot, &err);
	if (!images)
		fail_msg("%s", err.text);
	assert_int_equal(snapshot.tasks[0].table->n_descriptors, 0);
	images_free(images);

	assert_return_code(unlinkat(fixture->dir_fd, "mm-102.img", 0), errno);
	expect_error(fixture, ERR_IMAGE_MISSING, "mm-102.img");
	expect_hint(fixture);
}

enum { CRIUS_USERS = 9, TREES_USERS = 10 };

/* The sample in a user namespace, as CRIU describes it: ids 0 to 9 are 1000 to 1009 outside. */
static CredsEntry *make_users(struct snapshot *snapshot, struct arena *arena)
{
	static const uint8_t maps[] = { 0x19, 0x43, 0x56, 0x54, 6, 0x49, 0x47, 0x55, 18, 0,
					0,    0,    10,	  7,	8, 0,	 16,   0xe8, 7,	 24,
					10,   18,   7,	  8,	0, 16,	 0xe8, 7,    24, 10 };
	CredsEntry *creds;
	struct error err = { 0 };

	sample_snapshot(snapshot, arena);
	snapshot->inventory->root_ids =
		snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	snapshot->inventory->root_ids->has_user_ns_id = true;
	snapshot->inventory->root_ids->user_ns_id = CRIUS_USERS;
	must(image_parse(snapshot, "userns-10.img", maps, sizeof maps, &err), &err);
	for (size_t i = 0; i < 2; i++) {
		snapshot->tasks[i].ids->has_user_ns_id = true;
		snapshot->tasks[i].ids->user_ns_id = TREES_USERS;
		snapshot->namespaces[i]->has_userns_id = true;
		snapshot->namespaces[i]->userns_id = TREES_USERS;
	}
	creds = snapshot_new(snapshot, CREDS_ENTRY, CredsEntry);
	creds->n_groups = 1;
	creds->groups = arena_array(arena, uint32_t, 1);
	creds->groups[0] = 9;
	snapshot->tasks[0].threads[0]->thread_core->creds = creds;
	return creds;
}

/* "alpha" and "beta". */
static void test_host_names_of_another_tool(void **state)
{
	static const uint8_t names[] = { 0x19, 0x43, 0x56, 0x54, 0x03, 0x32, 0x47, 0x54, 13,
					 0,    0,    0,	   10,	 5,    'a',  'l',  'p',	 'h',
					 'a',  18,   4,	   'b',	 'e',  't',  'a' };
	struct fixture *fixture = *state;
	struct error err = { 0 };
	struct snapshot snapshot;

	sample_snapshot(&snapshot, &fixture->arena);
	snapshot.inventory->nestor_version = NULL;
	must(image_parse(&snapshot, "utsns-40.img", names, sizeof names, &err), &err);
	ids_set_namespace(snapshot.tasks[0].ids, NAMESPACE_UTS, 40);
	must(snapshot_index(&snapshot, &err), &err);
	const struct namespace *uts =
		thread_namespace(&snapshot, &snapshot.tasks[0], 0, NAMESPACE_UTS);
	assert_non_null(uts);
	assert_string_equal(uts->entry->uts->nodename, "alpha");
	assert_string_equal(uts->entry->uts->domainname, "beta");
	assert_ptr_equal(uts->owner, snapshot.tasks[0].user_namespace);
}

/* CRIU writes ids as they are inside. */
static void test_users_of_another_tool(void **state)
{
	struct fixture *fixture = *state;
	struct error err = { 0 };
	struct snapshot snapshot;
	CredsEntry *creds = make_users(&snapshot, &fixture->arena);

	creds->euid = 7;
	must(snapshot_index(&snapshot, &err), &err);
	must(users_adopt(&snapshot, &err), &err);
	assert_int_equal(snapshot.tasks[0].user_namespace->base.id, TREES_USERS);
	assert_int_equal(snapshot.tasks[0].user_namespace->depth, 1);
	assert_int_equal(creds->uid, 1000);
	assert_int_equal(creds->euid, 1007);
	assert_int_equal(creds->groups[0], 1009);
	assert_int_equal(((GhostFileEntry *)sample_ghost(&snapshot)->message)->gid, 1000);

	creds = make_users(&snapshot, &fixture->arena);
	creds->fsgid = 10;
	must(snapshot_index(&snapshot, &err), &err);
	assert_int_equal(users_adopt(&snapshot, &err), -1);
	assert_int_equal(err.name, ERR_IMAGE_INVALID);
	assert_non_null(strstr(err.text, "gid 10"));
}

static void test_too_few_pages(void **state)
{
	struct fixture *fixture = *state;
	size_t size;

	make_foreign(fixture);
	char *bytes = read_file(fixture, "pages-1.img", &size);
	write_file(fixture, "pages-1.img", bytes, size - 4096);
	expect_error(fixture, ERR_IMAGE_TRUNCATED, "pages-1.img");
	assert_return_code(unlinkat(fixture->dir_fd, "pages-1.img", 0), errno);
	expect_error(fixture, ERR_IMAGE_MISSING, "pages-1.img");
}

/* Of the right size, but with nothing in its second half: told, not refused. */
static void test_pages_with_holes(void **state)
{
	struct fixture *fixture = *state;
	struct snapshot snapshot;
	struct error err = { 0 };
	char told[1024] = "";
	size_t size;
	int log_fd = memfd_create("log", MFD_CLOEXEC);

	make_foreign(fixture);
	read_file(fixture, "pages-1.img", &size);
	int fd = openat(fixture->dir_fd, "pages-1.img", O_WRONLY | O_CLOEXEC);
	assert_return_code(ftruncate(fd, 4096), errno);
	assert_return_code(ftruncate(fd, (off_t)size), errno);
	close(fd);
	log_open(log_fd, LOG_WARNING);
	struct images *images = images_open(fixture->dir_fd, &fixture->arena, &snapshot, &err);
	log_open(-1, LOG_ERROR);
	assert_non_null(images);
	images_free(images);
	assert_true(pread(log_fd, told, sizeof told - 1, 0) > 0);
	close(log_fd);
	assert_non_null(strstr(told, "pages-1.img: it has holes, the first at 4096"));
}

static void test_thread_without_image(void **state)
{
	struct fixture *fixture = *state;

	make_foreign(fixture);
	assert_return_code(unlinkat(fixture->dir_fd, "core-101.img", 0), errno);
	expect_error(fixture, ERR_IMAGE_MISSING, "core-101.img");
}

/* Without a manifest the framing is all there is: any cut within a record is noticed. */
static void test_truncation_everywhere(void **state)
{
	struct fixture *fixture = *state;
	DIR *folder;

	write_sample(fixture);
	folder = fdopendir(openat(fixture->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	for (const struct dirent *entry; (entry = readdir(folder));) {
		enum image_kind kind;
		uint64_t number;
		size_t size;
		if (!image_recognise(entry->d_name, &kind, &number) || kind == IMAGE_PAGES)
			continue;
		const char *bytes = read_file(fixture, entry->d_name, &size);
		for (size_t cut = 0; cut < size; cut++) {
			struct arena arena;
			struct error err = { 0 };
			/* In a place of its own, so that a read too far is a read out of bounds. */
			autofree uint8_t *part = malloc(cut + !cut);
			memcpy(part, bytes, cut);
			arena_init(&arena);
			struct snapshot snapshot = { .arena = &arena };
			int result = image_parse(&snapshot, entry->d_name, part, cut, &err);
			assert_true(result == 0 || err.name == ERR_IMAGE_TRUNCATED);
			if (result)
				assert_non_null(strstr(err.text, entry->d_name));
			else
				assert_false(image_format(kind)->single &&
					     kind != IMAGE_GHOST_FILE);
			arena_done(&arena);
		}
	}
	closedir(folder);
}

static enum error_name parse_pagemap(const PagemapEntry *runs, size_t n_runs, struct error *ret_err)
{
	static const uint8_t head[] = { 0x19, 0x43, 0x56, 0x54, 0x25, 0x40, 0x08,
					0x56, 2,    0,	  0,	0,    8,    1 };
	struct arena arena;
	uint8_t bytes[512];
	size_t size = sizeof head;

	*ret_err = (struct error){ 0 };
	arena_init(&arena);
	memcpy(bytes, head, sizeof head);
	for (size_t i = 0; i < n_runs; i++) {
		uint32_t length = (uint32_t)pagemap_entry__get_packed_size(&runs[i]);
		memcpy(bytes + size, &length, sizeof length);
		size += sizeof length;
		size += pagemap_entry__pack(&runs[i], bytes + size);
	}
	struct snapshot snapshot = { .arena = &arena };
	image_parse(&snapshot, "pagemap-shmem-9.img", bytes, size, ret_err);
	arena_done(&arena);
	return ret_err->name;
}

static void test_runs_of_pages(void **state)
{
	PagemapEntry runs[2] = { PAGEMAP_ENTRY__INIT, PAGEMAP_ENTRY__INIT };
	struct error err;

	(void)state;
	runs[0].vaddr = 0x1000;
	runs[0].compat_nr_pages = 2;
	runs[1].vaddr = 0x3000;
	runs[1].compat_nr_pages = 1;
	assert_int_equal(parse_pagemap(runs, 2, &err), ERR_NONE);
	runs[1].vaddr = 0x2000; /* overlaps */
	assert_int_equal(parse_pagemap(runs, 2, &err), ERR_IMAGE_INVALID);
	runs[1].vaddr = 0x3001;
	assert_int_equal(parse_pagemap(runs, 2, &err), ERR_IMAGE_INVALID);
	runs[1].vaddr = 0x3000;
	runs[1].has_nr_pages = true;
	runs[1].nr_pages = UINT64_MAX / 4096;
	assert_int_equal(parse_pagemap(runs, 2, &err), ERR_IMAGE_INVALID);
	runs[1].nr_pages = 1;
	runs[1].has_in_parent = runs[1].in_parent = true; /* of an earlier dump */
	assert_int_equal(parse_pagemap(runs, 2, &err), ERR_NONE);
	runs[1].has_flags = true;
	runs[1].flags = PAGEMAP_LAZY;
	assert_int_equal(parse_pagemap(runs, 2, &err), ERR_IMAGE_UNSUPPORTED);
	assert_true(err.hint[0]);
	runs[1].flags = PAGEMAP_LAZY | PAGEMAP_PRESENT;
	assert_int_equal(parse_pagemap(runs, 2, &err), ERR_NONE);
	runs[1].flags = PAGEMAP_PARENT;
	runs[1].has_shared_pages_id = runs[1].has_shared_offset = true;
	runs[1].shared_pages_id = 7;
	runs[1].shared_offset = 0x5000;
	assert_int_equal(parse_pagemap(runs, 2, &err), ERR_NONE);
	runs[1].shared_offset = 0x5001;
	assert_int_equal(parse_pagemap(runs, 2, &err), ERR_IMAGE_INVALID);
	runs[1].shared_offset = INT64_MAX - 4095;
	assert_int_equal(parse_pagemap(runs, 2, &err), ERR_IMAGE_INVALID);
	runs[1].has_shared_offset = false;
	assert_int_equal(parse_pagemap(runs, 2, &err), ERR_IMAGE_INVALID);
}

/* Without a manifest nothing else tells that a file has been cut. */
static void test_stray_bytes(void **state)
{
	PagemapEntry run = PAGEMAP_ENTRY__INIT;
	uint8_t bytes[128] = { 0x19, 0x43, 0x56, 0x54, 0x25, 0x40, 0x08, 0x56, 2, 0, 0, 0, 8, 1 };
	size_t head = 14;

	(void)state;
	run.vaddr = 0x1000;
	run.compat_nr_pages = 2;
	uint32_t length = (uint32_t)pagemap_entry__get_packed_size(&run);
	memcpy(bytes + head, &length, sizeof length);
	pagemap_entry__pack(&run, bytes + head + sizeof length);
	for (size_t size = 0; size < head + sizeof length + length; size++) {
		struct arena arena;
		struct error err = { 0 };
		arena_init(&arena);
		struct snapshot snapshot = { .arena = &arena };
		image_parse(&snapshot, "pagemap-shmem-9.img", bytes, size, &err);
		assert_int_equal(err.name, size == head ? ERR_NONE : ERR_IMAGE_TRUNCATED);
		arena_done(&arena);
	}
}

static void test_names_of_images(void **state)
{
	enum image_kind kind;
	uint64_t number;
	char name[IMAGE_NAME_SIZE];

	(void)state;
	assert_true(image_recognise("pagemap-shmem-18446744073709551615.img", &kind, &number));
	assert_int_equal(kind, IMAGE_PAGEMAP_SHMEM);
	assert_true(number == UINT64_MAX);
	assert_true(image_recognise("ghost-file-1f.img", &kind, &number));
	assert_int_equal(number, 0x1f);
	assert_string_equal(image_name(name, IMAGE_GHOST_FILE, 0x1f), "ghost-file-1f.img");
	assert_false(image_recognise("core-007.img", &kind, &number));
	assert_false(image_recognise("core--7.img", &kind, &number));
	assert_false(image_recognise("core-4294967296.img", &kind, &number));
	assert_false(image_recognise("core-.img", &kind, &number));
	assert_false(image_recognise("core-1.img.bak", &kind, &number));
	assert_false(image_recognise("dump.log", &kind, &number));
}

/* A large file is summed in pieces, by two threads, to the same as from memory. */
static void test_checksum_of_large_file(void **state)
{
	struct fixture *fixture = *state;
	const size_t size = (64 << 20) + 12345;
	struct checksum_file file = { .name = "large" };
	struct error err = { 0 };

	autoclose int fd = openat(fixture->dir_fd, "large", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_return_code(ftruncate(fd, (off_t)size), errno);
	assert_int_equal(pwrite(fd, "end", 3, (off_t)size - 3), 3);
	void *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(bytes, MAP_FAILED);
	struct stat status;
	assert_return_code(fstat(fd, &status), errno);
	file.stamp = file_stamp_of(&status);
	must(checksum_files(fixture->dir_fd, &file, 1, &err), &err);
	assert_true(XXH128_isEqual(file.sum, checksum_bytes(bytes, size)));
	munmap(bytes, size);
	assert_return_code(ftruncate(fd, (off_t)size - 1), errno);
	assert_int_equal(checksum_files(fixture->dir_fd, &file, 1, &err), -1);
	assert_int_equal(err.name, ERR_IMAGE_ALTERED);
}

int main(void)
{
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_round_trip),
		IN_DIRECTORY(test_many_records),
		IN_DIRECTORY(test_tasks_in_any_order),
		IN_DIRECTORY(test_earlier_dump_survives_until_commit),
		IN_DIRECTORY(test_leftover_staging_is_cleared),
		IN_DIRECTORY(test_every_missing_file_is_named),
		IN_DIRECTORY(test_every_damaged_file_is_named),
		IN_DIRECTORY(test_damaged_manifest),
		IN_DIRECTORY(test_manifest_lines_are_untrusted),
		IN_DIRECTORY(test_summed_image),
		IN_DIRECTORY(test_large_pages_file),
		IN_DIRECTORY(test_directory_of_another_tool),
		IN_DIRECTORY(test_users_of_another_tool),
		IN_DIRECTORY(test_host_names_of_another_tool),
		IN_DIRECTORY(test_too_few_pages),
		IN_DIRECTORY(test_pages_with_holes),
		IN_DIRECTORY(test_thread_without_image),
		IN_DIRECTORY(test_truncation_everywhere),
		cmocka_unit_test(test_runs_of_pages),
		cmocka_unit_test(test_stray_bytes),
		cmocka_unit_test(test_names_of_images),
		IN_DIRECTORY(test_checksum_of_large_file),
	};
#undef IN_DIRECTORY
	return cmocka_run_group_tests(tests, NULL, NULL);
}
