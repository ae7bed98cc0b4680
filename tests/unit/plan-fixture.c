// SPDX-License-Identifier: LGPL-2.1-or-later
/* See plan-fixture.h. */
#include "plan-fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stddef.h>
#include <string.h>

static const struct task_kind *const no_kinds[] = { NULL };

bool recognises_nothing(const struct open_file *file)
{
	(void)file;
	return false;
}

static const struct file_kind any_file = { .name = "any",
					   .type = FD_TYPES__REG,
					   .recognise = recognises_nothing };
static const struct file_kind *const files[] = { &any_file, NULL };
const struct kind_table fixture_table = {
	.files = files,
	.tasks = { [0 ... STAGE_COUNT - 1] = no_kinds },
};

static struct address_range busy[] = { { 0x555500000000, 0x555500100000 },
				       { 0x7fff00000000, 0x7fff00200000 } };
const struct facts fixture_facts = {
	.task_size = 0x7ffffffff000,
	.mmap_min_address = 65536,
	.page_size = 4096,
	.pid_max = 32768,
	.per_namespace_pid_max = true,
	.pidfd_namespaces = true,
	.busy = busy,
	.n_busy = 2,
	.vdso = { { { 0x7fff00100000, 0x7fff00104000 }, false },
		  { { 0x7fff00104000, 0x7fff00106000 }, true } },
	.n_vdso = 2,
};
const struct plan_options fixture_options = { .coordinator_pid = 9 };

void fixture_begin(struct fixture *fixture)
{
	memset(fixture, 0, sizeof *fixture);
	arena_init(&fixture->arena);
	fixture->snapshot.arena = &fixture->arena;
}

void fixture_add_file(struct fixture *fixture, uint32_t id)
{
	FileEntry *file = snapshot_new(&fixture->snapshot, FILE_ENTRY, FileEntry);

	file->id = id;
	file->type = FD_TYPES__REG;
	snapshot_add_file(&fixture->snapshot, file);
}

void fixture_add_descriptor(struct fixture *fixture, struct descriptor_table *descriptors,
			    uint32_t number, uint32_t id, uint32_t flags)
{
	FdinfoEntry *entry = snapshot_new(&fixture->snapshot, FDINFO_ENTRY, FdinfoEntry);

	entry->fd = number;
	entry->id = id;
	entry->flags = flags;
	entry->type = FD_TYPES__REG;
	snapshot_add_descriptor(&fixture->snapshot, descriptors, entry);
}

VmaEntry *fixture_area(struct fixture *fixture, uint64_t start, uint64_t end)
{
	VmaEntry *vma = snapshot_new(&fixture->snapshot, VMA_ENTRY, VmaEntry);

	vma->start = start;
	vma->end = end;
	vma->fd = -1;
	vma->status = VMA_REGULAR | VMA_ANON_PRIVATE;
	return vma;
}

CoreEntry *fixture_new_core(struct snapshot *snapshot)
{
	CoreEntry *core = snapshot_new(snapshot, CORE_ENTRY, CoreEntry);

	core->tc = snapshot_new(snapshot, TASK_CORE_ENTRY, TaskCoreEntry);
	core->tc->task_state = TASK_ALIVE;
	core->tc->comm = (char *)"test";
	core->thread_core = snapshot_new(snapshot, THREAD_CORE_ENTRY, ThreadCoreEntry);
	core->thread_info = snapshot_new(snapshot, THREAD_INFO_X86, ThreadInfoX86);
	return core;
}

struct task *fixture_add_task(struct fixture *fixture, uint32_t pid, uint32_t ppid, uint32_t leader)
{
	struct snapshot *snapshot = &fixture->snapshot;
	struct task *task = snapshot_add_task(snapshot);
	uint32_t object = (uint32_t)snapshot->n_tasks;

	task->pstree = snapshot_new(snapshot, PSTREE_ENTRY, PstreeEntry);
	task->pstree->pid = pid;
	task->pstree->ppid = ppid;
	task->pstree->pgid = task->pstree->sid = leader;
	task->pstree->n_threads = 1;
	task->pstree->threads = arena_array(&fixture->arena, uint32_t, 1);
	task->pstree->threads[0] = pid;
	task->core = fixture_new_core(snapshot);
	task->threads = arena_array(&fixture->arena, CoreEntry *, 1);
	task->threads[0] = task->core;
	task->n_threads = 1;
	task->ids = snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	task->ids->vm_id = task->ids->files_id = task->ids->fs_id = task->ids->sighand_id = object;
	task->mm = snapshot_new(snapshot, MM_ENTRY, MmEntry);
	task->mm->n_vmas = 1;
	task->mm->vmas = arena_array(&fixture->arena, VmaEntry *, 1);
	task->mm->vmas[0] = fixture_area(fixture, 0x400000, 0x401000);
	task->fs = snapshot_new(snapshot, FS_ENTRY, FsEntry);
	snapshot_add_table(snapshot, object);
	return task;
}

int fixture_make(struct fixture *fixture)
{
	if (snapshot_index(&fixture->snapshot, &fixture->err))
		fail_msg("%s", fixture->err.text);
	return plan_make(&fixture->plan, &fixture->arena, &fixture->snapshot, &fixture_facts,
			 &fixture_table, &fixture_options, &fixture->err);
}

void fixture_make_well(struct fixture *fixture)
{
	if (fixture_make(fixture))
		fail_msg("%s", fixture->err.text);
}

void fixture_see_refused(struct fixture *fixture, enum error_name name, const char *part)
{
	assert_int_equal(fixture_make(fixture), -1);
	assert_string_equal(error_name(fixture->err.name), error_name(name));
	if (!strstr(fixture->err.text, part))
		fail_msg("\"%s\" does not say \"%s\"", fixture->err.text, part);
}

size_t count_calls(const struct program *program, uint32_t nr)
{
	size_t count = 0;

	for (size_t i = 0; i < program->n_ops; i++)
		count += program->ops[i].kind <= OP_CLONE && program->ops[i].nr == nr;
	return count;
}

const struct op *find_call(const struct program *program, uint32_t nr)
{
	for (size_t i = 0; i < program->n_ops; i++)
		if (program->ops[i].kind <= OP_CLONE && program->ops[i].nr == nr)
			return &program->ops[i];
	fail_msg("no call %u", (unsigned)nr);
	return NULL;
}

struct clone_args clone_args_of(const struct fixture *fixture, const struct op *op)
{
	struct clone_args args;
	const uint8_t *at = program_data_at(&fixture->plan.programs, op->args[0], NULL);

	memcpy(&args, at, sizeof args);
	return args;
}
