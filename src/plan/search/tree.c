// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The processes to be made, and finding them: tasks of the snapshot, helpers, sessions, groups
 * and pid namespaces. See tree.h; the parts of the search are in files of their own.
 */
#include "plan/search/tree.h"

#include "base/compare.h"
#include "base/message.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void refuse(struct error *err, size_t *count, enum error_name name, const char *text)
{
	if ((*count)++ == 0) {
		fail_text(err, name, text);
		return;
	}
	size_t used = strlen(err->text);
	/* Only whole lines: a text that is cut off says something else. */
	if (used + strlen(text) + 1 < sizeof err->text)
		snprintf(err->text + used, sizeof err->text - used, "\n%s", text);
}

void tree_refuse(struct tree *tree, struct node *node, enum error_name name, const char *format,
		 ...)
{
	char text[sizeof tree->err->text / 2];
	va_list args;

	if (node->refused)
		return;
	node->refused = true;
	va_start(args, format);
	int used = snprintf(text, sizeof text, "task %s: ", node->name);
	if (used > 0 && (size_t)used < sizeof text)
		message_format(text + used, sizeof text - (size_t)used, format, args);
	va_end(args);
	refuse(tree->err, &tree->n_refusals, name, text);
}

uint32_t tree_add_word(struct tree *tree)
{
	return ++tree->n_words;
}

void node_begin(struct tree *tree, struct node *node, enum bundle_kind kind)
{
	node->bundles =
		arena_grow(tree->arena, node->bundles, node->n_bundles, sizeof *node->bundles);
	node->bundles[node->n_bundles++] = (struct bundle){ .kind = kind, .first = node->n_steps };
}

struct step *node_add_step(struct tree *tree, struct node *node, enum step_kind kind)
{
	node->steps = arena_grow(tree->arena, node->steps, node->n_steps, sizeof *node->steps);
	struct step *step = &node->steps[node->n_steps++];
	*step = (struct step){ .kind = kind };
	node->bundles[node->n_bundles - 1].n_steps++;
	return step;
}

bool place_is_within(const struct place *inner, const struct place *outer)
{
	while (inner && inner->namespace->level > outer->namespace->level)
		inner = inner->parent;
	return inner == outer;
}

uint32_t node_number(const struct node *node, const struct place *place)
{
	return node->pids.pid[place->namespace->level];
}

bool node_created_below(const struct node *node, const struct node *ancestor)
{
	while (node && node != ancestor)
		node = node->creator;
	return node != NULL;
}

void tree_append_to_order(struct tree *tree, size_t first)
{
	struct node **order = arena_array(tree->arena, struct node *, tree->n_nodes);

	memcpy(order, tree->order, tree->n_order * sizeof *order);
	tree->order = order;
	for (size_t i = first; i < tree->n_nodes; i++)
		order[tree->n_order++] = tree->nodes[i];
}

struct node *node_birth_parent(const struct node *node)
{
	while (node->birth.same_parent)
		node = node->creator;
	return node->creator;
}

/* ---- look-ups ---- */

struct node *tree_node(const struct tree *tree, const struct task *task)
{
	return tree->nodes[task->index];
}

struct node *tree_find(const struct tree *tree, uint32_t key)
{
	size_t low = 0, high = tree->snapshot->n_tasks;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (tree->by_key[middle]->pids.pid[0] < key)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < tree->snapshot->n_tasks && tree->by_key[low]->pids.pid[0] == key)
		return tree->by_key[low];
	return NULL;
}

struct place *tree_place(const struct tree *tree, const struct pid_namespace *namespace)
{
	return &tree->places[namespace->base.index];
}

static struct session *find_session(const struct tree *tree, uint32_t key)
{
	/* The key is the first member, so that a bare number compares with a record. */
	return bsearch(&key, tree->sessions, tree->n_sessions, sizeof *tree->sessions,
		       compare_uint32);
}

struct group *tree_group(const struct tree *tree, uint32_t key)
{
	return bsearch(&key, tree->groups, tree->n_groups, sizeof *tree->groups, compare_uint32);
}

/* ---- making the lists ---- */

static struct node *add_node(struct tree *tree)
{
	struct node *node = arena_new(tree->arena, struct node);

	node->index = tree->n_nodes;
	tree->nodes = arena_grow(tree->arena, tree->nodes, tree->n_nodes, sizeof node);
	tree->nodes[tree->n_nodes++] = node;
	return node;
}

static void add_places(struct tree *tree)
{
	const struct snapshot *snapshot = tree->snapshot;

	tree->n_places = snapshot->n_pid_namespaces;
	tree->places = arena_array(tree->arena, struct place, tree->n_places);
	for (size_t i = 0; i < tree->n_places; i++)
		tree->places[i].namespace = snapshot->pid_namespaces[i];
	for (size_t i = 0; i < tree->n_places; i++) {
		struct place *place = &tree->places[i];
		place->index = i;
		place->next_free = 2;
		if (place->namespace->parent)
			place->parent = tree_place(tree, place->namespace->parent);
		if (place->namespace->init)
			place->init = tree_node(tree, place->namespace->init);
	}
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		tree->nodes[i]->place = tree_place(tree, snapshot->tasks[i].pid_namespace);
}

static int compare_nodes(const void *a, const void *b)
{
	const struct node *const *one = a, *const *other = b;

	return compare_uint32(&(*one)->pids.pid[0], &(*other)->pids.pid[0]);
}

static void add_tasks(struct tree *tree)
{
	const struct snapshot *snapshot = tree->snapshot;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		struct node *node = add_node(tree);
		node->task = task;
		node->name = arena_string(tree->arena, task_name(task));
		node->pids = task_pids(task);
		node->parent = task->parent ? tree->nodes[task->parent->index] : NULL;
		node->depth = node->parent ? node->parent->depth + 1 : 0;
		node->leads_session = task_leads_session(task);
		node->leads_group = task_leads_group(task);
	}
	tree->by_key = arena_copy(tree->arena, tree->nodes, tree->n_nodes * sizeof *tree->nodes);
	qsort(tree->by_key, tree->n_nodes, sizeof *tree->by_key, compare_nodes);
}

static size_t unique_keys(uint32_t *keys, size_t count)
{
	size_t kept = 0;

	qsort(keys, count, sizeof *keys, compare_uint32);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || keys[kept - 1] != keys[i])
			keys[kept++] = keys[i];
	return kept;
}

static void add_sessions(struct tree *tree)
{
	const struct snapshot *snapshot = tree->snapshot;
	uint32_t *keys = arena_array(tree->arena, uint32_t, snapshot->n_tasks);

	for (size_t i = 0; i < snapshot->n_tasks; i++)
		keys[i] = task_sessions(&snapshot->tasks[i]).pid[0];
	tree->n_sessions = unique_keys(keys, snapshot->n_tasks);
	tree->sessions = arena_array(tree->arena, struct session, tree->n_sessions);
	for (size_t i = 0; i < tree->n_sessions; i++)
		tree->sessions[i].key = keys[i];
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		struct node *node = tree->nodes[i];
		node->session = find_session(tree, task_sessions(node->task).pid[0]);
		if (!node->session->member)
			node->session->member = node;
		if (node->leads_session)
			node->session->leader = node;
	}
}

/* Levels at which a leader is visible: those down to its own namespace. */
static size_t visible_levels(struct pid_vector seen)
{
	size_t levels = 0;

	while (levels < seen.levels && seen.pid[levels])
		levels++;
	return levels;
}

static void add_member(struct group *group, const struct node *node)
{
	/* A member further out than the leader's namespace does not see all of its numbers. */
	if (!group->member || visible_levels(task_groups(node->task)) >
				      visible_levels(task_groups(group->member->task)))
		group->member = node;
}

static void add_groups(struct tree *tree)
{
	const struct snapshot *snapshot = tree->snapshot;
	uint32_t *keys = arena_array(tree->arena, uint32_t, snapshot->n_tasks);

	for (size_t i = 0; i < snapshot->n_tasks; i++)
		keys[i] = task_groups(&snapshot->tasks[i]).pid[0];
	tree->n_groups = unique_keys(keys, snapshot->n_tasks);
	tree->groups = arena_array(tree->arena, struct group, tree->n_groups);
	for (size_t i = 0; i < tree->n_groups; i++)
		tree->groups[i].key = keys[i];
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		struct node *node = tree->nodes[i];
		node->group = tree_group(tree, task_groups(node->task).pid[0]);
		add_member(node->group, node);
		if (node->leads_group)
			node->group->leader = node;
	}
}

void tree_link_states(struct tree *tree)
{
	size_t n_tasks = tree->snapshot->n_tasks;

	tree->first_zombie = arena_array(tree->arena, struct node *, n_tasks);
	tree->next_zombie = arena_array(tree->arena, struct node *, n_tasks);
	tree->has_stopped_child = arena_array(tree->arena, bool, n_tasks);
	for (size_t i = n_tasks; i-- > 1;) {
		struct node *node = tree->nodes[i], *parent = node->parent;
		if (task_is_stopped(node->task))
			tree->has_stopped_child[parent->index] = true;
		if (!task_is_zombie(node->task))
			continue;
		tree->next_zombie[i] = tree->first_zombie[parent->index];
		tree->first_zombie[parent->index] = node;
	}
}

static void try_once(struct tree *tree)
{
	static void (*const parts[])(struct tree *) = {
		search_sessions,  search_sharing,	  search_groups,
		search_creation,  search_children_places, search_user_namespaces,
		search_adoptions, search_steps,		  search_schedule,
	};

	tree->looked_at = arena_array(tree->arena, size_t, tree->snapshot->n_tasks);
	choices_order(&tree->choices, tree->looked_at, tree->snapshot->n_tasks);
	add_tasks(tree);
	add_places(tree);
	add_sessions(tree);
	add_groups(tree);
	tree_link_states(tree);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (tree->n_refusals == 0 && !tree->begins_again)
			parts[i](tree);
}

/* The search is greedy, so a refusal says how far it went. */
static void hint_attempts(struct error *err, const struct choices *last, unsigned n_attempts)
{
	char text[128];

	choices_text(last, text, sizeof text);
	fail_hint(err, "%u histories were tried, the last with %s", n_attempts, text);
}

/*
 * An attempt is one vector of choices. What it learns on the way (that a process can come to its
 * group only by way of a helper) is kept, and the same choices are tried again with it; each
 * process is noted once, so this ends.
 */
int tree_make(struct tree *tree, struct arena *arena, const struct snapshot *snapshot,
	      const struct plan_options *options, struct error *err)
{
	uint64_t *orphan_groups = arena_array(arena, uint64_t, snapshot->n_tasks);
	unsigned n_attempts = choices_attempts(snapshot->n_tasks);
	struct error first = { 0 };

	for (unsigned attempt = 0; attempt < n_attempts;) {
		struct error refusals = { 0 };
		*tree = (struct tree){ .arena = arena,
				       .snapshot = snapshot,
				       .options = options,
				       .orphan_groups = orphan_groups,
				       .choices = choices_of_attempt(attempt),
				       .err = &refusals };
		try_once(tree);
		tree->err = err;
		if (tree->begins_again)
			continue;
		if (!tree->n_refusals)
			return 0;
		if (attempt++ == 0)
			first = refusals;
		if (refusals.name != ERR_UNREACHABLE_TREE)
			break;
	}
	*err = first;
	if (first.name == ERR_UNREACHABLE_TREE)
		hint_attempts(err, &tree->choices, n_attempts);
	return -1;
}
