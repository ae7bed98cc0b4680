// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-held-hidden
 * promise: namespaces that only files of nsfs hold come back also where other mounts hide these:
 *	the same file, or a file system mounted above
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

/* Whoever makes it has the mounts in common with us. */
static void hold(const char *name)
{
	pid_t pid = fork();

	if (pid == 0) {
		need(unshare(CLONE_NEWUTS) == 0 && sethostname(name, strlen(name)) == 0 &&
			     mknod(name, S_IFREG | 0600, 0) == 0 &&
			     mount("/proc/self/ns/uts", name, NULL, MS_BIND, NULL) == 0,
		     name);
		_exit(0);
	}
	need(pid > 0, "fork");
	scenario_reap(pid);
}

static void check(const char *path, const char *expected)
{
	char name[64] = "";
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		_exit(fd >= 0 && setns(fd, CLONE_NEWUTS) == 0 &&
				      gethostname(name, sizeof name) == 0 &&
				      strcmp(name, expected) == 0
			      ? 0
			      : 1);
	}
	scenario_check(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0,
		       "%s does not show what was there", path);
}

static int inside(void *unused)
{
	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("named", 0755) == 0 &&
		     mount("named", "named", "tmpfs", 0, "size=1m") == 0 && chdir("named") == 0,
	     "mounts");
	hold("twice");
	hold("below");
	need(mount("twice", "twice", NULL, MS_BIND, NULL) == 0, "twice");
	need(chdir("..") == 0 && mount("above", "named", "tmpfs", 0, "size=1m") == 0, "above");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(access("named/below", F_OK) < 0, "what was hidden is seen");
	scenario_check(umount("named") == 0, "umount: %s", strerror(errno));
	check("named/below", "below");
	check("named/twice", "twice");
	scenario_check(umount("named/twice") == 0, "umount: %s", strerror(errno));
	check("named/twice", "twice");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child_in(CLONE_NEWNS, inside, NULL);
	scenario_wait_mark("inside");
	scenario_ready();
	scenario_reap(pid);
	return scenario_end();
}
