// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * pid_for_children: the pid namespace that the next children of a thread are born in, where it
 * is not its own. It is a property of the thread (nsproxy), and threads cannot be made while it
 * differs (EINVAL, copy_process), so it is set when all are there.
 *
 * A namespace with an init is entered by setns. One that never had an init belongs to whoever
 * made it by unshare; others get it from that thread by PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE
 * (6.11; /proc has no link for it). One whose init is dead and gone is made again with an init
 * that is gone at once.
 *
 * A task that enters a user namespace has full rights before, and those of that namespace after.
 * It makes threads after, so only one without threads can set it before. By a pidfd setns wants
 * to be allowed to trace the process (validate_nsset), which one that is inside may not be; so
 * descriptors of the namespaces themselves are fetched before it enters (6.11). One that it made
 * before it went further in is made on the way: from inside the owner, above its own.
 */
#include "kernel/pidfd.h"
#include "plan/lower/build.h"

#include <fcntl.h>
#include <linux/wait.h>
#include <sched.h>
#include <sys/syscall.h>

static uint32_t recorded_id(const struct task *task, size_t thread)
{
	const ThreadCoreEntry *core = task->threads[thread]->thread_core;

	if (core->has_pid_for_children_ns_id)
		return core->pid_for_children_ns_id;
	if (thread == 0 && task->ids->has_pid_for_children_ns_id)
		return task->ids->pid_for_children_ns_id;
	return task->pid_namespace->base.id;
}

static struct place *recorded_place(const struct tree *tree, const struct node *node, size_t thread)
{
	uint32_t id = recorded_id(node->task, thread);

	if (id == node->task->pid_namespace->base.id)
		return node->place;
	const struct pid_namespace *namespace = snapshot_pid_namespace(tree->snapshot, id);
	return namespace ? tree_place(tree, namespace) : NULL;
}

static void check_place(struct tree *tree, struct node *node, struct place *place)
{
	if (!place || !place_is_within(place, node->place))
		tree_refuse(tree, node, ERR_UNSUPPORTED_NAMESPACE,
			    "its children would be born in a pid namespace that is not below its "
			    "own");
	else if (place->init && task_is_zombie(place->init->task) && node->task->n_threads > 1)
		tree_refuse(tree, node, ERR_UNSUPPORTED_NAMESPACE,
			    "it has threads, and its children would be born in a pid namespace "
			    "whose init is a zombie");
	else if (place->init && place != node->place && !place->ready_word)
		place->ready_word = tree_add_word(tree);
	if (!place || !place->init || !task_is_zombie(place->init->task) || node->refused)
		return;
	/* A zombie has no namespaces to be entered any more (ESRCH, validate_nsset). */
	node->early_place = place;
	place->n_entering++;
	if (!place->entered_word)
		place->entered_word = tree_add_word(tree);
}

/* The first thread in the namespace above makes the one without an init. */
static void choose_maker(struct node *node, size_t thread, struct place *place)
{
	if (!place || place->init || place == node->place || place->maker ||
	    place->parent != node->place)
		return;
	place->maker = node;
	place->maker_thread = thread;
}

static void check_maker(struct tree *tree, struct node *node, size_t thread, struct place *place)
{
	if (place->init || place == node->place ||
	    (place->maker == node && place->maker_thread == thread))
		return;
	if (!place->maker) {
		tree_refuse(tree, node, ERR_UNSUPPORTED_NAMESPACE,
			    "its children would be born in a pid namespace that nobody can make");
		return;
	}
	if (!place->made_word)
		place->made_word = tree_add_word(tree);
	/* The coordinator waits for all others before those with stopped children go on. */
	if (tree->has_stopped_child[place->maker->index])
		tree_refuse(tree, node, ERR_UNSUPPORTED_NAMESPACE,
			    "it shares an empty pid namespace with task %s, which has stopped "
			    "children",
			    place->maker->name);
}

static bool is_maker(const struct place *place, const struct node *node, size_t thread)
{
	return !place->init && place->maker == node && place->maker_thread == thread;
}

static bool is_on_the_way(const struct place *place, const struct node *node, size_t thread)
{
	const struct user_namespace *owner = place->namespace->base.owner;
	const struct user_namespace *own = node->task->user_namespace;

	return is_maker(place, node, thread) && node->task->n_threads == 1 && owner->depth &&
	       owner != own && user_namespace_is_within(own, owner);
}

static bool is_inside(const struct place *place, const struct node *node, size_t thread)
{
	const struct user_namespace *own = node->task->user_namespace;

	return own->depth &&
	       (thread > 0 || node->task->n_threads > 1 ||
		(is_maker(place, node, thread) && place->namespace->base.owner == own));
}

/* setns wants CAP_SYS_ADMIN in the owner (pidns_install); unshare makes its caller's the owner. */
static void check_rights(struct tree *tree, struct node *node, size_t thread, struct place *place)
{
	const struct user_namespace *owner = place->namespace->base.owner;
	const struct user_namespace *own = tree->snapshot->user_namespaces[0];

	if (place == node->place || is_on_the_way(place, node, thread))
		return;
	if (is_inside(place, node, thread))
		own = node->task->user_namespace;
	if (is_maker(place, node, thread) ? owner != own : !user_namespace_is_within(owner, own))
		tree_refuse(tree, node, ERR_UNSUPPORTED_NAMESPACE,
			    "its children would be born in a pid namespace of a user namespace "
			    "that it cannot act for at the moment when it gets there");
}

/*
 * Where nobody can be born any more (ENOMEM, alloc_pid), the maker has a child that is gone at
 * once, and without a signal: the actions of the task are in place by then.
 */
static void add_ended(struct tree *tree, struct place *place)
{
	struct node *maker = place->maker, *node;

	if (place->maker_thread || is_inside(place, maker, 0) || is_on_the_way(place, maker, 0)) {
		tree_refuse(tree, maker, ERR_UNSUPPORTED_NAMESPACE,
			    "a thread of it, or with the rights of a user namespace, would have to "
			    "make the pid namespace of its children, whose init is dead");
		return;
	}
	node = tree_add_free_helper(tree, place, "helper: short-lived init");
	node->pids.pid[place->namespace->level] = 1;
	node->creator = maker;
	node->as_helper.silent = true;
	place->ended_by = node;
}

static void add_all_ended(struct tree *tree)
{
	size_t first = tree->n_nodes;

	for (size_t i = 0; i < tree->n_places; i++) {
		const NsEntry *entry = tree->places[i].namespace->base.entry;
		if (entry && entry->ended && tree->places[i].maker)
			add_ended(tree, &tree->places[i]);
	}
	if (tree->n_nodes > first)
		tree_append_to_order(tree, first);
}

void search_children_places(struct tree *tree)
{
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < tree->snapshot->n_tasks; i++) {
			struct node *node = tree->nodes[i];
			if (task_is_zombie(node->task))
				continue;
			for (size_t thread = 0; thread < node->task->n_threads; thread++) {
				struct place *place = recorded_place(tree, node, thread);
				if (round == 0)
					check_place(tree, node, place);
				else if (round == 1)
					choose_maker(node, thread, place);
				else if (!node->refused)
					check_maker(tree, node, thread, place);
				if (round == 2 && !node->refused)
					check_rights(tree, node, thread, place);
			}
		}
	}
	if (!tree->n_refusals)
		add_all_ended(tree);
}

static void build_ended(struct build *build, struct node *maker, struct node *node)
{
	build_clone(build, maker, node);
	struct op *op =
		program_call(maker->lowered->program, SYS_waitid, P_PID, 0, 0, WEXITED | __WALL, 0);
	op_helper_number(op_expect(op, 0), 1, maker, node);
}

void build_enter_children_place(struct build *build, struct program *program, uint64_t pidfd_slot)
{
	uint64_t namespace = program_word(&build->plan->programs, 0);

	op_store(op_argument_from(
			 program_call(program, SYS_ioctl, 0, PIDFD_PID_NAMESPACE_FOR_CHILDREN, 0),
			 0, pidfd_slot),
		 namespace);
	op_expect(op_argument_from(program_call(program, SYS_setns, 0, CLONE_NEWPID), 0, namespace),
		  0);
	op_argument_from(program_call(program, SYS_close, 0), 0, namespace);
	op_argument_from(program_call(program, SYS_close, 0), 0, pidfd_slot);
}

static void copy_from_maker(struct build *build, const struct node *node, struct program *program,
			    const struct place *place)
{
	uint64_t pidfd = program_word(&build->plan->programs, 0);
	struct pid_vector maker = thread_pids(place->maker->task, place->maker_thread);
	uint64_t flags = place->maker_thread ? PIDFD_OF_THREAD : 0;

	program_wait(program, build_word(build, place->made_word), 1);
	op_store(program_call(program, SYS_pidfd_open, maker.pid[node->place->namespace->level],
			      flags),
		 pidfd);
	build_enter_children_place(build, program, pidfd);
}

bool children_place_is_inside(const struct build *build, const struct node *node, size_t thread)
{
	return is_inside(recorded_place(build->tree, node, thread), node, thread);
}

static void fetch_place(struct build *build, struct node *node, const struct place *place,
			uint64_t slot)
{
	uint64_t pidfd = program_word(&build->plan->programs, 0);
	uint32_t init = node_number(place->init, node->place);

	program_wait(node->lowered->program, build_word(build, place->ready_word), 1);
	op_store(program_call(node->lowered->program, SYS_pidfd_open, init, 0), pidfd);
	op_store(op_argument_from(
			 program_call(node->lowered->program, SYS_ioctl, 0, PIDFD_PID_NAMESPACE, 0),
			 0, pidfd),
		 slot);
	op_argument_from(program_call(node->lowered->program, SYS_close, 0), 0, pidfd);
}

void build_fetch_children_places(struct build *build, struct node *node)
{
	size_t n_threads = node->task->n_threads;

	node->lowered->place_slots = arena_array(build->plan->arena, uint64_t, n_threads);
	for (size_t thread = 0; thread < n_threads; thread++) {
		const struct place *place = recorded_place(build->tree, node, thread);
		if (place == node->place || !place->init || !is_inside(place, node, thread))
			continue;
		node->lowered->place_slots[thread] = program_word(&build->plan->programs, 0);
		fetch_place(build, node, place, node->lowered->place_slots[thread]);
	}
}

static void enter_fetched(struct program *program, uint64_t slot)
{
	op_expect(op_argument_from(program_call(program, SYS_setns, 0, CLONE_NEWPID), 0, slot), 0);
	op_argument_from(program_call(program, SYS_close, 0), 0, slot);
}

static void make_place(struct build *build, struct node *node, struct program *program,
		       const struct place *place)
{
	op_expect(program_call(program, SYS_unshare, CLONE_NEWPID), 0);
	if (place->ended_by)
		build_ended(build, node, place->ended_by);
	if (place->made_word)
		program_wake(program, build_word(build, place->made_word), 1);
}

void build_children_place_on_the_way(struct build *build, struct node *node)
{
	const struct place *place = recorded_place(build->tree, node, 0);

	if (!is_on_the_way(place, node, 0))
		return;
	build_join_user_namespace(build, node->lowered->program, place->namespace->base.owner);
	make_place(build, node, node->lowered->program, place);
}

void build_children_place(struct build *build, struct node *node, size_t thread,
			  struct program *program)
{
	const struct place *place = recorded_place(build->tree, node, thread);

	if (place == node->place || place == node->early_place ||
	    is_on_the_way(place, node, thread))
		return;
	if (is_inside(place, node, thread) && node->lowered->place_slots[thread]) {
		enter_fetched(program, node->lowered->place_slots[thread]);
	} else if (place->init) {
		program_wait(program, build_word(build, place->ready_word), 1);
		build_enter(build, program, node_number(place->init, node->place));
	} else if (place->maker == node && place->maker_thread == thread) {
		make_place(build, node, program, place);
	} else {
		copy_from_maker(build, node, program, place);
	}
}
