// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-shared
 * promise: anonymous memory shared by parent and child, at other addresses and in parts, stays
 *	one object with its content
 * flavours: flat one three user user-three ordinary
 */
#include "scenario.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 64 };

struct shared {
	uint8_t *whole;
	uint8_t *part; /* pages 2 to 10 again, made by the child elsewhere */
};

static _Atomic uint32_t *word(uint8_t *page)
{
	return (_Atomic uint32_t *)page;
}

/* Bounded: 10 seconds. */
static bool comes_to(_Atomic uint32_t *at, uint32_t value)
{
	for (unsigned i = 0; i < 5000; i++) {
		if (atomic_load(at) == value)
			return true;
		scenario_sleep_ms(2);
	}
	return false;
}

static int child_main(void *data)
{
	struct shared *shared = data;

	shared->part = mremap(shared->whole + 2 * PAGE, 0, 8 * PAGE, MREMAP_MAYMOVE);
	scenario_need(shared->part != MAP_FAILED, "cannot map a part of shared memory again");
	munmap(shared->whole + 32 * PAGE, 8 * PAGE);
	memset(shared->part + 3 * PAGE, 'c', PAGE);
	scenario_mark("mapped");
	scenario_wait_restored();

	scenario_check(comes_to(word(shared->part), 1), "the parent's writing does not arrive");
	atomic_store(word(shared->whole + 60 * PAGE), 2);
	scenario_check(shared->whole[5 * PAGE + 17] == 'c', "parts are no longer one object");
	return 0;
}

int main(int argc, char **argv)
{
	static uint8_t zeroes[PAGE], expected[PAGE];
	struct shared shared;
	pid_t child;

	scenario_begin(argc, argv);
	shared.whole =
		mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	scenario_need(shared.whole != MAP_FAILED, "cannot map shared memory");
	memset(shared.whole + 7 * PAGE, 'p', 2 * PAGE);
	child = scenario_child(child_main, &shared);
	scenario_wait_mark("mapped");

	scenario_ready();

	memset(expected, 'c', PAGE);
	scenario_check(!memcmp(shared.whole + 5 * PAGE, expected, PAGE),
		       "what the child wrote is not there");
	memset(expected, 'p', PAGE);
	scenario_check(!memcmp(shared.whole + 8 * PAGE, expected, PAGE),
		       "what the parent wrote is not there");
	scenario_check(!memcmp(shared.whole + 33 * PAGE, zeroes, PAGE), "a hole is not zero");
	atomic_store(word(shared.whole + 2 * PAGE), 1);
	scenario_check(comes_to(word(shared.whole + 60 * PAGE), 2),
		       "the child's writing does not arrive");
	scenario_reap(child);
	return scenario_end();
}
