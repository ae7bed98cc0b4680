// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: ipc-attached
 * promise: attached System V segments are shared by all who have them, also twice, read-only, in
 *	part protected, and removed while attached; the last one to detach ends them
 * flavours: one three user user-three
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

enum { PAGE = 4096, PAGES = 4 };

static int segment, removed;
static volatile char *bytes, *again, *going;

static void wait_for(volatile char *at, char value)
{
	for (int i = 0; i < 5000 && *at != value; i++)
		usleep(1000);
	scenario_check(*at == value, "a write into the segment is not seen");
}

static int other(void *unused)
{
	(void)unused;
	scenario_mark("other");
	scenario_wait_restored();
	wait_for(&bytes[10], 'x');
	going[20] = 'y';
	bytes[11] = 'z';
	return 0;
}

/* One more, as it is. */
static void check_mode(volatile char *at, bool writable, const char *what)
{
	int result = mprotect((void *)(uintptr_t)at, PAGE, PROT_READ | PROT_WRITE);

	scenario_check((result == 0) == writable, "%s can%s be made writable", what,
		       writable ? "not" : "");
}

int main(int argc, char **argv)
{
	struct shmid_ds state;

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWIPC) == 0, "cannot unshare");
	segment = shmget(99, PAGE * PAGES - 100, IPC_CREAT | 0600);
	removed = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
	bytes = shmat(segment, NULL, 0);
	going = shmat(removed, NULL, 0);
	strcpy((char *)(uintptr_t)bytes, "content");
	strcpy((char *)(uintptr_t)&bytes[PAGE * 2], "further on");
	strcpy((char *)(uintptr_t)going, "going");
	scenario_need(shmctl(removed, IPC_RMID, NULL) == 0, "cannot remove");
	pid_t pid = scenario_child(other, NULL);
	again = shmat(segment, NULL, SHM_RDONLY);
	scenario_need(again != (void *)-1, "cannot attach once more");
	mprotect((void *)(uintptr_t)(bytes + PAGE), PAGE, PROT_NONE);
	scenario_wait_mark("other");

	scenario_ready();

	scenario_check(strcmp((char *)(uintptr_t)bytes, "content") == 0 &&
			       strcmp((char *)(uintptr_t)&again[PAGE * 2], "further on") == 0 &&
			       strcmp((char *)(uintptr_t)going, "going") == 0,
		       "the content is another one");
	bytes[10] = 'x';
	scenario_check(again[10] == 'x', "the second mapping is of something else");
	wait_for(&again[11], 'z');
	scenario_check(going[20] == 'y', "what was removed is not shared");
	check_mode(again, false, "what was attached read-only");
	check_mode(bytes + PAGE, true, "a protected page");
	scenario_reap(pid);
	scenario_check(shmctl(segment, IPC_STAT, &state) == 0 && state.shm_nattch >= 2,
		       "the segment is attached %d times", (int)state.shm_nattch);
	scenario_check(shmdt((void *)(uintptr_t)going) == 0 &&
			       shmctl(removed, IPC_STAT, &state) == -1,
		       "what was removed stays");
	scenario_check(shmdt((void *)(uintptr_t)bytes) == 0 &&
			       shmctl(segment, IPC_STAT, &state) == 0 && state.shm_nattch == 1,
		       "a segment goes with a detachment");
	return scenario_end();
}
