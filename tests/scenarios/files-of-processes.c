// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-of-processes
 * promise: open files in /proc of the own process, of children and parents keep their position and
 *	go on telling of the same process; lists of mounts are those of the process that they are of
 * flavours: flat one three user user-three
 * rounds: 1
 * unseen: it waits for what its restore changes
 * needs: initial-user-namespace
 * ignore: fd
 */
#include "scenario.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOM = 1 << 17, SKIPPED = 40 };

/* Its number in the /proc that is there, which may be that of an outer pid namespace. */
static pid_t own_number(void)
{
	char text[32] = "";

	scenario_need(readlink("/proc/self", text, sizeof text - 1) > 0, "no /proc");
	return atoi(text);
}

static int open_of(pid_t pid, const char *name)
{
	char path[80];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_RDONLY);
	scenario_need(fd >= 0, "cannot open %s", path);
	return fd;
}

/* From where it stands to its end. */
static char *rest_of(int fd)
{
	char *text = calloc(1, ROOM);
	size_t length = 0;
	ssize_t more;

	while ((more = read(fd, text + length, ROOM - 1 - length)) > 0)
		length += (size_t)more;
	scenario_check(more == 0, "cannot read: %s", strerror(errno));
	return text;
}

static int number_of(int status, const char *key)
{
	lseek(status, 0, SEEK_SET);
	char *text = rest_of(status), *at = strstr(text, key);
	int number = at ? atoi(at + strlen(key)) : -1;

	free(text);
	return number;
}

/* The numbers of mounts are others. Where each is, from the fifth word on of a line. */
static void expect_mounts(int fd, pid_t pid, const char *what)
{
	char *is = rest_of(fd), *fresh;
	int other = open_of(pid, "mountinfo");

	fresh = rest_of(other);
	scenario_check(is[0] && strcmp(is, fresh) == 0, "%s: other mounts", what);
	close(other);
	free(is);
	free(fresh);
}

static int be_child(void *data)
{
	char number[32];

	(void)data;
	snprintf(number, sizeof number, "number %d", own_number());
	scenario_need(symlink(number, "child") == 0, "no link");
	bool own = unshare(CLONE_NEWNS) == 0 &&
		   mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		   mount("only-here", "inner", "tmpfs", 0, NULL) == 0;
	int mounts = open_of(own_number(), "mountinfo");
	struct pollfd change = { mounts, POLLPRI, 0 };

	scenario_mark(own ? "own" : "shared");
	scenario_wait_restored();
	if (own) {
		scenario_check(poll(&change, 1, 0) == 1 && change.revents & POLLPRI,
			       "mounts have not changed");
		scenario_check(poll(&change, 1, 0) == 0, "mounts change again");
		char *text = rest_of(mounts);
		scenario_check(strstr(text, "only-here") != NULL, "mounts of somebody else");
		free(text);
		lseek(mounts, 0, SEEK_SET);
	}
	expect_mounts(mounts, own_number(), "child");
	scenario_wait_mark("seen");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	char skipped[SKIPPED], first[SKIPPED];

	mkdir("inner", 0755);
	pid_t process = scenario_child(be_child, NULL), child;
	while (!scenario_is_marked("own") && !scenario_is_marked("shared"))
		scenario_sleep_ms(2);
	char number[32] = "";
	scenario_need(readlink("child", number, sizeof number - 1) > 0, "no number");
	child = atoi(number + 7);
	int status = open_of(own_number(), "status"), of_child = open_of(child, "status");
	int mounts = open_of(own_number(), "mountinfo"),
	    mounts_of_child = open_of(child, "mountinfo");
	int maps = open_of(child, "maps"), net = open_of(own_number(), "net/dev");
	int stat_fd = open_of(child, "stat"), directory = open_of(child, "fd");
	int path = open("/proc/self/task", O_PATH);
	scenario_need(read(stat_fd, skipped, sizeof skipped) == SKIPPED, "no status");
	dup2(mounts, 40);

	scenario_ready();

	scenario_check(number_of(status, "\nPid:\t") == own_number(), "status of somebody else");
	scenario_check(number_of(of_child, "\nPPid:\t") == own_number(), "status of no child");
	child = number_of(of_child, "\nPid:\t");
	scenario_check(lseek(stat_fd, 0, SEEK_CUR) == SKIPPED, "another position");
	lseek(stat_fd, 0, SEEK_SET);
	scenario_check(read(stat_fd, first, sizeof first) == SKIPPED && atoi(first) == child &&
			       strstr(first, "(files-of-proces"),
		       "another process");
	expect_mounts(mounts, own_number(), "own");
	scenario_check(lseek(40, 0, SEEK_CUR) > 0, "a description of its own");
	expect_mounts(mounts_of_child, child, "of the child");
	free(rest_of(maps));
	char *devices = rest_of(net);
	scenario_check(strstr(devices, "lo:") != NULL, "no interface");
	free(devices);
	/* It has the owner of the process, though it was opened before that had it. */
	scenario_check(faccessat(directory, "0", F_OK, 0) == 0, "no descriptors");
	scenario_check(faccessat(path, "self", F_OK, 0) < 0, "O_PATH");
	scenario_mark("seen");
	scenario_reap(process);
	return scenario_end();
}
