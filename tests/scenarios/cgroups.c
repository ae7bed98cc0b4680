// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: cgroups
 * promise: tasks, and single threads where a hierarchy has them by thread, are in the cgroups that
 *	they were in, also in threaded ones; cgroup namespaces have their roots, also one of another
 *	user namespace
 * flavours: flat one three user user-three
 * not-shifted: it makes cgroups of its own
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOM = 4096 };

static char v2[ROOM], v1[ROOM]; /* where we began, in the file system; "": not there */
static char folder[64];
static char v1_name[64];

/* Where this thread is in a hierarchy; "?" where there is none. */
static void path_of(const char *name, char path[ROOM])
{
	char line[ROOM];
	size_t length = strlen(name);
	FILE *in = fopen("/proc/thread-self/cgroup", "r");

	snprintf(path, ROOM, "?");
	while (in && fgets(line, sizeof line, in)) {
		char *colon = strchr(line, ':');
		if (colon && strncmp(colon + 1, name, length) == 0 && colon[1 + length] == ':')
			snprintf(path, ROOM, "%.*s", (int)strcspn(colon + 2 + length, "\n"),
				 colon + 2 + length);
	}
	if (in)
		fclose(in);
}

/* Hierarchies of the host, by their mounts: v2, and one of v1 that has no settings to be made. */
static void find_hierarchies(void)
{
	char line[ROOM], root[512], point[512], type[32], options[512];
	FILE *in = fopen("/proc/self/mountinfo", "r");

	while (in && fgets(line, sizeof line, in)) {
		char *dash = strstr(line, " - "), own[ROOM];
		if (!dash || sscanf(line, "%*s %*s %*s %511s %511s", root, point) != 2 ||
		    sscanf(dash + 3, "%31s %*s %511s", type, options) != 2 || strcmp(root, "/"))
			continue;
		bool is_v1 = strcmp(type, "cgroup") == 0 && strstr(options, "name=systemd");
		if (strcmp(type, "cgroup2") && !is_v1)
			continue;
		path_of(is_v1 ? "name=systemd" : "", own);
		snprintf(is_v1 ? v1 : v2, ROOM, "%.1000s%.1000s", point, own);
		if (is_v1)
			snprintf(v1_name, sizeof v1_name, "name=systemd");
	}
	if (in)
		fclose(in);
}

/* Moves the caller: its process, or with "tasks" the thread. */
static bool move(const char *base, const char *below, const char *name)
{
	char path[2 * ROOM];

	snprintf(path, sizeof path, "%s/%s/%s", base, below, name);
	int fd = open(path, O_WRONLY);
	bool written = fd >= 0 && write(fd, "0", 1) == 1;
	if (fd >= 0)
		close(fd);
	return written;
}

static void make(const char *base, const char *below)
{
	char path[2 * ROOM];

	snprintf(path, sizeof path, "%s/%s", base, below);
	scenario_need(mkdir(path, 0755) == 0, "cannot make %s: %s", path, strerror(errno));
}

static void remove_directory(const char *base, const char *below)
{
	char path[2 * ROOM];

	snprintf(path, sizeof path, "%s/%s", base, below);
	for (int i = 0; i < 100 && rmdir(path) && errno == EBUSY; i++)
		usleep(10000);
}

static char expected[ROOM];

static void check_path(const char *who, const char *name, const char *wanted)
{
	char path[ROOM];

	path_of(name, path);
	scenario_check(strcmp(path, wanted) == 0, "%s is in \"%s:%s\" instead of %s", who, name,
		       path, wanted);
}

static void *thread(void *unused)
{
	char path[ROOM];

	(void)unused;
	scenario_need(move(v1, folder, "tasks"), "cannot move a thread");
	path_of(v1_name, path);
	scenario_mark("thread");
	scenario_wait_restored();
	check_path("a thread", v1_name, path);
	return NULL;
}

static int below(void *unused)
{
	char own[64];

	(void)unused;
	snprintf(own, sizeof own, "%.50s/a", folder);
	scenario_need(!*v2 || move(v2, own, "cgroup.procs"), "cannot move");
	scenario_need(unshare(CLONE_NEWCGROUP) == 0, "cannot unshare");
	check_path("who unshared", "", "/");
	scenario_mark("below");
	scenario_wait_restored();
	check_path("who unshared", "", "/");
	return 0;
}

static int below_users(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_NEWCGROUP) == 0, "cannot unshare");
	check_path("who is further in", "", "/");
	scenario_mark("users");
	scenario_wait_restored();
	check_path("who is further in", "", "/");
	return 0;
}

static void *thread_in_v2(void *unused)
{
	char own[64], path[ROOM];

	(void)unused;
	snprintf(own, sizeof own, "%.50s-t/t", folder);
	scenario_need(move(v2, own, "cgroup.threads"), "cannot move a thread");
	path_of("", path);
	scenario_mark("threaded");
	scenario_wait_restored();
	check_path("a thread in a threaded one", "", path);
	return NULL;
}

/* A process in one, and a thread of it in one below. */
static int threaded(void *unused)
{
	char own[64], path[ROOM];
	pthread_t other;

	(void)unused;
	snprintf(own, sizeof own, "%.50s-t", folder);
	scenario_need(move(v2, own, "cgroup.procs"), "cannot move");
	pthread_create(&other, NULL, thread_in_v2, NULL);
	path_of("", path);
	scenario_wait_restored();
	check_path("who has a thread elsewhere", "", path);
	pthread_join(other, NULL);
	return 0;
}

static bool make_threaded(void)
{
	char own[64], path[2 * ROOM];

	snprintf(own, sizeof own, "%.50s-t", folder);
	make(v2, own);
	snprintf(own, sizeof own, "%.50s-t/t", folder);
	make(v2, own);
	snprintf(path, sizeof path, "%s/%s/cgroup.type", v2, own);
	int fd = open(path, O_WRONLY);
	bool written = fd >= 0 && write(fd, "threaded", 8) == 8;
	if (fd >= 0)
		close(fd);
	return written;
}

static void remove_threaded(void)
{
	char own[64];

	snprintf(own, sizeof own, "%.50s-t/t", folder);
	remove_directory(v2, own);
	snprintf(own, sizeof own, "%.50s-t", folder);
	remove_directory(v2, own);
}

int main(int argc, char **argv)
{
	const struct scenario_users users = { "0 0 1", "0 0 1", true };
	pid_t children[3] = { 0 };
	pthread_t other;
	char own[64];

	scenario_begin(argc, argv);
	find_hierarchies();
	scenario_own_name(folder, sizeof folder);
	snprintf(own, sizeof own, "%.50s/a", folder);
	scenario_need(*v1 || *v2, "there are no cgroups here");
	if (*v2) {
		make(v2, folder);
		make(v2, own);
		scenario_need(move(v2, folder, "cgroup.procs"), "cannot move");
	}
	if (*v1) {
		make(v1, folder);
		pthread_create(&other, NULL, thread, NULL);
		scenario_wait_mark("thread");
	}
	path_of("", expected);
	children[0] = scenario_child(below, NULL);
	children[1] = scenario_child_users(CLONE_NEWUSER, &users, below_users, NULL);
	if (*v2 && make_threaded()) {
		children[2] = scenario_child(threaded, NULL);
		scenario_wait_mark("threaded");
	}
	scenario_wait_mark("below");
	scenario_wait_mark("users");

	scenario_ready();

	check_path("the scenario", "", expected);
	scenario_reap(children[0]);
	scenario_reap(children[1]);
	if (children[2])
		scenario_reap(children[2]);
	if (*v2)
		remove_threaded();
	if (*v1)
		pthread_join(other, NULL);
	if (*v2)
		move(v2, ".", "cgroup.procs");
	remove_directory(v1, folder);
	remove_directory(v2, own);
	remove_directory(v2, folder);
	return scenario_end();
}
