// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-userfaultfd
 * promise: a userfaultfd is refused by name, and goes on working
 * flavours: flat one ordinary
 * refused: unsupported-file
 */
#include "scenario.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct uffdio_api api = { .api = UFFD_API };

	scenario_begin(argc, argv);
	int fd = (int)syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY);
	scenario_need(fd >= 0, "no userfaultfd");

	scenario_ready();

	scenario_check(ioctl(fd, UFFDIO_API, &api) == 0, "it does not work any more");
	return scenario_end();
}
