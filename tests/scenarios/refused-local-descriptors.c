// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-local-descriptors
 * promise: a task with a local descriptor table is refused by name, and goes on
 * flavours: flat three user user-three
 * refused: state-lost
 */
#include "scenario.h"

#include <asm/ldt.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct user_desc segment;

	scenario_begin(argc, argv);
	memset(&segment, 0, sizeof segment);
	segment.entry_number = 2;
	segment.limit = 0xfff;
	segment.seg_32bit = segment.useable = 1;
	scenario_need(!syscall(SYS_modify_ldt, 0x11, &segment, sizeof segment), "modify_ldt");
	scenario_ready();
	return scenario_end();
}
