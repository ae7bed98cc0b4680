// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-mounted
 * promise: terminals of a devpts that is mounted in the tree control its sessions, also where
 *	nobody has them open, and one that is bound to another name is found by it; one that is
 *	bound and hung up stays so
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 * ignore: stat fd
 */
#include "scenario.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static int masters[2];

/* A job of a session whose terminal nobody has open. */
static int job(void *data)
{
	(void)data;
	scenario_mark("job");
	scenario_wait_restored();
	int tty = open("/dev/tty", O_RDWR | O_NOCTTY);
	scenario_check(tty >= 0 && tcgetsid(tty) == getsid(0), "no controlling terminal");
	scenario_check(write(tty, "job", 3) == 3, "cannot write");
	scenario_mark("wrote");
	return 0;
}

static int session(void *data)
{
	const char *name = data;

	scenario_need(setsid() > 0, "no session");
	int tty = open(name, O_RDWR);
	scenario_need(tty >= 0 && tcgetsid(tty) == getpid(), "no controlling terminal: %m");
	close(tty);
	pid_t child = scenario_child(job, NULL);
	scenario_wait_mark("job");
	scenario_mark("session");
	scenario_wait_restored();
	scenario_reap(child);
	return 0;
}

static void expect(int fd, const char *text)
{
	char got[64] = "";
	ssize_t length = read(fd, got, sizeof got - 1);

	scenario_check(length == (ssize_t)strlen(text) && strcmp(got, text) == 0,
		       "expected %s, got %s", text, got);
}

static int open_master(const char *directory)
{
	char path[64];

	snprintf(path, sizeof path, "%s/ptmx", directory);
	int fd = open(path, O_RDWR | O_NOCTTY);
	scenario_need(fd >= 0 && unlockpt(fd) == 0, "no terminal");
	return fd;
}

/* Like a console whose manager has gone. */
static void bind_hung_up(const char *name)
{
	int fd = open_master("pts");

	close(open(name, O_CREAT | O_WRONLY, 0644));
	scenario_need(mount("pts/2", name, NULL, MS_BIND, NULL) == 0 && chown(name, 7, 8) == 0 &&
			      chmod(name, 0604) == 0,
		      "cannot bind");
	close(fd);
}

static void check_hung_up(const char *name)
{
	struct stat found;

	scenario_check(stat(name, &found) == 0 && S_ISCHR(found.st_mode) &&
			       (found.st_mode & 0777) == 0604 && found.st_uid == 7 &&
			       found.st_gid == 8,
		       "%s is another file", name);
	scenario_check(open(name, O_RDWR | O_NOCTTY) == -1 && access("pts/2", F_OK) == -1,
		       "%s is not hung up", name);
}

int main(int argc, char **argv)
{
	struct stat bound, now;

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		      "no mount namespace");
	mkdir("pts", 0755);
	close(open("console", O_CREAT | O_WRONLY, 0644));
	scenario_need(mount("devpts", "pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620") ==
			      0,
		      "no devpts: %m");
	for (int i = 0; i < 2; i++)
		masters[i] = open_master("pts");
	scenario_need(mount("pts/1", "console", NULL, MS_BIND, NULL) == 0, "cannot bind");
	int console = open("console", O_RDWR | O_NOCTTY);
	scenario_need(console >= 0 && fstat(console, &bound) == 0, "no console");
	bind_hung_up("gone");
	check_hung_up("gone");
	int watcher = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	scenario_need(inotify_add_watch(watcher, "gone", IN_ATTRIB) == 1, "cannot watch: %m");
	pid_t child = scenario_child(session, "pts/0");
	scenario_wait_mark("session");

	scenario_ready();

	scenario_wait_mark("wrote");
	expect(masters[0], "job");
	scenario_check(write(console, "said", 4) == 4, "cannot write");
	expect(masters[1], "said");
	scenario_check(stat("console", &now) == 0 && now.st_rdev == bound.st_rdev,
		       "another file is bound");
	check_hung_up("gone");
	char event[64];
	scenario_check(chmod("gone", 0640) == 0 &&
			       read(watcher, event, sizeof event) == sizeof(struct inotify_event),
		       "no event of what is hung up: %m");
	int again = open("console", O_RDWR | O_NOCTTY);
	scenario_check(again >= 0 && write(again, "more", 4) == 4, "it does not open");
	expect(masters[1], "more");
	scenario_reap(child);
	return scenario_end();
}
