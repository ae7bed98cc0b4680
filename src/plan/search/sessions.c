// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who creates whom, as sessions decide it. A session is inherited at fork or made by setsid, and
 * setsid is the only way to leave one. So a process that leads no session was born in its own:
 * its creator was in that session when it called fork, finally or before its own setsid. Where
 * the recorded parent never was in it, the process is an orphan: somebody in the session forked
 * the one who forked it, that one died, and the recorded parent adopted it: as the init of the
 * dead one's pid namespace, or as the nearest ancestor with a subreaper mark in it
 * (find_new_reaper, kernel/exit.c; a mark also applies to descendants born before it since 4.11).
 */
#include "plan/search/tree.h"

#include <signal.h>

struct pending {
	struct node **nodes; /* that need their birth session, and have no creator yet */
	size_t count;
};

/*
 * In a pid namespace of its own a tree shows 0 for a leader outside. In one that is shared with
 * the host a number may be that of a dead leader as well; only the root's own session is taken
 * to be outside. Where that is wrong for another one, the number is in use at the restore.
 */
static void mark_outside(struct tree *tree)
{
	struct node *root = tree->nodes[0];

	for (size_t i = 0; i < tree->n_sessions; i++) {
		struct session *session = &tree->sessions[i];
		if (session->leader)
			continue;
		if (session->key == 0 ||
		    (session == root->session && !tree->snapshot->own_pid_namespace))
			session->outside = true;
		if (session->outside && !tree->options->shell_job)
			tree_refuse(tree, tree->nodes[session->member->index], ERR_SESSION_OUTSIDE,
				    "the leader of its session is outside of the tree; "
				    "--shell-job takes the session of whoever runs the restore");
		else if (!session->outside && tree_find(tree, session->key))
			tree_refuse(tree, tree->nodes[session->member->index], ERR_UNREACHABLE_TREE,
				    "the leader of its session is in another session itself");
	}
	if (!root->leads_session && !root->session->outside)
		tree_refuse(tree, root, ERR_UNREACHABLE_TREE,
			    "its session is led by one of its own descendants");
}

/* Someone who is in the session, at the end or before its own setsid, and can have children. */
struct node *session_source(const struct tree *tree, struct session *session)
{
	struct node *root = tree->nodes[0];

	if (!session->outside)
		return session->leader;
	if (!root->birth.needs_session) {
		root->birth.needs_session = true;
		root->birth.session = session;
	}
	return root->birth.session == session ? root : NULL;
}

/*
 * Can the recorded parent create the node in that session? Yes if it is in it, or was born in
 * it: then its own parent has to be able to do the same.
 */
static bool can_inherit(const struct node *node, const struct session *session)
{
	for (const struct node *at = node->parent; at; at = at->parent) {
		if (at->session == session)
			return true;
		if (!at->leads_session)
			return false;
		if (at->birth.needs_session)
			return at->birth.session == session;
		if (!at->parent)
			return session->outside;
	}
	return false;
}

static bool inherit(struct node *node, struct session *session)
{
	if (!can_inherit(node, session))
		return false;
	for (struct node *at = node->parent;
	     at && at->session != session && !at->birth.needs_session; at = at->parent) {
		at->birth.needs_session = true;
		at->birth.session = session;
	}
	return true;
}

static void add_pending(struct tree *tree, struct pending *pending, struct node *node)
{
	struct session *session = node->birth.session;

	pending->nodes = arena_grow(tree->arena, pending->nodes, pending->count, sizeof node);
	pending->nodes[pending->count++] = node;
	if (!session->deepest || node->parent->depth > session->deepest->depth)
		session->deepest = node->parent;
}

/*
 * A helper with the dead leader's number. It is made below the deepest of the parents that wait
 * for children from this session, so that all of them can adopt.
 */
static struct node *place_leader(struct tree *tree, const struct node *orphan)
{
	struct session *session = orphan->birth.session;
	struct pid_vector seen = task_sessions(session->member->task);
	struct node *leader =
		tree_add_former(tree, session->member, &seen, "helper: session leader");
	/* Or below this one's, which may need it as a child of its own; see can_make_sibling. */
	const struct node *below = tree->choices.value[CHOICE_LEADER_PLACE] == LEADER_BELOW_PARENT
					   ? orphan->parent
					   : session->deepest;
	struct node *creator = tree->nodes[below->index];

	while (creator && !place_is_within(leader->place, creator->place))
		creator = creator->parent;
	leader->creator = creator ? creator : tree->nodes[0];
	leader->session = session;
	leader->leads_session = leader->leads_group = true;
	session->leader = leader;
	return leader;
}

/* May `adopter` get the orphans of a child that `source` has in the adopter's pid namespace? */
static bool can_adopt(const struct node *source, const struct node *adopter)
{
	if (!place_is_within(adopter->place, source->place))
		return false;
	if (adopter->place->init == adopter)
		return true;
	/* A walk to a subreaper does not leave the pid namespace of the dead one. */
	return adopter->place == source->place && node_created_below(source, adopter);
}

/* Whom nobody in its own namespace can put into its group. */
static struct group *unseen_group(const struct node *node)
{
	struct pid_vector seen = task_groups(node->task);

	return seen.pid[seen.levels - 1] == 0 ? node->group : NULL;
}

struct node *helper_for(struct tree *tree, struct node *source, const struct node *orphan,
			struct group *serves)
{
	struct session *session = orphan->birth.session;
	struct node *adopter = orphan->parent;

	for (size_t i = 0; i < source->n_helpers; i++)
		if (source->helpers[i]->as_helper.adopter == adopter &&
		    source->helpers[i]->session == session &&
		    source->helpers[i]->as_helper.serves == serves)
			return source->helpers[i];
	struct node *helper = tree_add_free_helper(tree, adopter->place, "helper: dead parent");
	helper->creator = source;
	helper->session = helper->birth.session = session;
	helper->birth.needs_session = true;
	helper->as_helper.adopter = adopter;
	helper->as_helper.serves = serves;
	source->helpers =
		arena_grow(tree->arena, source->helpers, source->n_helpers, sizeof helper);
	source->helpers[source->n_helpers++] = helper;
	return helper;
}

static uint32_t exit_signal(const struct node *node)
{
	return node->task && node->task->core->tc->has_exit_signal
		       ? node->task->core->tc->exit_signal
		       : SIGCHLD;
}

/*
 * A member of the session that is a child of the recorded parent can make it with CLONE_PARENT,
 * wherever the parent is. An init cannot (EINVAL, copy_process), and the signal at the exit is
 * that of its maker.
 */
static bool can_make_sibling(const struct node *source, const struct node *node)
{
	return source->creator == node->parent && source->place->init != source &&
	       !source->birth.same_parent && place_is_within(node->place, source->place) &&
	       exit_signal(source) == exit_signal(node);
}

/* A session that whoever `maker` makes can be born in. */
static bool can_give(const struct node *maker, const struct session *session)
{
	return maker->session == session || (maker->leads_session && maker->birth.needs_session &&
					     maker->birth.session == session);
}

/* Any other member of the session may have had the child that was the parent of the orphan. */
static struct node *other_source(const struct tree *tree, const struct node *orphan,
				 struct node *source)
{
	for (size_t i = 0; i < tree->snapshot->n_tasks; i++) {
		struct node *node = tree->nodes[tree->looked_at[i]];
		if (can_give(node, orphan->birth.session) && !node_created_below(node, orphan) &&
		    can_adopt(node, orphan->parent))
			return node;
	}
	return source;
}

static bool adopt(struct tree *tree, struct node *node)
{
	struct node *source = session_source(tree, node->birth.session);

	if (!source && !node->birth.session->outside)
		source = place_leader(tree, node);
	if (tree->choices.value[CHOICE_SOURCE] == SOURCE_MEMBER)
		source = other_source(tree, node, source);
	if (!source || node_created_below(source, node))
		return false;
	if (!can_adopt(source, node->parent)) {
		if (!can_make_sibling(source, node))
			return false;
		node->creator = source;
		node->birth.same_parent = true;
		return true;
	}
	/* A stand-in exits anyway: it can be the dead parent itself. */
	if (!source->task && source->creator == node->parent &&
	    source->place == node->parent->place) {
		source->as_helper.adopter = node->parent;
		node->creator = source;
	} else {
		node->creator = helper_for(tree, source, node, unseen_group(node));
	}
	return true;
}

/*
 * The other way round: the recorded parent made the node before its own setsid, and it is the
 * parent that was adopted.
 */
static bool blame_parent(struct pending *pending, size_t at)
{
	struct node *node = pending->nodes[at], *parent = node->parent;
	const struct node *source = node->birth.session->leader;

	if (!parent->leads_session || parent->birth.needs_session || !parent->parent ||
	    (source && node_created_below(source, parent)))
		return false;
	parent->birth.needs_session = true;
	parent->birth.session = node->birth.session;
	pending->nodes[at] = parent;
	return true;
}

/*
 * Or the source of the session was below the parent once, or somebody was from whom it comes, and
 * was adopted by an ancestor of the parent since.
 */
static bool sink_source(struct tree *tree, struct node *node)
{
	struct node *parent = node->parent, *source = session_source(tree, node->birth.session);

	for (; source && source->creator && !node_created_below(parent, source->creator);)
		source = source->creator;
	if (!source || !source->task || source->creator != source->parent ||
	    source->birth.same_parent || source->place->init == source ||
	    source->parent == parent || node_created_below(parent, source) ||
	    !can_adopt(parent, source->parent))
		return false;
	if (source->birth.needs_session && !can_give(parent, source->birth.session))
		return false;
	source->creator = helper_for(tree, parent, source, unseen_group(source));
	return true;
}

/*
 * A child in a session that its parent has left since was born before that, or is an orphan as
 * well. CHOICE_EARLY_CHILD says which are taken for the second.
 */
static bool prefers_adoption(const struct tree *tree, const struct node *node)
{
	return node->parent->session != node->session &&
	       choices_take_as_orphan(&tree->choices, node->index);
}

static bool settle_some(struct tree *tree, struct pending *pending)
{
	size_t kept = 0, before = pending->count;

	for (size_t i = 0; i < before; i++) {
		struct node *node = pending->nodes[i];
		if (!(prefers_adoption(tree, node) && adopt(tree, node)) &&
		    !inherit(node, node->birth.session) && !adopt(tree, node))
			pending->nodes[kept++] = node;
	}
	pending->count = kept;
	return kept < before;
}

static void settle(struct tree *tree, struct pending *pending)
{
	while (pending->count) {
		if (settle_some(tree, pending))
			continue;
		size_t at = 0;
		while (at < pending->count && !blame_parent(pending, at))
			at++;
		if (at < pending->count)
			continue;
		for (at = 0; at < pending->count && !sink_source(tree, pending->nodes[at]);)
			at++;
		if (at < pending->count)
			continue;
		for (size_t i = 0; i < pending->count; i++)
			tree_refuse(tree, pending->nodes[i], ERR_UNREACHABLE_TREE,
				    "its parent %s can neither have created nor adopted it in "
				    "session %u",
				    pending->nodes[i]->parent->name,
				    (unsigned)pending->nodes[i]->birth.session->key);
		return;
	}
}

/*
 * The init of a namespace is born in the one above, or makes it there. A parent further out has
 * it from a child that it put there, by CLONE_PARENT.
 */
static void add_init_maker(struct tree *tree, struct node *init)
{
	struct node *maker, *creator = init->creator;
	struct place *above = init->place->parent;

	if (!creator || !above || above == creator->place ||
	    !place_is_within(above, creator->place))
		return;
	if (exit_signal(init) != SIGCHLD) {
		tree_refuse(tree, init, ERR_UNREACHABLE_TREE,
			    "it is the init of a pid namespace that its parent cannot make, with "
			    "another exit signal than SIGCHLD");
		return;
	}
	maker = tree_add_free_helper(tree, above, "helper: maker of an init");
	maker->creator = creator;
	maker->birth.needs_session = init->birth.needs_session;
	maker->birth.session = init->birth.session;
	maker->session = init->birth.needs_session ? init->birth.session : creator->session;
	maker->birth.same_parent = init->birth.same_parent;
	init->creator = maker;
	init->birth.same_parent = true;
}

static void add_init_makers(struct tree *tree)
{
	for (size_t i = 0; i < tree->n_places; i++)
		if (tree->places[i].init)
			add_init_maker(tree, tree->places[i].init);
}

void search_sessions(struct tree *tree)
{
	struct pending pending = { 0 };

	mark_outside(tree);
	if (tree->n_refusals)
		return;
	for (size_t i = 0; i < tree->snapshot->n_tasks; i++)
		tree->nodes[i]->creator = tree->nodes[i]->parent;
	for (size_t i = tree->snapshot->n_tasks; i-- > 0;) {
		struct node *node = tree->nodes[tree->looked_at[i]];
		if (node->leads_session)
			continue;
		node->birth.needs_session = true;
		node->birth.session = node->session;
		if (node->parent && (prefers_adoption(tree, node) || !inherit(node, node->session)))
			add_pending(tree, &pending, node);
	}
	settle(tree, &pending);
	if (!tree->n_refusals)
		add_init_makers(tree);
}
