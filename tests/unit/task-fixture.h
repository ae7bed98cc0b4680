/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A task of one thread whose kinds plan and refuse, for facts made by hand. */
#ifndef TESTS_UNIT_TASK_FIXTURE_H
#define TESTS_UNIT_TASK_FIXTURE_H

#include "kernel/syscalls.h"
#include "kinds/task/credentials.h"
#include "kinds/task/task.h"
#include "plan/plan.h"

#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cmocka.h>

enum { BASE = 0x10000000, SIGNAL_ENTRIES = 62 };

/* A task of one thread that is what the coordinator is, and the facts that say so. */
struct fixture {
	struct arena arena;
	struct facts facts;
	struct snapshot snapshot;
	struct user_namespace own; /* the coordinator's */
	struct plan plan;
	struct program *program;
	struct task *task;
	TaskCoreEntry *tc;
	ThreadCoreEntry *thread;
	CredsEntry *creds;
	struct error err;
};

static inline uint32_t *words(struct fixture *fixture, uint64_t set)
{
	uint32_t both[2] = { (uint32_t)set, (uint32_t)(set >> 32) };

	return arena_copy(&fixture->arena, both, sizeof both);
}

static inline void set_capabilities(struct fixture *fixture, uint64_t permitted, uint64_t bounding)
{
	CredsEntry *creds = fixture->creds;

	creds->n_cap_prm = creds->n_cap_eff = creds->n_cap_bnd = creds->n_cap_inh = 2;
	creds->n_cap_amb = 2;
	creds->cap_prm = words(fixture, permitted);
	creds->cap_eff = words(fixture, permitted);
	creds->cap_bnd = words(fixture, bounding);
	creds->cap_inh = words(fixture, 0);
	creds->cap_amb = words(fixture, 0);
}

static inline void make_task(struct fixture *fixture)
{
	struct snapshot *snapshot = &fixture->snapshot;
	struct task *task = snapshot_add_task(snapshot);

	task->pstree = snapshot_new(snapshot, PSTREE_ENTRY, PstreeEntry);
	task->pstree->pid = 10;
	task->pstree->threads = arena_array(&fixture->arena, uint32_t, 1);
	task->pstree->threads[0] = 10;
	task->pstree->n_threads = 1;
	task->core = snapshot_new(snapshot, CORE_ENTRY, CoreEntry);
	task->core->tc = fixture->tc = snapshot_new(snapshot, TASK_CORE_ENTRY, TaskCoreEntry);
	task->core->thread_core = fixture->thread =
		snapshot_new(snapshot, THREAD_CORE_ENTRY, ThreadCoreEntry);
	task->core->thread_info = snapshot_new(snapshot, THREAD_INFO_X86, ThreadInfoX86);
	fixture->tc->task_state = TASK_ALIVE;
	fixture->tc->comm = arena_string(&fixture->arena, "task");
	fixture->creds = snapshot_new(snapshot, CREDS_ENTRY, CredsEntry);
	fixture->thread->creds = fixture->creds;
	task->threads = arena_array(&fixture->arena, CoreEntry *, 1);
	task->threads[0] = task->core;
	task->n_threads = 1;
	task->user_namespace = &fixture->own;
	fixture->task = task;
}

static inline int set_up(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof fixture);
	arena_init(&fixture.arena);
	fixture.snapshot.arena = &fixture.arena;
	fixture.facts.known_capabilities = (UINT64_C(1) << 41) - 1;
	fixture.facts.capabilities =
		fixture.facts.known_capabilities & ~(UINT64_C(1) << CAP_SYS_RESOURCE);
	fixture.facts.permitted = fixture.facts.bounding = fixture.facts.capabilities;
	fixture.facts.in_initial_user_namespace = true;
	fixture.facts.timer_restore_ids = true;
	fixture.facts.dumpable = 1;
	make_task(&fixture);
	set_capabilities(&fixture, fixture.facts.permitted, fixture.facts.bounding);
	program_set_init(&fixture.plan.programs, &fixture.arena, BASE);
	fixture.plan.arena = &fixture.arena;
	fixture.plan.facts = &fixture.facts;
	fixture.plan.snapshot = &fixture.snapshot;
	fixture.program = program_new(&fixture.plan.programs, "task 10");
	*state = &fixture;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;

	arena_done(&fixture->arena);
	return 0;
}

static inline int plan_kind(struct fixture *fixture, const struct task_kind *kind)
{
	return kind->plan(&(struct planning){ .plan = &fixture->plan,
					      .task = fixture->task,
					      .program = fixture->program },
			  &fixture->err);
}

/* The kinds of STAGE_IDS and STAGE_CAPABILITIES. */
static inline int plan_credentials(struct fixture *fixture)
{
	return plan_kind(fixture, &credentials_kind) ? -1
						     : plan_kind(fixture, &capability_sets_kind);
}

static inline int check_kind(struct fixture *fixture, const struct task_kind *kind)
{
	return kind->check(&fixture->snapshot, fixture->task, &fixture->err);
}

/* The place of a call in the program, -1 if it is not made. */
static inline int place_of(const struct fixture *fixture, uint32_t nr, uint64_t first)
{
	for (size_t i = 0; i < fixture->program->n_ops; i++)
		if (fixture->program->ops[i].kind == OP_CALL && fixture->program->ops[i].nr == nr &&
		    fixture->program->ops[i].args[0] == first)
			return (int)i;
	return -1;
}

static inline const void *data_of(const struct fixture *fixture, uint64_t address)
{
	const void *data = program_data_at(&fixture->plan.programs, address, NULL);

	assert_non_null(data);
	return data;
}

#endif
