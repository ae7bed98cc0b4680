// SPDX-License-Identifier: LGPL-2.1-or-later
/* Messages with names that come from anybody: errors, log lines, JSON. */
#include "base/arena.h"
#include "base/both-ends.h"
#include "base/cleanup.h"
#include "base/compare.h"
#include "base/error.h"
#include "base/listing.h"
#include "base/log.h"
#include "base/obstacles.h"
#include "base/message.h"
#include "base/numbers.h"
#include "base/text.h"
#include "base/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include <cmocka.h>

#undef fail /* base/error.h has another one */

__attribute__((format(printf, 3, 4))) static const char *format(char *text, size_t size,
								const char *form, ...)
{
	va_list args;

	va_start(args, form);
	size_t length = message_format(text, size, form, args);
	va_end(args);
	assert_int_equal(length, strlen(text));
	assert_true(length < size);
	return text;
}

static void formats_are_those_of_printf(void **state)
{
	char got[200], wanted[200];

	(void)state;
#define SAME(...)                                                                  \
	do {                                                                       \
		snprintf(wanted, sizeof wanted, __VA_ARGS__);                      \
		assert_string_equal(format(got, sizeof got, __VA_ARGS__), wanted); \
	} while (0)
	SAME("plain, 100%%");
	SAME("%d %i %u %x %#x %o %c", -7, 7, 7u, 255u, 255u, 8u, 'c');
	SAME("%5d|%-5d|%05d|%+d|% d", 1, 2, 3, 4, 5);
	SAME("%hhu %hu %ld %lu %lld %llx %zu %zd %jd", (unsigned char)200, (unsigned short)60000,
	     -5L, 5UL, -6LL, 0xfffffffffffULL, (size_t)9, (ssize_t)-9, (intmax_t)-11);
	SAME("%06ld.%02x", 42L, 7u);
	SAME("%*d|%-*d|%.*d", 6, 1, 6, 2, 4, 3);
	SAME("%p", (void *)state);
	SAME("%s|%8s|%-8s|%.2s|%.*s|%*s", "one", "two", "three", "four", 3, "fives", 9, "six");
#undef SAME
}

static void names_are_made_printable(void **state)
{
	char text[200];

	(void)state;
	assert_string_equal(format(text, sizeof text, "a\n%s\n", "b\nc\x1b[2J\x7f"),
			    "a\nb\\nc\\x1b[2J\\x7f\n");
	assert_string_equal(format(text, sizeof text, "%s", "größe 文字 🐦"), "größe 文字 🐦");
	/* A C1 control, a stray byte, an overlong slash, a surrogate, one that ends too early. */
	assert_string_equal(
		format(text, sizeof text, "%s", "\xc2\x9b|\xff|\xc0\xaf|\xed\xa0\x80|\xe6\x96"),
		"\\xc2\\x9b|\\xff|\\xc0\\xaf|\\xed\\xa0\\x80|\\xe6\\x96");
	/* Writing from right to left, and the separator of lines. */
	assert_string_equal(format(text, sizeof text, "%s", "\u202etxt\u2028"),
			    "\\xe2\\x80\\xaetxt\\xe2\\x80\\xa8");
	assert_string_equal(format(text, sizeof text, "%.1s", "ö"), "\\xc3");
}

static void what_does_not_fit_ends_with_a_whole_character(void **state)
{
	char text[9];

	(void)state;
	assert_string_equal(format(text, sizeof text, "1234567%s", "ö"), "1234567");
	assert_string_equal(format(text, sizeof text, "123456%s!", "ö"), "123456ö");
	assert_string_equal(format(text, sizeof text, "12345%s", "\nabc"), "12345\\na");
	assert_string_equal(format(text, sizeof text, "123456%s", "\x1b"), "123456");
	assert_string_equal(format(text, sizeof text, "123456789"), "12345678");
	assert_string_equal(format(text, 1, "%d%s", 5, "x"), "");
}

static void errors_cannot_be_forged(void **state)
{
	struct error err = { 0 }, other = { 0 };

	(void)state;
	fail(&err, ERR_IO, "cannot open %s", "x\nnestor: error [io]: y");
	assert_string_equal(err.text, "cannot open x\\nnestor: error [io]: y");
	fail_while(&err, "reading \"%s\"", "\r");
	assert_string_equal(err.text, "reading \"\\r\": cannot open x\\nnestor: error [io]: y");
	fail_text(&other, ERR_IO, "one\ntwo");
	assert_string_equal(other.text, "one\ntwo");
	fail_text(&other, ERR_BUSY, "later");
	assert_int_equal(other.name, ERR_IO);
}

/* A line is one line, however long what it is about. */
static void log_lines_have_any_length(void **state)
{
	char name[] = "/tmp/nestor-test-base-XXXXXX", subject[6000], line[2][20000];
	int fd = mkstemp(name);

	(void)state;
	assert_true(fd >= 0);
	unlink(name);
	memset(subject, 'x', sizeof subject - 1);
	subject[sizeof subject - 1] = '\0';
	subject[3000] = '\n';
	log_open(fd, LOG_INFO);
	log_info("test", subject, "%s|%s", "the message", subject);
	log_info("test", "next", "short");
	log_open(-1, LOG_ERROR);
	FILE *log = fdopen(fd, "r");
	rewind(log);
	assert_non_null(fgets(line[0], sizeof line[0], log));
	assert_non_null(fgets(line[1], sizeof line[1], log));
	assert_non_null(strstr(line[0], ": the message|xxx"));
	assert_non_null(strstr(line[1], "test next: short\n"));
	fclose(log);
}

static void add_reason(struct obstacles *obstacles, const char *text, const char *option)
{
	struct error err = { 0 };

	fail(&err, ERR_UNSUPPORTED_FILE, "%s", text);
	if (option)
		fail_option(&err, "--external", "%s", option);
	assert_int_equal(obstacles_pass(obstacles, &err), 0);
	assert_int_equal(err.name, ERR_NONE);
}

static void obstacles_are_counted_by_kind(void **state)
{
	struct error err = { 0 }, others = { 0 };
	struct obstacles all;
	struct arena arena;

	(void)state;
	arena_init(&arena);
	obstacles_init(&all, &arena);
	assert_int_equal(obstacles_report(&all, &err), 0);
	add_reason(&all, "pid 12: descriptor 3 (pipe:[77]) is a pipe", "pipe[77]");
	add_reason(&all, "pid 13: descriptor 4 (pipe:[78]) is a pipe", "it's");
	add_reason(&all, "pid 13: descriptor 4 (pipe:[78]) is a pipe", "it's");
	add_reason(&all, "pid 12: descriptor 3 (/a (deleted)) is a socket", "plain:/a");
	add_reason(&all, "task 1:37:4711: /home/a/b is gone", NULL);
	add_reason(&all, "task 12: /b is gone", NULL);
	add_reason(&all, "1:37: has no name", NULL);
	add_reason(&all, "1:37:4711: has no name", NULL);
	assert_int_equal(all.n, 4);
	assert_int_equal(all.total, 7);
	assert_int_equal(all.list[0].count, 2);
	assert_int_equal(all.list[0].n_options, 2);
	assert_string_equal(all.list[0].options[0], "--external 'pipe[77]'");
	assert_string_equal(all.list[0].options[1], "--external 'it'\\''s'");
	assert_string_equal(all.list[1].options[0], "--external plain:/a");
	assert_int_equal(all.list[2].count, 2);
	assert_int_equal(all.list[3].count, 2);
	fail(&others, ERR_IO, "no refusal");
	assert_int_equal(obstacles_pass(&all, &others), -1);
	assert_int_equal(others.name, ERR_IO);
	assert_int_equal(obstacles_pass(NULL, &others), -1);
	assert_int_equal(obstacles_report(&all, &err), -1);
	assert_int_equal(err.name, ERR_UNSUPPORTED_FILE);
	assert_non_null(strstr(err.text, "7 things stand in the way, of 4 kinds:\npid 12"));
	arena_done(&arena);
}

static void options_are_printed_to_be_pasted(void **state)
{
	struct obstacles all;
	struct arena arena;
	struct text text;

	(void)state;
	arena_init(&arena);
	text_init(&text, &arena);
	obstacles_init(&all, &arena);
	add_reason(&all, "pid 12: descriptor 3 (pipe:[77]) is a pipe", "pipe[77]");
	add_reason(&all, "pid 13: descriptor 4 (pipe:[78]) is a pipe", "pipe[78]");
	add_reason(&all, "pid 12: descriptor 3 (/a) is a socket", "plain:/a");
	obstacles_print(&all, false, &text);
	assert_non_null(strstr(text.string, "\n    --external 'pipe[77]' --external 'pipe[78]'\n"));
	assert_non_null(strstr(text.string, "\n    --external plain:/a\n"));
	arena_done(&arena);
}

/* Names may be any words, with brackets of their own; what is left open is none. */
static void names_make_no_other_kind(void **state)
{
	static const char *const same[] = { "mount (tmp) of [a b] by \"sh\" is shared",
					    "mount (a (b) c) of [x] by \"\" is shared",
					    "mount () of [a[b]] by \"a (b\" is shared" };
	static const char *const others[] = { "mount (tmp of [a b] by \"sh\" is shared",
					      "mount (tmp) of [a b] by \"sh is shared",
					      "mount (tmp) of [a b] by sh is shared" };
	const size_t n_same = sizeof same / sizeof *same, n = sizeof others / sizeof *others;
	struct obstacles all;
	struct arena arena;

	(void)state;
	arena_init(&arena);
	obstacles_init(&all, &arena);
	for (size_t i = 0; i < n_same; i++)
		add_reason(&all, same[i], NULL);
	assert_int_equal(all.n, 1);
	assert_int_equal(all.list[0].count, n_same);
	for (size_t i = 0; i < n; i++)
		add_reason(&all, others[i], NULL);
	assert_int_equal(all.n, 1 + n);
	arena_done(&arena);
}

static void add_passing(struct obstacles *obstacles, const char *text, bool passing)
{
	struct error err = { 0 };

	fail(&err, ERR_UNSUPPORTED_FILE, "%s", text);
	if (passing)
		fail_passing(&err);
	assert_int_equal(obstacles_pass(obstacles, &err), 0);
}

/* Waiting helps only if all that is in the way passes. */
static void obstacles_pass_if_all_of_a_kind_do(void **state)
{
	struct obstacles all, joined;
	struct arena arena;

	(void)state;
	arena_init(&arena);
	obstacles_init(&all, &arena);
	obstacles_init(&joined, &arena);
	add_passing(&all, "1 is on its way", true);
	assert_true(all.list[0].passing);
	add_passing(&all, "2 is on its way", true);
	assert_true(all.list[0].passing);
	add_passing(&all, "3 is on its way", false);
	assert_false(all.list[0].passing);
	add_passing(&all, "4 is on its way", true);
	assert_false(all.list[0].passing);
	add_passing(&all, "1 stays", false);
	assert_false(all.list[1].passing);
	add_passing(&all, "2 stays", true);
	assert_false(all.list[1].passing);
	add_passing(&all, "1 goes", true);
	obstacles_join(&joined, &all);
	assert_int_equal(joined.n, 3);
	assert_false(joined.list[0].passing);
	assert_true(joined.list[2].passing);
	arena_done(&arena);
}

static void obstacles_that_are_not_kept_are_counted(void **state)
{
	struct obstacles all, joined;
	struct arena arena;

	(void)state;
	arena_init(&arena);
	obstacles_init(&all, &arena);
	obstacles_init(&joined, &arena);
	for (size_t i = 0; i < OBSTACLE_TEXTS + 5; i++)
		add_reason(&all, arena_printf(&arena, "pid %zu is odd", i), NULL);
	assert_int_equal(all.list[0].n_texts, OBSTACLE_TEXTS);
	assert_int_equal(all.list[0].count, OBSTACLE_TEXTS + 5);
	assert_int_equal(all.total, OBSTACLE_TEXTS + 5);
	add_reason(&joined, "pid 7 is odd", NULL);
	all.list[0].hint = "look there";
	obstacles_join(&joined, &all);
	assert_int_equal(joined.list[0].n_texts, OBSTACLE_TEXTS);
	assert_int_equal(joined.list[0].count, OBSTACLE_TEXTS + 5);
	assert_int_equal(joined.total, OBSTACLE_TEXTS + 5);
	assert_string_equal(joined.list[0].hint, "look there");
	all.list[0].hint = "not here";
	add_reason(&all, "pid 3 is odd", "pipe[7]");
	obstacles_join(&joined, &all);
	assert_string_equal(joined.list[0].hint, "look there");
	assert_int_equal(joined.list[0].n_options, 1);
	assert_string_equal(joined.list[0].options[0], "--external 'pipe[7]'");
	arena_done(&arena);
}

static void json_keeps_utf8(void **state)
{
	struct arena arena;
	struct text text;

	(void)state;
	arena_init(&arena);
	text_init(&text, &arena);
	text_add_json_string(&text, "a\"\\\n größe \xff \xc2\x9b");
	assert_string_equal(text.string, "\"a\\\"\\\\\\u000a größe \\udcff \\udcc2\\udc9b\"");
	arena_done(&arena);
}

static void a_list_that_fails_has_not_come_to_its_end(void **state)
{
	char folder[] = "/tmp/nestor-listing-XXXXXX", path[64];
	const char *name = NULL;

	(void)state;
	assert_non_null(mkdtemp(folder));
	DIR *dir = listing_open(AT_FDCWD, folder);
	assert_non_null(dir);
	errno = EIO;
	assert_false(listing_next(dir, &name)); /* neither "." nor ".." */
	assert_int_equal(errno, 0);
	closedir(dir);

	snprintf(path, sizeof path, "%s/one", folder);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	dir = listing_open(AT_FDCWD, folder);
	assert_true(listing_next(dir, &name));
	assert_string_equal(name, "one");
	close(dirfd(dir));
	assert_false(listing_next(dir, &name));
	assert_int_equal(errno, EBADF);
	closedir(dir);

	unlink(path);
	rmdir(folder);
	dir = listing_open(AT_FDCWD, folder);
	assert_false(listing_next(dir, &name));
	assert_int_equal(errno, ENOENT);
	assert_null(listing_of(open("/dev/null", O_RDONLY | O_CLOEXEC)));
	assert_int_equal(errno, ENOTDIR);
}

#ifdef __SANITIZE_ADDRESS__
/* Whoever reads one more than there are is caught, wherever the room of an array ends. */
static void arrays_end_behind_their_last(void **state)
{
	struct arena arena;
	uint32_t *array = NULL;

	(void)state;
	arena_init(&arena);
	for (size_t count = 0; count < 100; count++) {
		array = arena_grow(&arena, array, count, sizeof *array);
		assert_int_equal(array[count], 0);
		array[count] = (uint32_t)count + 1;
		assert_int_equal(array[count / 2], count / 2 + 1);
		assert_true(__asan_address_is_poisoned(&array[count + 1]));
		assert_true(__asan_address_is_poisoned(&array[-1]));
	}
	assert_null(__asan_region_is_poisoned(array, 100 * sizeof *array));
	arena_done(&arena);
}
#endif

/* Its number may be that of something else by then. */
static void descriptors_are_closed_once(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	cleanup_close(&fd);
	assert_int_equal(fd, -1);
	int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cleanup_close(&fd);
	assert_true(fcntl(other, F_GETFD) >= 0);
	close(other);
}

enum { THINGS = 2000 };

struct things {
	uint8_t by_caller[THINGS], by_other[THINGS];
	size_t refused; /* by the other one */
};

static bool do_thing(void *data, size_t at)
{
	struct things *things = data;

	if (at == things->refused)
		return false;
	things->by_other[at]++;
	return true;
}

static size_t do_all(struct things *things, size_t refused, bool alone)
{
	struct both_ends ends;
	struct arena arena;
	size_t by_other = 0;

	*things = (struct things){ .refused = refused };
	arena_init(&arena);
	both_ends_begin(&ends, &arena, THINGS, alone, do_thing, things);
	for (size_t at = 0; at < THINGS; at++)
		if (both_ends_turn(&ends, at))
			things->by_caller[at]++;
	both_ends_end(&ends);
	both_ends_end(&ends);
	for (size_t at = 0; at < THINGS; at++) {
		assert_int_equal(things->by_caller[at] + things->by_other[at], 1);
		by_other += things->by_other[at];
	}
	arena_done(&arena);
	return by_other;
}

static void things_are_done_once_by_one_of_two(void **state)
{
	struct things things;

	(void)state;
	for (int i = 0; i < 20; i++)
		do_all(&things, SIZE_MAX, false);
	assert_int_equal(do_all(&things, SIZE_MAX, true), 0);
	/* What it leaves to the caller, and all before that. */
	assert_int_equal(do_all(&things, THINGS - 1, false), 0);
	assert_true(do_all(&things, THINGS - 10, false) <= 9);
}

static void what_is_taken_over_stays(void **state)
{
	struct arena one, other;

	(void)state;
	for (int i = 0; i < 4; i++) {
		arena_init(&one);
		arena_init(&other);
		char *first = i & 1 ? arena_string(&one, "first") : NULL;
		char *second = i & 2 ? arena_string(&other, "second") : NULL;
		char *large = i & 2 ? arena_alloc(&other, 4 << 20) : NULL;
		arena_take_over(&one, &other);
		assert_null(other.blocks);
		char *third = arena_string(&one, "third");
		if (large)
			memset(large, 1, 4 << 20);
		assert_string_equal(third, "third");
		assert_string_equal(first ? first : "first", "first");
		assert_string_equal(second ? second : "second", "second");
		arena_done(&one);
	}
}

/* Calls do no more than so much at once, as where a signal comes. */
static size_t most_at_once = SIZE_MAX;

ssize_t write(int fd, const void *bytes, size_t size)
{
	return syscall(SYS_write, fd, bytes, min(size, most_at_once));
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	return syscall(SYS_pwrite64, fd, bytes, min(size, most_at_once), offset);
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset)
{
	return syscall(SYS_pread64, fd, bytes, min(size, most_at_once), offset);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t size)
{
	return syscall(SYS_sendfile, to, from, offset, min(size, most_at_once));
}

static void a_whole_takes_as_many_calls_as_it_needs(void **state)
{
	int from = memfd_create("from", MFD_CLOEXEC), to = memfd_create("to", MFD_CLOEXEC);
	off_t offset = 1;
	char text[8] = "";

	(void)state;
	most_at_once = 2;
	assert_int_equal(write_whole(from, "nestor", 6), 0);
	assert_int_equal(pread_whole(from, text, 6, 0), 0);
	assert_string_equal(text, "nestor");
	assert_int_equal(pwrite_whole(from, "STORY", 5, 2), 0);
	assert_int_equal(send_whole(to, from, &offset, 6), 6);
	assert_int_equal(offset, 7);
	assert_int_equal(pread_whole(to, text, 6, 0), 0);
	assert_string_equal(text, "eSTORY");
	most_at_once = SIZE_MAX;
	assert_int_equal(pwrite_whole(-1, "", 1, 0), -1);
	close(from);
	close(to);
}

/* Less than what was asked for is the end of the file, and a failure is no end. */
static void a_whole_is_sent_or_fails(void **state)
{
	int from = memfd_create("from", MFD_CLOEXEC), to = memfd_create("to", MFD_CLOEXEC);
	off_t offset = 1;
	char text[8] = "";

	(void)state;
	assert_int_equal(write_whole(from, "nestor", 6), 0);
	assert_int_equal(send_whole(to, from, &offset, 3), 3);
	assert_int_equal(offset, 4);
	assert_int_equal(send_whole(to, from, &offset, 100), 2);
	assert_int_equal(pread_whole(to, text, 5, 0), 0);
	assert_string_equal(text, "estor");
	assert_int_equal(pread_whole(to, text, 6, 0), -1);
	assert_int_equal(errno, ENODATA);
	offset = 0;
	assert_int_equal(send_whole(-1, from, &offset, 3), -1);
	assert_int_equal(errno, EBADF);
	close(from);
	close(to);
}

static void values_are_compared(void **state)
{
	(void)state;
	const uint32_t low[] = { 7, 9 }, high[] = { UINT32_MAX, 1 };

	assert_true(compare_values(1, 2) < 0);
	assert_int_equal(compare_values(2, 2), 0);
	assert_true(compare_values(2, 1) > 0);
	assert_true(compare_values(-1, 1) < 0);
	assert_true(compare_values(UINT64_MAX, UINT64_C(1)) > 0);
	assert_true(compare_values(INT64_MIN, INT64_MAX) < 0);
	assert_true(compare_values(&low[0], &low[1]) < 0);
	/* The first that differs decides. */
	assert_true((compare_values(1, 2) ?: compare_values(2, 1)) < 0);
	assert_true((compare_values(1, 1) ?: compare_values(2, 1)) > 0);

	assert_int_equal(min(1, 2), 1);
	assert_int_equal(min(2, 1), 1);
	assert_int_equal(max(1, 2), 2);
	assert_int_equal(max(2, 1), 2);
	assert_true(max(UINT64_MAX, 1) == UINT64_MAX && min(1, UINT64_MAX) == 1);
	assert_int_equal(min(-1, 1), -1);

	assert_true(compare_uint32(low, high) < 0);
	assert_int_equal(compare_uint32(high, high), 0);
	assert_true(compare_uint32(high, low) > 0);
}

static void numbers_are_found(void **state)
{
	const uint32_t numbers[] = { 0, 3, 4, 9, UINT32_MAX };
	size_t place;

	(void)state;
	for (size_t count = 0; count <= 5; count++)
		for (size_t i = 0; i < 5; i++) {
			assert_int_equal(numbers_find(numbers, count, numbers[i], &place),
					 i < count);
			assert_true(i >= count || place == i);
		}
	assert_false(numbers_find(numbers, 5, 1, &place));
	assert_false(numbers_find(numbers, 5, 10, &place));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_found),
		cmocka_unit_test(things_are_done_once_by_one_of_two),
		cmocka_unit_test(what_is_taken_over_stays),
		cmocka_unit_test(formats_are_those_of_printf),
		cmocka_unit_test(names_are_made_printable),
		cmocka_unit_test(what_does_not_fit_ends_with_a_whole_character),
		cmocka_unit_test(errors_cannot_be_forged),
		cmocka_unit_test(log_lines_have_any_length),
		cmocka_unit_test(obstacles_are_counted_by_kind),
		cmocka_unit_test(options_are_printed_to_be_pasted),
		cmocka_unit_test(names_make_no_other_kind),
		cmocka_unit_test(obstacles_pass_if_all_of_a_kind_do),
		cmocka_unit_test(obstacles_that_are_not_kept_are_counted),
		cmocka_unit_test(json_keeps_utf8),
		cmocka_unit_test(values_are_compared),
		cmocka_unit_test(descriptors_are_closed_once),
		cmocka_unit_test(a_list_that_fails_has_not_come_to_its_end),
		cmocka_unit_test(a_whole_is_sent_or_fails),
		cmocka_unit_test(a_whole_takes_as_many_calls_as_it_needs),
#ifdef __SANITIZE_ADDRESS__
		cmocka_unit_test(arrays_end_behind_their_last),
#endif
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
