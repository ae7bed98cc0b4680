// SPDX-License-Identifier: LGPL-2.1-or-later
/* See images-fixture.h. */
#include "images-fixture.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "sample-snapshot.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

int fixture_setup(void **state)
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

void empty_directory(int dir_fd)
{
	DIR *folder = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	assert_non_null(folder);
	for (const struct dirent *entry; (entry = readdir(folder));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    unlinkat(dir_fd, entry->d_name, 0))
			assert_return_code(unlinkat(dir_fd, entry->d_name, AT_REMOVEDIR), errno);
	closedir(folder);
}

int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;

	empty_directory(fixture->dir_fd);
	close(fixture->dir_fd);
	rmdir(fixture->path);
	arena_done(&fixture->arena);
	free(fixture);
	return 0;
}

void must(int result, const struct error *err)
{
	if (result)
		fail_msg("%s", err->text);
}

void write_sample(struct fixture *fixture)
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

enum error_name open_error(const struct fixture *fixture, struct error *ret_err)
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

void expect_error(const struct fixture *fixture, enum error_name name, const char *about)
{
	struct error err;

	if (open_error(fixture, &err) != name)
		fail_msg("%s instead of %s: %s", error_name(err.name), error_name(name), err.text);
	if (!strstr(err.text, about))
		fail_msg("\"%s\" does not tell of %s", err.text, about);
}

void expect_hint(const struct fixture *fixture)
{
	struct error err;

	assert_int_not_equal(open_error(fixture, &err), ERR_NONE);
	assert_true(err.hint[0]);
}

char *read_file(struct fixture *fixture, const char *name, size_t *ret_size)
{
	char *bytes;
	ssize_t size = procfs_read(&fixture->arena, fixture->dir_fd, name, &bytes);

	assert_true(size >= 0);
	*ret_size = (size_t)size;
	return bytes;
}

void write_file(const struct fixture *fixture, const char *name, const void *bytes, size_t size)
{
	autoclose int fd =
		openat(fixture->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
}

bool exists(const struct fixture *fixture, const char *name)
{
	return faccessat(fixture->dir_fd, name, F_OK, 0) == 0;
}
