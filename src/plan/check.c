// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What can be refused before anything is made. Kinds speak for their objects; here are the tree,
 * and what all plans rely on in the images.
 */
#include "plan/lower/build.h"

#include <inttypes.h>
#include <signal.h>

enum { DESCRIPTOR_LIMIT = 1 << 30 }; /* far above fs.nr_open */

static void take_over(const struct plan_options *options, struct error *err, size_t *count,
		      const struct error *reason)
{
	bool first = *count == 0;

	if (options->obstacles && error_is_refusal(reason->name))
		obstacles_add(options->obstacles, reason);
	refuse(err, count, reason->name, reason->text);
	if (first && reason->hint[0])
		fail_hint(err, "%s", reason->hint);
}

static int check_descriptors(const struct snapshot *snapshot,
			     const struct descriptor_table *descriptors, struct error *err)
{
	for (size_t i = 0; i < descriptors->n_descriptors; i++) {
		const FdinfoEntry *entry = descriptors->descriptors[i];
		if (entry->fd >= DESCRIPTOR_LIMIT ||
		    (i > 0 && entry->fd <= descriptors->descriptors[i - 1]->fd))
			return fail(err, ERR_IMAGE_INVALID,
				    "descriptor table %" PRIu32 ": descriptor %" PRIu32
				    " is out of order",
				    descriptors->files_id, entry->fd);
		if (!snapshot_file(snapshot, entry->id))
			return fail(err, ERR_IMAGE_INVALID,
				    "descriptor table %" PRIu32 ": descriptor %" PRIu32
				    " is of file %" PRIu32 ", which is not described",
				    descriptors->files_id, entry->fd, entry->id);
	}
	return 0;
}

/*
 * Kinds rely on what those before them have looked at: images, which may say anything, are left at
 * the first reason. Of a live tree all are told.
 */
static void check_kinds(const struct snapshot *snapshot, const struct kind_table *table,
			const struct task *task, const struct plan_options *options,
			struct error *err, size_t *count)
{
	bool zombie = task_is_zombie(task);

	for (int stage = 0; stage < STAGE_COUNT; stage++) {
		const struct task_kind *const *kind = table->tasks[stage];
		for (; kind && *kind; kind++) {
			struct error reason = { 0 };
			if (!(*kind)->check || (zombie && !(*kind)->of_zombies) ||
			    !(*kind)->check(snapshot, task, &reason))
				continue;
			take_over(options, err, count, &reason);
			if (!options->obstacles)
				return;
		}
	}
}

static int check_task(const struct task *task, struct error *err)
{
	uint32_t code = task->core->tc->leader_exit_code;

	/* A thread that dies alone of a signal was killed by seccomp, or by the kernel. */
	if (task_leader_is_dead(task) && (code & 0x7f || code > UINT16_MAX) &&
	    !(code == SIGSYS && may_filter(task)))
		return fail(err, ERR_UNSUPPORTED_TASK,
			    "task %s: its first thread died with status 0x%" PRIx32
			    ", which no exit gives",
			    task_name(task), code);
	/* It is finished before its parent's first thread can exit. */
	if (task_is_stopped(task) && task->parent && task_leader_is_dead(task->parent) &&
	    !task_is_stopped(task->parent) && task->core->thread_core->pdeath_sig)
		return fail(
			err, ERR_UNSUPPORTED_TASK,
			"task %s is stopped, and wants a signal at the end of its parent, whose "
			"first thread has exited",
			task_name(task));
	return 0;
}

static int check_file(const struct snapshot *snapshot, const struct kind_table *table,
		      const FileEntry *entry, struct error *err)
{
	const struct file_kind *kind = table->files ? kind_of_file(table, entry) : NULL;

	if (!kind)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "file %" PRIu32 " is of type %d, which is "
			    "not supported",
			    entry->id, (int)entry->type);
	if (kind->check && kind->check(snapshot, entry, err))
		return -1;
	for (const struct file_aspect *const *aspect = table->aspects; aspect && *aspect; aspect++)
		if ((*aspect)->check && (*aspect)->check(snapshot, entry, err))
			return -1;
	return 0;
}

static int check_namespace(const struct snapshot *snapshot, const struct kind_table *table,
			   const struct namespace *namespace_, struct error *err)
{
	const struct namespace_kind *kind = table->namespaces[namespace_->type];

	if (!kind)
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "namespace %" PRIu32 " is a %s namespace, which is not supported",
			    namespace_->id, namespace_types[namespace_->type].words);
	const char *key = namespace_->entry->ext_key;
	if (key && (!*key || !namespace_can_be_given(namespace_->type)))
		return fail(err, ERR_IMAGE_INVALID,
			    "namespace %" PRIu32 " is a %s namespace that cannot be outside",
			    namespace_->id, namespace_types[namespace_->type].words);
	const NsEntry *entry = namespace_->entry;
	if (key && (entry->net || entry->ipc || entry->uts))
		return fail(err, ERR_IMAGE_INVALID,
			    "%s namespace %" PRIu32 " is outside of the tree, and has content",
			    namespace_types[namespace_->type].words, namespace_->id);
	if (key)
		return 0;
	return kind->check ? kind->check(snapshot, namespace_, err) : 0;
}

int check_snapshot(struct tree *tree, struct arena *arena, const struct snapshot *snapshot,
		   const struct kind_table *table, const struct plan_options *options,
		   struct error *err)
{
	if (tree_make(tree, arena, snapshot, options, err) && options->obstacles)
		obstacles_add(options->obstacles, err);
	size_t count = tree->n_refusals;
	if (options->is_checked)
		return count ? -1 : 0;
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		struct error reason = { 0 };
		const struct node *node = tree->nodes[i];
		if (task_is_zombie(node->task) ? zombie_check(node, &reason)
					       : check_task(node->task, &reason))
			take_over(options, err, &count, &reason);
		else
			check_kinds(snapshot, table, node->task, options, err, &count);
	}
	for (size_t i = 0; i < snapshot->n_tables; i++) {
		struct error reason = { 0 };
		if (check_descriptors(snapshot, snapshot->tables[i], &reason))
			take_over(options, err, &count, &reason);
	}
	for (size_t i = 0; i < snapshot->n_plain_namespaces; i++) {
		struct error reason = { 0 };
		if (check_namespace(snapshot, table, snapshot->plain_namespaces[i], &reason))
			take_over(options, err, &count, &reason);
	}
	for (size_t i = 0; i < snapshot->n_files; i++) {
		struct error reason = { 0 };
		if (check_file(snapshot, table, snapshot->files[i], &reason))
			take_over(options, err, &count, &reason);
	}
	return count ? -1 : 0;
}

int plan_check(const struct snapshot *snapshot, const struct kind_table *table,
	       const struct plan_options *options, struct error *err)
{
	struct arena arena;
	struct tree tree;

	arena_init(&arena);
	int result = check_snapshot(&tree, &arena, snapshot, table, options, err);
	arena_done(&arena);
	return result;
}
