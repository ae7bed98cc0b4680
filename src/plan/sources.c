// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the coordinator opens and tasks fetch. A descriptor that the first task inherits costs
 * every fork a copy, pidfd_getfd costs two calls where it is used; so what few use is fetched,
 * unless there is not much in all. Numbers lie above all descriptors of the tree, the inherited
 * ones first, so that one close_range parts them: the coordinator's, namespaces, files.
 *
 * The only task of a tree is born with what it has once, at the numbers of the tree.
 *
 * Where all sources at once would be too many for one process, holders have them (holders.c).
 *
 * What is opened late stays with the coordinator: nobody inherits it, so it takes one descriptor
 * there and no number above those of the tree, unless holders have it.
 */
#include "base/compare.h"
#include "model/namespaces.h"
#include "plan/lower/build.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum {
	FIRST_SOURCE = 16, /* room for what a task has open for a moment */
	FEW_SOURCES = 64,  /* are inherited whoever uses them */
	MANY_USERS = 4,
	COPIES_FOR_A_FETCH = 2, /* that a fork makes and closes in the time of one */
};

/* Open addressing by kind and id; holds indexes into plan->sources plus 1. */
struct source_index {
	uint32_t *slots;
	size_t n_slots; /* power of two, at least twice the sources */
};

static size_t first_slot(const struct source_index *index, enum source_kind kind, uint64_t id)
{
	uint64_t hash = (id ^ (uint64_t)kind << 60) * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(hash >> 20) & (index->n_slots - 1);
}

static uint32_t *find_slot(const struct plan *plan, enum source_kind kind, uint64_t id)
{
	struct source_index *index = plan->source_index;
	size_t at = first_slot(index, kind, id);

	while (index->slots[at]) {
		const struct source *source = &plan->sources[index->slots[at] - 1];
		if (source->kind == kind && source->id == id)
			break;
		at = (at + 1) & (index->n_slots - 1);
	}
	return &index->slots[at];
}

static void rebuild_index(struct plan *plan, size_t n_slots)
{
	*plan->source_index =
		(struct source_index){ .slots = arena_array(plan->arena, uint32_t, n_slots),
				       .n_slots = n_slots };
	for (size_t i = 0; i < plan->n_sources; i++)
		*find_slot(plan, plan->sources[i].kind, plan->sources[i].id) = (uint32_t)i + 1;
}

static enum file_way way_of(const struct plan *plan, enum source_kind kind, uint64_t id,
			    const FileEntry *file)
{
	const struct namespace *plain =
		kind == SOURCE_NAMESPACE ? snapshot_plain_namespace(plan->snapshot, (uint32_t)id)
					 : NULL;
	if (plain && namespace_types[plain->type].late)
		return FILE_LATE;
	return file ? file_way(plan->kinds, plan->snapshot, file) : FILE_EARLY;
}

uint32_t sources_end(const struct plan *plan)
{
	return plan->first_source + (uint32_t)(plan->n_sources - plan->n_born);
}

static struct source *add_source(struct plan *plan, enum source_kind kind, uint64_t id)
{
	if (plan->source_index->n_slots < 2 * (plan->n_sources + 1))
		rebuild_index(plan, 2 * plan->source_index->n_slots);
	uint32_t *slot = find_slot(plan, kind, id);
	if (*slot)
		return &plan->sources[*slot - 1];
	plan->sources =
		arena_grow(plan->arena, plan->sources, plan->n_sources, sizeof *plan->sources);
	struct source *source = &plan->sources[plan->n_sources];
	const FileEntry *file =
		kind == SOURCE_FILE ? snapshot_file(plan->snapshot, (uint32_t)id) : NULL;
	*source = (struct source){ .kind = kind,
				   .id = id,
				   .file = file,
				   .way = way_of(plan, kind, id, file),
				   .number = sources_end(plan) };
	/* The last, for latecomers. */
	source->holder = source->way == FILE_EARLY ? plan->n_holders : 0;
	*slot = (uint32_t)++plan->n_sources;
	return source;
}

static struct source *count_user(struct plan *plan, enum source_kind kind, uint64_t id)
{
	struct source *source = add_source(plan, kind, id);

	source->users++;
	return source;
}

/* Each file once, as far as they are few: those of the tasks that a task descends from. */
static void count_pages(struct plan *plan, const struct pagemap *pages)
{
	uint64_t seen[8];
	size_t n_seen = 0;

	for (size_t i = 0; i < pages->n_runs; i++) {
		size_t k = 0;
		while (k < n_seen && seen[k] != pages->runs[i].source)
			k++;
		if (k < n_seen || n_seen == sizeof seen / sizeof *seen)
			continue;
		seen[n_seen++] = pages->runs[i].source;
		count_user(plan, SOURCE_PAGES, pages->runs[i].source);
	}
}

/* What the kinds of memory and fs borrow; one that is missed here is fetched. */
static void count_task(struct plan *plan, const struct task *task)
{
	const MmEntry *mm = task->mm;

	if (task->fs) {
		count_user(plan, SOURCE_FILE, task->fs->cwd_id);
		count_user(plan, SOURCE_FILE, task->fs->root_id);
	}
	count_pages(plan, &task->pages);
	if (!mm)
		return;
	count_user(plan, SOURCE_FILE, mm->exe_file_id);
	uint64_t last = 0;
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *vma = mm->vmas[i];
		bool file = vma->status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED | VMA_SOCKET);
		/* The areas of one library follow each other and borrow it once. */
		if (file && vma->shmid != last)
			count_user(plan, SOURCE_FILE, vma->shmid);
		else if (vma->status & VMA_ANON_SHARED)
			count_user(plan, SOURCE_SHARED_MEMORY, vma->shmid);
		last = file ? vma->shmid : 0;
	}
}

/* What is on its way in sockets, which the coordinator sends. */
static void count_in_flight(struct plan *plan)
{
	const struct records *packets = snapshot_records(plan->snapshot, IMAGE_SK_QUEUES);

	for (size_t i = 0; i < packets->count; i++) {
		const SkPacketEntry *packet = packets->records[i]->message;
		for (size_t k = 0; k < packet->n_scm; k++)
			for (size_t j = 0; j < packet->scm[k]->n_rights; j++)
				count_user(plan, SOURCE_FILE, packet->scm[k]->rights[j]);
	}
}

static void count_users(struct plan *plan)
{
	const struct snapshot *snapshot = plan->snapshot;

	for (size_t i = 0; i < snapshot->n_tables; i++) {
		const struct descriptor_table *table = snapshot->tables[i];
		for (size_t j = 0; j < table->n_descriptors; j++) {
			const FileEntry *file = snapshot_file(snapshot, table->descriptors[j]->id);
			if (file)
				count_user(plan, SOURCE_FILE, file->id)->descriptor =
					table->descriptors[j];
		}
	}
	count_in_flight(plan);
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		if (!task_is_zombie(&snapshot->tasks[i]))
			count_task(plan, &snapshot->tasks[i]);
	/* For all that enter them, founders and zombies too. */
	for (size_t i = 1; i < snapshot->n_user_namespaces; i++)
		count_user(plan, SOURCE_NAMESPACE, snapshot->user_namespaces[i]->base.id);
	for (size_t i = 0; i < snapshot->n_plain_namespaces; i++)
		if (!snapshot->plain_namespaces[i]->maker)
			count_user(plan, SOURCE_NAMESPACE, snapshot->plain_namespaces[i]->id);
}

/* Is there what the coordinator has only when processes exist? */
static bool has_late(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_sources; i++)
		if (plan->sources[i].way != FILE_EARLY)
			return true;
	for (size_t i = 0; i < plan->snapshot->n_plain_namespaces; i++)
		if (plan->snapshot->plain_namespaces[i]->maker)
			return true;
	return false;
}

static void count_late_holder(struct plan *plan)
{
	if (has_late(plan))
		add_source(plan, SOURCE_LATE_HOLDER, 0)->users = MANY_USERS;
}

bool source_is_always_inherited(const struct source *source)
{
	return source->kind == SOURCE_NAMESPACE || source->kind == SOURCE_COORDINATOR ||
	       source->kind == SOURCE_LATE_HOLDER;
}

bool sources_leave_numbers(const struct plan *plan, uint64_t wanted)
{
	const struct rlimit *limit = &plan->facts->rlimits[RLIMIT_NOFILE];

	/* No limit is known: plans made for tests. */
	return !plan->n_holders &&
	       (!limit->rlim_max || sources_end(plan) + FETCH_ROOM + wanted <= limit->rlim_cur);
}

/* What a task keeps for its threads (kept.c) stands above what it inherits. */
static bool may_all_be_inherited(const struct plan *plan)
{
	uint64_t kept = 0;

	for (size_t i = 0; i < plan->snapshot->n_tasks; i++)
		kept += KEPT_COUNT * (plan->snapshot->tasks[i].n_threads + 1);
	return sources_leave_numbers(plan, kept);
}

static bool is_inherited(const struct plan *plan, const struct source *source, bool cheap)
{
	if (source->way != FILE_EARLY)
		return false;
	if (source->born)
		return true;
	if (plan->n_holders)
		return source_is_always_inherited(source);
	return source->kind == SOURCE_NAMESPACE || plan->n_sources <= FEW_SOURCES ||
	       source->users >= MANY_USERS ||
	       (cheap && plan->snapshot->n_tasks <= COPIES_FOR_A_FETCH * source->users);
}

/*
 * Nobody else has it, or needs a number of the tree's for a moment while there are others: then it
 * need not be moved, nor is there a number above for it.
 */
static void choose_born(struct plan *plan)
{
	const bool single = plan->snapshot->n_tasks == 1;

	for (size_t i = 0; i < plan->n_sources; i++) {
		struct source *source = &plan->sources[i];
		source->born = single && source->way == FILE_EARLY && source->users == 1 &&
			       source->descriptor;
		plan->n_born += source->born;
	}
}

static void forget_born(struct plan *plan)
{
	for (size_t i = 0; i < plan->n_sources; i++)
		plan->sources[i].born = false;
	plan->n_born = 0;
}

/* All that is early is inherited then: what is fetched comes to numbers of the tree first. */
static int choose_places(struct plan *plan, struct error *err)
{
	choose_born(plan);
	if (sources_choose_holders(plan, err))
		return -1;
	if (!plan->n_born || may_all_be_inherited(plan))
		return 0;
	forget_born(plan);
	return sources_choose_holders(plan, err);
}

static void number_sources(struct plan *plan)
{
	plan->first_born = plan->n_sources - plan->n_born;
	if (plan->n_born)
		plan->born = arena_array(plan->arena, uint32_t, plan->first_source);
	for (size_t i = 0; i < plan->n_sources; i++) {
		struct source *source = &plan->sources[i];
		source->number =
			source->born ? source->descriptor->fd : plan->first_source + (uint32_t)i;
		if (source->born)
			plan->born[source->number] = (uint32_t)i;
	}
}

static int compare_sources(const void *a, const void *b)
{
	const struct source *one = a, *other = b;

	if (one->born && other->born)
		return compare_values(one->descriptor->fd, other->descriptor->fd);
	return compare_values(one->born, other->born) ?:
	       compare_values(other->inherited, one->inherited) ?:
	       compare_values(other->kind == SOURCE_COORDINATOR, one->kind == SOURCE_COORDINATOR) ?:
	       compare_values(other->kind == SOURCE_NAMESPACE, one->kind == SOURCE_NAMESPACE) ?:
	       compare_values(one->holder, other->holder) ?:
	       compare_values(one->way != FILE_EARLY, other->way != FILE_EARLY) ?:
	       compare_values(one->number, other->number);
}

static uint32_t first_number(const struct snapshot *snapshot)
{
	uint32_t first = FIRST_SOURCE;

	for (size_t i = 0; i < snapshot->n_tables; i++) {
		const struct descriptor_table *table = snapshot->tables[i];
		for (size_t j = 0; j < table->n_descriptors; j++)
			if (table->descriptors[j]->fd >= first)
				first = table->descriptors[j]->fd + 1;
	}
	return first;
}

int sources_make(struct plan *plan, const struct plan_options *options, struct error *err)
{
	plan->sources = NULL;
	plan->n_sources = 0;
	plan->n_holders = 0;
	plan->n_born = 0;
	plan->first_source = first_number(plan->snapshot);
	plan->source_index = arena_new(plan->arena, struct source_index);
	rebuild_index(plan, 256);
	/* The first of all, so that its number is known without a look-up. */
	add_source(plan, SOURCE_COORDINATOR, (uint64_t)options->coordinator_pid)->users =
		MANY_USERS;
	count_users(plan);
	count_late_holder(plan);
	if (plan->n_sources > UINT32_MAX / 4)
		return fail(err, ERR_IMAGE_INVALID, "%zu files are too many", plan->n_sources);
	if (choose_places(plan, err))
		return -1;
	const bool cheap = may_all_be_inherited(plan);
	for (size_t i = 0; i < plan->n_sources; i++)
		plan->sources[i].inherited = is_inherited(plan, &plan->sources[i], cheap);
	qsort(plan->sources, plan->n_sources, sizeof *plan->sources, compare_sources);
	number_sources(plan);
	rebuild_index(plan, plan->source_index->n_slots);
	return 0;
}

/* Before programs are built once more. */
void sources_forget_borrowers(struct plan *plan)
{
	for (size_t i = 0; i < plan->n_sources; i++) {
		plan->sources[i].borrower = NULL;
		plan->sources[i].placed_in = NULL;
		plan->sources[i].number_slot = 0;
		plan->sources[i].holder_slot = 0;
		plan->sources[i].opened_by = NULL;
	}
	for (size_t i = 1; i <= plan->n_holders; i++)
		plan->holder_slots[i] = 0;
}

struct source *source_at(const struct plan *plan, uint32_t number)
{
	if (number < plan->first_source)
		return &plan->sources[plan->born[number]];
	size_t i = number - plan->first_source;
	return &plan->sources[i < plan->first_born ? i : i + plan->n_born];
}

uint32_t sources_first_fetched(const struct plan *plan)
{
	size_t i = 0;

	while (i < plan->first_born && plan->sources[i].inherited)
		i++;
	return plan->first_source + (uint32_t)i;
}

uint32_t plan_source(struct plan *plan, enum source_kind kind, uint64_t id)
{
	return add_source(plan, kind, id)->number;
}

const struct source *plan_find_source(const struct plan *plan, enum source_kind kind, uint64_t id)
{
	uint32_t found = *find_slot(plan, kind, id);

	return found ? &plan->sources[found - 1] : NULL;
}

static void wait_for_late(struct plan *plan, struct program *program, const struct source *source)
{
	enum gate_name gate = source->way == FILE_LAST ? GATE_LAST_FILES : GATE_LATE_FILES;

	program_wait(program, plan->gates[gate].go_word, 1);
}

/* The coordinator is asked itself, since the holder has what there was before the first fork. */
static struct op *fetch_late(struct plan *plan, struct program *program, struct source *source)
{
	if (!source->number_slot)
		source->number_slot = program_word(&plan->programs, 0);
	wait_for_late(plan, program, source);
	return op_argument_from(program_call(program, SYS_pidfd_getfd,
					     plan_source(plan, SOURCE_LATE_HOLDER, 0), 0, 0),
				1, source->number_slot);
}

struct op *source_fetch(struct plan *plan, struct program *program, uint32_t source)
{
	if (source_at(plan, source)->way != FILE_EARLY)
		return fetch_late(plan, program, source_at(plan, source));
	return program_call(program, SYS_pidfd_getfd, plan->first_source, source, 0);
}

static uint64_t own_slot(struct plan *plan, uint64_t *slot)
{
	if (!*slot)
		*slot = program_word(&plan->programs, 0);
	return *slot;
}

void source_fetch_into(struct plan *plan, struct program *program, uint32_t number, uint64_t slot)
{
	struct source *source = source_at(plan, number);

	bool late = source->way != FILE_EARLY;
	if (!source->holder && !(late && plan->n_holders)) {
		op_store(source_fetch(plan, program, number), slot);
		return;
	}
	if (late)
		wait_for_late(plan, program, source);
	/* The holder's pidfd first, from who makes the first task, or the coordinator. */
	uint32_t from = late ? plan_source(plan, SOURCE_LATE_HOLDER, 0) : plan->first_source;
	uint64_t *whose = late ? &source->holder_slot : &plan->holder_slots[source->holder];
	uint64_t pidfd = program_word(&plan->programs, 0);
	op_store(op_argument_from(program_call(program, SYS_pidfd_getfd, from, 0, 0), 1,
				  own_slot(plan, whose)),
		 pidfd);
	op_store(op_argument_from(op_argument_from(program_call(program, SYS_pidfd_getfd, 0, 0, 0),
						   0, pidfd),
				  1, own_slot(plan, &source->number_slot)),
		 slot);
	op_argument_from(program_call(program, SYS_close, 0), 0, pidfd);
}

void plan_fetch(struct plan *plan, struct program *program, uint32_t source, uint32_t number,
		bool close_on_exec)
{
	uint64_t flags = close_on_exec ? O_CLOEXEC : 0;

	if (source_at(plan, source)->inherited) {
		op_expect(program_call(program, SYS_dup3, source, number, flags), number);
		return;
	}
	uint64_t low = program_word(&plan->programs, 0);
	source_fetch_into(plan, program, source, low);
	program_move_descriptor(program, low, plan->first_source, number, flags);
}

static uint64_t inherited_slot(struct plan *plan, struct source *source)
{
	if (!source->number_slot)
		source->number_slot = program_word(&plan->programs, source->number);
	return source->number_slot;
}

uint64_t plan_hold(struct plan *plan, struct program *program, uint32_t number)
{
	struct source *source = source_at(plan, number);

	if (source->inherited)
		return inherited_slot(plan, source);
	uint64_t slot = program_word(&plan->programs, 0);
	source_fetch_into(plan, program, number, slot);
	return slot;
}

void plan_let_go(struct plan *plan, struct program *program, uint32_t number, uint64_t slot)
{
	if (!source_at(plan, number)->inherited)
		op_expect(op_argument_from(program_call(program, SYS_close, 0), 0, slot), 0);
}

uint64_t plan_borrow(struct plan *plan, struct program *program, uint32_t number)
{
	struct source *source = source_at(plan, number);

	if (source->inherited)
		return inherited_slot(plan, source);
	if (source->borrower != program) {
		source->borrower = program;
		source->borrowed_slot = program_word(&plan->programs, 0);
		source_fetch_into(plan, program, number, source->borrowed_slot);
	}
	return source->borrowed_slot;
}

void plan_give_back(struct plan *plan, struct program *program, uint32_t number)
{
	struct source *source = source_at(plan, number);

	if (!plan->n_holders || source->inherited || source->borrower != program)
		return;
	op_argument_from(program_call(program, SYS_close, 0), 0, source->borrowed_slot);
	source->borrower = NULL;
}
