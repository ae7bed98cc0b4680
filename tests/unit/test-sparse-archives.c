// SPDX-License-Identifier: LGPL-2.1-or-later
/* Files with holes, and long names, in archives: those of GNU tar, and ours as it reads them. */
#include "base/error.h"
#include "kinds/mounts/archive.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { PARTS = 60, APART = 1 << 20, LONGEST = 151 };
#define SIZE (UINT64_C(1) << 40)

struct places {
	char path[40];
	int from, to, archive;
	char longest[LONGEST];
};

static int new_directory(const struct places *places, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "%s/%s", places->path, name);
	assert_int_equal(mkdir(path, 0700), 0);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Its parts are of different sizes, and the last is far from its end. */
static void make_parts(int fd)
{
	char bytes[PARTS + 1];

	for (int i = 1; i <= PARTS; i++) {
		memset(bytes, i, sizeof bytes);
		assert_int_equal(pwrite(fd, bytes, (size_t)i, (off_t)i * i * APART), i);
	}
	assert_int_equal(ftruncate(fd, (off_t)SIZE), 0);
}

static int set_up(void **state)
{
	struct places *places = calloc(1, sizeof *places);

	/* In memory a file may be as long as this one. */
	strcpy(places->path, "/dev/shm/nestor-sparse-XXXXXX");
	assert_non_null(mkdtemp(places->path));
	places->from = new_directory(places, "from");
	places->to = new_directory(places, "to");
	memset(places->longest, 'l', LONGEST - 1);
	int fd = openat(places->from, "parts", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	make_parts(fd);
	close(fd);
	fd = openat(places->from, "empty", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, (off_t)SIZE), 0);
	close(fd);
	fd = openat(places->from, places->longest, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "long", 4), 4);
	close(fd);
	*state = places;
	return 0;
}

static int tear_down(void **state)
{
	struct places *places = *state;
	const int folders[] = { places->from, places->to };

	for (size_t i = 0; i < 2; i++) {
		unlinkat(folders[i], "parts", 0);
		unlinkat(folders[i], "empty", 0);
		unlinkat(folders[i], places->longest, 0);
		close(folders[i]);
	}
	char path[64];
	snprintf(path, sizeof path, "%s/archive", places->path);
	unlink(path);
	snprintf(path, sizeof path, "%s/from", places->path);
	rmdir(path);
	snprintf(path, sizeof path, "%s/to", places->path);
	rmdir(path);
	assert_int_equal(rmdir(places->path), 0);
	free(places);
	return 0;
}

static int open_archive(const struct places *places, int flags)
{
	char path[64];

	snprintf(path, sizeof path, "%s/archive", places->path);
	int fd = open(path, flags | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void run_tar(const struct places *places, const char *what)
{
	char command[256];

	snprintf(command, sizeof command, "cd %s && tar --numeric-owner --gzip --file archive %s",
		 places->path, what);
	assert_int_equal(system(command), 0);
}

static void same_size(const struct places *places, const char *name)
{
	struct stat one, other;

	assert_int_equal(fstatat(places->from, name, &one, 0), 0);
	assert_int_equal(fstatat(places->to, name, &other, 0), 0);
	assert_int_equal(one.st_size, other.st_size);
	assert_true(other.st_blocks <= one.st_blocks);
}

static void same_content(const struct places *places)
{
	char bytes[PARTS + 2], text[8] = "";
	int fd = openat(places->to, "parts", O_RDONLY | O_CLOEXEC);

	same_size(places, "parts");
	same_size(places, "empty");
	for (int i = 1; i <= PARTS; i++) {
		assert_int_equal(pread(fd, bytes, sizeof bytes, (off_t)i * i * APART),
				 sizeof bytes);
		for (int k = 0; k < (int)sizeof bytes; k++)
			assert_int_equal(bytes[k], k < i ? i : 0);
	}
	close(fd);
	fd = openat(places->to, places->longest, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof text), 4);
	assert_string_equal(text, "long");
	close(fd);
}

static void extract(const struct places *places)
{
	struct error err = { 0 };
	int fd = open_archive(places, O_RDONLY);

	assert_int_equal(archive_extract(fd, places->to, NULL, "it", &err), 0);
	close(fd);
	same_content(places);
}

static void in_its_own_format(void **state)
{
	run_tar(*state, "--create --sparse --format=gnu --directory from .");
	extract(*state);
}

static void in_that_of_posix(void **state)
{
	run_tar(*state, "--create --sparse --format=posix --directory from .");
	extract(*state);
}

static void make_own(const struct places *places)
{
	struct error err = { 0 };
	struct stat stat;
	int fd = open_archive(places, O_CREAT | O_RDWR);
	const struct archive_tree tree = { .root_fd = places->from, .prefix = "" };
	struct archive_writer *writer = archive_writer_new(fd, false, &err);

	assert_non_null(writer);
	assert_int_equal(archive_add_tree(writer, &tree, &err), 0);
	assert_int_equal(archive_writer_end(writer, &err), 0);
	assert_int_equal(fstat(fd, &stat), 0);
	assert_true(stat.st_size < APART);
	close(fd);
}

static void ours(void **state)
{
	make_own(*state);
	extract(*state);
}

static void ours_by_tar(void **state)
{
	make_own(*state);
	run_tar(*state, "--extract --directory to 2>/dev/null");
	same_content(*state);
}

/* A header has room for a size of 8 GiB. */
static void sizes_are_told_by_records(void **state)
{
	const struct places *places = *state;
	char command[128];

	make_own(places);
	snprintf(command, sizeof command,
		 "cd %s && gzip -dc archive | LC_ALL=C grep -aq '^9 size=4$'", places->path);
	assert_int_equal(system(command), 0);
}

/* With a list that no file can have. */
static void lists_that_are_none_are_refused(void **state)
{
	const struct places *places = *state;
	struct error err = { 0 };

	make_own(places);
	/* The first number comes behind the zeros of a header. */
	static const char *const changes[] = { "s/\\x0061$/\\x0099/", "s/\\x0061$/\\x0059/",
					       "s/\\x0061$/\\x006x/", "s/^1048576$/9048576/" };
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		char command[256];
		snprintf(command, sizeof command,
			 "cd %s && gzip -dc archive | LC_ALL=C sed '%s' >bad", places->path,
			 changes[i]);
		assert_int_equal(system(command), 0);
		char path[64];
		snprintf(path, sizeof path, "%s/bad", places->path);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		unlink(path);
		assert_int_equal(archive_extract(fd, places->to, NULL, "it", &err), -1);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(in_its_own_format, set_up, tear_down),
		cmocka_unit_test_setup_teardown(in_that_of_posix, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ours, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ours_by_tar, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sizes_are_told_by_records, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lists_that_are_none_are_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
