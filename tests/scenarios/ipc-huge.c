// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: ipc-huge
 * promise: System V segments of huge pages stay such: attached, of nobody, removed; the size that
 *	was asked for is kept
 * flavours: one three user user-three
 * not-shifted: such segments take CAP_IPC_LOCK in the initial user namespace, or a group
 * needs: huge-pages:4
 * alone: it takes pages that the machine has few of
 */
#include "scenario.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20, SIZE = HUGE_PAGE + 100 };

static volatile char *bytes, *going;

static int other(void *unused)
{
	(void)unused;
	scenario_mark("other");
	scenario_wait_restored();
	for (int i = 0; i < 5000 && bytes[HUGE_PAGE + 1] != 'p'; i++)
		usleep(1000);
	scenario_check(bytes[HUGE_PAGE + 1] == 'p', "what the parent writes is not seen");
	return 0;
}

static bool is_huge(volatile char *at)
{
	return mprotect((void *)(uintptr_t)at, HUGE_PAGE / 2, PROT_NONE) == -1 && errno == EINVAL;
}

int main(int argc, char **argv)
{
	struct shmid_ds state;

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWIPC) == 0, "cannot unshare");
	int kept = shmget(99, SIZE, IPC_CREAT | SHM_HUGETLB | 0600);
	int removed = shmget(IPC_PRIVATE, HUGE_PAGE, IPC_CREAT | SHM_HUGETLB | 0600);
	int nobodys = shmget(100, HUGE_PAGE, IPC_CREAT | SHM_HUGETLB | 0640);
	bytes = shmat(kept, NULL, 0);
	going = shmat(removed, NULL, 0);
	volatile char *once = shmat(nobodys, NULL, 0);
	scenario_need(bytes != (void *)-1 && going != (void *)-1 && once != (void *)-1,
		      "cannot attach");
	strcpy((char *)(uintptr_t)&bytes[HUGE_PAGE - 3], "content");
	strcpy((char *)(uintptr_t)going, "going");
	strcpy((char *)(uintptr_t)once, "once");
	scenario_need(shmdt((void *)(uintptr_t)once) == 0 && shmctl(removed, IPC_RMID, NULL) == 0,
		      "cannot remove");
	pid_t pid = scenario_child(other, NULL);
	scenario_wait_mark("other");

	scenario_ready();

	scenario_check(!strcmp((char *)(uintptr_t)&bytes[HUGE_PAGE - 3], "content") &&
			       !strcmp((char *)(uintptr_t)going, "going"),
		       "the content is another one");
	scenario_check(is_huge(bytes) && is_huge(going), "pages are small");
	bytes[HUGE_PAGE + 1] = 'p';
	scenario_reap(pid);
	once = shmat(nobodys, NULL, 0);
	scenario_check(once != (void *)-1 && !strcmp((char *)(uintptr_t)once, "once") &&
			       is_huge(once),
		       "what nobody had attached is another one");
	scenario_check(shmctl(kept, IPC_STAT, &state) == 0 && state.shm_segsz == SIZE,
		       "its size is %zu", state.shm_segsz);
	scenario_check(shmdt((void *)(uintptr_t)going) == 0 &&
			       shmctl(removed, IPC_STAT, &state) == -1,
		       "what was removed stays");
	return scenario_end();
}
