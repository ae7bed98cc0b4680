// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Descriptions that cannot be there before the first process is: those that a task opens itself,
 * and those that want all processes to exist. The coordinator opens the latter when every process
 * has made its last child and every task has opened its own, takes the former out of the tasks that
 * opened them (pidfd_getfd), and opens the gate; from then on whoever holds one fetches it.
 *
 * A task opens all that is its own before it comes to the gate, so nobody waits in a circle.
 *
 * Some want a call to be made by a certain task, for the kernel keeps who made it. Such a task
 * makes what calls it is asked for while it waits (struct planned_caller), with all rights.
 *
 * Those that want tasks to be in their namespaces (FILE_LAST) come the same way by a gate of their
 * own, which is opened when every task has entered what it enters.
 *
 * What names threads (FILE_AT_END) is opened by who holds it, when all programs are at rest: its
 * number is kept until then, and the calls that open it are added to those of the end.
 */
#include "plan/lower/build.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/syscall.h>

void late_files_prepare(struct build *build)
{
	struct plan *plan = build->plan;

	plan->opened_word = 0;
	plan->n_opened_by_tasks = 0;
	plan->entered_word = 0;
	plan->n_entered = 0;
	for (size_t i = 0; i < plan->n_sources; i++) {
		if (plan->sources[i].way != FILE_EARLY && !plan->opened_word) {
			plan_gate(plan, GATE_LATE_FILES);
			plan->opened_word = program_word(&plan->programs, 0);
		}
		if (plan->sources[i].way == FILE_LAST && !plan->entered_word) {
			plan_gate(plan, GATE_LAST_FILES);
			plan->entered_word = program_word(&plan->programs, 0);
		}
	}
}

int late_files_check(const struct plan *plan, struct error *err)
{
	for (size_t i = 0; i < plan->n_sources; i++)
		if (plan->sources[i].way == FILE_BY_TASK && !plan->sources[i].opened_by)
			return fail(err, ERR_IMAGE_INVALID,
				    "file %" PRIu64
				    " is one that a task opens, and none has it open",
				    plan->sources[i].id);
	return 0;
}

static struct source *source_of(struct build *build, const FdinfoEntry *descriptor)
{
	return source_at(build->plan, plan_source(build->plan, SOURCE_FILE, descriptor->id));
}

static void duplicate(const struct source *source, struct program *program,
		      const FdinfoEntry *descriptor)
{
	op_expect(program_call(program, SYS_dup3, source->placed_at, descriptor->fd,
			       descriptor->flags & FD_CLOEXEC ? O_CLOEXEC : 0),
		  descriptor->fd);
}

static int open_by_task(struct build *build, struct node *node, struct source *source,
			const FdinfoEntry *descriptor, struct error *err)
{
	struct plan *plan = build->plan;
	const FileEntry *entry = snapshot_file(plan->snapshot, descriptor->id);
	const struct file_kind *kind = kind_of_file(plan->kinds, entry);

	source->opened_by = node->task;
	source->opened_at = descriptor->fd;
	plan->n_opened_by_tasks++;
	if (kind->plan_open(plan, node->task, node->lowered->program, entry, descriptor->fd, err))
		return -1;
	if (!(descriptor->flags & FD_CLOEXEC))
		op_expect(
			program_call(node->lowered->program, SYS_fcntl, descriptor->fd, F_SETFD, 0),
			0);
	program_wake(node->lowered->program, plan->opened_word, 0);
	return 0;
}

/* First, in the order of tasks, is who opens it. */
static int place_own(struct build *build, struct node *node, struct error *err)
{
	const struct descriptor_table *table = node->task->table;

	for (size_t i = 0; i < table->n_descriptors; i++) {
		const FdinfoEntry *descriptor = table->descriptors[i];
		struct source *source = source_of(build, descriptor);
		if (source->way != FILE_BY_TASK ||
		    (source->opened_by && source->opened_by->table != table))
			continue;
		if (source->opened_by)
			duplicate(source, node->lowered->program, descriptor);
		else if (open_by_task(build, node, source, descriptor, err))
			return -1;
		source->placed_in = table;
		source->placed_at = descriptor->fd;
	}
	return 0;
}

/* Nothing else gets the number until the file is there. */
static void keep_number(struct plan *plan, struct program *program, uint32_t number)
{
	uint32_t holder = plan_source(plan, SOURCE_LATE_HOLDER, 0);

	op_expect(program_call(program, SYS_dup3, holder, number, O_CLOEXEC), number);
}

/* Are numbers in use only as the table says? Opening may leave what it borrowed. */
static bool has_only_ours(struct build *build, const struct descriptor_table *table)
{
	for (size_t i = 0; i < table->n_descriptors; i++)
		if (source_of(build, table->descriptors[i])->way == FILE_BY_TASK)
			return false;
	return build->plan->n_holders == 0;
}

/* All numbers below are in use, so that it comes to the one that it is to have. */
static void fetch_lowest(struct plan *plan, struct program *program, const struct source *source,
			 const FdinfoEntry *descriptor)
{
	op_expect(source_fetch(plan, program, source->number), descriptor->fd);
	/* pidfd_getfd sets FD_CLOEXEC. */
	if (!(descriptor->flags & FD_CLOEXEC))
		op_expect(program_call(program, SYS_fcntl, descriptor->fd, F_SETFD, 0), 0);
}

static void place_late(struct build *build, struct node *node)
{
	const struct descriptor_table *table = node->task->table;
	const bool only_ours = has_only_ours(build, table);

	for (size_t i = 0; i < table->n_descriptors; i++) {
		const FdinfoEntry *descriptor = table->descriptors[i];
		struct source *source = source_of(build, descriptor);
		if (source->way == FILE_EARLY ||
		    (source->opened_by && source->opened_by->table == table))
			continue;
		if (source->way == FILE_LAST || source->way == FILE_AT_END) {
			keep_number(build->plan, node->lowered->program, descriptor->fd);
			continue;
		}
		if (source->placed_in == table)
			duplicate(source, node->lowered->program, descriptor);
		else if (only_ours && descriptor->fd == i)
			fetch_lowest(build->plan, node->lowered->program, source, descriptor);
		else
			plan_fetch(build->plan, node->lowered->program, source->number,
				   descriptor->fd, descriptor->flags & FD_CLOEXEC);
		source->placed_in = table;
		source->placed_at = descriptor->fd;
	}
}

/* They may take numbers above those of all sources: where these are few, as many as ever fit. */
static uint32_t most_calls(const struct plan *plan)
{
	return sources_leave_numbers(plan, 4 * MOST_CALLS) ? MOST_CALLS : FEW_CALLS;
}

static void widen(struct call_room *room, struct call_room wanted)
{
	room->bytes = wanted.bytes > room->bytes ? wanted.bytes : room->bytes;
	room->at_once = wanted.at_once > room->at_once ? wanted.at_once : room->at_once;
}

static struct call_room room_for_calls(struct plan *plan, const struct task *task)
{
	struct call_room room = { .at_once = FEW_CALLS };
	const uint32_t most = most_calls(plan);

	for (const struct file_kind *const *kind = plan->kinds->files; *kind; kind++)
		if ((*kind)->calls)
			widen(&room, (*kind)->calls(plan, task));
	for (const struct tree_kind *const *tree = plan->kinds->trees; tree && *tree; tree++)
		if ((*tree)->calls)
			widen(&room, (*tree)->calls(plan, task));
	room.at_once = room.at_once > most ? most : room.at_once;
	return room;
}

/* A jump before each: where all that are left are left out it goes on behind them. */
static void add_calls(struct program_set *set, struct planned_caller *it, struct program *program)
{
	const unsigned n = it->caller.at_once;
	size_t jumps[MOST_CALLS];

	for (unsigned i = 0; i < n; i++) {
		struct planned_call *call = &it->calls[i];

		jumps[i] = program->n_ops;
		if (i)
			program_repeat_if(program, it->skip_word, n - i, 0);
		call->result_slot = program_word(set, 0);
		call->args = program_data(set, NULL, 6 * sizeof(uint64_t), sizeof(uint64_t));
		call->op = program->n_ops;
		struct op *op =
			op_store(op_any(program_call(program, SYS_getpid)), call->result_slot);
		for (unsigned j = 0; j < 6; j++)
			op_argument_from(op, j, call->args + j * sizeof(uint64_t));
	}
	for (unsigned i = 1; i < n; i++)
		program->ops[jumps[i]].args[2] = program->n_ops;
}

void build_calls(struct build *build, struct node *node)
{
	struct plan *plan = build->plan;
	struct program_set *set = &plan->programs;
	struct program *program = node->lowered->program;
	struct call_room room = { 0 };

	if (plan->gates[GATE_LATE_FILES].go_word)
		room = room_for_calls(plan, node->task);
	if (!room.bytes)
		return;
	struct planned_caller *it = arena_new(plan->arena, struct planned_caller);
	if (!plan->callers)
		plan->callers =
			arena_array(plan->arena, struct planned_caller *, plan->snapshot->n_tasks);
	plan->callers[node->task->index] = it;
	it->task = node->task;
	it->caller.room = program_data(set, NULL, room.bytes, sizeof(uint64_t));
	it->caller.size = room.bytes;
	it->caller.at_once = room.at_once;
	it->calls = arena_array(plan->arena, struct planned_call, room.at_once);
	it->caller.coordinator = plan_source(plan, SOURCE_LATE_HOLDER, 0);
	it->program = program;
	it->go_word = program_word(set, 0);
	it->turn_word = program_word(set, 1);
	it->done_word = program_word(set, 0);
	it->more_word = program_word(set, 1);
	it->skip_word = program_word(set, 0);
	size_t from = program->n_ops;
	program_wait_for(program, it->go_word, it->turn_word);
	add_calls(set, it, program);
	program_wake(program, it->turn_word, UINT32_MAX);
	program_wake(program, it->done_word, 0);
	program_repeat_if(program, it->more_word, 1, from);
}

int build_late_files(struct build *build, struct node *node, struct error *err)
{
	if (!build->plan->gates[GATE_LATE_FILES].go_word)
		return 0;
	if (place_own(build, node, err))
		return -1;
	build_calls(build, node);
	place_late(build, node);
	return 0;
}

/* By the first thread that lives. */
int build_files_at_end(struct build *build, struct node *node, struct error *err)
{
	struct plan *plan = build->plan;
	const struct descriptor_table *table = node->task->table;
	const size_t thread = task_leader_is_dead(node->task);

	for (size_t i = 0; node->lowered->table_owner == node && i < table->n_descriptors; i++) {
		const FdinfoEntry *descriptor = table->descriptors[i];
		struct source *source = source_of(build, descriptor);
		const FileEntry *entry = source->file;
		if (source->way != FILE_AT_END)
			continue;
		const bool closes = descriptor->flags & FD_CLOEXEC;
		if (source->placed_in == table)
			plan_call_at_end(plan, node->task, thread, SYS_dup3, source->placed_at,
					 descriptor->fd, closes ? O_CLOEXEC : 0);
		else if (kind_of_file(plan->kinds, entry)
				 ->plan_open(plan, node->task, node->lowered->program, entry,
					     descriptor->fd, err))
			return -1;
		else if (!closes)
			plan_call_at_end(plan, node->task, thread, SYS_fcntl, descriptor->fd,
					 F_SETFD, 0);
		source->placed_in = table;
		source->placed_at = descriptor->fd;
	}
	return 0;
}

void build_last_files(struct build *build, struct node *node)
{
	struct plan *plan = build->plan;
	const struct descriptor_table *table = node->task->table;

	if (!plan->entered_word)
		return;
	plan->n_entered++;
	program_wake(node->lowered->program, plan->entered_word, 0);
	for (size_t i = 0; node->lowered->table_owner == node && i < table->n_descriptors; i++) {
		const FdinfoEntry *descriptor = table->descriptors[i];
		struct source *source = source_of(build, descriptor);
		if (source->way != FILE_LAST)
			continue;
		if (source->placed_in == table)
			duplicate(source, node->lowered->program, descriptor);
		else
			plan_fetch(plan, node->lowered->program, source->number, descriptor->fd,
				   descriptor->flags & FD_CLOEXEC);
		source->placed_in = table;
		source->placed_at = descriptor->fd;
	}
}
