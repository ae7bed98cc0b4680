// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-thread-objects
 * promise: a thread with a descriptor table, or a working directory, of its own is refused by name,
 *	also if it is the only one beside the first
 * flavours: flat three
 * arguments: files fs
 * refused: shared-object
 */
#include "scenario.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

static int flag;

static void *part(void *unused)
{
	scenario_need(!unshare(flag), "unshare");
	scenario_mark("parted");
	scenario_wait_restored();
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	scenario_begin(argc, argv);
	flag = strcmp(argv[2], "fs") == 0 ? CLONE_FS : CLONE_FILES;
	scenario_need(!pthread_create(&thread, NULL, part, NULL), "pthread_create");
	scenario_wait_mark("parted");
	scenario_ready();
	pthread_join(thread, NULL);
	return scenario_end();
}
