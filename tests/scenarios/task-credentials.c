// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-credentials
 * promise: user and group ids, groups, capabilities in all sets and securebits are kept
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A child of another user cannot reach the state directory: it is told through shared memory. */
struct shared {
	uint32_t ready, go;
};
static struct shared *shared;

struct credentials {
	uid_t uids[3];
	gid_t gids[3];
	uid_t file_system_uid;
	gid_t groups[64];
	int n_groups, securebits;
	struct __user_cap_data_struct sets[2];
	uint64_t bounding, ambient;
};

static void read_credentials(struct credentials *found)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };

	memset(found, 0, sizeof *found);
	getresuid(&found->uids[0], &found->uids[1], &found->uids[2]);
	getresgid(&found->gids[0], &found->gids[1], &found->gids[2]);
	found->file_system_uid = (uid_t)setfsuid((uid_t)-1);
	found->n_groups = getgroups(64, found->groups);
	found->securebits = prctl(PR_GET_SECUREBITS);
	syscall(SYS_capget, &header, found->sets);
	for (int i = 0; i <= CAP_LAST_CAP; i++) {
		if (prctl(PR_CAPBSET_READ, i) == 1)
			found->bounding |= UINT64_C(1) << i;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1)
			found->ambient |= UINT64_C(1) << i;
	}
}

static void set_capabilities(uint32_t effective, uint32_t permitted, uint32_t inheritable)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct sets[2] = { { effective, permitted, inheritable } };

	scenario_need(!syscall(SYS_capset, &header, sets), "capset");
}

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
	set_capabilities(kept | 1 << CAP_SETPCAP, kept | 1 << CAP_SETPCAP, 1 << CAP_SYS_CHROOT);
	for (int i = 0; i <= CAP_LAST_CAP; i++)
		if (i != CAP_KILL && i != CAP_CHOWN)
			prctl(PR_CAPBSET_DROP, i);
	set_capabilities(1 << CAP_KILL, kept, 1 << CAP_SYS_CHROOT);
}

static void become_ambient(void)
{
	prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NOROOT);
	scenario_need(!setresuid(3001, 3001, 3001), "setresuid");
	set_capabilities(1 << CAP_NET_RAW | 1 << CAP_SETPCAP, 1 << CAP_NET_RAW | 1 << CAP_SETPCAP,
			 1 << CAP_NET_RAW);
	scenario_need(!prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0), "ambient");
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
	read_credentials(&before);
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(2);
	read_credentials(&after);
	scenario_check(!memcmp(before.uids, after.uids, sizeof before.uids), "uids %u %u %u",
		       after.uids[0], after.uids[1], after.uids[2]);
	scenario_check(!memcmp(before.gids, after.gids, sizeof before.gids), "gids %u %u %u",
		       after.gids[0], after.gids[1], after.gids[2]);
	scenario_check(before.file_system_uid == after.file_system_uid, "fsuid %u",
		       after.file_system_uid);
	scenario_check(before.n_groups == after.n_groups &&
			       !memcmp(before.groups, after.groups, sizeof before.groups),
		       "%d groups, were %d", after.n_groups, before.n_groups);
	scenario_check(before.securebits == after.securebits, "securebits %#x, were %#x",
		       after.securebits, before.securebits);
	scenario_check(!memcmp(before.sets, after.sets, sizeof before.sets),
		       "capabilities %#x %#x %#x, were %#x %#x %#x", after.sets[0].effective,
		       after.sets[0].permitted, after.sets[0].inheritable, before.sets[0].effective,
		       before.sets[0].permitted, before.sets[0].inheritable);
	scenario_check(before.bounding == after.bounding, "bounding set %#lx, was %#lx",
		       after.bounding, before.bounding);
	scenario_check(before.ambient == after.ambient, "ambient set %#lx, was %#lx", after.ambient,
		       before.ambient);
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
