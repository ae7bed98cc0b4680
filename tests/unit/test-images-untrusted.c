// SPDX-License-Identifier: LGPL-2.1-or-later
/* Directories of images that are damaged, made by hand, or of another tool. */
#include "images-fixture.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "images/format.h"
#include "images/manifest.h"
#include "images/parse.h"
#include "images/reading.h"
#include "images/users.h"
#include "model/namespaces.h"
#include "sample-snapshot.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

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

static enum error_name parse_manifest(struct arena *arena, const char *lines)
{
	struct manifest manifest = { 0 };
	struct error err = { 0 };
	struct text text;
	char sum[CHECKSUM_TEXT_SIZE];

	text_init(&text, arena);
	text_add(&text, "nestor-manifest 1\n%s", lines);
	checksum_text(sum, checksum_bytes(text.string, text.length));
	text_add(&text, "end %s\n", sum);
	int result = manifest_parse(&manifest, arena, text.string, text.length, &err);
	assert_int_equal(result, err.name == ERR_NONE ? 0 : -1);
	return err.name;
}

static void check_manifest_refused(struct arena *arena, const char *lines)
{
	assert_int_equal(parse_manifest(arena, lines), ERR_IMAGE_INVALID);
}

/* At the ends of what is allowed. */
static void test_manifest_limits(void **state)
{
	struct fixture *fixture = *state;
	struct arena *arena = &fixture->arena;
	char name[NAME_MAX + 2];

	memset(name, 'a', sizeof name);
	name[NAME_MAX + 1] = '\0';
#define LINE "00112233445566778899aabbccddeeff %s %s\n"
	check_manifest_refused(arena, arena_printf(arena, LINE, "1", name));
	name[NAME_MAX] = '\0';
	assert_int_equal(parse_manifest(arena, arena_printf(arena, LINE, "1", name)), ERR_NONE);
	const char *most = arena_printf(arena, LINE, "9223372036854775807", name);
	assert_int_equal(parse_manifest(arena, most), ERR_NONE);
	check_manifest_refused(arena, arena_printf(arena, LINE, "9223372036854775808", name));
	check_manifest_refused(arena, arena_printf(arena, LINE, "1", "."));
	check_manifest_refused(arena, arena_printf(arena, LINE, "1", "a\tb"));
	assert_int_equal(parse_manifest(arena, arena_printf(arena, LINE, "0", "a b")), ERR_NONE);
#undef LINE
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
#define PAGES SUM " 8192 pages-1.img\n"
#define WAS   "was " SUM "\n"
	check_manifest_refused(&fixture->arena, PAGES "removed 0 4096 pages-1.img\n");
	check_manifest_refused(&fixture->arena, PAGES "was 0011\n");
	check_manifest_refused(&fixture->arena, PAGES WAS WAS);
	check_manifest_refused(&fixture->arena, PAGES WAS "removed 4096 pages-1.img\n");
	check_manifest_refused(&fixture->arena, PAGES WAS "removed 0 0 pages-1.img\n");
	check_manifest_refused(&fixture->arena, PAGES WAS "removed 0 4095 pages-1.img\n");
	check_manifest_refused(&fixture->arena, PAGES WAS "removed 4096 8192 pages-1.img\n");
	check_manifest_refused(&fixture->arena,
			       PAGES WAS "removed 4096 9223372036854771712 pages-1.img\n");
	check_manifest_refused(&fixture->arena, PAGES WAS "removed 0 4096 pages-2.img\n");
	check_manifest_refused(&fixture->arena, PAGES WAS "removed 0 4096 pages-1.img\n"
							  "removed 0 4096 pages-1.img\n");
#undef SUM
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
	write_file(fixture, "netns-ct-9.img", "not read", 8);
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

/* The sample in a user namespace, as CRIU describes it: ids 0 to 9 are 1000 to 1009 outside. */
enum { CRIUS_USERS = 9, TREES_USERS = 10 };

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

/* As many bytes as the limit are read; one more is not, and no memory is taken for it. */
static void test_size_limit(void **state)
{
	struct fixture *fixture = *state;
	const off_t limit = 1024 * 1024 * 1024;

	assert_false(image_is_too_large(0));
	assert_false(image_is_too_large(limit));
	assert_true(image_is_too_large(limit + 1));
	make_foreign(fixture);
	autoclose int fd = openat(fixture->dir_fd, "pstree.img", O_WRONLY | O_CLOEXEC);
	assert_return_code(ftruncate(fd, limit + 1), errno);
	expect_error(fixture, ERR_IMAGE_INVALID, "pstree.img is too large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_every_missing_file_is_named),
		IN_DIRECTORY(test_every_damaged_file_is_named),
		IN_DIRECTORY(test_damaged_manifest),
		IN_DIRECTORY(test_manifest_lines_are_untrusted),
		IN_DIRECTORY(test_manifest_limits),
		IN_DIRECTORY(test_directory_of_another_tool),
		IN_DIRECTORY(test_host_names_of_another_tool),
		IN_DIRECTORY(test_users_of_another_tool),
		IN_DIRECTORY(test_too_few_pages),
		IN_DIRECTORY(test_pages_with_holes),
		IN_DIRECTORY(test_thread_without_image),
		IN_DIRECTORY(test_truncation_everywhere),
		IN_DIRECTORY(test_size_limit),
		cmocka_unit_test(test_runs_of_pages),
		cmocka_unit_test(test_stray_bytes),
	};

	return cmocka_run_group_tests_name("images-untrusted", tests, NULL, NULL);
}
