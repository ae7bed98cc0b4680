// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-pressure-unseen
 * promise: where the kernel's memory cannot be read, a file of pressure that was opened
 *	to be written is refused, and waits on
 * needs: no-kernel_memory
 * flavours: flat three user user-three
 * refused: unsupported-file
 */
#include "pressure.h"

#include <errno.h>
#include <fcntl.h>

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int fd = open("/proc/pressure/memory", O_RDWR | O_NONBLOCK);
	scenario_need(fd >= 0 && write_trigger(fd, "full 1999999 2000000") > 0,
		      "cannot wait for pressure");
	scenario_ready();
	scenario_check(write_trigger(fd, "full 1999999 2000000") < 0 && errno == EBUSY,
		       "it waits no more");
	return scenario_end();
}
