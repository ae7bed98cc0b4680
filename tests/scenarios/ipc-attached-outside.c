// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: ipc-attached-outside
 * promise: System V segments of an ipc namespace that is not the tree's, which the tree alone has
 *	attached, come back with id, key, owner, mode and content: left behind or removed meanwhile
 * needs: initial-user-namespace
 * flavours: flat one three user user-three ordinary
 */
#include "scenario.h"

#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

enum { PAGE = 4096, SIZE = 3 * PAGE - 100 };

static volatile char *kept, *going;

static int other(void *unused)
{
	(void)unused;
	scenario_mark("other");
	scenario_wait_restored();
	for (int i = 0; i < 5000 && kept[10] != 'x'; i++)
		usleep(1000);
	scenario_check(kept[10] == 'x' && !strcmp((char *)going, "going"), "not shared");
	going[20] = 'y';
	return 0;
}

int main(int argc, char **argv)
{
	struct shmid_ds before, after;

	scenario_begin(argc, argv);
	int segment = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0640);
	int removed = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
	scenario_need(segment >= 0 && removed >= 0, "no segment");
	kept = shmat(segment, NULL, 0);
	going = shmat(removed, NULL, 0);
	volatile char *again = shmat(segment, NULL, SHM_RDONLY);
	scenario_need(kept != (void *)-1 && going != (void *)-1 && again != (void *)-1,
		      "cannot attach");
	/* Nothing is left in the host if the scenario fails, but of this one. */
	scenario_need(shmctl(removed, IPC_RMID, NULL) == 0, "cannot remove");
	strcpy((char *)kept, "kept");
	strcpy((char *)&kept[2 * PAGE], "further on");
	strcpy((char *)going, "going");
	pid_t child = scenario_child(other, NULL);
	scenario_wait_mark("other");
	scenario_need(shmctl(segment, IPC_STAT, &before) == 0, "cannot look");

	scenario_ready();

	scenario_check(!strcmp((char *)kept, "kept") &&
			       !strcmp((char *)&again[2 * PAGE], "further on"),
		       "the content is another one");
	scenario_check(shmctl(segment, IPC_STAT, &after) == 0 &&
			       after.shm_perm.mode == before.shm_perm.mode &&
			       after.shm_perm.uid == before.shm_perm.uid &&
			       after.shm_perm.cuid == before.shm_perm.cuid &&
			       after.shm_segsz == before.shm_segsz,
		       "the segment is another one");
	scenario_check(mprotect((void *)again, PAGE, PROT_READ | PROT_WRITE) == -1,
		       "what was attached read-only can be written");
	kept[10] = 'x';
	scenario_check(again[10] == 'x', "two areas are of two segments");
	scenario_reap(child);
	scenario_check(going[20] == 'y', "what was removed is not shared");
	shmctl(segment, IPC_RMID, NULL);
	scenario_check(shmdt((void *)going) == 0 && shmctl(removed, IPC_STAT, &after) == -1,
		       "what was removed stays");
	return scenario_end();
}
