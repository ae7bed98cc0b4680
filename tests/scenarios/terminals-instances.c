// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-instances
 * promise: terminals of several devpts that have the same number are told apart, also by who has
 *	opened /dev/tty; what was changed of the mode and owner of a devpts and its ptmx stays, also
 *	where it is read-only, as does what it gives to new terminals
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 * ignore: stat fd
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

enum { INSTANCES = 3 };

static int masters[INSTANCES];
static bool may_change_root, owns_root;

/* Has the terminal of its session by /dev/tty only; the last by its own name, too. */
static int session(void *data)
{
	int which = *(int *)data;
	char name[32], mark[32], text[32];

	snprintf(name, sizeof name, "pts-%d/0", which);
	scenario_need(setsid() > 0, "no session");
	int slave = open(name, O_RDWR), own = open("/dev/tty", O_RDWR);
	scenario_need(own >= 0 && tcgetsid(own) == getpid(), "no controlling terminal: %m");
	if (which < INSTANCES - 1)
		close(slave);
	snprintf(mark, sizeof mark, "session-%d", which);
	scenario_mark(mark);
	scenario_wait_restored();
	scenario_check(tcgetsid(own) == getsid(0), "it is another session's");
	int length = snprintf(text, sizeof text, "from %d", which);
	scenario_check(write(own, text, (size_t)length) == length, "cannot write: %m");
	return 0;
}

static void make_instance(int which)
{
	char path[32];

	snprintf(path, sizeof path, "pts-%d", which);
	mkdir(path, 0755);
	scenario_need(mount("devpts", path, "devpts", 0, "newinstance,ptmxmode=0666,mode=620") == 0,
		      "no devpts: %m");
	snprintf(path, sizeof path, "pts-%d/ptmx", which);
	masters[which] = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	scenario_need(masters[which] >= 0 && unlockpt(masters[which]) == 0, "no terminal");
}

/* The first as it was made; all that a user namespace may change of the others. */
static void change_attributes(void)
{
	scenario_need(chmod("pts-1/ptmx", 0640) == 0 && chown("pts-2/ptmx", 1, 2) == 0 &&
			      chmod("pts-2/ptmx", 0606) == 0,
		      "cannot change a ptmx: %m");
	/* The root is that of the host's root. */
	may_change_root = chmod("pts-1", 0711) == 0;
	scenario_need(may_change_root || errno == EPERM, "cannot change a devpts: %m");
	owns_root = may_change_root && chown("pts-2", 3, 4) == 0 && chmod("pts-2", 0750) == 0;
}

/* A remount sets what it does not name to what is usual. */
static void make_read_only(void)
{
	mkdir("pts-ro", 0755);
	scenario_need(mount("devpts", "pts-ro", "devpts", 0, "newinstance") == 0 &&
			      (!may_change_root || chmod("pts-ro", 0711) == 0) &&
			      mount("devpts", "pts-ro", "devpts", MS_REMOUNT | MS_RDONLY,
				    "ptmxmode=0622,mode=0640,gid=1,max=7") == 0,
		      "no read-only devpts: %m");
}

static void check_node(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	struct stat found = { 0 };

	int failure = stat(path, &found);

	scenario_check(failure == 0 && found.st_uid == uid && found.st_gid == gid &&
			       (found.st_mode & 07777) == mode,
		       "%s is of %d:%d, mode %o", path, (int)found.st_uid, (int)found.st_gid,
		       (unsigned)found.st_mode);
}

static void check_attributes(void)
{
	check_node("pts-0/ptmx", 0, 0, 0666);
	check_node("pts-1/ptmx", 0, 0, 0640);
	check_node("pts-2/ptmx", 1, 2, 0606);
	if (may_change_root)
		check_node("pts-1", 0, 0, 0711);
	if (owns_root)
		check_node("pts-2", 3, 4, 0750);
	if (may_change_root)
		check_node("pts-ro", 0, 0, 0711);
	check_node("pts-ro/ptmx", 0, 0, 0622);
	/* What is mounted in no other place has room for terminals all the same. */
	int master = open("pts-ro/ptmx", O_RDWR | O_NOCTTY);
	scenario_check(master >= 0, "it makes no terminal: %m");
	check_node("pts-ro/0", 0, 1, 0640);
	close(master);
}

int main(int argc, char **argv)
{
	pid_t children[INSTANCES];

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		      "no mount namespace");
	for (int i = 0; i < INSTANCES; i++)
		make_instance(i);
	for (int i = 0; i < INSTANCES; i++) {
		char mark[32];
		children[i] = scenario_child(session, &i);
		snprintf(mark, sizeof mark, "session-%d", i);
		scenario_wait_mark(mark);
	}
	change_attributes();
	make_read_only();

	scenario_ready();

	check_attributes();
	for (int i = 0; i < INSTANCES; i++) {
		char got[32] = "", wanted[32];
		scenario_reap(children[i]);
		snprintf(wanted, sizeof wanted, "from %d", i);
		scenario_check(read(masters[i], got, sizeof got - 1) > 0 &&
				       strcmp(got, wanted) == 0,
			       "the master of %d has \"%s\"", i, got);
	}
	return scenario_end();
}
