// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: userns-depth
 * promise: user namespaces nested as deep as the kernel allows are kept, with a task in each, and
 *	with a task in the last one only
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* create_user_ns: 33 below the initial namespace, of which some may be above us. */
enum { LEAST_LEVELS = 25, ROOM = 40 };

/* The namespace of each level, as the tasks of the second chain find them; the last two share. */
static ino_t *namespaces;

/* Moves the caller one further down, where it is root again. */
static bool go_down(void)
{
	if (unshare(CLONE_NEWUSER)) {
		scenario_need(errno == ENOSPC || errno == EUSERS, "cannot unshare");
		return false;
	}
	scenario_write_map("self", "setgroups", "deny");
	scenario_write_map("self", "uid_map", "0 0 1");
	scenario_write_map("self", "gid_map", "0 0 1");
	return true;
}

static void check_at_the_bottom(void)
{
	scenario_check(getuid() == 0 && getgid() == 0, "ids %u %u", getuid(), getgid());
	scenario_check(unshare(CLONE_NEWUSER) < 0 && (errno == ENOSPC || errno == EUSERS),
		       "there are fewer levels than before");
}

static int alone(void *unused)
{
	int levels = 0;

	(void)unused;
	while (go_down())
		levels++;
	scenario_need(levels >= LEAST_LEVELS, "only %d levels", levels);
	scenario_mark("alone");
	scenario_wait_restored();
	check_at_the_bottom();
	return 0;
}

static ino_t own_namespace(void)
{
	struct stat own;

	scenario_check(stat("/proc/self/ns/user", &own) == 0, "cannot see the own namespace");
	return own.st_ino;
}

static int with_a_child(void *data)
{
	int level = *(const int *)data + 1;
	pid_t pid = 0;

	if (go_down()) {
		pid = scenario_child(with_a_child, &level);
	} else {
		scenario_need(level >= LEAST_LEVELS, "only %d levels", level);
		scenario_mark("last");
	}
	scenario_wait_restored();
	namespaces[level] = own_namespace();
	if (!pid) {
		check_at_the_bottom();
		return 0;
	}
	scenario_reap(pid);
	scenario_check(namespaces[level] != namespaces[level + 1] || namespaces[level + 2] == 0,
		       "level %d shares its namespace with the next", level);
	return 0;
}

int main(int argc, char **argv)
{
	int level = 0;

	scenario_begin(argc, argv);
	namespaces = mmap(NULL, ROOM * sizeof *namespaces, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	scenario_need(namespaces != MAP_FAILED, "mmap");
	pid_t one = scenario_child(alone, NULL);
	scenario_wait_mark("alone");
	pid_t other = scenario_child(with_a_child, &level);
	scenario_wait_mark("last");

	scenario_ready();

	scenario_reap(one);
	scenario_reap(other);
	return scenario_end();
}
