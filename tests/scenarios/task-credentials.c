// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-credentials
 * promise: user and group ids, groups, capabilities in all sets and securebits are kept
 * flavours: flat one three user user-three
 */
#include "credentials.h"
#include "scenario.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdint.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* A child of another user cannot reach the state directory: it is told through shared memory. */
struct shared {
	uint32_t ready, go;
};
static struct shared *shared;

static void become_user(void)
{
	const gid_t groups[] = { 5, 1000, 70000 };

	setgroups(3, groups);
	scenario_need(!setresgid(1001, 1002, 1003) && !setresuid(2001, 2002, 2003), "setresuid");
}

static void become_bound(void)
{
	const uint32_t kept = 1 << CAP_KILL | 1 << CAP_CHOWN;

	/* Inheritable, but no longer in the bounding set. */
	credentials_set_capabilities(kept | 1 << CAP_SETPCAP, kept | 1 << CAP_SETPCAP,
				     1 << CAP_SYS_CHROOT);
	for (int i = 0; i <= CAP_LAST_CAP; i++)
		if (i != CAP_KILL && i != CAP_CHOWN)
			prctl(PR_CAPBSET_DROP, i);
	credentials_set_capabilities(1 << CAP_KILL, kept, 1 << CAP_SYS_CHROOT);
}

/* One in either word of the sets, where there is one in the second. */
static void become_ambient(void)
{
	bool has_high = prctl(PR_CAPBSET_READ, CAP_WAKE_ALARM) == 1;
	const uint64_t high = (uint64_t)has_high << CAP_WAKE_ALARM;
	const uint64_t had = 1 << CAP_NET_RAW | 1 << CAP_SETPCAP | high;

	prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NOROOT);
	scenario_need(!setresuid(3001, 3001, 3001), "setresuid");
	credentials_set_capabilities(had, had, 1 << CAP_NET_RAW | high);
	scenario_need(!prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0), "ambient");
	scenario_need(!has_high ||
			      !prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_WAKE_ALARM, 0, 0),
		      "ambient");
}

static void become_file_system_user(void)
{
	prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED);
	setfsuid(4001);
	scenario_need(!setresgid((gid_t)-1, 4002, (gid_t)-1), "setresgid");
}

static int run(void *data)
{
	void (*const become)(void) = *(void (*const *)(void))data;
	struct credentials before, after;

	become();
	credentials_read(&before);
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(2);
	credentials_read(&after);
	credentials_compare("a child", &before, &after);
	return 0;
}

int main(int argc, char **argv)
{
	static void (*const kinds[])(void) = { become_user, become_bound, become_ambient,
					       become_file_system_user };
	enum { CHILDREN = sizeof kinds / sizeof *kinds };
	pid_t children[CHILDREN];

	scenario_begin(argc, argv);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	scenario_need(shared != MAP_FAILED, "mmap");
	for (size_t i = 0; i < CHILDREN; i++)
		children[i] = scenario_child(run, (void *)&kinds[i]);
	while (__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST) < CHILDREN)
		scenario_sleep_ms(1);

	scenario_ready();

	__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
	for (size_t i = 0; i < CHILDREN; i++)
		scenario_reap(children[i]);
	return scenario_end();
}
