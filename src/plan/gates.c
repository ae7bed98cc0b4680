// SPDX-License-Identifier: LGPL-2.1-or-later
/* What programs have to do with the coordinator: gates, services, calls at the end. */
#include "plan/plan.h"

/* ---- Gates ---- */

static const struct {
	const char *name;
	enum gate_way way;
} gate_rows[GATE_COUNT] = {
	[GATE_LATE_FILES] = { "files that want processes", GATE_WAY_OPEN },
	[GATE_LAST_FILES] = { "files that want tasks to be in their namespaces", GATE_WAY_OPEN },
	[GATE_FILTERS_BEFORE_STOP] = { "seccomp filters", GATE_WAY_TRACE },
	[GATE_STOPPED_LEADERS] = { "first threads of stopped tasks", GATE_WAY_EXIT },
	[GATE_STOPPED] = { "parents of stopped tasks", GATE_WAY_OPEN },
	[GATE_FILTERS] = { "seccomp filters of parents of stopped tasks", GATE_WAY_TRACE },
	[GATE_LEADERS] = { "first threads", GATE_WAY_EXIT },
};

struct gate *plan_gate(struct plan *plan, enum gate_name name)
{
	struct gate *gate = &plan->gates[name];

	if (gate->go_word)
		return gate;
	gate->way = gate_rows[name].way;
	gate->go_word = program_word(&plan->programs, 0);
	if (gate->way == GATE_WAY_TRACE)
		gate->arrived_word = program_word(&plan->programs, 0);
	return gate;
}

void plan_wait_at_gate(struct plan *plan, enum gate_name name, const struct task *task,
		       size_t thread, struct program *program)
{
	struct gate *gate = plan_gate(plan, name);

	gate->waiting =
		arena_grow(plan->arena, gate->waiting, gate->n_waiting, sizeof *gate->waiting);
	gate->waiting[gate->n_waiting++] = (struct waiting_thread){ task->index, thread };
	if (gate->arrived_word)
		program_wake(program, gate->arrived_word, 0);
	program_wait(program, gate->go_word, 1);
}

void plan_wait_at_filters(struct plan *plan, const struct task *task, size_t thread,
			  struct program *program)
{
	bool late = plan->tasks && plan->tasks[task->index].waits_for_stop;

	plan_wait_at_gate(plan, late ? GATE_FILTERS : GATE_FILTERS_BEFORE_STOP, task, thread,
			  program);
}

const char *gate_say(enum gate_name name)
{
	return gate_rows[name].name;
}

/* ---- Services and calls ---- */

struct service *plan_service(struct plan *plan, enum service_kind kind)
{
	struct service *service = &plan->services[kind];

	if (!service->word)
		service->word = program_word(&plan->programs, 0);
	return service;
}

void plan_add_request(struct plan *plan, enum service_kind kind, uint64_t ready_word,
		      const void *what)
{
	struct service *service = plan_service(plan, kind);

	service->requests = arena_grow(plan->arena, service->requests, service->n_requests,
				       sizeof *service->requests);
	service->requests[service->n_requests++] = (struct request){ ready_word, what };
}

struct remote_request *plan_call_at_end(struct plan *plan, const struct task *task, size_t thread,
					uint32_t nr, uint64_t first, uint64_t second,
					uint64_t third)
{
	plan->calls_at_end = arena_grow(plan->arena, plan->calls_at_end, plan->n_calls_at_end,
					sizeof *plan->calls_at_end);
	struct remote_request *request = &plan->calls_at_end[plan->n_calls_at_end++];
	*request = (struct remote_request){
		.task = task->index, .thread = thread, .nr = nr, .args = { first, second, third }
	};
	return request;
}
