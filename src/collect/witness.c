// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Witnesses; see witness.h. nestor itself is one where its ids, its namespaces and its capabilities
 * fit (__ptrace_may_access and cap_ptrace_access_check of the kernel: equal ids; no capability that
 * the other lacks). Else the keeper makes one, which gets a number of our choice where that is
 * allowed, for otherwise the next process of the tree would have another one than without us. The
 * keeper is asked for those of the next threads, too, so that they come to be while others answer.
 */
#include "collect/witness.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/witness-keeper.h"
#include "kernel/facts.h"
#include "kernel/syscalls.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	MAP_ROOM = 16384, /* 340 extents */
	FIRST_NUMBER = 29000,
	NUMBERS = 3000,
};

/* What is alike of threads with one witness. */
struct likeness {
	ino_t user_namespace, pid_namespace;
	uint64_t uid, gid; /* real ones, as we see them */
};

struct witness {
	struct witness *next, *next_asked;
	struct likeness of;
	size_t index;
	bool is_asked; /* for it */
	pid_t number;  /* 0: not told yet; negative: the errno for which there is none */
};

/* Whom a thread was given: most that are asked for are as the one before, with the same one. */
struct given {
	uint32_t user_namespace, pid_namespace; /* ids of the survey */
	uint64_t uid, gid, permitted;
	struct witness *witness; /* NULL: nobody yet */
};

struct witnesses {
	struct witness_keeper keeper;
	struct witness *first;
	struct witness ourselves, none;
	ino_t own_user_namespace, own_pid_namespace;
	struct given last, last_ahead;
	/* While the keeper makes those that it was asked for, we do something else: */
	struct witness *asked, **last_asked;
	size_t n_asked;
	size_t next_target; /* whose have not been asked for yet */
};

static ino_t namespace_of(const char *who, const char *type)
{
	char path[64];
	struct stat stat_;

	snprintf(path, sizeof path, "/proc/%s/ns/%s", who, type);
	return stat(path, &stat_) == 0 ? stat_.st_ino : 0;
}

static void forget_all(struct witnesses *all)
{
	*all = (struct witnesses){ .ourselves.number = getpid(), .none.number = NO_WITNESS };
}

static bool know_own_namespaces(struct witnesses *all)
{
	if (!all->own_user_namespace)
		all->own_user_namespace = namespace_of("self", "user");
	if (!all->own_pid_namespace)
		all->own_pid_namespace = namespace_of("self", "pid");
	return all->own_user_namespace && all->own_pid_namespace;
}

static struct witnesses *witnesses(struct collect *collect)
{
	static const char owner;
	void **state = collect_state(collect, &owner);

	if (!*state) {
		*state = arena_new(collect->arena, struct witnesses);
		forget_all(*state);
	}
	return *state;
}

static bool read_likeness(const struct target *target, size_t thread, struct likeness *ret_of)
{
	const char *status = target->threads[thread].status;
	char who[32];

	snprintf(who, sizeof who, "%d", target->tid);
	ret_of->user_namespace = namespace_of(who, "user");
	ret_of->pid_namespace = namespace_of(who, "pid");
	return procfs_number(status, "Uid:", 10, &ret_of->uid) &&
	       procfs_number(status, "Gid:", 10, &ret_of->gid) && ret_of->user_namespace &&
	       ret_of->pid_namespace;
}

static bool has_ids(const struct likeness *of)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	return getresuid(&ruid, &euid, &suid) == 0 && getresgid(&rgid, &egid, &sgid) == 0 &&
	       of->uid == ruid && of->uid == euid && of->uid == suid && of->gid == rgid &&
	       of->gid == egid && of->gid == sgid;
}

/* Is nestor itself one whom a thread like this has all rights over? */
static bool fits_ourselves(const struct target *target, size_t thread, const struct likeness *of)
{
	const char *status = target->threads[thread].status;
	struct capability_sets own;
	uint64_t permitted;
	if (!procfs_number(status, "CapPrm:", 16, &permitted) || kernel_capget(0, &own) < 0 ||
	    prctl(PR_GET_DUMPABLE) != 1)
		return false;
	const struct witnesses *all = witnesses(target->collect);
	return of->user_namespace == all->own_user_namespace &&
	       of->pid_namespace == all->own_pid_namespace && has_ids(of) &&
	       !(own.permitted & ~permitted);
}

/* ---- making one ---- */

/* The number inside for one that we see. */
static bool inside(pid_t pid, const char *name, uint64_t id, uint32_t *ret_id)
{
	char path[64], map[MAP_ROOM], *line = map;
	uint64_t extent[3];

	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	if (procfs_read_into(AT_FDCWD, path, map, sizeof map) <= 0)
		return false;
	while (procfs_numbers(line, 10, extent, 3) == 3) {
		if (id - extent[1] < extent[2]) {
			*ret_id = (uint32_t)(extent[0] + (id - extent[1]));
			return true;
		}
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return false;
}

void witnesses_prepare(struct collect *collect)
{
	if (!collect->facts->landlock)
		return;
	for (size_t i = 0; i < collect->n_targets; i++)
		if (!collect->targets[i].zombie && target_pid_levels(&collect->targets[i]) > 1) {
			witness_keeper_start(&witnesses(collect)->keeper);
			return;
		}
}

/* With the keeper all that it was asked for is gone. */
static void forget_asked(struct witnesses *all)
{
	for (; all->asked; all->asked = all->asked->next_asked)
		all->asked->is_asked = false;
	all->n_asked = 0;
}

static void take_answer(struct witnesses *all)
{
	struct witness *witness = all->asked;
	pid_t number;
	bool answered = witness_keeper_answer(&all->keeper, &number);

	witness->number = answered ? number : witness_unknown();
	all->asked = witness->next_asked;
	all->n_asked--;
	if (answered)
		return;
	forget_asked(all);
}

static void ask_for(struct witness *witness, const struct target *target)
{
	struct witnesses *all = witnesses(target->collect);
	struct witness_wanted wanted = {
		.tid = target->tid,
		.is_thread = target->living,
		.enters_user = witness->of.user_namespace != all->own_user_namespace,
		.enters_pid = witness->of.pid_namespace != all->own_pid_namespace,
		.has_ids = has_ids(&witness->of),
		.uid = (uint32_t)witness->of.uid,
		.gid = (uint32_t)witness->of.gid,
		/* No two of ours try the same: a fork that fails so late has cost all of it. */
		.number = FIRST_NUMBER + (pid_t)(witness->index % NUMBERS),
		.levels = target_pid_levels(target) - 1,
	};

	errno = 0;
	wanted.mapped = inside(target->tid, "uid_map", witness->of.uid, &wanted.inner_uid) &&
			inside(target->tid, "gid_map", witness->of.gid, &wanted.inner_gid);
	if (!wanted.mapped && errno_tells_nothing(errno)) {
		witness->number = witness_unknown();
		return;
	}
	if (all->n_asked == WITNESSES_AT_ONCE)
		take_answer(all);
	if (!witness_keeper_ask(&all->keeper, &wanted)) {
		witness->number = witness_unknown();
		forget_asked(all);
		return;
	}
	if (!all->asked)
		all->last_asked = &all->asked;
	*all->last_asked = witness;
	all->last_asked = &witness->next_asked;
	witness->next_asked = NULL;
	witness->is_asked = true;
	all->n_asked++;
}

static struct witness *find_witness(struct target *target, size_t thread)
{
	struct collect *collect = target->collect;
	struct witnesses *all = witnesses(collect);
	struct likeness of = { 0 };

	errno = 0;
	if (!know_own_namespaces(all) || !read_likeness(target, thread, &of)) {
		all->none.number = errno_tells_nothing(errno) ? -errno : NO_WITNESS;
		return &all->none;
	}
	if (fits_ourselves(target, thread, &of))
		return &all->ourselves;
	for (struct witness *witness = all->first; witness; witness = witness->next)
		if (memcmp(&witness->of, &of, sizeof of) == 0)
			return witness;
	struct witness *witness = arena_new(collect->arena, struct witness);
	*witness = (struct witness){ .next = all->first,
				     .of = of,
				     .index = all->first ? all->first->index + 1 : 0 };
	all->first = witness;
	return witness;
}

static struct witness *give_witness(struct target *target, size_t thread, struct given *last)
{
	const char *status = target->threads[thread].status;
	const TaskKobjIdsEntry *ids = target->task->ids;
	struct given now = {
		.user_namespace = ids ? ids->user_ns_id : 0,
		.pid_namespace = ids ? ids->pid_ns_id : 0,
	};
	bool known = now.user_namespace && now.pid_namespace &&
		     procfs_number(status, "Uid:", 10, &now.uid) &&
		     procfs_number(status, "Gid:", 10, &now.gid) &&
		     procfs_number(status, "CapPrm:", 16, &now.permitted);

	if (known && last->witness && memcmp(last, &now, offsetof(struct given, witness)) == 0)
		return last->witness;
	now.witness = find_witness(target, thread);
	if (known)
		*last = now;
	return now.witness;
}

/* Of those whose turn comes later. */
static void ask_ahead(struct collect *collect)
{
	struct witnesses *all = witnesses(collect);

	while (all->n_asked < WITNESSES_AT_ONCE && all->next_target < collect->n_targets) {
		struct target *target = &collect->targets[all->next_target++];
		for (size_t i = target->living; !target->zombie && i < target->n_threads; i++) {
			struct witness *witness = give_witness(target, i, &all->last_ahead);
			if (!witness->number && !witness->is_asked)
				ask_for(witness, target);
		}
	}
}

/* Numbers that we may not choose are counted, and the last of each namespace is not read yet. */
void witnesses_begin(struct collect *collect)
{
	const uint64_t choosing = 1ull << CAP_CHECKPOINT_RESTORE | 1ull << CAP_SYS_ADMIN;

	if (witnesses(collect)->keeper.pid && collect->facts->clone3_set_tid &&
	    collect->facts->capabilities & choosing)
		ask_ahead(collect);
}

pid_t witness_for(struct target *target, size_t thread)
{
	struct witnesses *all = witnesses(target->collect);
	struct witness *witness = give_witness(target, thread, &all->last);

	ask_ahead(target->collect);
	while (!witness->number)
		if (witness->is_asked)
			take_answer(all);
		else
			ask_for(witness, target);
	return witness->number;
}

void witnesses_dismiss(struct collect *collect)
{
	struct witnesses *all = witnesses(collect);
	struct witness_keeper keeper = all->keeper;

	witness_keeper_dismiss(&keeper);
	forget_all(all);
	all->keeper = keeper;
}

void witnesses_end(struct collect *collect)
{
	witness_keeper_end(&witnesses(collect)->keeper);
	forget_all(witnesses(collect));
}
