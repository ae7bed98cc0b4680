/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages of an address range hold content that only the task has: present or swapped
 * anonymous pages, without the shared zero page; and which are guard pages. PAGEMAP_SCAN (6.7)
 * finds them in one call; older kernels are asked page by page through the same file.
 */
#ifndef NESTOR_KERNEL_PAGEMAP_SCAN_H
#define NESTOR_KERNEL_PAGEMAP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct page_run {
	uint64_t start, end;
	bool guard; /* MADV_GUARD_INSTALL: no content, access is a fault */
};

struct pagemap_scanner {
	int fd;		    /* /proc/PID/pagemap, borrowed */
	bool by_page;	    /* PAGEMAP_SCAN is not there, or not wanted */
	bool with_files;    /* pages of files count, too */
	bool without_guard; /* PAGE_IS_GUARD (6.16) is not known to PAGEMAP_SCAN */
};

/*
 * Finds up to `room` runs in [*start, end), ascending, and moves *start to where scanning has to
 * go on (end when it is finished). Returns how many were found, or -1 with errno set.
 */
ptrdiff_t pagemap_scan(struct pagemap_scanner *scanner, uint64_t *start, uint64_t end,
		       struct page_run *runs, size_t room);

#endif
