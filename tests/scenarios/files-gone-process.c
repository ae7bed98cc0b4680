// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-gone-process
 * promise: directories in /proc of processes that are gone stay what they are, held open and as the
 *	root in which a sandbox has locked itself up: empty, and nobody can change that; also where
 *	the /proc is one of the tree
 * flavours: flat one three user user-three ordinary
 * needs: initial-user-namespace
 * ignore: cwd root fd
 */
#include "scenario.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { GONE = 50 };

static int state_fd;

/* As chromium does: who shares its fs enters, and ends. */
static int locked_up(void *unused)
{
	(void)unused;
	char text[64];

	state_fd = open(".", O_PATH | O_DIRECTORY);
	int statm = open("/proc/self/statm", O_RDONLY);
	pid_t helper = (pid_t)syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0);
	if (!helper)
		_exit(chroot("/proc/self/fdinfo/") || chdir("/"));
	scenario_reap(helper);
	scenario_check(openat(state_fd, "locked", O_CREAT | O_WRONLY, 0600) >= 0, "no mark");
	for (int i = 0; i < 20000 && faccessat(state_fd, "go-on", F_OK, 0); i++)
		usleep(1000);
	scenario_check(pread(statm, text, sizeof text, 0) > 0,
		       "its file in /proc cannot be read any more");
	scenario_check(open("/", O_RDONLY | O_DIRECTORY) == -1 && errno == ESRCH,
		       "the root can be opened");
	scenario_check(open("/x", O_CREAT | O_WRONLY, 0600) == -1, "a file is made");
	return 0;
}

/* By a number that the /proc here shows, whosever that is. */
static void hold_gone(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

	if (!pid)
		_exit(dup2(open("/proc/self", O_RDONLY | O_DIRECTORY), GONE) != GONE);
	scenario_reap(pid);
}

static pid_t lock_up(void)
{
	pid_t locked = scenario_child(locked_up, NULL);

	for (int i = 0; i < 20000 && access("locked", F_OK); i++)
		usleep(1000);
	return locked;
}

static void check_gone(void)
{
	struct stat state;

	scenario_check(fstat(GONE, &state) == 0 && S_ISDIR(state.st_mode), "no directory");
	scenario_check(openat(GONE, "status", O_RDONLY) == -1 &&
			       (errno == ESRCH || errno == ENOENT),
		       "there is a process: %d", errno);
	DIR *entries = fdopendir(GONE);
	scenario_check(!readdir(entries), "there is something in it");
}

static void let_out(pid_t locked)
{
	scenario_check(open("go-on", O_CREAT | O_WRONLY, 0600) >= 0, "no mark");
	if (locked)
		scenario_reap(locked);
}

/* With a /proc of its own. */
static int container(void *unused)
{
	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mount("proc", "/proc", "proc", 0, NULL) == 0 &&
			      mkdir("container", 0700) == 0 && chdir("container") == 0,
		      "no /proc: %d", errno);
	hold_gone();
	pid_t locked = lock_up();
	scenario_mark("container");
	scenario_wait_restored();
	check_gone();
	let_out(locked);
	/* None but who was there has a number. */
	scenario_check(access("/proc/1/status", F_OK) == 0, "it is not its /proc");
	return 0;
}

int main(int argc, char **argv)
{
	pid_t locked = 0, contained = 0;

	scenario_begin(argc, argv);
	hold_gone();
	if (geteuid() == 0) {
		locked = lock_up();
		contained = scenario_child_in(CLONE_NEWPID | CLONE_NEWNS, container, NULL);
		scenario_wait_mark("container");
	}

	scenario_ready();

	check_gone();
	let_out(locked);
	if (contained)
		scenario_reap(contained);
	return scenario_end();
}
