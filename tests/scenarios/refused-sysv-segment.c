// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-sysv-segment
 * promise: an attached SysV segment is refused by name, and stays attached
 * flavours: flat one ordinary
 * refused: unsupported-area
 */
#include "scenario.h"

#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int segment = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);

	scenario_need(segment >= 0, "no segment");
	char *content = shmat(segment, NULL, 0);
	shmctl(segment, IPC_RMID, NULL); /* lives until nobody has it attached */
	scenario_need(content != (void *)-1, "cannot attach");
	strcpy(content, "kept");

	scenario_ready();

	scenario_check(!strcmp(content, "kept"), "what was in the segment is gone");
	return scenario_end();
}
