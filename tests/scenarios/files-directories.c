// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-directories
 * promise: each task has its working directory (a removed one too), its root and its umask
 * flavours: flat one three
 */
#include "scenario.h"

#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void check_inside(const char *expected)
{
	char here[4096] = "";

	scenario_check(getcwd(here, sizeof here) != NULL && strcmp(here, expected) == 0,
		       "the working directory is \"%s\", was \"%s\"", here, expected);
}

static void check_umask(mode_t expected)
{
	mode_t mask = umask(expected);

	scenario_check(mask == expected, "the umask is %o, was %o", mask, expected);
}

static int live_elsewhere(void *data)
{
	(void)data;
	umask(0);
	scenario_need(chdir("/usr/bin") == 0, "cannot enter /usr/bin");
	scenario_mark("elsewhere");
	scenario_wait_restored();
	check_inside("/usr/bin");
	check_umask(0);
	return 0;
}

static int live_in_removed(void *data)
{
	char here[64];

	(void)data;
	umask(0777);
	scenario_need(!mkdir("removed", 0700) && !chmod("removed", 0700), "no directory");
	scenario_need(!chdir("removed") && !rmdir("../removed"), "cannot remove it");
	umask(0177);
	scenario_mark("in-removed");
	scenario_wait_restored();
	scenario_check(getcwd(here, sizeof here) == NULL, "the removed directory has a name: %s",
		       here);
	check_umask(0177);
	return 0;
}

/* The harness goes by absolute names: below the new root, they lead to that root. */
static void make_way_back(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path + 1, 0755);
		*slash = '/';
	}
	scenario_need(symlink("/", path + 1) == 0, "cannot make the way back");
}

static int live_in_root(void *data)
{
	char path[4096];

	(void)data;
	scenario_need(getcwd(path, sizeof path) != NULL, "no working directory");
	make_way_back(path);
	scenario_need(mkdir("inside", 0755) == 0 && chroot(".") == 0 && chdir("/inside") == 0,
		      "cannot change the root");
	scenario_mark("in-root");
	scenario_wait_restored();
	check_inside("/inside");
	scenario_check(access("/usr/bin", F_OK) != 0, "the root is another one");
	scenario_check(access("/inside", F_OK) == 0, "the root is another one");
	return 0;
}

static int move_on(void *data)
{
	(void)data;
	scenario_wait_restored();
	scenario_check(chdir("/usr") == 0, "cannot enter /usr");
	umask(0123);
	scenario_mark("moved");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t children[] = {
		scenario_child(live_elsewhere, NULL),
		scenario_child(live_in_removed, NULL),
		scenario_child(live_in_root, NULL),
		scenario_child_in(CLONE_FS, move_on, NULL),
	};
	scenario_wait_mark("elsewhere");
	scenario_wait_mark("in-removed");
	scenario_wait_mark("in-root");
	umask(027);

	scenario_ready();

	/* Shared with the last child, which has changed both. */
	scenario_wait_mark("moved");
	check_inside("/usr");
	check_umask(0123);
	for (size_t i = 0; i < sizeof children / sizeof *children; i++)
		scenario_reap(children[i]);
	return scenario_end();
}
