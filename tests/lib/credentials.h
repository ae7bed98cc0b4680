/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The credentials of a thread, all that it can see of them, for scenarios. */
#ifndef NESTOR_TESTS_CREDENTIALS_H
#define NESTOR_TESTS_CREDENTIALS_H

#include "scenario.h"

#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct credentials {
	uid_t uids[3], file_system_uid;
	gid_t gids[3], file_system_gid;
	gid_t groups[64];
	int n_groups, securebits, keep, no_new_privs;
	struct __user_cap_data_struct sets[2];
	uint64_t bounding, ambient;
};

static inline void credentials_read(struct credentials *found)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };

	memset(found, 0, sizeof *found);
	getresuid(&found->uids[0], &found->uids[1], &found->uids[2]);
	getresgid(&found->gids[0], &found->gids[1], &found->gids[2]);
	found->file_system_uid = (uid_t)setfsuid((uid_t)-1);
	found->file_system_gid = (gid_t)setfsgid((gid_t)-1);
	found->n_groups = getgroups(64, found->groups);
	found->securebits = prctl(PR_GET_SECUREBITS);
	found->keep = prctl(PR_GET_KEEPCAPS);
	found->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	syscall(SYS_capget, &header, found->sets);
	for (int i = 0; i <= CAP_LAST_CAP; i++) {
		if (prctl(PR_CAPBSET_READ, i) == 1)
			found->bounding |= UINT64_C(1) << i;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1)
			found->ambient |= UINT64_C(1) << i;
	}
}

static inline void credentials_compare(const char *who, const struct credentials *was,
				       const struct credentials *is)
{
	scenario_check(!memcmp(was->uids, is->uids, sizeof was->uids), "%s: uids %u %u %u", who,
		       is->uids[0], is->uids[1], is->uids[2]);
	scenario_check(!memcmp(was->gids, is->gids, sizeof was->gids), "%s: gids %u %u %u", who,
		       is->gids[0], is->gids[1], is->gids[2]);
	scenario_check(was->file_system_uid == is->file_system_uid &&
			       was->file_system_gid == is->file_system_gid,
		       "%s: fsuid %u, fsgid %u", who, is->file_system_uid, is->file_system_gid);
	scenario_check(was->n_groups == is->n_groups &&
			       !memcmp(was->groups, is->groups, sizeof was->groups),
		       "%s: %d groups, were %d", who, is->n_groups, was->n_groups);
	scenario_check(was->securebits == is->securebits && was->keep == is->keep,
		       "%s: securebits %#x, were %#x", who, is->securebits, was->securebits);
	scenario_check(was->no_new_privs == is->no_new_privs, "%s: no_new_privs", who);
	scenario_check(!memcmp(was->sets, is->sets, sizeof was->sets),
		       "%s: capabilities %#x %#x %#x, were %#x %#x %#x", who, is->sets[0].effective,
		       is->sets[0].permitted, is->sets[0].inheritable, was->sets[0].effective,
		       was->sets[0].permitted, was->sets[0].inheritable);
	scenario_check(was->bounding == is->bounding, "%s: bounding set %#lx, was %#lx", who,
		       is->bounding, was->bounding);
	scenario_check(was->ambient == is->ambient, "%s: ambient set %#lx, was %#lx", who,
		       is->ambient, was->ambient);
}

static inline void credentials_set_capabilities(uint64_t effective, uint64_t permitted,
						uint64_t inheritable)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct sets[2] = {
		{ (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32),
		  (uint32_t)(inheritable >> 32) },
	};

	scenario_need(!syscall(SYS_capset, &header, sets), "capset");
}

#endif
