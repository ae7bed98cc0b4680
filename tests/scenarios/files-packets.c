// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-packets
 * promise: pipes of packets keep their borders; one that is alone, too
 */
#include "scenario.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void check_packet(int fd, const char *wanted, size_t room)
{
	char text[8192] = "";
	ssize_t got = read(fd, text, room);
	size_t length = strlen(wanted) < room ? strlen(wanted) : room;

	scenario_check(got == (ssize_t)length && memcmp(text, wanted, length) == 0,
		       "%zd bytes: %s, expected %s", got, text, wanted);
}

int main(int argc, char **argv)
{
	static char large[3000];
	int many[2], one[2], stream[2];

	scenario_begin(argc, argv);
	memset(large, 'l', sizeof large - 1);
	scenario_need(!pipe2(many, O_DIRECT) && !pipe2(one, O_DIRECT) && !pipe2(stream, 0),
		      "no pipes");
	scenario_need(write(many[1], "one", 3) == 3 && write(many[1], large, 2999) == 2999 &&
			      write(many[1], "three", 5) == 5 && write(one[1], "alone", 5) == 5 &&
			      write(stream[1], "str", 3) == 3 && write(stream[1], "eam", 3) == 3,
		      "cannot fill");

	scenario_ready();

	scenario_check(fcntl(many[1], F_GETFL) & O_DIRECT, "O_DIRECT is gone");
	check_packet(many[0], "one", sizeof large);
	check_packet(many[0], large, sizeof large);
	check_packet(many[0], "three", sizeof large);
	/* What does not fit is gone, as ever. */
	scenario_check(write(one[1], "next", 4) == 4, "write");
	check_packet(one[0], "alone", 2);
	check_packet(one[0], "next", 64);
	check_packet(stream[0], "stream", 64);
	return scenario_end();
}
