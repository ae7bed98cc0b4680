// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Whether an overlay shows what layers give that are found by names; directories stand for both, of
 * which links show the same file, and names of their own another one.
 */
#include "base/arena.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/overlay.h"

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

enum { UPPER, LOWER, SHOWN, N_DIRECTORIES };

/* What came to be within one tick of the clock differs by its mode alone. */
static const mode_t modes[] = { 0755, 0750, 0700 };

struct fixture {
	struct arena arena;
	char path[64];
	int fds[N_DIRECTORIES];
};

static int set_up(void **state)
{
	static const char *const names[] = { "upper", "lower", "shown" };
	struct fixture *f = calloc(1, sizeof *f);

	arena_init(&f->arena);
	strcpy(f->path, "/tmp/nestor-overlay-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	for (int i = 0; i < N_DIRECTORIES; i++) {
		char path[128];
		snprintf(path, sizeof path, "%s/%s", f->path, names[i]);
		assert_int_equal(mkdir(path, modes[i]), 0);
		f->fds[i] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(f->fds[i] >= 0);
	}
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];

	snprintf(command, sizeof command, "rm -r %s", f->path);
	assert_int_equal(system(command), 0);
	for (int i = 0; i < N_DIRECTORIES; i++)
		close(f->fds[i]);
	arena_done(&f->arena);
	free(f);
	return 0;
}

static void put(const struct fixture *f, int at, const char *name, const char *text)
{
	int fd = openat(f->fds[at], name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, modes[at]), 0);
	close(fd);
}

static void put_directory(const struct fixture *f, int at, const char *name)
{
	assert_int_equal(mkdirat(f->fds[at], name, modes[at]), 0);
}

static void show(const struct fixture *f, int at, const char *name)
{
	assert_int_equal(linkat(f->fds[at], name, f->fds[SHOWN], name, 0), 0);
}

/* Of two layers, the directory `shown_fd` shows all or what is below `root`. */
static int compare(struct fixture *f, int shown_fd, const char *root, bool lower_only)
{
	struct overlay_layer all[] = {
		{ .path = "upper", .relative = !lower_only, .seen = true },
		{ .path = "lower", .relative = true, .seen = true },
	};
	struct overlay_layers layers = { .arena = &f->arena, .all = all, .n = 2, .n_relative = 2 };
	int result = overlay_compare(&layers, f->fds, shown_fd, root);

	assert_int_equal(layers.failed, 0);
	return result;
}

static void the_same_is_counted(void **state)
{
	struct fixture *f = *state;

	/* A directory is itself, with all that is in it. */
	put(f, LOWER, "file", "text");
	put_directory(f, LOWER, "below");
	put(f, LOWER, "below/other", "text");
	assert_int_equal(compare(f, f->fds[LOWER], "/", true), 4);
	assert_int_equal(compare(f, f->fds[UPPER], "/", true), -1);
	int below = openat(f->fds[LOWER], "below", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(compare(f, below, "/below", true), 2);
	close(below);
}

static void a_link_is_the_same(void **state)
{
	struct fixture *f = *state;

	put(f, LOWER, "file", "text");
	show(f, LOWER, "file");
	put(f, UPPER, "new", "more");
	show(f, UPPER, "new");
	assert_int_equal(compare(f, f->fds[SHOWN], "/", false), 2);
}

/* Neither absent nor another, unless something above is in its way. */
static void another_is_wrong(void **state)
{
	struct fixture *f = *state;

	put(f, LOWER, "file", "text");
	assert_int_equal(compare(f, f->fds[SHOWN], "/", false), -1);
	put(f, SHOWN, "file", "longer text");
	assert_int_equal(compare(f, f->fds[SHOWN], "/", false), -1);
	put(f, UPPER, "file", "longer text");
	assert_int_equal(compare(f, f->fds[SHOWN], "/", false), -1);
	assert_int_equal(unlinkat(f->fds[SHOWN], "file", 0), 0);
	show(f, UPPER, "file");
	assert_int_equal(compare(f, f->fds[SHOWN], "/", false), 1);
}

static void what_is_in_the_way_covers(void **state)
{
	struct fixture *f = *state;

	put_directory(f, LOWER, "below");
	put(f, LOWER, "below/file", "text");
	assert_int_equal(compare(f, f->fds[SHOWN], "/", false), -1);
	/* It may show nothing else (opaque). */
	put_directory(f, UPPER, "below");
	assert_int_equal(compare(f, f->fds[SHOWN], "/", false), 0);
	/* A file is not in the way of others beside it. */
	assert_int_equal(unlinkat(f->fds[UPPER], "below", AT_REMOVEDIR), 0);
	put(f, UPPER, "belo", "text");
	show(f, UPPER, "belo");
	assert_int_equal(compare(f, f->fds[SHOWN], "/", false), -1);
}

/* An empty file may say that there is nothing of that name. */
static void what_hides_is_not_shown(void **state)
{
	struct fixture *f = *state;

	put(f, LOWER, "file", "");
	assert_int_equal(compare(f, f->fds[SHOWN], "/", false), 0);
	put(f, LOWER, "file", "x");
	assert_int_equal(compare(f, f->fds[SHOWN], "/", false), -1);
}

/* In images: where layers are that their names do not lead to. */
static enum error_name check(struct fixture *f, char **at, size_t n, uint32_t namespace_id)
{
	struct snapshot snapshot = { .arena = &f->arena };
	MntEntry entry = MNT_ENTRY__INIT;
	struct error err = { 0 };

	entry.mountpoint = "/merged";
	entry.options = "lowerdir=/one:/two";
	entry.layers_at = at;
	entry.n_layers_at = n;
	entry.has_layers_ns_id = namespace_id != 0;
	entry.layers_ns_id = namespace_id;
	return overlay_mount_kind.check(&snapshot, &entry, &err) ? err.name : ERR_NONE;
}

static void places_are_as_many_as_names(void **state)
{
	struct fixture *f = *state;
	char *places[] = { "/a/b", "/c", "/d" }, *relative[] = { "/a", "c" },
	     *empty[] = { "", "/c" };

	assert_int_equal(check(f, NULL, 0, 0), ERR_NONE);
	assert_int_equal(check(f, places, 2, 0), ERR_NONE);
	assert_int_equal(check(f, places, 1, 0), ERR_IMAGE_INVALID);
	assert_int_equal(check(f, places, 3, 0), ERR_IMAGE_INVALID);
	assert_int_equal(check(f, relative, 2, 0), ERR_IMAGE_INVALID);
	assert_int_equal(check(f, empty, 2, 0), ERR_IMAGE_INVALID);
	/* In a mount namespace that there is not. */
	assert_int_equal(check(f, places, 2, 20), ERR_IMAGE_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_same_is_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_link_is_the_same, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_is_wrong, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_in_the_way_covers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_hides_is_not_shown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(places_are_as_many_as_names, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
