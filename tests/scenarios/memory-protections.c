// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-protections
 * promise: areas that may not be read, written or executed keep their content and protection
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 4 };

static const int protections[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_EXEC, PROT_WRITE,
				   PROT_READ | PROT_WRITE | PROT_EXEC };
enum { AREAS = sizeof protections / sizeof protections[0] };

/* Asks the kernel, which honours the protection, instead of risking a signal. */
static bool may_read(void *page)
{
	uint8_t byte;
	struct iovec local = { &byte, 1 }, remote = { page, 1 };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
}

static bool may_write(void *page)
{
	uint8_t byte = 0;
	struct iovec local = { &byte, 1 }, remote = { page, 1 };

	return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == 1;
}

static uint8_t *make_area(size_t index)
{
	uint8_t *bytes = mmap(NULL, (PAGES + 1) * PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	scenario_need(bytes != MAP_FAILED, "cannot map memory");
	munmap(bytes + PAGES * PAGE, PAGE); /* so that areas do not touch */
	memset(bytes + PAGE, 'a' + (int)index, 2 * PAGE);
	scenario_need(!mprotect(bytes, PAGES * PAGE, protections[index]), "cannot protect memory");
	return bytes;
}

static void check_content(const uint8_t *bytes, size_t index)
{
	for (size_t i = 0; i < PAGES * PAGE; i++) {
		uint8_t expected = i / PAGE == 1 || i / PAGE == 2 ? 'a' + (int)index : 0;

		if (bytes[i] == expected)
			continue;
		scenario_check(false, "byte %zu with protection %d is %d, was %d", i,
			       protections[index], bytes[i], expected);
		return;
	}
}

int main(int argc, char **argv)
{
	uint8_t *areas[AREAS];

	scenario_begin(argc, argv);
	for (size_t i = 0; i < AREAS; i++)
		areas[i] = make_area(i);

	scenario_ready();

	for (size_t i = 0; i < AREAS; i++) {
		uint8_t *bytes = areas[i];

		/* Writable is not readable for the kernel's own copying on x86; only ask for it. */
		scenario_check(may_read(bytes) == !!(protections[i] & PROT_READ),
			       "reading with protection %d is not as before", protections[i]);
		scenario_check(may_write(bytes) == !!(protections[i] & PROT_WRITE),
			       "writing with protection %d is not as before", protections[i]);
		mprotect(bytes, PAGES * PAGE, PROT_READ);
		check_content(bytes, i);
	}
	return scenario_end();
}
