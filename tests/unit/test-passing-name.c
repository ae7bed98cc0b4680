// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names that are there for a while: made, taken back, and no trace of them in their directory. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/listing.h"
#include "base/undo.h"
#include "kinds/kind.h"
#include "kinds/passing-name.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct arena arena;
	struct file_opener opener;
	char directory[64];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	f->opener = (struct file_opener){ .arena = &f->arena, .root_fd = AT_FDCWD };
	strcpy(f->directory, "/tmp/nestor-names-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	assert_int_equal(chdir(f->directory), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	arena_done(&f->arena);
	assert_int_equal(unlink("linked"), 0);
	assert_int_equal(unlink("name"), 0);
	assert_int_equal(rmdir(f->directory), 0);
	assert_int_equal(chdir("/"), 0);
	free(f);
	return 0;
}

static struct passing_name *make_passing(struct fixture *f, const char *kind, const char *name)
{
	autoclose int fd = -1;

	if (strcmp(kind, "file") == 0)
		return passing_file(&f->opener, AT_FDCWD, name, &fd);
	if (strcmp(kind, "fifo") == 0)
		return passing_fifo(&f->opener, AT_FDCWD, name, &fd);
	if (strcmp(kind, "symlink") == 0)
		return passing_symlink(&f->opener, AT_FDCWD, name, "nowhere", &fd);
	if (strcmp(kind, "socket") == 0)
		return passing_socket(&f->opener, AT_FDCWD, name, &fd);
	if (strcmp(kind, "device") == 0)
		return passing_device(&f->opener, AT_FDCWD, name, makedev(1, 3), &fd);
	if (strcmp(kind, "directory") == 0)
		return passing_directory(&f->opener, AT_FDCWD, name, &fd);
	fd = open("linked", O_RDWR);
	return passing_link(&f->opener, AT_FDCWD, name, fd);
}

static size_t count_names(void)
{
	autoclosedir DIR *here = listing_open(AT_FDCWD, ".");
	const char *name;
	size_t count = 0;

	while (listing_next(here, &name))
		count++;
	return count;
}

static void expect_times(const struct timespec times[2])
{
	struct stat here;

	assert_int_equal(stat(".", &here), 0);
	assert_memory_equal(&here.st_atim, &times[0], sizeof *times);
	assert_memory_equal(&here.st_mtim, &times[1], sizeof *times);
}

/*
 * What was not removed is taken back, and nothing of ours is left; what others put there is not.
 * The directory keeps its times.
 */
static void test_passing_names(void **state)
{
	static const char *const kinds_of_names[] = { "file",	 "fifo",   "directory",
						      "symlink", "socket", "link" };
	const struct timespec times[2] = { { 1000000000, 1000 }, { 1100000000, 2000 } };
	struct fixture *f = *state;

	close(open("linked", O_RDWR | O_CREAT, 0600));
	for (size_t i = 0; i < sizeof kinds_of_names / sizeof *kinds_of_names; i++) {
		struct undo_list list = { NULL };
		f->opener.undo = &list;
		assert_int_equal(utimensat(AT_FDCWD, ".", times, 0), 0);
		assert_non_null(make_passing(f, kinds_of_names[i], "name"));
		assert_int_equal(faccessat(AT_FDCWD, "name", F_OK, AT_SYMLINK_NOFOLLOW), 0);
		assert_null(make_passing(f, kinds_of_names[i], "name"));
		assert_int_equal(errno, EEXIST);
		expect_times(times);
		assert_int_equal(count_names(), 2);
		assert_int_equal(utimensat(AT_FDCWD, ".", times, 0), 0);
		undo_all(&list);
		expect_times(times);
		assert_int_equal(count_names(), 1);
		assert_int_equal(utimensat(AT_FDCWD, ".", times, 0), 0);
		struct passing_name *removed = make_passing(f, kinds_of_names[i], "name");
		assert_int_equal(passing_remove(removed), 0);
		expect_times(times);
		assert_int_equal(count_names(), 1);
	}
	/* The same inode at the same name, but not by us. */
	struct undo_list list = { NULL };
	f->opener.undo = &list;
	assert_int_equal(passing_remove(make_passing(f, "link", "name")), 0);
	assert_int_equal(link("linked", "name"), 0);
	undo_all(&list);
	assert_int_equal(access("name", F_OK), 0);
	f->opener.undo = NULL;
}

/* In a directory that is gone nothing is made, nor taken for what it is not. */
static void nothing_is_made_where_nothing_can_be(void **state)
{
	static const char *const kinds_of_names[] = { "file",	 "fifo",   "directory",
						      "symlink", "socket", "device" };
	struct fixture *f = *state;
	struct undo_list list = { NULL };

	close(open("linked", O_RDWR | O_CREAT, 0600));
	close(open("name", O_RDWR | O_CREAT, 0600));
	assert_int_equal(mkdir("gone", 0700), 0);
	assert_int_equal(chdir("gone"), 0);
	assert_int_equal(rmdir("../gone"), 0);
	f->opener.undo = &list;
	for (size_t i = 0; i < sizeof kinds_of_names / sizeof *kinds_of_names; i++) {
		errno = 0;
		assert_null(make_passing(f, kinds_of_names[i], "name"));
		assert_true(errno == ENOENT || errno == EPERM);
		assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
	}
	undo_all(&list);
	f->opener.undo = NULL;
	assert_int_equal(chdir(f->directory), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_passing_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_made_where_nothing_can_be, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
