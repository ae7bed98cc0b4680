// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The NUMA policy of each thread (set_mempolicy(2)): a mode with its flags, and nodes. It is
 * inherited, and asked of the thread itself. The nodes are those that the thread may use now;
 * with MPOL_F_STATIC_NODES or MPOL_F_RELATIVE_NODES the kernel gives what was set.
 */
#include "kinds/task/task.h"

#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"
#include "plan/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/syscall.h>

enum {
	NODES_SIZE = 128, /* bytes: 1024 nodes, CONFIG_NODES_SHIFT is at most 10 */
	MODE_MASK = 0xff,
	MODES = 8, /* MPOL_MAX: up to MPOL_WEIGHTED_INTERLEAVE, and one to come */
};

struct question {
	size_t call;
	uint64_t mode, nodes;
};

static void *ask(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct question *question = arena_new(asking->target->collect->arena, struct question);

	question->mode = probe_buffer(probe, sizeof(uint32_t));
	question->nodes = probe_buffer(probe, NODES_SIZE);
	question->call = probe_ask(probe, SYS_get_mempolicy, question->mode, question->nodes,
				   NODES_SIZE * 8, 0, 0);
	return question;
}

static int answer(const struct asking *asking, void *asked, struct error *err)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	size_t thread = asking->thread;
	const struct question *question = asked;
	ThreadCoreEntry *state = target->task->threads[thread]->thread_core;
	int64_t result = probe_result(probe, question->call);

	if (result == PROBE_FORBIDDEN) {
		loss_forbidden(target, thread, LOSS_MEMORY_POLICY);
		return 0;
	}
	if (result == -ENOSYS)
		return 0;
	if (result < 0)
		return fail(err, ERR_PROBE_FAILED, "thread %d: get_mempolicy: %s",
			    target->threads[thread].tid, strerror((int)-result));
	state->has_memory_policy = true;
	memcpy(&state->memory_policy, probe_bytes(probe, question->mode), sizeof(uint32_t));
	if (state->memory_policy == 0)
		return 0;
	state->has_memory_nodes = true;
	state->memory_nodes.len = NODES_SIZE;
	state->memory_nodes.data =
		arena_copy(target->collect->arena, probe_bytes(probe, question->nodes), NODES_SIZE);
	return 0;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	(void)snapshot;
	for (size_t i = 0; i < task->n_threads; i++) {
		const ThreadCoreEntry *state = task->threads[i]->thread_core;

		if ((state->memory_policy & MODE_MASK) < MODES &&
		    state->memory_nodes.len <= NODES_SIZE)
			continue;
		return fail(err, ERR_IMAGE_INVALID,
			    "task %s: thread %zu has the unknown NUMA policy 0x%" PRIx32
			    " of %zu bytes",
			    task_name(task), i, state->memory_policy, state->memory_nodes.len);
	}
	return 0;
}

static int plan_policy(const struct planning *planning, struct error *err)
{
	struct program *program = planning->program;
	const ThreadCoreEntry *state = planning->task->threads[planning->thread]->thread_core;
	uint8_t nodes[NODES_SIZE] = { 0 };

	(void)err;
	if (!state->has_memory_policy || state->memory_policy == 0)
		return 0;
	if (state->memory_nodes.len)
		memcpy(nodes, state->memory_nodes.data, state->memory_nodes.len);
	/* The kernel counts one bit less than it is told. */
	program_call(program, SYS_set_mempolicy, state->memory_policy,
		     program_data(program->set, nodes, sizeof nodes, 8), NODES_SIZE * 8 + 1);
	return 0;
}

const struct task_kind numa_policy_kind = {
	.name = "NUMA policy",
	.per_thread = true,
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan_policy,
};
