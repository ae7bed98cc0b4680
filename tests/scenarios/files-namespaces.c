// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-namespaces
 * promise: descriptors of namespaces stay what they are: user namespaces of other tasks, and such
 *	as nothing else keeps, with their maps; pid namespaces at and below the own; those that all
 *	tasks share; also twice opened, duplicated and inherited
 * needs: per_namespace_pid_max
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GET_USER_NAMESPACE = 0xff09, GET_PID_NAMESPACE = 0xff05 /* linux/pidfd.h, 6.11 */ };
enum {
	KEPT = 50,
	KEPT_AGAIN,
	KEPT_TWICE,
	OF_CHILD,
	ABOVE_KEPT,
	PID_OF_CHILD,
	PID_TWICE,
	OWN_PID,
	OWN_NET,
	OWN_USER,
	OWN_TIME,
	PATH_ONLY
};

static int idle(void *unused)
{
	(void)unused;
	scenario_mark("child");
	scenario_wait_restored();
	scenario_wait_mark("checked");
	return 0;
}

static int leave(void *unused)
{
	(void)unused;
	scenario_wait_mark("kept");
	return 0;
}

/* A namespace of a process, without the numbers of /proc, which may be that of another one. */
static void hold(pid_t pid, unsigned request, int number)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int fd = ioctl(pidfd, request, 0);

	scenario_need(fd >= 0, "cannot see a namespace of the child");
	scenario_need(dup3(fd, number, O_CLOEXEC) == number, "dup3");
	close(fd);
	close(pidfd);
}

static void open_at(const char *path, int flags, int number)
{
	int fd = open(path, flags);

	scenario_need(fd >= 0 && dup2(fd, number) == number, "cannot open %s", path);
	close(fd);
}

static ino_t inode_of(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) ? 0 : stat.st_ino;
}

static ino_t inode_at(const char *path)
{
	struct stat found;

	return stat(path, &found) ? 0 : found.st_ino;
}

static bool same_file(int one, int other)
{
	return syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, one, other) == 0;
}

/* Who enters is what the namespace makes of it. */
static int enter_kept(void *unused)
{
	char map[256] = "";

	(void)unused;
	scenario_check(setns(KEPT, CLONE_NEWUSER) == 0, "cannot enter the kept namespace");
	scenario_check(getuid() == 7, "uid %u in the kept namespace", getuid());
	int fd = open("/proc/self/uid_map", O_RDONLY);
	scenario_check(read(fd, map, sizeof map - 1) > 0, "no map");
	unsigned numbers[6] = { 0 };
	sscanf(map, "%u %u %u %u %u %u", &numbers[0], &numbers[1], &numbers[2], &numbers[3],
	       &numbers[4], &numbers[5]);
	scenario_check(numbers[0] == 7 && numbers[2] == 1 && numbers[3] == 100 && numbers[5] == 50,
		       "the kept namespace has the map %s", map);
	return 0;
}

static int enter_child(void *unused)
{
	(void)unused;
	scenario_check(setns(OF_CHILD, CLONE_NEWUSER) == 0, "cannot enter that of the child");
	return 0;
}

/* Another table, with the same open files. */
static int inheritor(void *main_pid)
{
	static const int inherited[] = {
		KEPT, OF_CHILD, PID_OF_CHILD, PID_TWICE, OWN_PID, OWN_NET
	};

	scenario_mark("inheritor");
	scenario_wait_restored();
	for (size_t i = 0; i < sizeof inherited / sizeof *inherited; i++)
		scenario_check(syscall(SYS_kcmp, getpid(), *(pid_t *)main_pid, KCMP_FILE,
				       inherited[i], inherited[i]) == 0,
			       "descriptor %d is another open file than that inherited",
			       inherited[i]);
	scenario_mark("compared");
	return 0;
}

static void check_parents(void)
{
	int above = ioctl(KEPT, NS_GET_PARENT);

	scenario_check(above >= 0 && inode_of(above) == inode_of(ABOVE_KEPT),
		       "the namespace above the kept one is another");
	close(above);
	above = ioctl(ABOVE_KEPT, NS_GET_PARENT);
	scenario_check(above >= 0 && inode_of(above) == inode_at("/proc/self/ns/user"),
		       "the namespaces kept are not below the own");
	close(above);
}

static void check_all(pid_t child)
{
	int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	int user = ioctl(pidfd, GET_USER_NAMESPACE, 0), pid = ioctl(pidfd, GET_PID_NAMESPACE, 0);

	scenario_check(inode_of(user) && inode_of(user) == inode_of(OF_CHILD), "user of child");
	scenario_check(inode_of(pid) && inode_of(pid) == inode_of(PID_OF_CHILD), "pid of child");
	close(user);
	close(pid);
	close(pidfd);
	scenario_check(inode_of(OWN_PID) == inode_at("/proc/self/ns/pid"), "own pid");
	scenario_check(inode_of(OWN_NET) == inode_at("/proc/self/ns/net"), "own net");
	scenario_check(inode_of(OWN_TIME) == inode_at("/proc/self/ns/time"), "own time");
	scenario_check(inode_of(OWN_USER) == inode_at("/proc/self/ns/user"), "own user");
	scenario_check(inode_of(PATH_ONLY) == inode_at("/proc/self/ns/uts"), "own uts");
	scenario_check((fcntl(PATH_ONLY, F_GETFL) & O_PATH) != 0, "O_PATH is gone");
	scenario_check(inode_of(KEPT) != inode_of(OF_CHILD), "two namespaces have become one");
	scenario_check(same_file(KEPT, KEPT_AGAIN), "a duplicate is another open file");
	scenario_check(!same_file(KEPT, KEPT_TWICE) && inode_of(KEPT) == inode_of(KEPT_TWICE),
		       "two open files have become one, or are of two namespaces");
	scenario_check(same_file(PID_OF_CHILD, PID_TWICE), "a duplicate is another open file");
	scenario_check(fcntl(OF_CHILD, F_GETFD) == FD_CLOEXEC && fcntl(OWN_NET, F_GETFD) == 0,
		       "close-on-exec");
	check_parents();
}

/* Two namespaces that only descriptors keep; the one above has the extents of the one below. */
static int make_kept(void *unused)
{
	static const struct scenario_users below = { "7 0 1\n100 1000 50", "0 0 1", true };

	(void)unused;
	pid_t pid = scenario_child_users(0, &below, leave, NULL);
	hold(pid, GET_USER_NAMESPACE, KEPT);
	scenario_mark("kept");
	scenario_reap(pid);
	scenario_wait_mark("taken");
	return 0;
}

static void take(pid_t maker)
{
	int pidfd = (int)syscall(SYS_pidfd_open, maker, 0);
	int fd;

	scenario_wait_mark("kept");
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, KEPT, 0);
	scenario_need(fd >= 0 && dup2(fd, KEPT) == KEPT, "cannot take the descriptor");
	close(fd);
	close(pidfd);
}

int main(int argc, char **argv)
{
	static const struct scenario_users above = { "0 0 1\n1 1 40000", "0 0 1\n1 1 40000",
						     false };
	static const struct scenario_users of_child = { "0 0 1", "0 0 1", false };
	pid_t self = getpid();

	scenario_begin(argc, argv);
	pid_t child = scenario_child_users(CLONE_NEWPID, &of_child, idle, NULL);
	scenario_wait_mark("child");
	pid_t maker = scenario_child_users(0, &above, make_kept, NULL);
	take(maker);
	hold(maker, GET_USER_NAMESPACE, ABOVE_KEPT);
	scenario_mark("taken");
	scenario_reap(maker);
	open_at("/proc/self/fd/50", O_RDONLY, KEPT_TWICE);
	dup2(KEPT, KEPT_AGAIN);
	hold(child, GET_USER_NAMESPACE, OF_CHILD);
	hold(child, GET_PID_NAMESPACE, PID_OF_CHILD);
	dup2(PID_OF_CHILD, PID_TWICE);
	open_at("/proc/self/ns/pid", O_RDONLY, OWN_PID);
	open_at("/proc/self/ns/net", O_RDONLY, OWN_NET);
	open_at("/proc/self/ns/user", O_RDONLY, OWN_USER);
	open_at("/proc/self/ns/time", O_RDONLY, OWN_TIME);
	open_at("/proc/self/ns/uts", O_PATH, PATH_ONLY);
	check_all(child);
	pid_t other = scenario_child(inheritor, &self);
	scenario_wait_mark("inheritor");

	scenario_ready();

	check_all(child);
	scenario_mark("checked");
	scenario_wait_mark("compared");
	scenario_reap(scenario_child(enter_kept, NULL));
	scenario_reap(scenario_child(enter_child, NULL));
	scenario_reap(other);
	scenario_reap(child);
	return scenario_end();
}
