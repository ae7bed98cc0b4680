// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: userns-owner
 * promise: user namespaces keep the user who made them: one without privileges, with a map of its
 *	own id, who is root inside and makes others below, pid namespaces too; one inside of a
 *	namespace; one who has no number in it
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { USER = 1001, GROUP = 1002, OTHER_USER = 2001 };

/* Those without privileges cannot reach the state directory. */
static struct shared {
	unsigned ready, go;
} * shared;

static void wait_until(const unsigned *word, unsigned value)
{
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) < value)
		scenario_sleep_ms(2);
}

/* As the caller's namespace names it. */
static uid_t owner_of_own(void)
{
	int fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	uid_t owner = (uid_t)-1;

	scenario_check(fd >= 0 && ioctl(fd, NS_GET_OWNER_UID, &owner) == 0, "no owner: %s",
		       strerror(errno));
	close(fd);
	return owner;
}

static void live(const char *who, uid_t uid, uid_t owner)
{
	scenario_need(getuid() == uid, "%s: uid %u", who, getuid());
	scenario_need(owner_of_own() == owner, "%s: owned by %u", who, owner_of_own());
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
	wait_until(&shared->go, 1);
	scenario_check(getuid() == uid, "%s: uid %u, was %u", who, getuid(), uid);
	scenario_check(owner_of_own() == owner, "%s: owned by %u, was %u", who, owner_of_own(),
		       owner);
}

static void become(uid_t uid, gid_t gid)
{
	scenario_need(setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 &&
			      setresuid(uid, uid, uid) == 0,
		      "cannot become %u", uid);
	/* Or /proc/self belongs to root, and the maps cannot be written. */
	prctl(PR_SET_DUMPABLE, 1);
}

/* What anybody may do: one line, the own id. */
static void make_namespace(uid_t uid, gid_t gid, uid_t inside)
{
	char line[64];

	scenario_need(unshare(CLONE_NEWUSER) == 0, "cannot unshare");
	scenario_write_map("self", "setgroups", "deny");
	snprintf(line, sizeof line, "%u %u 1", inside, uid);
	scenario_write_map("self", "uid_map", line);
	snprintf(line, sizeof line, "%u %u 1", inside, gid);
	scenario_write_map("self", "gid_map", line);
}

static int below(void *unused)
{
	(void)unused;
	make_namespace(0, 0, 5);
	live("below", 5, 5);
	return 0;
}

static int in_own_pid_namespace(void *unused)
{
	(void)unused;
	scenario_need(getpid() == 1, "not an init");
	live("init", 0, 0);
	scenario_check(getpid() == 1, "the init is %d", getpid());
	return 0;
}

static int rootless(void *unused)
{
	(void)unused;
	become(USER, GROUP);
	make_namespace(USER, GROUP, 0);
	pid_t children[] = { scenario_child(below, NULL),
			     scenario_child_in(CLONE_NEWPID, in_own_pid_namespace, NULL) };
	live("rootless", 0, 0);
	scenario_reap(children[0]);
	scenario_reap(children[1]);
	return 0;
}

/* The owner is mapped in the namespace that it is owned in, and in its own as another. */
static int user_inside(void *unused)
{
	(void)unused;
	become(OTHER_USER, GROUP);
	make_namespace(OTHER_USER, GROUP, 7);
	live("user inside", 7, 7);
	return 0;
}

/* Root of a range of ids that does not have the owner. */
static int in_a_range(void *unused)
{
	(void)unused;
	scenario_need(setresuid(0, 0, 0) == 0, "setresuid");
	live("in a range", 0, 65534);
	return 0;
}

static int range_of_others(void *unused)
{
	static const struct scenario_users elsewhere = { "0 3000 10", "0 3000 10", false };

	(void)unused;
	pid_t pid = scenario_child_users(0, &elsewhere, in_a_range, NULL);
	live("maker", 0, owner_of_own());
	scenario_reap(pid);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct scenario_users range = { "0 0 1\n1 1 50000", "0 0 1\n1 1 50000",
						     false };
	pid_t children[3];

	scenario_begin(argc, argv);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	scenario_need(shared != MAP_FAILED, "mmap");
	children[0] = scenario_child(rootless, NULL);
	children[1] = scenario_child_users(0, &range, user_inside, NULL);
	children[2] = scenario_child(range_of_others, NULL);
	wait_until(&shared->ready, 6);

	scenario_ready();

	__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
	for (size_t i = 0; i < sizeof children / sizeof *children; i++)
		scenario_reap(children[i]);
	return scenario_end();
}
