// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The PAGEMAP_SCAN ioctl, declared here because headers before 6.7 lack it, and the fallback that
 * reads the 64-bit words of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst).
 */
#include "kernel/pagemap-scan.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, SCAN_ROOM = 256, WORDS = 512 };

#define CATEGORY_FILE	 (UINT64_C(1) << 2)
#define CATEGORY_PRESENT (UINT64_C(1) << 3)
#define CATEGORY_SWAPPED (UINT64_C(1) << 4)
#define CATEGORY_PFNZERO (UINT64_C(1) << 5)
#define CATEGORY_GUARD	 (UINT64_C(1) << 8)

#define WORD_GUARD   (UINT64_C(1) << 58)
#define WORD_FILE    (UINT64_C(1) << 61)
#define WORD_SWAPPED (UINT64_C(1) << 62)
#define WORD_PRESENT (UINT64_C(1) << 63)

struct scan_region {
	uint64_t start, end, categories;
};

struct scan_argument {
	uint64_t size, flags;
	uint64_t start, end, walk_end;
	uint64_t regions, n_regions, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

_Static_assert(sizeof(struct scan_argument) == 96, "struct pm_scan_arg of linux/fs.h");

#define IOCTL_PAGEMAP_SCAN _IOWR('f', 16, struct scan_argument)

static ptrdiff_t scan_by_ioctl(struct pagemap_scanner *scanner, uint64_t *start, uint64_t end,
			       struct page_run *runs, size_t room)
{
	const uint64_t not_counted = CATEGORY_PFNZERO | (scanner->with_files ? 0 : CATEGORY_FILE);
	struct scan_region regions[SCAN_ROOM];
	struct scan_argument argument = {
		.size = sizeof argument,
		.start = *start,
		.end = end,
		.regions = (uintptr_t)regions,
		.n_regions = room < SCAN_ROOM ? room : SCAN_ROOM,
		.category_inverted = not_counted,
		.category_mask = not_counted,
		.category_anyof_mask = CATEGORY_PRESENT | CATEGORY_SWAPPED,
		/* Only what splits runs: pages in memory and swapped ones are the same to us. */
		.return_mask = scanner->without_guard ? 0 : CATEGORY_GUARD,
	};
	int found = ioctl(scanner->fd, IOCTL_PAGEMAP_SCAN, &argument);

	if (found < 0 && errno == EINVAL && !scanner->without_guard) {
		scanner->without_guard = true;
		return scan_by_ioctl(scanner, start, end, runs, room);
	}
	if (found < 0)
		return -1;
	for (int i = 0; i < found; i++)
		runs[i] = (struct page_run){
			.start = regions[i].start,
			.end = regions[i].end,
			.guard = regions[i].categories & CATEGORY_GUARD,
		};
	*start = argument.walk_end;
	return found;
}

/* Bit 58 marks guard pages from 6.15; before, they look like swapped ones. */
static bool word_counts(uint64_t word, bool with_files, bool *ret_guard)
{
	*ret_guard = (word & WORD_GUARD) && !(word & WORD_PRESENT);
	return *ret_guard ||
	       ((word & (WORD_PRESENT | WORD_SWAPPED)) && (with_files || !(word & WORD_FILE)));
}

static ptrdiff_t scan_by_page(const struct pagemap_scanner *scanner, uint64_t *start, uint64_t end,
			      struct page_run *runs, size_t room)
{
	uint64_t words[WORDS];
	size_t found = 0;

	while (*start < end) {
		uint64_t wanted = (end - *start) / PAGE_BYTES;
		size_t bytes = (wanted < WORDS ? wanted : WORDS) * sizeof words[0];
		ssize_t got = pread(scanner->fd, words, bytes,
				    (off_t)(*start / PAGE_BYTES * sizeof words[0]));

		if (got < (ssize_t)sizeof words[0]) {
			if (got >= 0)
				errno = ESRCH; /* the address space is gone */
			return -1;
		}
		for (size_t i = 0; i < (size_t)got / sizeof words[0]; i++, *start += PAGE_BYTES) {
			bool guard;

			if (!word_counts(words[i], scanner->with_files, &guard))
				continue;
			if (found && runs[found - 1].end == *start &&
			    runs[found - 1].guard == guard) {
				runs[found - 1].end += PAGE_BYTES;
				continue;
			}
			if (found == room)
				return (ptrdiff_t)found;
			runs[found++] = (struct page_run){ *start, *start + PAGE_BYTES, guard };
		}
	}
	return (ptrdiff_t)found;
}

ptrdiff_t pagemap_scan(struct pagemap_scanner *scanner, uint64_t *start, uint64_t end,
		       struct page_run *runs, size_t room)
{
	if (!scanner->by_page) {
		ptrdiff_t found = scan_by_ioctl(scanner, start, end, runs, room);

		if (found >= 0 || errno != ENOTTY)
			return found;
		scanner->by_page = true;
	}
	return scan_by_page(scanner, start, end, runs, room);
}
