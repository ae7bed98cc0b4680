// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: cgroups-entrance
 * promise: a cgroup namespace comes back whose root passes on a controller that keeps everybody
 *	out of it, with the limits below
 * flavours: flat three
 * needs: initial-user-namespace
 * not-shifted: it makes cgroups of its own
 * alone: it switches a controller on for all cgroups of version 2
 */
#include "cgroup-file.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT "4194304"

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static bool has(const char *path, const char *word)
{
	char text[256] = "";

	int fd = open(path, O_RDONLY | O_CLOEXEC);
	need(fd >= 0 && read(fd, text, sizeof text - 1) >= 0, "cannot read controllers");
	close(fd);
	return strstr(text, word) != NULL;
}

/* Those that do not tell threads apart, and a limit of each. */
static const struct controller {
	const char *name, *limit;
} controllers[] = {
	{ "hugetlb", "hugetlb.2MB.max" },
	{ "memory", "memory.max" },
	{ "misc", NULL },
};

static const struct controller *find_controller(void)
{
	size_t i = 0;

	while (i < 2 && !has("cgroups/cgroup.controllers", controllers[i].name))
		i++;
	return &controllers[i];
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

/* It switches that off again, however this ends. */
static void tell_runner(const char *controller)
{
	FILE *out = fopen("switched-on", "we");

	need(out && fputs(controller, out) >= 0 && fclose(out) == 0, "cannot tell");
}

static void expect_all(const struct controller *controller, const char *root, const char *slice,
		       const char *leaf)
{
	char path[256];

	scenario_check(look("slice/leaf"), "the namespace has another root");
	snprintf(path, sizeof path, "%s/cgroup.subtree_control", root);
	scenario_check(has(path, controller->name), "the root passes nothing on");
	snprintf(path, sizeof path, "%s/cgroup.subtree_control", slice);
	scenario_check(has(path, controller->name), "who is between passes nothing on");
	snprintf(path, sizeof path, "%s/%s", leaf, controller->limit ? controller->limit : "");
	scenario_check(!controller->limit || has(path, LIMIT), "there is no limit any more");
	scenario_check(!cgroup_takes(root, "cgroup.procs", "0"), "the root takes somebody");
}

static int inside(void *unused)
{
	char name[64], root[96], slice[128], leaf[160], on[32];

	(void)unused;
	scenario_own_name(name, sizeof name);
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     mkdir("cgroups", 0755) == 0 &&
		     mount("own", "cgroups", "cgroup2", 0, NULL) == 0,
	     "cannot mount");
	const struct controller *controller = find_controller();
	if (!has("cgroups/cgroup.subtree_control", controller->name))
		tell_runner(controller->name);
	snprintf(on, sizeof on, "+%s", controller->name);
	snprintf(root, sizeof root, "cgroups/%s", name);
	snprintf(slice, sizeof slice, "%s/slice", root);
	snprintf(leaf, sizeof leaf, "%s/leaf", slice);
	need(mkdir(root, 0755) == 0 && cgroup_takes(root, "cgroup.procs", "0") &&
		     unshare(CLONE_NEWCGROUP) == 0 && mkdir(slice, 0755) == 0 &&
		     mkdir(leaf, 0755) == 0 && cgroup_takes(leaf, "cgroup.procs", "0") &&
		     cgroup_takes("cgroups", "cgroup.subtree_control", on) &&
		     cgroup_takes(root, "cgroup.subtree_control", on) &&
		     cgroup_takes(slice, "cgroup.subtree_control", on) &&
		     (!controller->limit || cgroup_takes(leaf, controller->limit, LIMIT)),
	     "cannot make cgroups");
	expect_all(controller, root, slice, leaf);
	scenario_mark("inside");
	scenario_wait_restored();
	expect_all(controller, root, slice, leaf);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
