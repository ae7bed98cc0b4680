// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-polled
 * promise: lists of mounts, which tell once that something has changed, tell so once after a
 *	restore, also those of a mount namespace that is not the tree's own
 * flavours: flat one three
 * rounds: 1
 * ignore: fd
 * unseen: it waits for what its restore changes
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static bool tells(int fd)
{
	struct pollfd change = { fd, POLLPRI, 0 };

	return poll(&change, 1, 0) == 1 && change.revents & POLLPRI;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	/* A change that nobody has asked for yet. */
	int mountinfo = open("/proc/self/mountinfo", O_RDONLY);
	int mounts = open("/proc/mounts", O_RDONLY);
	scenario_need(mountinfo >= 0 && mounts >= 0, "no list of mounts");
	scenario_need(!tells(mountinfo), "mounts have changed");

	scenario_ready();

	scenario_check(tells(mountinfo), "mountinfo: mounts have not changed");
	scenario_check(tells(mounts), "mounts: mounts have not changed");
	scenario_check(!tells(mountinfo) && !tells(mounts), "mounts change again");
	return scenario_end();
}
