// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-devices
 * promise: the memory devices (null, zero, full, random, urandom) stay open
 * flavours: flat one ordinary
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char bytes[16] = { 1 };

	scenario_begin(argc, argv);
	int null = open("/dev/null", O_RDWR | O_APPEND), zero = open("/dev/zero", O_RDONLY);
	int full = open("/dev/full", O_WRONLY), random = open("/dev/urandom", O_RDONLY);
	int other = open("/dev/random", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	scenario_ready();

	scenario_check(write(null, "x", 1) == 1 && read(null, bytes, 1) == 0, "null is another");
	scenario_check(fcntl(null, F_GETFL) & O_APPEND, "O_APPEND is lost");
	scenario_check(read(zero, bytes, 16) == 16 && bytes[0] == 0, "zero is another");
	scenario_check(write(full, "x", 1) == -1 && errno == ENOSPC, "full is another");
	scenario_check(read(random, bytes, 16) == 16, "urandom is another");
	scenario_check(read(other, bytes, 16) == 16, "random is another");
	scenario_check(fcntl(other, F_GETFD) == FD_CLOEXEC, "O_CLOEXEC is lost");
	return scenario_end();
}
