// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-cgroup-entrance
 * promise: a cgroup namespace is refused by name whose root passes on a controller that keeps
 *	everybody out of it, and the tree goes on
 * flavours: flat three
 * needs: initial-user-namespace
 * not-shifted: it makes cgroups of its own
 * alone: it switches a controller on for all cgroups of version 2
 * refused: unsupported-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static bool write_to(const char *directory, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return written;
}

static bool has(const char *path, const char *word)
{
	char text[256] = "";

	int fd = open(path, O_RDONLY | O_CLOEXEC);
	need(fd >= 0 && read(fd, text, sizeof text - 1) >= 0, "cannot read controllers");
	close(fd);
	return strstr(text, word) != NULL;
}

/* One that does not tell threads apart. */
static const char *find_controller(void)
{
	static const char *const names[] = { "hugetlb", "memory", "rdma" };
	size_t i = 0;

	while (i < 2 && !has("cgroups/cgroup.controllers", names[i]))
		i++;
	return names[i];
}

static bool look(const char *leaf)
{
	char text[4096] = "", wanted[80];

	snprintf(wanted, sizeof wanted, "0::/%s\n", leaf);
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	bool found = fd >= 0 && read(fd, text, sizeof text - 1) > 0 && strstr(text, wanted);
	close(fd);
	return found;
}

static int inside(void *unused)
{
	char name[64], root[96], leaf[128], on[32], off[32];

	(void)unused;
	scenario_own_name(name, sizeof name);
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     mkdir("cgroups", 0755) == 0 &&
		     mount("own", "cgroups", "cgroup2", 0, NULL) == 0,
	     "cannot mount");
	const char *controller = find_controller();
	bool was_on = has("cgroups/cgroup.subtree_control", controller);
	snprintf(on, sizeof on, "+%s", controller);
	snprintf(off, sizeof off, "-%s", controller);
	snprintf(root, sizeof root, "cgroups/%s", name);
	snprintf(leaf, sizeof leaf, "%s/leaf", root);
	need(mkdir(root, 0755) == 0 && write_to(root, "cgroup.procs", "0") &&
		     unshare(CLONE_NEWCGROUP) == 0 && mkdir(leaf, 0755) == 0 &&
		     write_to(leaf, "cgroup.procs", "0") &&
		     write_to("cgroups", "cgroup.subtree_control", on) &&
		     write_to(root, "cgroup.subtree_control", on),
	     "cannot make cgroups");
	scenario_need(look("leaf"), "the namespace has another root");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(look("leaf"), "the namespace has another root");
	if (!was_on)
		write_to(root, "cgroup.subtree_control", off);
	if (!was_on)
		write_to("cgroups", "cgroup.subtree_control", off);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
