// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * User namespaces. The coordinator makes them all beforehand (run/user-namespaces.c); tasks are
 * made with its full rights and enter theirs late: entering gives up what the outer ones allow,
 * exact pids at outer levels first of all (clone3 asks for CAP_CHECKPOINT_RESTORE in the owner of
 * every level that is named).
 *
 * setns(CLONE_NEWUSER) wants a process with one thread that shares its fs with nobody
 * (userns_install), so threads are made after it. Processes that share theirs are refused: they
 * would have to be made after it, too, without the rights to fetch what they have open.
 *
 * A pid namespace belongs to the user namespace of whoever makes it. So one that does not belong
 * to the coordinator's is made by a founder, a helper that enters the owner and calls
 * unshare(CLONE_NEWPID), in the pid namespace above. That does not fork: the init is made by
 * its recorded parent, with the rights that the founder gave up, in the namespace that it gets
 * from the founder by PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE (6.11; /proc has no link without an
 * init).
 */
#include "model/namespaces.h"
#include "plan/lower/build.h"

#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>

/* ---- the history ---- */

static bool is_nested(const struct node *node)
{
	return node->task->user_namespace->depth > 0;
}

static void add_founder(struct tree *tree, struct place *place)
{
	struct node *creator = place->init->creator;
	struct node *founder = tree_add_free_helper(tree, creator->place, "helper: founder");

	founder->creator = creator;
	founder->session = creator->session;
	founder->birth.session = creator->birth.session;
	founder->grouping.born_in = place->init->grouping.born_in;
	founder->group = founder->grouping.born_in;
	founder->as_helper.founds = place;
	founder->as_helper.leave_word = tree_add_word(tree);
	place->founder = founder;
	place->founded_word = tree_add_word(tree);
}

static void check_fs(struct tree *tree, struct node *node)
{
	if (node->birth.share_fs && is_nested(node))
		tree_refuse(tree, node, ERR_SHARED_OBJECT,
			    "it shares its filesystem context with another task, and cannot enter "
			    "its user namespace then");
	else if (node->birth.share_fs && node->creator->task && is_nested(node->creator))
		tree_refuse(tree, node->creator, ERR_SHARED_OBJECT,
			    "it shares its filesystem context with another task, and cannot enter "
			    "its user namespace then");
}

void search_user_namespaces(struct tree *tree)
{
	size_t first_founder = tree->n_nodes;

	for (size_t i = 0; i < tree->snapshot->n_tasks; i++)
		check_fs(tree, tree->nodes[i]);
	for (size_t i = 0; i < tree->n_places; i++) {
		struct place *place = &tree->places[i];
		if (place->namespace->base.owner->depth && place->init && place->init->creator)
			add_founder(tree, place);
	}
	if (tree->n_nodes > first_founder)
		tree_append_to_order(tree, first_founder);
}

/* ---- what it takes ---- */

static int require(const struct facts *facts, int capability, const char *name, struct error *err)
{
	if (facts_has_capability(facts, capability))
		return 0;
	fail(err, ERR_NO_PRIVILEGE, "making user namespaces for other users needs %s", name);
	return fail_hint(err, "run nestor as root, or as the user that owns a user namespace with "
			      "all of the tree, in a pid namespace of its own (or a fresh one: "
			      "--unshare pid)");
}

/* Founders, and the children of threads that are inside, get at pid namespaces by way of pidfds. */
static bool has_owned_place(const struct tree *tree)
{
	for (size_t i = 0; i < tree->n_places; i++)
		if (tree->places[i].namespace->base.owner->depth)
			return true;
	return false;
}

static bool is_only(UidGidExtent *const *extents, size_t n, uint32_t id)
{
	return n == 0 || (n == 1 && extents[0]->lower_first == id && extents[0]->count == 1);
}

/* Everybody may make one of their own, and map themselves in it (user_namespaces(7)). */
static bool is_of_nestor(const struct user_namespace *namespace, const struct facts *facts)
{
	const NsEntry *entry = namespace->base.entry;
	const UsernsEntry *maps = entry->user_ext;

	return entry->owner_uid == facts->uids[1] &&
	       (!maps || (is_only(maps->uid_map, maps->n_uid_map, facts->uids[1]) &&
			  is_only(maps->gid_map, maps->n_gid_map, facts->gids[1]) &&
			  (entry->setgroups_denied || maps->n_gid_map == 0)));
}

/* Those below are made from inside of their parents, with all capabilities there. */
static bool all_are_of_nestor(const struct plan *plan)
{
	for (size_t i = 1; i < plan->snapshot->n_user_namespaces; i++) {
		const struct user_namespace *namespace = plan->snapshot->user_namespaces[i];

		if (namespace->depth == 1 && !is_of_nestor(namespace, plan->facts))
			return false;
	}
	return true;
}

int user_namespaces_check(const struct plan *plan, const struct tree *tree, struct error *err)
{
	const struct facts *facts = plan->facts;

	if (plan->snapshot->n_user_namespaces <= 1)
		return 0;
	/* To enter pid namespaces from outside takes CAP_SYS_ADMIN all the same. */
	if (all_are_of_nestor(plan) && !has_owned_place(tree))
		return 0;
	if (require(facts, CAP_SYS_ADMIN, "CAP_SYS_ADMIN", err) ||
	    require(facts, CAP_SETUID, "CAP_SETUID", err) ||
	    require(facts, CAP_SETGID, "CAP_SETGID", err))
		return -1;
	if (!facts->pidfd_namespaces && has_owned_place(tree))
		return fail(err, ERR_KERNEL_TOO_OLD,
			    "restoring pid namespaces of nested user namespaces needs "
			    "PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE (Linux 6.11)");
	return 0;
}

/* ---- the programs ---- */

static uint32_t source_of(struct plan *plan, const struct user_namespace *namespace)
{
	return plan_source(plan, SOURCE_NAMESPACE, namespace->base.id);
}

void build_found(struct build *build, struct node *founder, const struct place *place)
{
	build_join_user_namespace(build, founder->lowered->program, place->namespace->base.owner);
	op_expect(program_call(founder->lowered->program, SYS_unshare, CLONE_NEWPID), 0);
}

void build_enter_founded(struct build *build, struct node *node, const struct place *place)
{
	uint64_t pidfd = program_word(&build->plan->programs, 0);
	struct op *op = op_store(program_call(node->lowered->program, SYS_pidfd_open, 0, 0), pidfd);

	op_helper_number(op, 0, node, place->founder);
	build_enter_children_place(build, node->lowered->program, pidfd);
}

void build_join_user_namespace(struct build *build, struct program *program,
			       const struct user_namespace *namespace)
{
	op_expect(
		program_call(program, SYS_setns, source_of(build->plan, namespace), CLONE_NEWUSER),
		0);
}

void build_zombie_user_namespace(struct build *build, struct node *node)
{
	if (is_nested(node))
		build_join_user_namespace(build, node->lowered->program,
					  node->task->user_namespace);
}

bool node_enters_user_namespace(const struct node *node)
{
	return node->task && is_nested(node);
}

void namespace_sources(const struct plan *plan, uint32_t *ret_first, uint32_t *ret_last)
{
	*ret_first = plan->first_source + 1;
	*ret_last = plan->first_source;
	/* Those of namespaces follow that of the coordinator (sources.c). */
	while ((size_t)(*ret_last - plan->first_source) + 1 < plan->n_sources &&
	       plan->sources[*ret_last - plan->first_source + 1].kind == SOURCE_NAMESPACE)
		++*ret_last;
}

bool thread_parts(const struct build *build, const struct node *node, size_t thread)
{
	return task_thread_fs(node->task, thread) ||
	       thread_is_late_for_any(build->plan->snapshot, node->task, thread);
}

bool node_keeps_namespaces(const struct build *build, const struct node *node)
{
	if (!node->task || task_is_zombie(node->task))
		return false;
	if (is_nested(node))
		return true;
	for (size_t i = 0; i < node->task->n_threads; i++)
		if (thread_parts(build, node, i))
			return true;
	return false;
}

uint32_t late_threads(const struct build *build, const struct node *node)
{
	uint32_t count = 0;

	for (size_t i = 1; i < node->task->n_threads; i++)
		count += thread_parts(build, node, i);
	return count;
}

void build_enter_user_namespace(struct build *build, struct node *node)
{
	if (!is_nested(node))
		return;
	build_children_place_on_the_way(build, node);
	build_join_user_namespace(build, node->lowered->program, node->task->user_namespace);
}

/*
 * The last descriptors that are not the task's own go when nobody needs them any more: threads that
 * enter other namespaces than the first one, and whoever shares the table. The owner of the table
 * waits for all.
 */
void build_close_namespaces(struct build *build, struct node *node, struct program *program)
{
	struct node *owner = node->lowered->table_owner;
	uint32_t first, last;

	if (late_threads(build, node))
		program_wait(program, node->lowered->late_word, late_threads(build, node));
	if (owner != node) {
		if (owner->lowered->n_keeping_sharers && node_keeps_namespaces(build, node))
			program_wake(program, owner->lowered->entered_word,
				     owner->lowered->n_keeping_sharers);
		return;
	}
	if (owner->lowered->n_keeping_sharers)
		program_wait(program, owner->lowered->entered_word,
			     owner->lowered->n_keeping_sharers);
	namespace_sources(build->plan, &first, &last);
	bool keeps = node_keeps_namespaces(build, node) || owner->lowered->n_keeping_sharers;
	if (keeps && first <= last)
		op_expect(program_call(program, SYS_close_range, first, last, 0), 0);
	if (kept_range(build->plan, node->task, &first, &last))
		op_expect(program_call(program, SYS_close_range, first, last, 0), 0);
}
