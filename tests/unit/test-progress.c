// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a terminal sees of a command that takes long: one line, drawn anew, gone at the end. */
#include "commands/progress.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Last: it defines a macro called fail. */
#include <cmocka.h>

#define WIPED "\r\033[K"

struct fixture {
	int terminal, saved;
	struct progress progress;
};

/* Standard error is a terminal, whose other end is ours. */
static void set_up(struct fixture *fixture, bool busy, long begun_ago)
{
	fixture->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(fixture->terminal >= 0 && grantpt(fixture->terminal) == 0 &&
		    unlockpt(fixture->terminal) == 0);
	int other = open(ptsname(fixture->terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
	fixture->saved = dup(STDERR_FILENO);
	assert_true(other >= 0 && fixture->saved >= 0 && dup2(other, STDERR_FILENO) >= 0);
	close(other);
	progress_init(&fixture->progress, busy);
	fixture->progress.start.tv_sec -= begun_ago;
	fixture->progress.last = fixture->progress.start;
}

static void tear_down(struct fixture *fixture)
{
	dup2(fixture->saved, STDERR_FILENO);
	close(fixture->saved);
	close(fixture->terminal);
}

static void expect(const struct fixture *fixture, const char *text)
{
	struct pollfd ready = { .fd = fixture->terminal, .events = POLLIN };
	char seen[200] = "";

	for (size_t size = 0; poll(&ready, 1, size < strlen(text) ? 1000 : 50) > 0;) {
		ssize_t more = read(fixture->terminal, seen + size, sizeof seen - 1 - size);
		if (more <= 0)
			break;
		size += (size_t)more;
	}
	assert_string_equal(seen, text);
}

static void drawn_and_wiped(void **state)
{
	struct fixture fixture;

	(void)state;
	set_up(&fixture, false, 1);
	progress_show(&fixture.progress, "reading", 3, 7);
	expect(&fixture, WIPED "nestor: reading (3 of 7)");
	/* Not for every step, however slow this machine is. */
	fixture.progress.last.tv_sec += 60;
	progress_show(&fixture.progress, "reading", 4, 7);
	expect(&fixture, "");
	fixture.progress.last.tv_sec -= 61;
	progress_show(&fixture.progress, "writing", 0, 0);
	expect(&fixture, WIPED "nestor: writing");
	progress_end(&fixture.progress);
	expect(&fixture, WIPED);
	progress_end(&fixture.progress);
	expect(&fixture, "");
	/* After what was told meanwhile, at once. */
	progress_show(&fixture.progress, "writing", 1, 2);
	expect(&fixture, WIPED "nestor: writing (1 of 2)");
	tear_down(&fixture);
}

static void nothing_of_what_is_quick(void **state)
{
	struct fixture fixture;

	(void)state;
	set_up(&fixture, false, 0);
	fixture.progress.start.tv_sec++; /* however slow this machine is */
	progress_show(&fixture.progress, "reading", 3, 7);
	progress_end(&fixture.progress);
	expect(&fixture, "");
	tear_down(&fixture);
}

static void nothing_where_others_write(void **state)
{
	struct fixture fixture;

	(void)state;
	set_up(&fixture, true, 1);
	progress_show(&fixture.progress, "reading", 3, 7);
	progress_end(&fixture.progress);
	expect(&fixture, "");
	tear_down(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drawn_and_wiped),
		cmocka_unit_test(nothing_of_what_is_quick),
		cmocka_unit_test(nothing_where_others_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
