// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-master-outside
 * promise: a slave of a mount that neither the tree nor nestor has comes back without its master,
 *	where the caller wants that (--enable-external-masters): what it shows is there, and what
 *	is mounted at the master's later is not seen
 * flavours: flat
 * unseen: it waits for what its restore changes
 * needs: initial-user-namespace
 * options: --enable-external-masters
 * ignore: mounts
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char place[PATH_MAX], kept[PATH_MAX + 8], later[PATH_MAX + 16];

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

/* Has left the tree when its parent has. */
static void hold_master(int tell)
{
	pid_t own = getpid();

	setsid();
	need(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     mount("master", place, "tmpfs", 0, NULL) == 0 &&
		     mount(NULL, place, NULL, MS_SHARED, NULL) == 0 && mkdir(kept, 0755) == 0,
	     "master");
	need(write(tell, &own, sizeof own) == (ssize_t)sizeof own, "pid");
	for (int i = 0; i < 3000 && !scenario_is_marked("restored"); i++)
		scenario_sleep_ms(10);
	need(mount("later", kept, "tmpfs", 0, NULL) == 0 && mkdir(later, 0755) == 0, "later");
	scenario_mark("mounted");
	_exit(0);
}

static pid_t make_master(void)
{
	pid_t holder = 0;
	int ends[2];

	need(pipe(ends) == 0, "pipe");
	pid_t between = fork();
	if (between == 0) {
		if (fork() == 0)
			hold_master(ends[1]);
		_exit(0);
	}
	need(waitpid(between, NULL, 0) == between &&
		     read(ends[0], &holder, sizeof holder) == (ssize_t)sizeof holder,
	     "who holds it");
	close(ends[0]);
	close(ends[1]);
	return holder;
}

/* "shared:1 master:2", as it says behind the six fields that all have. */
static bool has_master(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[2 * PATH_MAX], point[PATH_MAX];
	bool found = false, has = false;

	while (file && fgets(line, sizeof line, file)) {
		if (sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1 || strcmp(point, place) != 0)
			continue;
		found = true;
		has = strstr(line, " master:") != NULL;
	}
	if (file)
		fclose(file);
	scenario_check(found, "there is no mount at %s", place);
	return has;
}

static int inside(void *data)
{
	int namespace = *(int *)data;

	need(setns(namespace, CLONE_NEWNS) == 0 && unshare(CLONE_NEWNS) == 0 &&
		     mount(NULL, place, NULL, MS_SLAVE, NULL) == 0,
	     "slave");
	close(namespace);
	scenario_need(has_master(), "it is no slave");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(!has_master(), "it has a master");
	scenario_mark("restored");
	scenario_wait_mark("mounted");
	scenario_check(access(kept, F_OK) == 0, "what it showed is gone");
	scenario_check(access(later, F_OK) < 0 && errno == ENOENT, "it sees what its master does");
	return 0;
}

int main(int argc, char **argv)
{
	char name[64];

	scenario_begin(argc, argv);
	need(mkdir("place", 0755) == 0 && realpath("place", place), "place");
	snprintf(kept, sizeof kept, "%s/kept", place);
	snprintf(later, sizeof later, "%s/later", kept);
	snprintf(name, sizeof name, "/proc/%d/ns/mnt", (int)make_master());
	int namespace = open(name, O_RDONLY);
	need(namespace >= 0, name);
	pid_t pid = scenario_child(inside, &namespace);
	close(namespace);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
