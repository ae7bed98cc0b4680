// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Threads of a task that has entered a user namespace. clone3 lets it name ids only at levels whose
 * pid namespace belongs to that user namespace or one below; the ids of outer levels are the next
 * ones there, and made to be the right ones by writing ns_last_pid just before. That is the
 * coordinator's (run/guide.c), which looks at each thread that was made and lets it be made again
 * if somebody else has taken its number meanwhile.
 */
#include "plan/lower/build.h"

#include <sys/syscall.h>

/* Owners of inner pid namespaces are the same or further in, so these are the outermost levels. */
static size_t count_outer_levels(const struct node *node)
{
	const struct user_namespace *own = node->task->user_namespace;
	const struct place *place = node->place;

	while (place && user_namespace_is_within(place->namespace->base.owner, own))
		place = place->parent;
	return place ? place->namespace->level + 1 : 0;
}

static bool makes_guided(const struct node *node)
{
	return node->task && node_enters_user_namespace(node) && node->task->n_threads > 1 &&
	       count_outer_levels(node);
}

/* Namespaces of the tree go on counting where they were; that of others is their own affair. */
static void add_last_pids(const struct plan *plan, const struct pid_namespace *namespace,
			  struct guided_namespace *guided)
{
	for (const struct pid_namespace *at = namespace; at; at = at->parent) {
		bool ours = at->parent || plan->own_pid_namespace;

		guided->last_pids[guided->n_levels++] =
			ours && at->base.entry && at->base.entry->has_last_pid
				? at->base.entry->last_pid
				: 0;
	}
}

static void add_guided_namespaces(struct plan *plan)
{
	const struct snapshot *snapshot = plan->snapshot;

	plan->n_guided_namespaces = snapshot->n_pid_namespaces;
	plan->guided_namespaces =
		arena_array(plan->arena, struct guided_namespace, plan->n_guided_namespaces);
	for (size_t i = 0; i < plan->n_guided_namespaces; i++)
		add_last_pids(plan, snapshot->pid_namespaces[i], &plan->guided_namespaces[i]);
}

void guided_threads_prepare(struct build *build)
{
	const struct tree *tree = build->tree;
	struct plan *plan = build->plan;

	plan->n_makers = 0;
	plan->makers_word =
		plan->gates[GATE_LATE_FILES].go_word ? program_word(&plan->programs, 0) : 0;
	for (size_t i = 0; i < tree->n_nodes; i++)
		if (makes_guided(tree->nodes[i])) {
			if (!plan->makers_word)
				plan->makers_word = program_word(&plan->programs, 0);
			add_guided_namespaces(plan);
			/* A helper of the tree could get the number meant for the thread. */
			plan_service(plan, SERVICE_GUIDE)->after_word = plan->makers_word;
			return;
		}
}

void build_last_created(struct build *build, const struct node *node)
{
	struct plan *plan = build->plan;
	struct service *service = &plan->services[SERVICE_GUIDE];

	if (!plan->makers_word)
		return;
	plan->n_makers++;
	program_wake(node->lowered->program, plan->makers_word, 0);
	if (!service->word)
		return;
	service->n_after = plan->n_makers;
	program_wake(node->lowered->program, service->word, 0);
}

static struct guided_thread *add_guided(struct build *build, const struct node *node, size_t thread,
					const char *name)
{
	struct plan *plan = build->plan;
	struct program_set *set = &plan->programs;
	struct guided_thread *guided = arena_new(plan->arena, struct guided_thread);

	*guided = (struct guided_thread){
		.task = node->index,
		.name = name,
		.pids = thread_pids(node->task, thread),
		.namespace = node->task->pid_namespace->base.index,
		.request_word = program_word(set, 0),
		.go_word = program_word(set, 0),
		.made_word = program_word(set, 0),
		.verdict_word = program_word(set, 0),
		.retry_word = program_word(set, 0),
		.result_slot = program_word(set, 0),
	};
	plan_add_request(plan, SERVICE_GUIDE, guided->request_word, guided);
	return guided;
}

static struct program *unwanted_thread(struct build *build)
{
	struct program *program = program_new(&build->plan->programs, "thread with a wrong id");

	program_call(program, SYS_exit, 0);
	program_park(program); /* not reached */
	return program;
}

struct program *build_thread(struct build *build, struct node *node, size_t thread,
			     struct program *maker, struct program *program)
{
	size_t n_outer = count_outer_levels(node);
	struct program_set *set = &build->plan->programs;

	if (!n_outer) {
		build_thread_clone(build, node, thread, 0, maker, program);
		return maker;
	}
	struct guided_thread *guided = add_guided(build, node, thread, program->name);
	struct program *attempt = program_new(set, maker->name);
	struct program *rest = program_new(set, maker->name);

	guided->n_guided_levels = n_outer;
	program_jump(maker, attempt);
	program_wake(attempt, guided->request_word, 1);
	program_wake(attempt, build->plan->services[SERVICE_GUIDE].word, 0);
	program_wait(attempt, guided->go_word, 1);
	/* One that got a wrong id may still be on its way out: then this is tried again. */
	op_store(op_any(build_thread_clone(build, node, thread, n_outer, attempt, program)),
		 guided->result_slot);
	program_wake(attempt, guided->made_word, 1);
	program_wait(attempt, guided->verdict_word, 1);
	program_jump_if(attempt, guided->retry_word, 1, attempt);
	program_jump(attempt, rest);
	program_wait(program, guided->verdict_word, 1);
	program_jump_if(program, guided->retry_word, 1, unwanted_thread(build));
	return rest;
}
