// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which parts of files in memory are there, against what was written and reserved, page by page. */
#include "kernel/file-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

enum { PAGE = 4096, SMALL = 6, MANY = 300 };
enum what { HOLE, DATA, RESERVED, N_WHAT };

static int make_file(const enum what *pages, size_t n, off_t size)
{
	int fd = memfd_create("parts", MFD_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t i = 0; i < n; i++)
		if (pages[i] == DATA)
			assert_int_equal(pwrite(fd, "x", 1, (off_t)i * PAGE), 1);
	/* It takes away what is behind it. */
	assert_int_equal(ftruncate(fd, size), 0);
	for (size_t i = 0; i < n; i++)
		if (pages[i] == RESERVED)
			assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)i * PAGE, PAGE),
					 0);
	return fd;
}

static void check_file(const enum what *pages, size_t n, off_t size)
{
	struct file_parts parts = { 0 };
	int fd = make_file(pages, n, size);
	size_t part = 0;

	assert_int_equal(file_parts_read(fd, &parts), 0);
	for (size_t i = 0; i < n; part++) {
		size_t start = i;

		while (start < n && pages[start] == HOLE)
			start++;
		for (i = start; i < n && pages[i] != HOLE;)
			i++;
		if (start == n)
			break;
		assert_true(part < parts.n);
		assert_int_equal(parts.parts[part].start, start * PAGE);
		assert_int_equal(parts.parts[part].end, i * PAGE);
	}
	assert_int_equal(part, parts.n);
	file_parts_free(&parts);
	assert_null(parts.parts);
	assert_int_equal(parts.n, 0);
	close(fd);
}

static void small_files(bool may_be_holes)
{
	unsigned patterns = 1;

	for (size_t i = 0; i < SMALL; i++)
		patterns *= N_WHAT;
	for (unsigned pattern = 0; pattern < patterns; pattern++) {
		enum what pages[SMALL];
		unsigned rest = pattern, holes = 0;
		size_t end = 0;

		for (size_t i = 0; i < SMALL; i++, rest /= N_WHAT) {
			pages[i] = rest % N_WHAT;
			holes += pages[i] == HOLE;
			if (pages[i] == DATA)
				end = i + 1;
		}
		if (holes && !may_be_holes)
			continue;
		/* What is reserved may be behind the end, and the end behind all. */
		check_file(pages, SMALL, (off_t)end * PAGE);
		check_file(pages, SMALL, (off_t)SMALL * PAGE + 1);
		if (end)
			check_file(pages, SMALL, (off_t)end * PAGE - 1);
	}
}

static bool counts_pages(void)
{
	return syscall(SYS_cachestat, -1, NULL, NULL, 0) == 0 || errno != ENOSYS;
}

static void parts_are_counted(void **state)
{
	(void)state;
	if (!counts_pages())
		skip();
	small_files(true);
}

static void many_parts_are_listed(void **state)
{
	(void)state;
	enum what pages[MANY];

	for (size_t i = 0; i < MANY; i++)
		pages[i] = i % 2 ? DATA : HOLE;
	check_file(pages, MANY, (off_t)MANY * PAGE);
}

static void forbid_counting(void)
{
	struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_cachestat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { sizeof instructions / sizeof *instructions,
					   instructions };

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

/* As before Linux 6.5, for good: the last of the tests. */
static void parts_are_guessed(void **state)
{
	(void)state;
	forbid_counting();
	assert_false(counts_pages());
	many_parts_are_listed(NULL);
	small_files(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_counted),
		cmocka_unit_test(many_parts_are_listed),
		cmocka_unit_test(parts_are_guessed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
