// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-guards
 * promise: guard ranges (MADV_GUARD_INSTALL) stay where they were, with the pages around them
 * needs: guard_regions
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif

enum { PAGE = 4096, PAGES = 16 };

static bool is_guarded(const uint8_t *page)
{
	uint8_t byte;
	struct iovec local = { &byte, 1 }, remote = { (void *)page, 1 };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != 1;
}

/* Pages 0, 1 and 7 to 9 are guarded, 4 and 10 have content. */
static bool should_be_guarded(size_t page)
{
	return page < 2 || (page >= 7 && page < 10);
}

int main(int argc, char **argv)
{
	uint8_t *bytes;

	scenario_begin(argc, argv);
	bytes = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	scenario_need(bytes != MAP_FAILED, "cannot map memory");
	scenario_need(!madvise(bytes, 2 * PAGE, MADV_GUARD_INSTALL) &&
			      !madvise(bytes + 7 * PAGE, 3 * PAGE, MADV_GUARD_INSTALL),
		      "cannot install guards");
	memset(bytes + 4 * PAGE, 'g', PAGE);
	memset(bytes + 10 * PAGE, 'h', PAGE);

	scenario_ready();

	for (size_t i = 0; i < PAGES; i++)
		scenario_check(is_guarded(bytes + i * PAGE) == should_be_guarded(i),
			       "page %zu is %sguarded", i,
			       should_be_guarded(i) ? "no longer " : "");
	scenario_check(bytes[4 * PAGE] == 'g' && bytes[10 * PAGE + 9] == 'h',
		       "pages beside guards have another content");
	madvise(bytes, PAGES * PAGE, MADV_GUARD_REMOVE);
	bytes[8 * PAGE] = 1;
	scenario_check(!is_guarded(bytes), "a guard cannot be taken away");
	return scenario_end();
}
