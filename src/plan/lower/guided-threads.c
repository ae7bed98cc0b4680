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

	while (place && user_namespace_is_within(place->namespace->owner, own))
		place = place->parent;
	return place ? place->namespace->level + 1 : 0;
}

static bool makes_guided(const struct node *node)
{
	return node->task && node_enters_user_namespace(node) && node->task->n_threads > 1 &&
	       count_outer_levels(node);
}

void guided_threads_prepare(struct build *build)
{
	const struct tree *tree = build->tree;
	struct plan *plan = build->plan;

	plan->n_guided_threads = 0;
	plan->requests_word = 0;
	plan->n_makers = 0;
	plan->makers_word = plan->late_word ? program_word(&plan->programs, 0) : 0;
	for (size_t i = 0; i < tree->n_nodes && !plan->requests_word; i++)
		if (makes_guided(tree->nodes[i])) {
			plan->requests_word = program_word(&plan->programs, 0);
			if (!plan->makers_word)
				plan->makers_word = program_word(&plan->programs, 0);
		}
}

void build_last_created(struct build *build, const struct node *node)
{
	struct plan *plan = build->plan;

	if (!plan->makers_word)
		return;
	plan->n_makers++;
	program_wake(node->program, plan->makers_word, 0);
	if (plan->requests_word)
		program_wake(node->program, plan->requests_word, 0);
}

static struct guided_thread *add_guided(struct build *build, const struct node *node, size_t thread)
{
	struct plan *plan = build->plan;
	struct program_set *set = &plan->programs;

	plan->guided_threads = arena_grow(plan->arena, plan->guided_threads, plan->n_guided_threads,
					  sizeof *plan->guided_threads);
	struct guided_thread *guided = &plan->guided_threads[plan->n_guided_threads++];
	*guided = (struct guided_thread){
		.task = node->index,
		.thread = thread,
		.request_word = program_word(set, 0),
		.go_word = program_word(set, 0),
		.made_word = program_word(set, 0),
		.verdict_word = program_word(set, 0),
		.retry_word = program_word(set, 0),
		.result_slot = program_word(set, 0),
	};
	return guided;
}

static struct program *unwanted_thread(struct build *build)
{
	struct program *program = program_new(&build->plan->programs, "thread with a wrong id");

	program_call(program, SYS_exit, 0);
	program_park(program); /* not reached */
	return program;
}

struct program *build_nested_thread(struct build *build, struct node *node, size_t thread,
				    struct program *leader, struct program *program)
{
	size_t n_outer = count_outer_levels(node);
	struct program_set *set = &build->plan->programs;

	if (!n_outer) {
		build_thread_clone(build, node, thread, 0, leader, program);
		return leader;
	}
	struct guided_thread *guided = add_guided(build, node, thread);
	struct program *maker = program_new(set, leader->name);
	struct program *rest = program_new(set, leader->name);

	guided->n_guided_levels = n_outer;
	program_jump(leader, maker);
	program_wake(maker, guided->request_word, 1);
	program_wake(maker, build->plan->requests_word, 0);
	program_wait(maker, guided->go_word, 1);
	/* One that got a wrong id may still be on its way out: then this fails, and is tried again.
	 */
	op_store(op_any(build_thread_clone(build, node, thread, n_outer, maker, program)),
		 guided->result_slot);
	program_wake(maker, guided->made_word, 1);
	program_wait(maker, guided->verdict_word, 1);
	program_jump_if(maker, guided->retry_word, 1, maker);
	program_jump(maker, rest);
	program_wait(program, guided->verdict_word, 1);
	program_jump_if(program, guided->retry_word, 1, unwanted_thread(build));
	return rest;
}
