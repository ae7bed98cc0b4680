// SPDX-License-Identifier: LGPL-2.1-or-later
/* Descriptors that are kept while files are opened (kinds/opener.h). */
#include "kinds/opener.h"

#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int again_fd; /* what a holder has, or -1 */
static size_t let_go_of;

static int get_again(const struct file_opener *opener, size_t place)
{
	(void)opener;
	(void)place;
	return again_fd;
}

static void note_let_go(const struct file_opener *opener, size_t place)
{
	(void)opener;
	let_go_of = place;
}

/* Holders make room by how many are here: what is pinned stays, what is taken is not kept. */
static void kept_are_counted(void **state)
{
	struct arena arena;
	struct file_opener opener = { .arena = &arena };

	(void)state;
	arena_init(&arena);
	size_t one = opener_keep(&opener, 1000), pinned = opener_pin(&opener, 1001),
	       other = opener_keep(&opener, 1002);
	assert_int_equal(opener.n_here, 2);
	assert_false(opener.pinned[one]);
	assert_true(opener.pinned[pinned]);
	assert_int_equal(opener_kept(&opener, pinned), 1001);
	assert_int_equal(opener_take(&opener, pinned), 1001);
	assert_int_equal(opener.n_here, 2);
	assert_int_equal(opener_take(&opener, pinned), -1);
	opener.let_go = note_let_go;
	assert_int_equal(opener_take(&opener, other), 1002);
	assert_int_equal(let_go_of, other);
	assert_int_equal(opener.n_here, 1);
	assert_int_equal(opener.kept_fds[one], 1000);
	arena_done(&arena);
}

static void holders_give_back(void **state)
{
	struct arena arena;
	struct file_opener opener = { .arena = &arena, .kept_again = get_again };
	struct error err = { 0 };

	(void)state;
	arena_init(&arena);
	size_t place = opener_keep(&opener, 1000);
	/* As run/holders.c leaves it. */
	opener.kept_fds[place] = -1;
	opener.n_here--;
	again_fd = -1;
	assert_int_equal(opener_kept(&opener, place), -1);
	assert_int_equal(opener_take(&opener, place), -1);
	assert_int_equal(opener.n_here, 0);
	again_fd = 1003;
	assert_int_equal(opener_kept(&opener, place), 1003);
	assert_int_equal(opener.n_here, 1);
	assert_int_equal(opener_kept(&opener, place), 1003);
	assert_int_equal(opener.n_here, 1);
	assert_int_equal(opener_take(&opener, place), 1003);
	assert_int_equal(opener.n_here, 0);
	assert_int_equal(opener_make_room(&opener, &err), 0);
	arena_done(&arena);
}

/* What is for the caller is held, too. */
static void held_are_told(void **state)
{
	struct arena arena;
	struct file_opener opener = { .arena = &arena };

	(void)state;
	arena_init(&arena);
	for (int fd = 1000; fd < 1040; fd++)
		if (fd % 2)
			opener_hold(&opener, fd);
		else
			opener_give_master(&opener, fd);
	assert_int_equal(opener.n_held_fds, 40);
	assert_int_equal(opener.n_masters, 20);
	for (int i = 0; i < 40; i++)
		assert_int_equal(opener.held_fds[i], 1000 + i);
	for (int i = 0; i < 20; i++)
		assert_int_equal(opener.masters[i], 1000 + 2 * i);
	arena_done(&arena);
}

/* What took the place of a file that was looked at is not taken for it. */
static void another_file_is_not_settled(void **state)
{
	struct stat expected;
	int fd = open("/proc/self", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(fstat(fd, &expected), 0);
	assert_int_equal(opener_settle(fd, O_RDONLY | O_NONBLOCK, &expected), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	expected.st_dev++;
	assert_int_equal(opener_settle(fd, O_RDONLY, &expected), -1);
	assert_int_equal(errno, ESTALE);
	expected.st_dev--;
	expected.st_ino++;
	assert_int_equal(opener_settle(fd, O_RDONLY, &expected), -1);
	assert_int_equal(errno, ESTALE);
	close(fd);
	assert_int_equal(opener_settle(fd, O_RDONLY, &expected), -1);
	assert_int_equal(errno, EBADF);
}

/* None is cut off: the rest may be another file. */
static void too_long_a_path_leads_nowhere(void **state)
{
	const struct file_opener opener = { .root_fd = AT_FDCWD };
	char path[2 * PATH_MAX];
	struct stat found;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof path; i++)
		path[i] = "./"[i % 2];
	path[sizeof path - 1] = '\0';
	assert_int_equal(opener_open_path(&opener, path, O_PATH), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(opener_look_at(&opener, path, 0, &found), -1);
	assert_int_equal(errno, ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_are_counted),
		cmocka_unit_test(holders_give_back),
		cmocka_unit_test(held_are_told),
		cmocka_unit_test(another_file_is_not_settled),
		cmocka_unit_test(too_long_a_path_leads_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
