// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Descriptors of pid namespaces of the tree. Such a namespace exists from when its init does, so
 * it is opened by a task that holds it, by way of a pidfd of the init (PIDFD_GET_PID_NAMESPACE,
 * 6.11): one that sees the init, at or below its own namespace. If other tables have the same open
 * file, their tasks fetch it from that one, which they have to see.
 *
 * A task opens all that it has to before it waits for others, so nobody waits in a circle.
 */
#include "kernel/pidfd.h"
#include "plan/lower/build.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

/* ---- who opens what ---- */

static struct held_namespace *find_held(const struct tree *tree, const FdinfoEntry *descriptor)
{
	for (size_t i = 0; i < tree->n_held; i++)
		if (tree->held[i].file->id == descriptor->id)
			return &tree->held[i];
	return NULL;
}

static const FdinfoEntry *find_in_table(const struct descriptor_table *table, uint32_t id)
{
	for (size_t i = 0; table && i < table->n_descriptors; i++)
		if (table->descriptors[i]->id == id)
			return table->descriptors[i];
	return NULL;
}

/* The descriptor by which a task that places its table holds the file. */
static const FdinfoEntry *held_by(const struct node *node, const FileEntry *file)
{
	if (!node->task || task_is_zombie(node->task) || node->share_files)
		return NULL;
	return find_in_table(node->task->table, file->id);
}

/* The innermost of those that see the init is seen by most. */
static void choose_opener(struct tree *tree, struct held_namespace *held)
{
	for (size_t i = 0; i < tree->snapshot->n_tasks; i++) {
		struct node *node = tree->nodes[i];
		const FdinfoEntry *descriptor = held_by(node, held->file);
		if (!descriptor || !place_is_within(held->place, node->place) ||
		    (held->opener &&
		     node->place->namespace->level <= held->opener->place->namespace->level))
			continue;
		held->opener = node;
		held->number = descriptor->fd;
	}
}

static void check_holder(struct tree *tree, struct held_namespace *held, struct node *node)
{
	const FdinfoEntry *descriptor = held_by(node, held->file);

	if (!descriptor || node == held->opener)
		return;
	if (!held->place || !held->place->init || task_is_zombie(held->place->init->task))
		tree_refuse(tree, node, ERR_UNSUPPORTED_NAMESPACE,
			    "descriptor %u is of a pid namespace that has no init", descriptor->fd);
	else if (!held->opener || !place_is_within(held->opener->place, node->place))
		tree_refuse(tree, node, ERR_UNSUPPORTED_NAMESPACE,
			    "descriptor %u is of a pid namespace that is not at or below its own",
			    descriptor->fd);
	else if (!held->opened_word)
		held->opened_word = tree_add_word(tree);
}

static void plan_file(struct tree *tree, const FileEntry *file)
{
	const struct pid_namespace *namespace =
		snapshot_pid_namespace(tree->snapshot, file->nsf->ns_id);
	struct held_namespace *held;

	tree->held = arena_grow(tree->arena, tree->held, tree->n_held, sizeof *tree->held);
	held = &tree->held[tree->n_held++];
	*held = (struct held_namespace){
		.file = file,
		.place = namespace ? tree_place(tree, namespace) : NULL,
	};
	if (held->place && held->place->init && !task_is_zombie(held->place->init->task))
		choose_opener(tree, held);
	for (size_t i = 0; i < tree->snapshot->n_tasks; i++)
		check_holder(tree, held, tree->nodes[i]);
	if (held->opener && held->place != held->opener->place && !held->place->ready_word)
		held->place->ready_word = tree_add_word(tree);
}

void plan_held_namespaces(struct tree *tree)
{
	for (size_t i = 0; i < tree->snapshot->n_files; i++)
		if (namespace_file_is_placed_by_task(tree->snapshot, tree->snapshot->files[i]))
			plan_file(tree, tree->snapshot->files[i]);
}

int held_namespaces_check(const struct plan *plan, const struct tree *tree, struct error *err)
{
	if (tree->n_held == 0 || plan->facts->pidfd_namespaces)
		return 0;
	return fail(err, ERR_KERNEL_TOO_OLD,
		    "restoring descriptors of pid namespaces needs PIDFD_GET_PID_NAMESPACE "
		    "(Linux 6.11)");
}

/* ---- the programs ---- */

/* Moves a descriptor out of the way of the task's own; returns the slot of its number. */
static uint64_t lift(struct build *build, struct program *program, uint64_t low)
{
	uint64_t high = program_word(&build->plan->programs, 0);

	op_store(op_argument_from(program_call(program, SYS_fcntl, 0, F_DUPFD_CLOEXEC,
					       build->plan->first_source),
				  0, low),
		 high);
	op_argument_from(program_call(program, SYS_close, 0), 0, low);
	return high;
}

static void move(struct program *program, uint64_t slot, uint32_t number, uint64_t flags)
{
	op_expect(op_argument_from(program_call(program, SYS_dup3, 0, number, flags), 0, slot),
		  number);
	op_argument_from(program_call(program, SYS_close, 0), 0, slot);
}

static uint64_t open_pidfd(struct build *build, struct program *program, uint32_t number)
{
	uint64_t pidfd = program_word(&build->plan->programs, 0);

	op_store(program_call(program, SYS_pidfd_open, number, 0), pidfd);
	return pidfd;
}

/* Once more by its path, so that it has the recorded flags. */
static void reopen(struct build *build, struct program *program, const struct held_namespace *held,
		   uint32_t number, uint64_t flags)
{
	struct program_set *set = &build->plan->programs;
	uint64_t slot = program_word(set, 0);
	char path[32];
	int length = snprintf(path, sizeof path, "/proc/self/fd/%u", number);

	op_store(program_call(program, SYS_openat, (uint64_t)AT_FDCWD,
			      program_data(set, path, (size_t)length + 1, 1),
			      (held->file->nsf->flags & ~(uint32_t)O_NOFOLLOW) | O_CLOEXEC, 0),
		 slot);
	move(program, slot, number, flags);
}

static void open_held(struct build *build, struct node *node, const struct held_namespace *held,
		      const FdinfoEntry *descriptor, uint64_t flags)
{
	struct program *program = node->program;
	uint64_t low = program_word(&build->plan->programs, 0);

	if (held->place != node->place)
		program_wait(program, build_word(build, held->place->ready_word), 1);
	uint64_t pidfd = open_pidfd(build, program, node_number(held->place->init, node->place));
	op_store(op_argument_from(program_call(program, SYS_ioctl, 0, PIDFD_PID_NAMESPACE, 0), 0,
				  pidfd),
		 low);
	op_argument_from(program_call(program, SYS_close, 0), 0, pidfd);
	move(program, lift(build, program, low), descriptor->fd, O_CLOEXEC);
	reopen(build, program, held, descriptor->fd, flags);
	if (held->opened_word)
		program_wake(program, build_word(build, held->opened_word), 1);
}

static void fetch_held(struct build *build, struct node *node, const struct held_namespace *held,
		       const FdinfoEntry *descriptor, uint64_t flags)
{
	struct program *program = node->program;
	uint64_t low = program_word(&build->plan->programs, 0);

	program_wait(program, build_word(build, held->opened_word), 1);
	uint64_t pidfd = open_pidfd(build, program, node_number(held->opener, node->place));
	op_store(op_argument_from(program_call(program, SYS_pidfd_getfd, 0, held->number, 0), 0,
				  pidfd),
		 low);
	op_argument_from(program_call(program, SYS_close, 0), 0, pidfd);
	move(program, lift(build, program, low), descriptor->fd, flags);
}

static void place_held(struct build *build, struct node *node, const struct held_namespace *held,
		       const FdinfoEntry *descriptor)
{
	const FdinfoEntry *first = find_in_table(node->task->table, descriptor->id);
	uint64_t flags = descriptor->flags & FD_CLOEXEC ? O_CLOEXEC : 0;

	if (first != descriptor)
		op_expect(program_call(node->program, SYS_dup3, first->fd, descriptor->fd, flags),
			  descriptor->fd);
	else if (held->opener == node)
		open_held(build, node, held, descriptor, flags);
	else
		fetch_held(build, node, held, descriptor, flags);
}

bool is_held_namespace(const struct build *build, const FdinfoEntry *descriptor)
{
	return find_held(build->tree, descriptor) != NULL;
}

void build_held_namespaces(struct build *build, struct node *node)
{
	const struct descriptor_table *table = node->task->table;

	for (int fetched = 0; fetched <= 1 && build->tree->n_held; fetched++)
		for (size_t i = 0; i < table->n_descriptors; i++) {
			const FdinfoEntry *descriptor = table->descriptors[i];
			const struct held_namespace *held = find_held(build->tree, descriptor);
			if (held && (held->opener != node) == fetched)
				place_held(build, node, held, descriptor);
		}
}
