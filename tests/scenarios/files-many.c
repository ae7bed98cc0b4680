// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-many
 * promise: of more than a thousand descriptions of one inode, each is found again by all of its
 *	descriptors, and has what is its own
 * flavours: flat three user user-three
 */
#include "scenario.h"

#include <linux/kcmp.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { COUNT = 1300, STEP = 7 };

static int made[COUNT], twice[COUNT];

static long compare(int one, int other)
{
	return syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, one, other);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	for (int i = 0; i < COUNT; i++) {
		made[i] = eventfd((unsigned)i + 1, EFD_NONBLOCK);
		scenario_need(made[i] >= 0, "eventfd %d", i);
	}
	/* In another order. */
	for (int i = 0; i < COUNT; i++) {
		int k = i * STEP % COUNT;
		twice[k] = dup(made[k]);
		scenario_need(twice[k] >= 0, "a second descriptor of %d", k);
	}

	scenario_ready();

	for (int i = 0; i < COUNT; i++) {
		uint64_t count = 0;
		scenario_check(compare(made[i], twice[i]) == 0, "%d and %d: two descriptions",
			       made[i], twice[i]);
		scenario_check(compare(made[i], made[(i + 1) % COUNT]) > 0, "%d: one description",
			       made[i]);
		scenario_check(read(twice[i], &count, sizeof count) == sizeof count &&
				       count == (uint64_t)i + 1,
			       "eventfd %d counts to %ju", i, (uintmax_t)count);
	}
	return scenario_end();
}
