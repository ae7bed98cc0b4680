/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where in the kernel's memory the content of a page is, by its struct page: all memory is mapped
 * once, page after page (the direct map), and so are these structures (vmemmap), from where a
 * kernel chooses as it boots (Documentation/arch/x86/x86_64/mm.rst). No call tells either: both are
 * found by a page of ours, and the first is believed only where that page's content is.
 */
#ifndef NESTOR_KERNEL_KERNEL_PAGES_H
#define NESTOR_KERNEL_KERNEL_PAGES_H

#include "kernel/kernel-reader.h"

struct kernel_pages {
	uint64_t direct_map, vmemmap, structure_size;
};

/* 1: they cannot be found, or the reader has failed; -1 with errno. */
int kernel_pages_find(struct kernel_reader *reader, struct kernel_pages *ret);
/* Of a struct page; what lies behind it is that of the next one. 0: it is none. */
uint64_t kernel_page_content(const struct kernel_pages *pages, uint64_t page);

#endif
