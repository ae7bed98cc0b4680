// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-urgent
 * promise: a dump is refused where an urgent byte of a unix stream waits, or has been taken out of
 *	turn and left its mark, and where that is cannot be seen, since the kernel's memory cannot
 *	be read; it is there still
 * flavours: flat three user user-three
 * needs: no-kernel_memory
 * arguments: waits taken between
 * refused: unsupported-file
 */
#include "scenario.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	int ends[2], mark = -1;
	char got[8] = "";

	scenario_begin(argc, argv);
	bool waits = !strcmp(argv[2], "waits"), between = !strcmp(argv[2], "between");
	scenario_need(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 &&
			      (!between || send(ends[0], "ab", 2, 0) == 2) &&
			      send(ends[0], "u", 1, MSG_OOB) == 1 &&
			      send(ends[0], "cd", 2, 0) == 2 &&
			      (waits || recv(ends[1], got, 1, MSG_OOB) == 1),
		      "no urgent byte: %m");

	scenario_ready();

	if (between)
		scenario_check(recv(ends[1], got, sizeof got, 0) == 2 && !memcmp(got, "ab", 2),
			       "%s is first", got);
	scenario_check(ioctl(ends[1], SIOCATMARK, &mark) == 0 && mark == 1, "at the mark: %d",
		       mark);
	if (waits)
		scenario_check(recv(ends[1], got, 1, MSG_OOB) == 1 && got[0] == 'u', "%c is urgent",
			       got[0]);
	scenario_check(recv(ends[1], got, sizeof got, 0) == 2 && !memcmp(got, "cd", 2),
		       "%s is last", got);
	return scenario_end();
}
