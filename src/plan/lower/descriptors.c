// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Descriptor tables. Until here a task's table holds nothing below the sources, so that it is
 * known which number pidfd_getfd will return: the lowest free one. But for the only task of a tree,
 * which may be born with descriptors of its own, and fetches nothing then that is early.
 *
 * Where several tasks share a table, the one that made it places the descriptors, once the
 * others have all made their children (for which they open and close pidfds); the others wait
 * for that before they borrow anything, and it waits for them before it closes the rest.
 */
#include "plan/lower/build.h"

#include <fcntl.h>
#include <sys/syscall.h>

void descriptors_share(struct build *build)
{
	struct tree *tree = build->tree;

	for (size_t i = 0; i < tree->n_order; i++) {
		struct node *node = tree->order[i];
		node->lowered->table_owner =
			node->birth.share_files ? node->creator->lowered->table_owner : node;
		node->lowered->n_sharers = node->lowered->n_keeping_sharers = 0;
		if (node->lowered->table_owner == node)
			continue;
		struct node *owner = node->lowered->table_owner;
		build->tables_shared = true;
		if (owner->lowered->n_sharers++ == 0) {
			owner->lowered->made_word = program_word(&build->plan->programs, 0);
			owner->lowered->placed_word = program_word(&build->plan->programs, 0);
			owner->lowered->used_word = program_word(&build->plan->programs, 0);
			owner->lowered->entered_word = program_word(&build->plan->programs, 0);
		}
		owner->lowered->n_keeping_sharers += node_keeps_namespaces(build, node);
	}
}

static void place_fetched(struct plan *plan, struct program *program, const FdinfoEntry *entry,
			  uint32_t source, uint32_t lowest_free)
{
	uint64_t flags = entry->flags & FD_CLOEXEC ? O_CLOEXEC : 0;

	op_expect(source_fetch(plan, program, source), lowest_free);
	if (lowest_free != entry->fd) {
		op_expect(program_call(program, SYS_dup3, lowest_free, entry->fd, flags),
			  entry->fd);
		op_expect(program_call(program, SYS_close, lowest_free), 0);
	} else if (!flags) {
		/* pidfd_getfd sets FD_CLOEXEC. */
		op_expect(program_call(program, SYS_fcntl, lowest_free, F_SETFD, 0), 0);
	}
}

static void place_source(struct plan *plan, const struct descriptor_table *table,
			 struct program *program, const FdinfoEntry *entry, uint32_t lowest_free)
{
	uint64_t flags = entry->flags & FD_CLOEXEC ? O_CLOEXEC : 0;
	uint32_t number = plan_source(plan, SOURCE_FILE, entry->id);
	struct source *source = source_at(plan, number);

	if (source->born)
		return;
	if (source->inherited)
		op_expect(program_call(program, SYS_dup3, number, entry->fd, flags), entry->fd);
	else if (source->placed_in == table)
		op_expect(program_call(program, SYS_dup3, source->placed_at, entry->fd, flags),
			  entry->fd);
	else if (source->holder)
		plan_fetch(plan, program, number, entry->fd, flags);
	else
		place_fetched(plan, program, entry, number, lowest_free);
	source->placed_in = table;
	source->placed_at = entry->fd;
}

static int place(struct build *build, struct node *node, struct error *err)
{
	const struct descriptor_table *table = node->task->table;
	uint32_t lowest_free = 0;

	for (size_t i = 0; i < table->n_descriptors; i++) {
		const FdinfoEntry *entry = table->descriptors[i];
		uint32_t source = plan_source(build->plan, SOURCE_FILE, entry->id);
		if (source_at(build->plan, source)->way != FILE_EARLY)
			continue;
		place_source(build->plan, table, node->lowered->program, entry, lowest_free);
		if (entry->fd == lowest_free)
			lowest_free++;
	}
	return build_late_files(build, node, err);
}

int build_descriptors(struct build *build, struct node *node, struct error *err)
{
	struct plan *plan = build->plan;
	struct program *program = node->lowered->program;
	struct node *owner = node->lowered->table_owner;

	if (owner != node) {
		program_wake(program, owner->lowered->made_word, owner->lowered->n_sharers);
		program_wait(program, owner->lowered->placed_word, 1);
		return 0;
	}
	if (owner->lowered->n_sharers)
		program_wait(program, owner->lowered->made_word, owner->lowered->n_sharers);
	/* A fork may have copied a pidfd that another sharer of the table had just opened. */
	if (build->tables_shared)
		op_expect(program_call(program, SYS_close_range, 0, plan->first_source - 1, 0), 0);
	if (place(build, node, err))
		return -1;
	if (owner->lowered->n_sharers)
		program_wake(program, owner->lowered->placed_word, 1);
	return 0;
}

void build_closing(struct build *build, struct node *node)
{
	const struct descriptor_table *table = node->task->table;
	struct program *program = node->lowered->program;
	struct node *owner = node->lowered->table_owner;
	uint32_t next = 0, first, last;

	if (owner != node) {
		program_wake(program, owner->lowered->used_word, owner->lowered->n_sharers);
		return;
	}
	if (owner->lowered->n_sharers)
		program_wait(program, owner->lowered->used_word, owner->lowered->n_sharers);
	for (size_t i = 0; i < table->n_descriptors; i++) {
		uint32_t number = table->descriptors[i]->fd;
		if (number > next)
			op_expect(program_call(program, SYS_close_range, next, number - 1, 0), 0);
		next = number + 1;
	}
	if (node_keeps_namespaces(build, node) || owner->lowered->n_keeping_sharers) {
		namespace_sources(build->plan, &first, &last);
		op_expect(program_call(program, SYS_close_range, next, first - 1, 0), 0);
		next = last + 1;
	}
	if (kept_range(build->plan, node->task, &first, &last)) {
		op_expect(program_call(program, SYS_close_range, next, first - 1, 0), 0);
		next = last + 1;
	}
	op_expect(program_call(program, SYS_close_range, next, UINT32_MAX, 0), 0);
}
