// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Random changes of the calling thread's credentials. Raw calls: those of the C library change all
 * threads of a process.
 */
#include "forest.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CAPABILITIES = 41 };

#define UNCHANGED UINT32_MAX

static uint32_t maybe_id(struct dice *dice, bool group)
{
	return once_in(dice, 3) ? UNCHANGED : random_id(dice, group);
}

void change_ids(struct dice *dice)
{
	bool group = once_in(dice, 2);

	if (!group && once_in(dice, 2))
		prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	syscall(group ? SYS_setresgid : SYS_setresuid, maybe_id(dice, group), maybe_id(dice, group),
		maybe_id(dice, group));
	if (once_in(dice, 4))
		syscall(group ? SYS_setfsgid : SYS_setfsuid, random_id(dice, group));
}

void change_groups(struct dice *dice)
{
	uint32_t groups[32], count = draw(dice, once_in(dice, 4) ? 32 : 5);

	for (uint32_t i = 0; i < count; i++)
		groups[i] = random_id(dice, true);
	syscall(SYS_setgroups, count, groups);
}

struct sets {
	uint64_t effective, permitted, inheritable;
};

static struct sets get_sets(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { 0 };

	syscall(SYS_capget, &header, data);
	return (struct sets){ data[0].effective | (uint64_t)data[1].effective << 32,
			      data[0].permitted | (uint64_t)data[1].permitted << 32,
			      data[0].inheritable | (uint64_t)data[1].inheritable << 32 };
}

static void set_sets(struct sets sets)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)sets.effective, (uint32_t)sets.permitted, (uint32_t)sets.inheritable },
		{ (uint32_t)(sets.effective >> 32), (uint32_t)(sets.permitted >> 32),
		  (uint32_t)(sets.inheritable >> 32) },
	};

	syscall(SYS_capset, &header, data);
}

static uint64_t random_mask(struct dice *dice)
{
	uint64_t some = (uint64_t)draw(dice, UINT32_MAX) << 32 | draw(dice, UINT32_MAX);
	uint64_t others = (uint64_t)draw(dice, UINT32_MAX) << 32 | draw(dice, UINT32_MAX);

	return some | others;
}

static void drop_from_bounding(struct dice *dice)
{
	for (uint32_t left = 1 + draw(dice, 6); left; left--)
		prctl(PR_CAPBSET_DROP, draw(dice, CAPABILITIES), 0, 0, 0);
}

static void raise_ambient(struct dice *dice)
{
	for (uint32_t left = 1 + draw(dice, 4); left; left--)
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, draw(dice, CAPABILITIES), 0, 0);
}

void change_capabilities(struct dice *dice)
{
	struct sets sets = get_sets();

	switch (draw(dice, 5)) {
	case 0:
		sets.permitted &= random_mask(dice);
		sets.effective &= sets.permitted;
		set_sets(sets);
		break;
	case 1:
		sets.effective =
			once_in(dice, 3) ? sets.permitted : sets.permitted & random_mask(dice);
		set_sets(sets);
		break;
	case 2:
		sets.inheritable = (sets.inheritable | sets.permitted) & random_mask(dice);
		set_sets(sets);
		raise_ambient(dice);
		break;
	case 3:
		raise_ambient(dice);
		break;
	default:
		drop_from_bounding(dice);
	}
}

static int random_securebits(struct dice *dice)
{
	int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);

	for (int left = 3; left; left--)
		bits ^= 1 << draw(dice, once_in(dice, 3) ? 8 : 6);
	return bits;
}

void change_marks(struct dice *dice)
{
	switch (draw(dice, 5)) {
	case 0:
		prctl(PR_SET_SECUREBITS, random_securebits(dice), 0, 0, 0);
		break;
	case 1:
		prctl(PR_SET_KEEPCAPS, draw(dice, 2), 0, 0, 0);
		break;
	case 2:
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		break;
	case 3:
		prctl(PR_SET_DUMPABLE, draw(dice, 2), 0, 0, 0);
		break;
	default:
		prctl(PR_SET_PDEATHSIG, draw(dice, 3) ? 0 : SIGURG, 0, 0, 0); /* ends nobody */
	}
}

/* ---- looking at oneself ---- */

static int compare_ids(const void *a, const void *b)
{
	uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

	return one < other ? -1 : one > other;
}

void draw_self(struct self_portrait *ret_portrait)
{
	struct self_portrait self = { 0 };
	struct sets sets = get_sets();

	syscall(SYS_getresuid, &self.uids[0], &self.uids[1], &self.uids[2]);
	syscall(SYS_getresgid, &self.gids[0], &self.gids[1], &self.gids[2]);
	self.n_groups = (int)syscall(SYS_getgroups, 32, self.groups);
	if (self.n_groups > 0)
		qsort(self.groups, (size_t)self.n_groups, sizeof *self.groups, compare_ids);
	self.securebits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
	self.no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	self.dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_GET_PDEATHSIG, &self.death_signal, 0, 0, 0);
	self.sets[0] = sets.effective;
	self.sets[1] = sets.permitted;
	self.sets[2] = sets.inheritable;
	for (int i = 0; i < CAPABILITIES; i++) {
		self.bounding |= (uint64_t)(prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) << i;
		self.ambient += prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1;
	}
	self.pid = getpid();
	self.tid = (pid_t)syscall(SYS_gettid);
	self.parent = getppid();
	draw_surroundings(&self.surroundings);
	*ret_portrait = self;
}

const char *portrait_difference(const struct self_portrait *one, const struct self_portrait *other)
{
	if (memcmp(one->uids, other->uids, sizeof one->uids))
		return "user ids";
	if (memcmp(one->gids, other->gids, sizeof one->gids))
		return "group ids";
	if (one->n_groups != other->n_groups ||
	    memcmp(one->groups, other->groups, sizeof one->groups))
		return "groups";
	if (one->securebits != other->securebits)
		return "securebits";
	if (one->no_new_privs != other->no_new_privs)
		return "no_new_privs";
	if (one->dumpable != other->dumpable)
		return "dumpable";
	if (one->death_signal != other->death_signal)
		return "parent death signal";
	if (memcmp(one->sets, other->sets, sizeof one->sets) || one->bounding != other->bounding ||
	    one->ambient != other->ambient)
		return "capabilities";
	if (one->pid != other->pid || one->tid != other->tid || one->parent != other->parent)
		return "pid, tid or parent";
	if (strcmp(one->surroundings.host, other->surroundings.host))
		return "host name";
	if (strcmp(one->surroundings.interfaces, other->surroundings.interfaces))
		return "interfaces";
	if (one->surroundings.semaphore != other->surroundings.semaphore)
		return "semaphore";
	if (one->surroundings.messages != other->surroundings.messages)
		return "queue";
	if (strcmp(one->surroundings.domain, other->surroundings.domain))
		return "domain name";
	if (strcmp(one->surroundings.mounts, other->surroundings.mounts))
		return "mounts";
	if (one->surroundings.clocks_apart != other->surroundings.clocks_apart)
		return "clocks";
	return NULL;
}
