// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: userns-credentials
 * promise: credentials in a user namespace are kept, for each thread: ids, groups, capabilities in
 *	all sets, securebits, keepcaps, no_new_privs; full capabilities inside and none outside; ids
 *	that have no number inside
 * flavours: flat one three user user-three
 */
#include "credentials.h"
#include "scenario.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OVERFLOW_ID = 65534 };

/* Who is another user cannot reach the state directory. */
static struct shared {
	unsigned ready, go;
} * shared;

static void wait_until(const unsigned *word, unsigned value)
{
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) < value)
		scenario_sleep_ms(2);
}

static void live(const char *who)
{
	struct credentials before, after;

	credentials_read(&before);
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
	wait_until(&shared->go, 1);
	credentials_read(&after);
	credentials_compare(who, &before, &after);
}

/*
 * Everything inside, nothing outside: the privilege to make a namespace of any kind, but not to
 * touch those of the namespaces above.
 */
static int all_inside(void *unused)
{
	(void)unused;
	live("all inside");
	scenario_check(sethostname("x", 1) < 0 && errno == EPERM, "may set the outer host name");
	scenario_check(setresuid(5, 6, 7) == 0 && setresuid(0, 0, 0) < 0, "setresuid inside");
	return 0;
}

static int none_at_all(void *unused)
{
	(void)unused;
	scenario_need(!setresuid(1001, 1001, 1001), "setresuid");
	live("none at all");
	scenario_check(setresuid(0, 0, 0) < 0 && errno == EPERM, "became root");
	return 0;
}

static int other_ids(void *unused)
{
	const gid_t groups[] = { 5, 1000, 3000 };

	(void)unused;
	scenario_need(!setgroups(3, groups), "setgroups");
	scenario_need(!setresgid(1001, 1002, 1003) && !setresuid(2001, 2002, 2003), "setresuid");
	live("other ids");
	return 0;
}

static int bound(void *unused)
{
	const uint32_t kept = 1 << CAP_KILL | 1 << CAP_CHOWN;

	(void)unused;
	credentials_set_capabilities(kept | 1 << CAP_SETPCAP, kept | 1 << CAP_SETPCAP,
				     1 << CAP_SYS_CHROOT);
	for (int i = 0; i <= CAP_LAST_CAP; i++)
		if (i != CAP_KILL && i != CAP_CHOWN)
			prctl(PR_CAPBSET_DROP, i);
	credentials_set_capabilities(1 << CAP_KILL, kept, 1 << CAP_SYS_CHROOT);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	live("bound");
	return 0;
}

static int ambient(void *unused)
{
	(void)unused;
	prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NOROOT);
	scenario_need(!setresuid(3001, 3001, 3001), "setresuid");
	credentials_set_capabilities(1 << CAP_NET_RAW | 1 << CAP_SETPCAP,
				     1 << CAP_NET_RAW | 1 << CAP_SETPCAP, 1 << CAP_NET_RAW);
	scenario_need(!prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0), "ambient");
	live("ambient");
	return 0;
}

static int file_system_ids(void *unused)
{
	(void)unused;
	prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED);
	setfsuid(4001);
	setfsgid(4002);
	live("file system ids");
	return 0;
}

/* By the bare system calls: those of the C library change all threads. */
static void *thread_of_its_own(void *unused)
{
	(void)unused;
	scenario_need(!syscall(SYS_setresgid, 11, 12, 13), "setresgid");
	scenario_need(!syscall(SYS_setresuid, 21, 22, 23), "setresuid");
	live("second thread");
	return NULL;
}

static void *thread_with_less(void *unused)
{
	(void)unused;
	scenario_need(!prctl(PR_CAPBSET_DROP, CAP_SYS_TIME), "drop");
	credentials_set_capabilities(1 << CAP_CHOWN, 1 << CAP_CHOWN | 1 << CAP_KILL, 0);
	live("third thread");
	return NULL;
}

static int threads(void *unused)
{
	pthread_t others[2];

	(void)unused;
	scenario_need(!pthread_create(&others[0], NULL, thread_of_its_own, NULL) &&
			      !pthread_create(&others[1], NULL, thread_with_less, NULL),
		      "no thread");
	live("first thread");
	pthread_join(others[0], NULL);
	pthread_join(others[1], NULL);
	return 0;
}

/*
 * Ids and groups that the namespace does not have, from before it was entered; with some of them
 * changed since, so that a task has both.
 */
static int unmapped(void *unused)
{
	(void)unused;
	scenario_need(getuid() == OVERFLOW_ID && getgid() == OVERFLOW_ID, "ids %u %u", getuid(),
		      getgid());
	live("unmapped");
	return 0;
}

static int partly_unmapped(void *unused)
{
	(void)unused;
	scenario_need(!setresuid((uid_t)-1, 3, (uid_t)-1), "setresuid");
	scenario_need(getuid() == OVERFLOW_ID && geteuid() == 3, "ids %u %u", getuid(), geteuid());
	live("partly unmapped");
	return 0;
}

static int no_maps(void *unused)
{
	(void)unused;
	live("no maps");
	return 0;
}

/* Groups of before the namespace was made. */
static int with_groups(void *unused)
{
	static const struct scenario_users few = { "0 0 1", "0 0 1\n7 70 1", false };
	const gid_t groups[] = { 70, 80, 90 };

	(void)unused;
	scenario_need(!setgroups(3, groups), "setgroups");
	pid_t pid = scenario_child_users(0, &few, no_maps, NULL);
	live("with groups");
	scenario_reap(pid);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct scenario_users all = { "0 0 1\n1 1 49999", "0 0 1\n1 1 49999", false };
	static const struct scenario_users others = { "0 4000 50", "0 4000 50", false };
	static const struct scenario_users none;
	static const struct {
		const struct scenario_users *users;
		int (*body)(void *data);
		unsigned n_threads;
	} kinds[] = {
		{ &all, all_inside, 1 }, { &all, none_at_all, 1 }, { &all, other_ids, 1 },
		{ &all, bound, 1 },	 { &all, ambient, 1 },	   { &all, file_system_ids, 1 },
		{ &all, threads, 3 },	 { &others, unmapped, 1 }, { &others, partly_unmapped, 1 },
		{ &none, no_maps, 1 },	 { &all, with_groups, 2 },
	};
	enum { CHILDREN = sizeof kinds / sizeof *kinds };
	pid_t children[CHILDREN];
	unsigned expected = 0;

	scenario_begin(argc, argv);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	scenario_need(shared != MAP_FAILED, "mmap");
	for (size_t i = 0; i < CHILDREN; i++) {
		children[i] = scenario_child_users(0, kinds[i].users, kinds[i].body, NULL);
		expected += kinds[i].n_threads;
	}
	wait_until(&shared->ready, expected);

	scenario_ready();

	__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
	for (size_t i = 0; i < CHILDREN; i++)
		scenario_reap(children[i]);
	return scenario_end();
}
