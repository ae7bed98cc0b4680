// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-gone-process-file
 * promise: files in /proc of processes that are gone have nothing to tell, but for the mounts that
 *	such a process saw: those are of its mount namespace and root, also where the /proc is one
 *	of the tree
 * flavours: flat one three user user-three ordinary
 * needs: initial-user-namespace
 * ignore: fd
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOUNTS = 50, STATUS, MAPS, BY_PATH, ROOM = 1 << 17 };

static void open_own(const char *name, int flags, int number)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/%s", name);
	int fd = open(path, flags | O_CLOEXEC);
	if (fd < 0 || dup2(fd, number) != number)
		_exit(1);
	close(fd);
}

/* `root`: of the process that will be gone. */
static void hold_gone(const char *root)
{
	int status;
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

	if (!pid) {
		int proc = open("/proc", O_PATH | O_DIRECTORY);
		if (root && (chroot(root) || fchdir(proc) || chdir("self")))
			_exit(1);
		if (root && dup2(openat(AT_FDCWD, "mountinfo", O_RDONLY), MOUNTS) != MOUNTS)
			_exit(2);
		if (!root)
			open_own("mountinfo", O_RDONLY, MOUNTS);
		if (root)
			_exit(0);
		open_own("status", O_RDONLY, STATUS);
		open_own("maps", O_RDONLY, MAPS);
		open_own("stat", O_PATH, BY_PATH);
		_exit(0);
	}
	scenario_need(waitpid(pid, &status, 0) == pid && status == 0, "nobody is gone: %#x",
		      status);
}

static size_t read_all(int fd, char *text)
{
	size_t size = 0;
	ssize_t got;

	while ((got = pread(fd, text + size, ROOM - 1 - size, (off_t)size)) > 0)
		size += (size_t)got;
	text[size] = '\0';
	scenario_check(got == 0, "a list of mounts cannot be read: %s", strerror(errno));
	return size;
}

static void check_mounts(const char *mark, bool rooted)
{
	static char gone[ROOM], own[ROOM];

	scenario_check(read_all(MOUNTS, gone) > 0, "it tells of no mounts");
	if (mark)
		scenario_check(strstr(gone, mark) != NULL, "the mount %s is not told of:\n%s", mark,
			       gone);
	if (rooted) {
		scenario_check(!strstr(gone, " /proc "), "what is outside of its root is seen");
		return;
	}
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	read_all(fd, own);
	close(fd);
	scenario_check(strcmp(gone, own) == 0, "it tells of other mounts");
}

/* What is there still tells of nobody, and cannot be opened again. */
static void check_rest(void)
{
	char text[64];
	struct stat stat;

	scenario_check(pread(STATUS, text, sizeof text, 0) < 0 && errno == ESRCH,
		       "there is a process");
	scenario_check(pread(MAPS, text, sizeof text, 0) <= 0, "there is memory");
	scenario_check(fstat(BY_PATH, &stat) == 0 && S_ISREG(stat.st_mode), "no file by path");
	scenario_check(fcntl(BY_PATH, F_GETFL) & O_PATH, "more than a path");
	scenario_check(read(BY_PATH, text, 1) < 0 && errno == EBADF, "a path can be read");
}

static void begin_container(void)
{
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mount("proc", "/proc", "proc", 0, NULL) == 0,
		      "no /proc: %d", errno);
	mkdir("marked-mount", 0755);
	scenario_need(mount("marked", "marked-mount", "tmpfs", 0, "size=1m") == 0, "no mount: %d",
		      errno);
}

/* With mounts of its own, of which the file tells when more are added, too. */
static int container(void *unused)
{
	(void)unused;
	begin_container();
	hold_gone(NULL);
	scenario_mark("container");
	scenario_wait_restored();
	check_mounts("/marked-mount ", false);
	check_rest();
	scenario_check(umount("marked-mount") == 0, "the mount stays");
	check_mounts(NULL, false);
	return 0;
}

/* Gone is who had another root, which somebody else still has. */
static int with_root(void *unused)
{
	(void)unused;
	begin_container();
	hold_gone("marked-mount");
	pid_t beside = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!beside) {
		if (chroot("marked-mount") || chdir("/"))
			_exit(1);
		for (;;)
			pause();
	}
	scenario_mark("rooted");
	scenario_wait_restored();
	check_mounts(" / ", true);
	kill(beside, SIGKILL);
	return waitpid(beside, NULL, 0) != beside;
}

int main(int argc, char **argv)
{
	pid_t contained = 0, inside = 0;

	scenario_begin(argc, argv);
	if (geteuid() == 0) {
		contained = scenario_child_in(CLONE_NEWPID | CLONE_NEWNS, container, NULL);
		scenario_wait_mark("container");
		inside = scenario_child_in(CLONE_NEWPID | CLONE_NEWNS, with_root, NULL);
		scenario_wait_mark("rooted");
	}
	hold_gone(NULL);

	scenario_ready();

	check_mounts(NULL, false);
	check_rest();
	if (contained) {
		scenario_reap(contained);
		scenario_reap(inside);
	}
	return scenario_end();
}
