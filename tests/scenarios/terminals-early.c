// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-early
 * promise: a terminal whose ends were opened before its devpts was mounted, by a mount that is gone
 *	since, as the monitor of LXC has those of its container, goes on, and is found where the
 *	devpts is mounted now
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 * ignore: fd
 */
#include "scenario.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static void expect(int fd, const char *text)
{
	char got[64] = "";
	ssize_t length = read(fd, got, sizeof got - 1);

	scenario_check(length == (ssize_t)strlen(text) && strcmp(got, text) == 0,
		       "expected %s, got %s", text, got);
}

static void check_same(int slave)
{
	struct stat held, named;

	scenario_check(fstat(slave, &held) == 0 && stat("pts/0", &named) == 0 &&
			       held.st_dev == named.st_dev && held.st_ino == named.st_ino &&
			       held.st_rdev == named.st_rdev,
		       "pts/0 is not that terminal");
}

/* The devpts is mounted at "pts" by another mount than that on which both ends are. */
static int open_early(int *ret_slave)
{
	int context = fsopen("devpts", FSOPEN_CLOEXEC);

	scenario_need(context >= 0 &&
			      fsconfig(context, FSCONFIG_SET_STRING, "ptmxmode", "0666", 0) == 0 &&
			      fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0,
		      "no devpts: %m");
	int mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
	int master = openat(mount, "ptmx", O_RDWR | O_NOCTTY);
	scenario_need(master >= 0 && unlockpt(master) == 0, "no terminal: %m");
	*ret_slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	scenario_need(*ret_slave >= 0, "no other side: %m");
	int copy = open_tree(mount, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	mkdir("pts", 0755);
	scenario_need(copy >= 0 &&
			      move_mount(copy, "", AT_FDCWD, "pts", MOVE_MOUNT_F_EMPTY_PATH) == 0,
		      "cannot mount: %m");
	close(copy), close(mount), close(context);
	return master;
}

int main(int argc, char **argv)
{
	int slave;

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		      "no mount namespace");
	int master = open_early(&slave);
	check_same(slave);

	scenario_ready();

	check_same(slave);
	scenario_check(write(slave, "said", 4) == 4, "cannot write");
	expect(master, "said");
	int again = open("pts/0", O_RDWR | O_NOCTTY);
	scenario_check(again >= 0 && write(again, "more", 4) == 4, "it does not open");
	expect(master, "more");
	close(again), close(master);
	scenario_check(write(slave, "x", 1) == -1 && access("pts/0", F_OK) == -1,
		       "it outlives the master");
	return scenario_end();
}
