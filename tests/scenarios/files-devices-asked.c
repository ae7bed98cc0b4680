// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-devices-asked
 * promise: devices without a state that are only asked to do something (autofs, loop-control) stay
 *	open
 * needs: device:autofs device:loop-control
 * flavours: flat one three
 */
#include "scenario.h"

#include <fcntl.h>
#include <linux/auto_dev-ioctl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool answers(int autofs)
{
	struct autofs_dev_ioctl question;

	init_autofs_dev_ioctl(&question);
	return ioctl(autofs, AUTOFS_DEV_IOCTL_VERSION, &question) == 0 && question.ver_major > 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int autofs = open("/dev/autofs", O_RDONLY | O_CLOEXEC);
	int loops = open("/dev/loop-control", O_RDWR);
	scenario_need(autofs >= 0 && answers(autofs), "autofs does not answer");
	scenario_need(loops >= 0 && ioctl(loops, LOOP_CTL_GET_FREE) >= 0, "no loop is found");

	scenario_ready();

	scenario_check(answers(autofs), "autofs does not answer");
	scenario_check(fcntl(autofs, F_GETFD) == FD_CLOEXEC, "O_CLOEXEC is lost");
	scenario_check(ioctl(loops, LOOP_CTL_GET_FREE) >= 0, "no loop is found");
	return scenario_end();
}
