// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `bench-warm-up MIB` touches that much free memory and gives it back. The host of a virtual
 * machine takes memory back that has been free for a moment, and to make it ready again costs a
 * multiple of what is measured, at the expense of who happens to touch it first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096, HUGE_PAGE = 2 << 20 };

int main(int argc, char **argv)
{
	size_t size = argc == 2 ? strtoul(argv[1], NULL, 10) << 20 : 0;
	char *bytes = size ? mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
			   : MAP_FAILED;

	if (bytes == MAP_FAILED) {
		fputs("usage: bench-warm-up MIB\n", stderr);
		return 2;
	}
	madvise(bytes, size + HUGE_PAGE, MADV_HUGEPAGE);
	for (size_t at = 0; at < size; at += PAGE)
		((volatile char *)bytes)[at] = 1;
	return 0;
}
