// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: userns-empty
 * promise: user namespaces with no task of their own are kept: held by a namespace below, and by a
 *   pid namespace that they own and whose tasks are all outside
 * needs: per_namespace_pid_max
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GET_PID_FOR_CHILDREN = 0xff06 /* linux/pidfd.h, 6.11 */ };

static const struct scenario_users all = { "0 0 1\n1 1 59999", "0 0 1\n1 1 59999", false };
static int *owned; /* set by the owner once it has the pid namespace */

/* ---- held by a namespace below ---- */

static int go_down(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_NEWUSER) == 0, "cannot unshare");
	scenario_write_map("self", "setgroups", "deny");
	scenario_write_map("self", "uid_map", "3 0 1");
	scenario_write_map("self", "gid_map", "4 0 1");
	scenario_mark("below");
	scenario_wait_restored();
	scenario_check(getuid() == 3 && getgid() == 4, "ids %u %u", getuid(), getgid());
	return 0;
}

/* ---- held by a pid namespace ---- */

/* In the user namespace that is to own one; nobody is born there. */
static int own(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_NEWPID) == 0, "cannot unshare");
	__atomic_store_n(owned, 1, __ATOMIC_SEQ_CST);
	scenario_wait_restored();
	return 1;
}

static int namespace_of(pid_t owner)
{
	while (!__atomic_load_n(owned, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(1);
	int pidfd = (int)syscall(SYS_pidfd_open, owner, 0);
	int fd = ioctl(pidfd, GET_PID_FOR_CHILDREN, 0);
	scenario_need(fd >= 0, "cannot see the pid namespace");
	close(pidfd);
	return fd;
}

/* Takes the pid namespace over; its owner leaves nobody behind. */
static void take_over(void)
{
	__atomic_store_n(owned, 0, __ATOMIC_SEQ_CST);
	pid_t owner = scenario_child_users(0, &all, own, NULL);
	int fd = namespace_of(owner), status;

	scenario_need(setns(fd, CLONE_NEWPID) == 0, "cannot enter");
	close(fd);
	kill(owner, SIGKILL);
	scenario_need(waitpid(owner, &status, 0) == owner, "cannot reap");
}

/* The owner of the caller's pid namespace is below its user namespace, and nobody is there. */
static void check_owner(void)
{
	int fd = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	int owner = ioctl(fd, NS_GET_USERNS), above = owner < 0 ? -1 : ioctl(owner, NS_GET_PARENT);
	struct stat parent, mine;

	scenario_check(above >= 0, "the pid namespace is not owned by a namespace below");
	scenario_check(!fstat(above, &parent) && !stat("/proc/self/ns/user", &mine) &&
			       parent.st_ino == mine.st_ino,
		       "the owner of the pid namespace is in another one");
	close(above);
	close(owner);
	close(fd);
}

static int init(void *unused)
{
	(void)unused;
	scenario_need(getpid() == 1, "not the init");
	check_owner();
	scenario_mark("init");
	scenario_wait_restored();
	scenario_check(getpid() == 1, "the init has pid %d", getpid());
	check_owner();
	return 0;
}

static int outside(void *unused)
{
	(void)unused;
	take_over();
	pid_t pid = scenario_child(init, NULL);
	scenario_wait_restored();
	scenario_reap(pid);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	owned = mmap(NULL, sizeof *owned, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	scenario_need(owned != MAP_FAILED, "mmap");
	pid_t children[2];
	children[0] = scenario_child_users(0, &all, go_down, NULL);
	scenario_wait_mark("below");
	children[1] = scenario_child(outside, NULL);
	scenario_wait_mark("init");

	scenario_ready();

	for (int i = 0; i < 2; i++)
		scenario_reap(children[i]);
	return scenario_end();
}
