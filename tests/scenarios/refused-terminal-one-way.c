// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-terminal-one-way
 * promise: the master of a terminal that was opened to read only, or to write only, is refused by
 *	name: it would come back with more
 * flavours: flat three user-three
 * arguments: read write
 * refused: unsupported-file
 */
#include "scenario.h"

#include <fcntl.h>
#include <string.h>

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	scenario_need(argc > 2, "read or write?");
	int mode = strcmp(argv[2], "read") == 0 ? O_RDONLY : O_WRONLY;
	int master = open("/dev/ptmx", mode | O_NOCTTY);
	scenario_need(master >= 0, "no terminal");

	scenario_ready();

	scenario_check((fcntl(master, F_GETFL) & O_ACCMODE) == mode, "it is opened in another way");
	return scenario_end();
}
