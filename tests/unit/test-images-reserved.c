// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Images whose room is made beforehand (images/reserve.c), on a small tmpfs of the test's own: they
 * are what they would be otherwise, and what was reserved in vain is in nobody's way.
 */
#include "base/cleanup.h"
#include "images-fixture.h"
#include "sample-snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

enum { MIB = 1 << 20, SKIPPED = 77, OWN = 9 };

static uint64_t free_bytes(const struct fixture *fixture)
{
	struct statfs fs;

	assert_return_code(fstatfs(fixture->dir_fd, &fs), errno);
	return (uint64_t)fs.f_bfree * (uint64_t)fs.f_bsize;
}

static void reserve(struct images_writer *writer, uint64_t size)
{
	struct reserved_image *image = images_reserve(writer);

	assert_non_null(image);
	assert_true(images_reserve_more(image, size / 2));
	assert_true(images_reserve_more(image, size - size / 2));
}

static struct stat staged(const struct fixture *fixture)
{
	struct stat status;

	assert_return_code(fstatat(fixture->dir_fd, "nestor-staging/pages-9.img", &status, 0),
			   errno);
	return status;
}

static struct images_writer *begin(const struct fixture *fixture)
{
	struct error err = { 0 };
	struct images_writer *writer = images_writer_new(fixture->dir_fd, &err);

	assert_non_null(writer);
	return writer;
}

static struct summed_image *create(struct images_writer *writer, uint64_t size)
{
	struct error err = { 0 };
	struct summed_image *image = images_create_summed(writer, IMAGE_PAGES, OWN, size, &err);

	assert_non_null(image);
	return image;
}

/* All of it, of one piece. */
static int fill(struct summed_image *image, uint64_t size, struct error *err)
{
	static uint8_t bytes[MIB];
	struct piece_writer *piece = piece_writer_new();
	uint64_t from, to;
	int result = 0;

	memset(bytes, 'x', sizeof bytes);
	piece_begin(piece, image, 0, &from, &to);
	assert_true(from == 0 && to == size);
	while (!result && from < to) {
		uint64_t step = to - from < MIB ? to - from : MIB;

		result = piece_write(piece, bytes, step, err);
		from += step;
	}
	if (!result) {
		piece_end(piece);
		summed_image_finish(image);
	}
	piece_writer_free(piece);
	return result;
}

static void commit(struct fixture *fixture, struct images_writer *writer, uint64_t size)
{
	struct error err = { 0 };
	struct snapshot snapshot;
	struct stat status;

	sample_snapshot(&snapshot, &fixture->arena);
	must(sample_write(writer, &snapshot, &err), &err);
	must(images_commit(writer, &err), &err);
	images_writer_free(writer);
	assert_return_code(fstatat(fixture->dir_fd, "pages-9.img", &status, 0), errno);
	assert_int_equal(status.st_size, size);
	assert_false(exists(fixture, "nestor-staging"));
	must(open_error(fixture, &err), &err);
}

/* The one that is nearest in size, and no more of it than is needed. */
static void test_taken(void **state)
{
	struct fixture *fixture = *state;
	struct images_writer *writer = begin(fixture);
	const uint64_t size = 18 * MIB + 4096;
	struct error err = { 0 };

	assert_true(images_room(writer) > 0 && images_room(writer) <= 30 * MIB);
	reserve(writer, 4 * MIB);
	reserve(writer, 20 * MIB);
	reserve(writer, 2 * MIB);
	struct summed_image *image = create(writer, size);
	assert_int_equal(staged(fixture).st_size, size);
	assert_true(staged(fixture).st_blocks * 512 >= (off_t)size);
	must(fill(image, size, &err), &err);
	assert_true(images_unreserve(writer));
	commit(fixture, writer, size);
}

/* An image of `size` where there is one file with other room, of which it gets `taken`. */
static void write_beside(struct fixture *fixture, uint64_t room, uint64_t size, uint64_t taken)
{
	struct images_writer *writer = begin(fixture);
	struct error err = { 0 };

	reserve(writer, room);
	struct summed_image *image = create(writer, size);
	assert_int_equal(staged(fixture).st_size, taken);
	must(fill(image, size, &err), &err);
	assert_true(images_unreserve(writer));
	commit(fixture, writer, size);
}

/* What grew meanwhile, too. */
static void test_too_small(void **state)
{
	write_beside(*state, 4 * MIB, 6 * MIB, 4 * MIB);
}

static void test_much_too_large(void **state)
{
	write_beside(*state, 20 * MIB, 1 * MIB, 0);
}

/* Of 60 MiB: 50 fit only where the other 20 are given back. */
static void test_room_is_given_back(void **state)
{
	struct fixture *fixture = *state;
	struct images_writer *writer = begin(fixture);
	struct error err = { 0 };

	reserve(writer, 20 * MIB);
	reserve(writer, 20 * MIB);
	struct summed_image *image = create(writer, 50 * MIB);
	must(fill(image, 50 * MIB, &err), &err);
	commit(fixture, writer, 50 * MIB);
}

static void test_no_room(void **state)
{
	struct fixture *fixture = *state;
	uint64_t before = free_bytes(fixture);
	struct images_writer *writer = begin(fixture);
	struct error err = { 0 };

	reserve(writer, 20 * MIB);
	reserve(writer, 20 * MIB);
	struct reserved_image *image = images_reserve(writer);
	assert_false(images_reserve_more(image, 40 * MIB));
	assert_int_equal(fill(create(writer, 64 * MIB), 64 * MIB, &err), -1);
	assert_int_equal(err.name, ERR_IO);
	assert_non_null(strstr(err.text, "pages-9.img"));
	assert_non_null(strstr(err.text, strerror(ENOSPC)));
	images_writer_free(writer);
	assert_int_equal(free_bytes(fixture), before);
	assert_false(exists(fixture, "nestor-staging"));
}

/* A dump that is given up early. */
static void test_given_up(void **state)
{
	struct fixture *fixture = *state;
	uint64_t before = free_bytes(fixture);
	struct images_writer *writer = begin(fixture);

	reserve(writer, 20 * MIB);
	images_writer_free(writer);
	assert_int_equal(free_bytes(fixture), before);
	assert_false(exists(fixture, "nestor-staging"));
}

static bool map_id(const char *path, unsigned id)
{
	char line[32];
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	int length = snprintf(line, sizeof line, "%u %u 1", id, id);

	return fd >= 0 && write(fd, line, (size_t)length) == length;
}

/* Who is not root is somebody all the same. */
static bool become_mounter(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (uid == 0)
		return unshare(CLONE_NEWNS) == 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return false;
	autoclose int fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, "deny", 4) == 4 && map_id("/proc/self/uid_map", uid) &&
	       map_id("/proc/self/gid_map", gid);
}

/* Mounted for this process alone. */
static bool has_small_tmpfs(void)
{
	return become_mounter() && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", "/tmp", "tmpfs", 0, "size=60m") == 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_taken),	   IN_DIRECTORY(test_too_small),
		IN_DIRECTORY(test_much_too_large), IN_DIRECTORY(test_room_is_given_back),
		IN_DIRECTORY(test_no_room),	   IN_DIRECTORY(test_given_up),
	};

	if (!has_small_tmpfs()) {
		printf("no file system can be mounted here: %s\n", strerror(errno));
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
