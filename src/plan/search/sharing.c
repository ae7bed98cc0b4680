// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Descriptor tables and filesystem contexts that processes share. Sharing is made at clone
 * (CLONE_FILES, CLONE_FS) and only there, so the tasks that share an object have to be connected
 * by creation: parent and child, or siblings, where one is created by the other with CLONE_PARENT
 * (not possible for the init of a pid namespace: EINVAL, copy_process).
 */
#include "plan/search/tree.h"

#include "base/compare.h"

#include <inttypes.h>
#include <stdlib.h>

enum object { OBJECT_FILES, OBJECT_FS, OBJECT_VM };

static const char *const object_names[] = {
	[OBJECT_FILES] = "its descriptor table",
	[OBJECT_FS] = "its filesystem context",
	[OBJECT_VM] = "its memory",
};

struct member {
	uint32_t id;
	struct node *node;
};

static uint32_t object_id(const struct node *node, enum object object)
{
	const TaskKobjIdsEntry *ids = node->task ? node->task->ids : NULL;

	if (!ids || task_is_zombie(node->task))
		return 0;
	switch (object) {
	case OBJECT_FILES:
		return ids->files_id;
	case OBJECT_FS:
		return ids->fs_id;
	case OBJECT_VM:
		return ids->vm_id;
	}
	return 0;
}

static int compare_members(const void *a, const void *b)
{
	const struct member *one = a, *other = b;

	return compare_values(one->id, other->id)
		       ?: compare_values(one->node->index, other->node->index);
}

/* Tasks by object; ends with a member of id 0. */
static struct member *members_of(struct tree *tree, enum object object)
{
	size_t n_tasks = tree->snapshot->n_tasks, count = 0;
	struct member *members = arena_array(tree->arena, struct member, n_tasks + 1);

	for (size_t i = 0; i < n_tasks; i++) {
		uint32_t id = object_id(tree->nodes[i], object);
		if (id)
			members[count++] = (struct member){ id, tree->nodes[i] };
	}
	qsort(members, count, sizeof *members, compare_members);
	return members;
}

static bool creator_shares(const struct node *node, enum object object)
{
	return node->creator && object_id(node->creator, object) == object_id(node, object);
}

/* What is born in `sibling` with CLONE_PARENT inherits the sibling's session and namespace. */
static bool can_be_made_by(const struct node *node, const struct node *sibling)
{
	return node->parent && sibling->parent == node->parent && node->creator == node->parent &&
	       sibling->creator == node->parent && sibling->place == node->place &&
	       sibling->place->init != sibling && node->place->init != node &&
	       (!node->birth.needs_session || node->birth.session == sibling->session);
}

static void connect(struct tree *tree, enum object object)
{
	const struct member *members = members_of(tree, object);
	struct node *first = NULL; /* member whose creator does not share */

	for (size_t i = 0; members[i].id; i++) {
		struct node *node = members[i].node;
		if (i == 0 || members[i - 1].id != members[i].id)
			first = NULL;
		if (creator_shares(node, object))
			continue;
		if (!first) {
			first = node;
		} else if (object != OBJECT_VM && can_be_made_by(node, first)) {
			node->creator = first;
			node->birth.same_parent = true;
		}
	}
}

static void check(struct tree *tree, enum object object)
{
	const struct member *members = members_of(tree, object);
	const struct node *first = NULL;

	for (size_t i = 0; members[i].id; i++) {
		struct node *node = members[i].node;
		if (i == 0 || members[i - 1].id != members[i].id)
			first = NULL;
		bool connected = creator_shares(node, object);
		if (object == OBJECT_VM ? i > 0 && members[i - 1].id == members[i].id
					: !connected && first)
			tree_refuse(tree, node, ERR_SHARED_OBJECT,
				    "%s is shared with task %s, which is not supported",
				    object_names[object], first ? first->name : node->name);
		if (!first)
			first = node;
		if (object == OBJECT_FILES)
			node->birth.share_files = connected;
		if (object == OBJECT_FS)
			node->birth.share_fs = connected;
	}
}

void search_sharing(struct tree *tree)
{
	connect(tree, OBJECT_FILES);
	connect(tree, OBJECT_FS);
	check(tree, OBJECT_FILES);
	check(tree, OBJECT_FS);
	check(tree, OBJECT_VM);
}
