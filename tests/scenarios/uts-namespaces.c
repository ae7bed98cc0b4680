// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: uts-namespaces
 * promise: host and domain names are those of each uts namespace: of tasks, of single threads, one
 *	inside of another user namespace, and one that only a descriptor keeps; who shared one
 *	shares it, and each belongs to the user namespace that it belonged to
 * flavours: flat one three user user-three unprivileged unprivileged-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { KEPT = 60 };

static void set_names(const char *host, const char *domain)
{
	scenario_need(sethostname(host, strlen(host)) == 0 &&
			      setdomainname(domain, strlen(domain)) == 0,
		      "cannot set names");
}

static void check_names(const char *who, const char *host, const char *domain)
{
	struct utsname names;

	uname(&names);
	scenario_check(strcmp(names.nodename, host) == 0 && strcmp(names.domainname, domain) == 0,
		       "%s is at %s.%s instead of %s.%s", who, names.nodename, names.domainname,
		       host, domain);
}

static ino_t inode_of(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) == 0 ? stat.st_ino : 0;
}

static ino_t inode_at(const char *path)
{
	struct stat stat_;

	return stat(path, &stat_) == 0 ? stat_.st_ino : 0;
}

/* Does the user namespace of the caller own its uts namespace? One further out is not shown. */
static void check_owner(const char *who, bool is_own)
{
	int fd = open("/proc/thread-self/ns/uts", O_RDONLY | O_CLOEXEC);
	int owner = ioctl(fd, NS_GET_USERNS);

	scenario_check(is_own ? owner >= 0 && inode_of(owner) == inode_at("/proc/self/ns/user")
			      : owner < 0 && errno == EPERM,
		       "%s: its uts namespace has another owner", who);
	if (owner >= 0)
		close(owner);
	close(fd);
}

/* ---- threads ---- */

static void *stay(void *unused)
{
	(void)unused;
	scenario_mark("stays");
	scenario_wait_restored();
	check_names("the thread that stays", "alpha", "example.org");
	return NULL;
}

static void *leave(void *mark)
{
	scenario_need(unshare(CLONE_NEWUTS) == 0, "a thread cannot unshare");
	set_names("thread", "");
	scenario_mark(mark);
	scenario_wait_restored();
	check_names("the thread that left", "thread", "");
	check_owner("the thread that left", true);
	return NULL;
}

static int with_threads(void *unused)
{
	pthread_t threads[2];

	(void)unused;
	pthread_create(&threads[0], NULL, stay, NULL);
	pthread_create(&threads[1], NULL, leave, "left");
	scenario_wait_mark("stays");
	scenario_wait_mark("left");
	/* The leader itself goes on to one that nobody else is in. */
	scenario_need(unshare(CLONE_NEWUTS) == 0, "a leader cannot unshare");
	set_names("leader", "of.threads");
	scenario_mark("threads");
	scenario_wait_restored();
	check_names("the leader", "leader", "of.threads");
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	return 0;
}

/* ---- tasks ---- */

static int share(void *unused)
{
	(void)unused;
	scenario_mark("sharer");
	scenario_wait_restored();
	check_names("who shares", "alpha", "example.org");
	return 0;
}

static int inner(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_NEWUTS) == 0, "cannot unshare inside");
	set_names("inner-host", "inner.domain");
	scenario_mark("inner");
	scenario_wait_restored();
	check_names("who is further in", "inner-host", "inner.domain");
	check_owner("who is further in", true);
	scenario_check(sethostname("mine", 4) == 0, "its owner may not set the name any more");
	return 0;
}

/* In a user namespace further in, with threads that are in two uts namespaces, one from outside. */
static int inner_threads(void *unused)
{
	pthread_t thread;

	(void)unused;
	pthread_create(&thread, NULL, leave, "left-inside");
	scenario_wait_mark("left-inside");
	scenario_mark("inner-threads");
	scenario_wait_restored();
	check_names("who kept the outer one", "alpha", "example.org");
	check_owner("who kept the outer one", false);
	scenario_check(sethostname("bad", 3) == -1 && errno == EPERM,
		       "the name of an outer namespace can be set from inside");
	pthread_join(thread, NULL);
	return 0;
}

static void keep(void)
{
	scenario_need(unshare(CLONE_NEWUTS) == 0, "cannot unshare");
	set_names("kept", "by.descriptor");
	int fd = open("/proc/self/ns/uts", O_RDONLY);
	scenario_need(fd >= 0 && dup2(fd, KEPT) == KEPT && close(fd) == 0, "cannot keep it");
}

static void check_kept(void)
{
	scenario_check(setns(KEPT, CLONE_NEWUTS) == 0, "cannot enter what was kept: %s",
		       strerror(errno));
	check_names("what was kept", "kept", "by.descriptor");
}

int main(int argc, char **argv)
{
	const struct scenario_users users = { "0 0 1", "0 0 1", true };
	pid_t children[4];

	scenario_begin(argc, argv);
	keep();
	scenario_need(unshare(CLONE_NEWUTS) == 0, "cannot unshare");
	set_names("alpha", "example.org");
	children[0] = scenario_child(with_threads, NULL);
	scenario_wait_mark("threads");
	children[1] = scenario_child(share, NULL);
	scenario_wait_mark("sharer");
	children[2] = scenario_child_users(CLONE_NEWUSER, &users, inner, NULL);
	scenario_wait_mark("inner");
	children[3] = scenario_child_users(CLONE_NEWUSER, &users, inner_threads, NULL);
	scenario_wait_mark("inner-threads");

	scenario_ready();

	check_names("the scenario", "alpha", "example.org");
	for (int i = 0; i < 4; i++)
		scenario_reap(children[i]);
	check_kept();
	return scenario_end();
}
