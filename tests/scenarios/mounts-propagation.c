// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-propagation
 * promise: what is mounted shows up in the same other mounts afterwards: shared, slave, both at
 *	once and private, in one namespace and over several, of nested user namespaces too
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct scenario_users root_inside = { "0 0 1", "0 0 1", true };

static void bind(const char *source, const char *target, unsigned long propagation)
{
	scenario_need(mount(source, target, NULL, MS_BIND, NULL) == 0 &&
			      mount(NULL, target, NULL, propagation, NULL) == 0,
		      "%s: %s", target, strerror(errno));
}

/* A file that only what is mounted has. */
static bool is_there(const char *folder)
{
	char path[64] = "";

	strcat(strcat(path, folder), "/in/file");
	return access(path, F_OK) == 0;
}

static void check(const char *who, const char *folder, bool wanted)
{
	scenario_check(is_there(folder) == wanted, "%s: %s %s", who, folder,
		       wanted ? "lacks what is mounted elsewhere" : "shows what it should not");
}

static void mount_in(const char *folder)
{
	char path[64] = "";
	int result;

	strcat(strcat(path, folder), "/in");
	result = mount("new", path, "tmpfs", 0, NULL);
	scenario_check(result == 0, "cannot mount in %s: %s", folder, strerror(errno));
	strcat(path, "/file");
	scenario_check(mkdir(path, 0700) == 0, "mkdir: %s", strerror(errno));
}

/* A copy of the namespace for another owner: all of it is a slave of the one outside. */
static int slave(void *unused)
{
	(void)unused;
	scenario_mark("slave");
	scenario_wait_mark("mounted");
	check("slave", "shared", true);
	check("slave", "peer", true);
	check("slave", "both", true);
	check("slave", "private", false);
	scenario_mark("slave-checked");
	scenario_wait_mark("peer-checked");
	mount_in("slave");
	scenario_mark("slave-mounted");
	scenario_wait_mark("end");
	return 0;
}

static int peer(void *unused)
{
	(void)unused;
	scenario_mark("peer");
	scenario_wait_mark("mounted");
	check("peer", "shared", true);
	check("peer", "slave", true);
	check("peer", "private", false);
	scenario_wait_mark("slave-checked");
	scenario_check(umount2("shared/in", MNT_DETACH) == 0, "umount: %s", strerror(errno));
	scenario_mark("peer-checked");
	scenario_wait_mark("end");
	return 0;
}

static int around(void *unused)
{
	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	scenario_need(mkdir("base", 0755) == 0 && mount("base", "base", "tmpfs", 0, NULL) == 0 &&
			      chdir("base") == 0 && mkdir("in", 0755) == 0,
		      "base: %s", strerror(errno));
	static const char *const names[] = { "shared", "peer", "slave", "both", "private" };
	scenario_need(chdir("..") == 0, "chdir");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		scenario_need(mkdir(names[i], 0755) == 0, "mkdir");
	bind("base", "shared", MS_SHARED);
	bind("shared", "peer", MS_SHARED);
	bind("shared", "slave", MS_SLAVE);
	bind("slave", "both", MS_SHARED);
	bind("base", "private", MS_PRIVATE);
	pid_t second = scenario_child_in(CLONE_NEWNS, peer, NULL);
	pid_t third = scenario_child_users(CLONE_NEWUSER | CLONE_NEWNS, &root_inside, slave, NULL);
	scenario_wait_mark("peer");
	scenario_wait_mark("slave");
	scenario_mark("around");
	scenario_wait_restored();
	mount_in("peer");
	check("around", "shared", true);
	check("around", "slave", true);
	check("around", "both", true);
	check("around", "private", false);
	scenario_mark("mounted");
	scenario_wait_mark("slave-mounted");
	check("around", "shared", false);
	check("around", "both", false);
	scenario_mark("end");
	scenario_reap(second);
	scenario_reap(third);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child_in(CLONE_NEWNS, around, NULL);
	scenario_wait_mark("around");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
