// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who makes each process group. A group comes to be when a process puts itself into the one with
 * its own number; it lasts as long as it has members. Its maker may have died since, then a
 * helper with its number stands in until all members have joined; or moved on to another group,
 * then it does so again.
 */
#include "plan/search/tree.h"

static void outside_refusal(struct tree *tree, const struct group *group)
{
	struct node *node = tree->nodes[group->member->index];

	tree_refuse(tree, node, ERR_SESSION_OUTSIDE,
		    "the leader of its process group is outside of the tree; --shell-job takes "
		    "the group of whoever runs the restore");
}

/* The number of the group belongs to a task that is in another group now. */
static void lead_for_a_while(struct tree *tree, struct group *group, struct node *maker)
{
	if (maker->leads_session || maker->session != group->member->session) {
		tree_refuse(tree, tree->nodes[group->member->index], ERR_UNREACHABLE_TREE,
			    "task %s cannot have made its process group", maker->name);
		return;
	}
	group->leader = maker;
	maker->grouping.first = group;
	/* Two makers may each go to the group of the other: somebody has to stay meanwhile. */
	if (tree->choices.value[CHOICE_GROUP_KEEPER] == KEEPER_NONE)
		return;
	struct node *keeper = tree_add_free_helper(tree, maker->place, "helper: group keeper");
	keeper->creator = maker;
	keeper->session = keeper->birth.session = maker->session;
	keeper->birth.needs_session = true;
	keeper->group = group;
	group->keeper = keeper;
}

static void add_stand_in(struct tree *tree, struct group *group)
{
	const struct node *member = group->member;
	struct pid_vector seen = task_groups(member->task);
	struct node *creator = session_source(tree, member->session);
	struct node *leader = tree_add_former(tree, member, &seen, "helper: group leader");

	leader->leads_group = true;
	leader->session = leader->birth.session = member->session;
	leader->birth.needs_session = true;
	leader->group = group;
	leader->creator = creator;
	group->leader = leader;
	if (!creator || !place_is_within(leader->place, creator->place))
		tree_refuse(tree, tree->nodes[member->index], ERR_UNREACHABLE_TREE,
			    "nobody can stand in for the dead leader of its process group %u",
			    (unsigned)group->key);
}

/* Stand-ins for session leaders lead a group of the same number, with or without other members. */
static void link_session_helpers(struct tree *tree)
{
	for (size_t i = 0; i < tree->n_sessions; i++) {
		struct session *session = &tree->sessions[i];
		struct node *leader = session->leader;
		if (!leader || leader->task)
			continue;
		for (size_t low = 0, high = tree->n_groups; low < high && !leader->group;) {
			size_t middle = (low + high) / 2;
			if (tree->groups[middle].key == session->key) {
				leader->group = &tree->groups[middle];
				leader->group->leader = leader;
			} else if (tree->groups[middle].key < session->key) {
				low = middle + 1;
			} else {
				high = middle;
			}
		}
		if (!leader->group) {
			leader->group = arena_new(tree->arena, struct group);
			*leader->group = (struct group){ .key = session->key, .leader = leader };
		}
	}
}

/* The one group that the root can have been born in; see mark_outside in sessions.c. */
static bool is_outside(const struct tree *tree, const struct group *group)
{
	const struct node *root = tree->nodes[0];

	if (tree->snapshot->own_pid_namespace || group->key == 0)
		return group->key == 0;
	if (!root->session->outside || tree_find(tree, group->key))
		return false;
	/* That of the shell is led by the leader of the session. */
	return group == root->group || group->key == root->session->key;
}

/* Somebody in the session who can have a child in the namespace, and put that into the group. */
static struct node *group_source(const struct tree *tree, const struct place *place,
				 struct session *session, const struct group *group)
{
	if (group->outside)
		return session_source(tree, session);
	for (struct node *at = group->leader; at; at = at->creator)
		if (at->session == session && place_is_within(place, at->place))
			return at;
	return session->leader && place_is_within(place, session->leader->place) &&
			       place_is_within(group->leader->place, session->leader->place)
		       ? session->leader
		       : NULL;
}

/*
 * An init gets the orphans of those who came into its namespace from outside, with groups that
 * nobody inside can see. The orphan itself may be in another group by now, and have such children.
 */
static void add_group_helper(struct tree *tree, struct node *node, struct group *group)
{
	struct session *session = group->member->session;

	if (node->creator != node->parent ||
	    (node->birth.needs_session && node->birth.session != session))
		return;
	struct node *source = group_source(tree, node->place, session, group);
	if (!source || node_created_below(source, node))
		return;
	node->birth.needs_session = true;
	node->birth.session = session;
	node->creator = helper_for(tree, source, node, group);
}

static void add_group_helpers(struct tree *tree)
{
	for (size_t i = 0; i < tree->snapshot->n_tasks; i++)
		if (tree->orphan_groups[i])
			add_group_helper(tree, tree->nodes[i],
					 tree_group(tree, (uint32_t)(tree->orphan_groups[i] - 1)));
}

void search_groups(struct tree *tree)
{
	link_session_helpers(tree);
	for (size_t i = 0; i < tree->n_groups; i++) {
		struct group *group = &tree->groups[i];
		if (group->leader)
			continue;
		struct node *maker = tree_find(tree, group->key);
		group->outside = is_outside(tree, group);
		if (group->outside && !tree->snapshot->own_pid_namespace)
			group->outside_number = tree->options->coordinator_group;
		if (group->outside && !tree->options->shell_job)
			outside_refusal(tree, group);
		else if (maker)
			lead_for_a_while(tree, group, maker);
		else if (!group->outside)
			add_stand_in(tree, group);
	}
	for (size_t i = 0; i < tree->snapshot->n_tasks; i++) {
		struct node *node = tree->nodes[i];
		if (node->group->leader && node->group->leader->session != node->session)
			tree_refuse(tree, node, ERR_UNREACHABLE_TREE,
				    "its process group belongs to another session");
		else if (node->group->outside && !node->session->outside)
			tree_refuse(tree, node, ERR_UNREACHABLE_TREE,
				    "its process group is outside of the tree, its session is not");
		else if (node->leads_session && !node->leads_group)
			tree_refuse(tree, node, ERR_UNREACHABLE_TREE,
				    "it leads its session, but not its process group");
	}
	add_group_helpers(tree);
}
