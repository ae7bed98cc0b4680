// SPDX-License-Identifier: LGPL-2.1-or-later
/* Finding the pages of memory that have content: both ways find the same. */
#include "kernel/pagemap-scan.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { PAGE = 4096 };

static void same_runs(const struct page_run *a, const struct page_run *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(a[i].start, b[i].start);
		assert_int_equal(a[i].end, b[i].end);
		assert_int_equal(a[i].guard, b[i].guard);
	}
}

/* Both ways of finding pages find the same; without the guard category they are content. */
static void scans_agree(void **state)
{
	struct page_run by_ioctl[16], by_page[16];
	uint8_t *bytes =
		mmap(NULL, 32 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t start = (uintptr_t)bytes, end = start + 32 * PAGE, at = start;
	autoclose int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct pagemap_scanner scanner = { .fd = fd };
	ptrdiff_t n;

	(void)state;
	for (size_t i = 0; i < 32; i++)
		if (i % 5 < 2)
			bytes[i * PAGE] = 1;
	n = pagemap_scan(&scanner, &at, end, by_ioctl, 16);
	assert_int_equal(n, 7);
	assert_int_equal(at, end);
	scanner = (struct pagemap_scanner){ .fd = fd, .without_guard = true };
	at = start;
	assert_int_equal(pagemap_scan(&scanner, &at, end, by_page, 16), n);
	same_runs(by_ioctl, by_page, (size_t)n);
	scanner = (struct pagemap_scanner){ .fd = fd, .by_page = true };
	at = start;
	assert_int_equal(pagemap_scan(&scanner, &at, end, by_page, 16), n);
	same_runs(by_ioctl, by_page, (size_t)n);
	/* In pieces, each going on where the one before ended. */
	at = start;
	for (ptrdiff_t i = 0; i < n; i++)
		assert_int_equal(pagemap_scan(&scanner, &at, end, by_page, 1), 1);
	assert_int_equal(by_page[0].start, by_ioctl[n - 1].start);
	munmap(bytes, 32 * PAGE);
}

/* Both ways leave pages of files out, or find them all. */
static void scans_agree_on_files(void **state)
{
	uint8_t *bytes =
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	autoclose int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	(void)state;
	bytes[PAGE] = bytes[2 * PAGE] = 1;
	for (int i = 0; i < 4; i++) {
		struct pagemap_scanner scanner = { .fd = fd,
						   .by_page = i & 1,
						   .with_files = i & 2 };
		uint64_t at = (uintptr_t)bytes;
		struct page_run runs[4];
		ptrdiff_t n = pagemap_scan(&scanner, &at, at + 4 * PAGE, runs, 4);
		assert_int_equal(n, i & 2 ? 1 : 0);
		if (n)
			assert_int_equal(runs[0].start, (uintptr_t)bytes + PAGE);
		if (n)
			assert_int_equal(runs[0].end, (uintptr_t)bytes + 3 * PAGE);
	}
	munmap(bytes, 4 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scans_agree),
		cmocka_unit_test(scans_agree_on_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
