// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-thread-objects
 * promise: a thread with a descriptor table of its own is refused by name, also if it is the only
 *	one beside the first; so is one that shares a working directory, which is not its process's,
 *	with another process
 * flavours: flat three
 * arguments: files fs
 * refused: shared-object
 */
#include "scenario.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *wait_for_end(void *unused)
{
	scenario_wait_restored();
	return unused;
}

static void *part_with_table(void *unused)
{
	scenario_need(!unshare(CLONE_FILES), "unshare");
	scenario_mark("parted");
	return wait_for_end(unused);
}

/* A process that a thread makes may share with that. */
static void *part_with_directory(void *unused)
{
	scenario_need(!unshare(CLONE_FS), "unshare");
	long child = syscall(SYS_clone, CLONE_FS | SIGCHLD, NULL, NULL, NULL, 0);
	if (child == 0) {
		scenario_wait_restored();
		_exit(0);
	}
	scenario_need(child > 0, "a process of a thread");
	scenario_mark("parted");
	return wait_for_end(unused);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	scenario_begin(argc, argv);
	bool fs = strcmp(argv[2], "fs") == 0;
	scenario_need(
		!pthread_create(&thread, NULL, fs ? part_with_directory : part_with_table, NULL),
		"pthread_create");
	scenario_wait_mark("parted");
	scenario_ready();
	pthread_join(thread, NULL);
	return scenario_end();
}
