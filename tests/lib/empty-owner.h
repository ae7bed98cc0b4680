/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A pid namespace that is owned by a user namespace in which nobody is, for scenarios. */
#ifndef NESTOR_TESTS_EMPTY_OWNER_H
#define NESTOR_TESTS_EMPTY_OWNER_H

#include "scenario.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GET_PID_FOR_CHILDREN = 0xff06 /* linux/pidfd.h, 6.11 */ };

static const struct scenario_users empty_owner_users = { "0 0 1\n1 1 59999", "0 0 1\n1 1 59999",
							 false };
static int *empty_owner_word; /* set by the owner once it has the pid namespace */

/* In the user namespace that is to own one; nobody is born there. */
static inline int empty_owner_own(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_NEWPID) == 0, "cannot unshare");
	__atomic_store_n(empty_owner_word, 1, __ATOMIC_SEQ_CST);
	scenario_wait_restored();
	return 1;
}

static inline int empty_owner_namespace(pid_t owner)
{
	while (!__atomic_load_n(empty_owner_word, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(1);
	int pidfd = (int)syscall(SYS_pidfd_open, owner, 0);
	int fd = ioctl(pidfd, GET_PID_FOR_CHILDREN, 0);
	scenario_need(fd >= 0, "cannot see the pid namespace");
	close(pidfd);
	return fd;
}

/* Takes the pid namespace over; its owner leaves nobody behind. */
static inline void empty_owner_take_over(void)
{
	empty_owner_word = mmap(NULL, sizeof *empty_owner_word, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	scenario_need(empty_owner_word != MAP_FAILED, "mmap");
	pid_t owner = scenario_child_users(0, &empty_owner_users, empty_owner_own, NULL);
	int fd = empty_owner_namespace(owner), status;

	scenario_need(setns(fd, CLONE_NEWPID) == 0, "cannot enter");
	close(fd);
	kill(owner, SIGKILL);
	scenario_need(waitpid(owner, &status, 0) == owner, "cannot reap");
}

/* The owner of the caller's pid namespace is below its user namespace, and nobody is there. */
static inline void empty_owner_check(void)
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

#endif
