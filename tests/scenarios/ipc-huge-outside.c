// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: ipc-huge-outside
 * promise: a System V segment of huge pages of an ipc namespace that is not the tree's comes back
 *	with its content and what was never touched, removed meanwhile
 * flavours: flat one
 * needs: huge-pages:2 initial-user-namespace
 * alone: it takes pages that the machine has few of
 */
#include "scenario.h"

#include <errno.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20 };

int main(int argc, char **argv)
{
	struct shmid_ds state;

	scenario_begin(argc, argv);
	int segment = shmget(IPC_PRIVATE, 2 * HUGE_PAGE, IPC_CREAT | SHM_HUGETLB | 0600);
	char *bytes = shmat(segment, NULL, 0);
	scenario_need(segment >= 0 && bytes != (void *)-1, "no segment");
	/* It goes with the tree. */
	scenario_need(shmctl(segment, IPC_RMID, NULL) == 0, "cannot remove");
	memset(bytes + HUGE_PAGE, 's', HUGE_PAGE);

	scenario_ready();

	scenario_check(bytes[HUGE_PAGE] == 's' &&
			       !memcmp(bytes + HUGE_PAGE, bytes + HUGE_PAGE + 1, HUGE_PAGE - 1) &&
			       bytes[0] == 0 && !memcmp(bytes, bytes + 1, HUGE_PAGE - 1),
		       "the content is another one");
	scenario_check(mprotect(bytes, HUGE_PAGE / 2, PROT_READ) == -1 && errno == EINVAL,
		       "its pages are small");
	scenario_check(shmdt(bytes) == 0 && shmctl(segment, IPC_STAT, &state) == -1,
		       "what was removed stays");
	return scenario_end();
}
