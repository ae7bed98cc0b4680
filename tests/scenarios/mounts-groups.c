// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-groups
 * promise: file systems in memory that somebody has mounted whose group has no number in the user
 *	namespace that owns them show that group after the restore, too
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GROUP = 12, ROOM = 512 };

/* What is shown of the options of the mount of that name. */
static void options_of(const char *name, char options[ROOM])
{
	char line[4096], source[ROOM];
	FILE *in = fopen("/proc/self/mountinfo", "r");

	options[0] = '\0';
	while (in && fgets(line, sizeof line, in)) {
		char *dash = strstr(line, " - ");
		char shown[ROOM];
		if (dash && sscanf(dash + 3, "%*s %511s %511s", source, shown) == 2 &&
		    strcmp(source, name) == 0)
			strcpy(options, shown);
	}
	if (in)
		fclose(in);
}

static int inside(void *unused)
{
	char before[ROOM], after[ROOM];
	struct stat first, second;

	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("there", 0755) == 0 &&
			      mount("groups", "there", "tmpfs", 0, "size=1m") == 0,
		      "mount: %s", strerror(errno));
	scenario_need(setresgid(0, 0, 0) == 0, "no group");
	options_of("groups", before);
	scenario_need(strstr(before, "gid=") && stat("there", &first) == 0, "shown is %s", before);
	scenario_mark("mounted");
	scenario_wait_restored();

	options_of("groups", after);
	scenario_check(strcmp(before, after) == 0, "shown is %s, not %s", after, before);
	scenario_check(stat("there", &second) == 0 && second.st_gid == first.st_gid,
		       "it belongs to group %u, not %u", second.st_gid, first.st_gid);
	return 0;
}

int main(int argc, char **argv)
{
	const struct scenario_users users = { "0 0 1", "0 0 1", true };

	scenario_begin(argc, argv);
	scenario_need(setresgid(0, GROUP, 0) == 0, "no group");
	pid_t child = scenario_child_users(CLONE_NEWUSER | CLONE_NEWNS, &users, inside, NULL);
	scenario_need(setresgid(0, 0, 0) == 0, "no group");
	scenario_wait_mark("mounted");

	scenario_ready();

	scenario_reap(child);
	return scenario_end();
}
