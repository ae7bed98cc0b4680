// SPDX-License-Identifier: LGPL-2.1-or-later
/* The directory of images: what was written is read again, and what was damaged is refused. */
#include "images-fixture.h"

#include "base/cleanup.h"
#include "images/format.h"
#include "images/manifest.h"
#include "images/others.h"
#include "kinds/files/ghost.h"
#include "sample-snapshot.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

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

/* CRIU writes nothing for a task without descriptors, and 0 as exit code of one that is stopped. */
static void test_what_others_leave_out(void **state)
{
	struct fixture *fixture = *state;
	struct snapshot snapshot;
	struct error err = { 0 };

	sample_snapshot(&snapshot, &fixture->arena);
	struct task *stopped = &snapshot.tasks[1], *zombie = &snapshot.tasks[2];
	TaskCoreEntry *tc = stopped->core->tc;
	assert_int_equal(stopped->pstree->pid, SAMPLE_STOPPED);
	assert_int_equal(zombie->pstree->pid, SAMPLE_ZOMBIE);
	/* The first task's is there, another one has none. */
	stopped->ids->files_id = 9;
	tc->exit_code = 0;
	others_adopt(&snapshot);
	must(snapshot_index(&snapshot, &err), &err);
	assert_int_equal(snapshot.n_tables, 2);
	assert_int_equal(stopped->table->n_descriptors, 0);
	assert_int_equal(snapshot.tasks[0].table->n_descriptors, 4);
	assert_int_equal(tc->exit_code, SIGSTOP);
	/* By what it was stopped, if that is told; nothing changes for who has ended. */
	tc->exit_code = 0;
	tc->has_stop_signo = true;
	tc->stop_signo = SIGTTIN;
	zombie->core->tc->exit_code = 0;
	others_adopt(&snapshot);
	assert_int_equal(tc->exit_code, SIGTTIN);
	assert_int_equal(zombie->core->tc->exit_code, 0);
	assert_int_equal(snapshot.n_tables, 2);
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
	struct summed_image *image = images_create_summed(writer, IMAGE_PAGES, 9, size, &err);
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
	autoclose int fd = images_create_raw(writer, IMAGE_PAGES, 9, &err);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "\xab", 1, size - 1), 1);
	must(sample_write(writer, &snapshot, &err), &err);
	must(images_commit(writer, &err), &err);
	images_writer_free(writer);
	must(open_error(fixture, &err), &err);
	write_file(fixture, "pages-9.img", "", 0);
	expect_error(fixture, ERR_IMAGE_TRUNCATED, "pages-9.img");
}

/* One that is given up is in no list, whatever is written meanwhile; others are as they were. */
static void test_dropped_image(void **state)
{
	struct fixture *fixture = *state;
	struct error err = { 0 };
	struct snapshot snapshot;
	char name[IMAGE_NAME_SIZE];

	sample_snapshot(&snapshot, &fixture->arena);
	struct images_writer *writer = images_writer_new(fixture->dir_fd, &err);
	assert_non_null(writer);
	for (uint64_t number = 5; number < 7; number++)
		close(images_create_raw(writer, IMAGE_TMPFS_DEV, number, &err));
	struct summed_image *image = images_create_summed(writer, IMAGE_PAGES, 9, 8, &err);
	assert_non_null(image);
	images_drop_raw(writer, IMAGE_TMPFS_DEV, 5);
	/* There is none. */
	images_drop_raw(writer, IMAGE_TMPFS_DEV, 7);
	struct piece_writer *piece = piece_writer_new();
	uint64_t from, to;
	piece_begin(piece, image, 0, &from, &to);
	must(piece_write(piece, "eight so", 8, &err), &err);
	piece_end(piece);
	summed_image_finish(image);
	piece_writer_free(piece);
	must(sample_write(writer, &snapshot, &err), &err);
	must(images_commit(writer, &err), &err);
	images_writer_free(writer);
	must(open_error(fixture, &err), &err);
	for (uint64_t number = 5; number < 8; number++)
		assert_int_equal(faccessat(fixture->dir_fd,
					   image_name(name, IMAGE_TMPFS_DEV, number), F_OK, 0),
				 number == 6 ? 0 : -1);
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

static void test_names_in_manifests(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	struct fixture *fixture = *state;
	struct manifest manifest = { 0 };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		assert_null(manifest_find(&manifest, names[i]));
		manifest_add(&manifest, &fixture->arena, names[i], i);
		assert_int_equal(manifest_find(&manifest, names[0])->size, 0);
		assert_int_equal(manifest_find(&manifest, names[i])->size, i);
	}
	assert_null(manifest_find(&manifest, "none"));
}

/* However much of its name is left: the content would have to go to some file system. */
static void test_room_for_unlinked_files(void **state)
{
	static const char *const names[] = { "/file", "/no/such/folder/file", "file", "no/file" };
	struct fixture *fixture = *state;
	struct snapshot snapshot;
	struct error err = { 0 };
	RegFileEntry reg = REG_FILE_ENTRY__INIT;
	FileEntry entry = FILE_ENTRY__INIT;

	write_sample(fixture);
	struct images *images = images_open(fixture->dir_fd, &fixture->arena, &snapshot, &err);
	if (!images)
		fail_msg("%s", err.text);
	entry.id = reg.id = 1;
	entry.reg = &reg;
	reg.mnt_id = -1;
	/* It begins behind its end: there is no room for so much. */
	((struct record *)(uintptr_t)sample_ghost(&snapshot))->content = 1 << 20;
	for (size_t i = 0; i < 2 * sizeof names / sizeof *names; i++) {
		struct file_opener opener = { .snapshot = &snapshot,
					      .images = images,
					      .arena = &fixture->arena,
					      .root_fd = i % 2 ? fixture->dir_fd : AT_FDCWD };
		err = (struct error){ 0 };
		reg.name = (char *)(uintptr_t)names[i / 2];
		assert_int_equal(ghost_verify(&opener, &entry, &err), -1);
		assert_int_equal(err.name, ERR_NO_ROOM);
	}
	images_free(images);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_round_trip),
		IN_DIRECTORY(test_many_records),
		IN_DIRECTORY(test_tasks_in_any_order),
		IN_DIRECTORY(test_what_others_leave_out),
		IN_DIRECTORY(test_earlier_dump_survives_until_commit),
		IN_DIRECTORY(test_leftover_staging_is_cleared),
		IN_DIRECTORY(test_summed_image),
		IN_DIRECTORY(test_large_pages_file),
		IN_DIRECTORY(test_dropped_image),
		cmocka_unit_test(test_names_of_images),
		IN_DIRECTORY(test_names_in_manifests),
		IN_DIRECTORY(test_room_for_unlinked_files),
		IN_DIRECTORY(test_checksum_of_large_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
