// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The address space as a whole (struct mm_struct): where code, data, heap, arguments and
 * environment are, the auxiliary vector, the link to the executable. Most of it stands in
 * /proc/PID/stat; the end of the heap is asked of the task. One PR_SET_MM_MAP sets it all,
 * without CAP_SYS_RESOURCE (PR_SET_MM does not), before any area is there: the kernel refuses a
 * new executable while the old one is mapped (kernel/sys.c, replace_mm_exe_file), and the old one
 * is nestor, of which the tree may have a process.
 */
#include "kinds/memory/memory.h"

#include "base/compare.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/probe.h"
#include "kinds/memory/inherited.h"
#include "plan/plan.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* The kernel keeps that many bytes (AT_VECTOR_SIZE words, at most 2 * (20 + 22 + 1) on x86). */
enum { AUXV_WORDS = 128 };

/* --- Dump --- */

static void collect_addresses(struct target *target, MmEntry *mm)
{
	mm->mm_start_code = target_stat_field(target, 26);
	mm->mm_end_code = target_stat_field(target, 27);
	mm->mm_start_stack = target_stat_field(target, 28);
	mm->mm_start_data = target_stat_field(target, 45);
	mm->mm_end_data = target_stat_field(target, 46);
	mm->mm_start_brk = target_stat_field(target, 47);
	mm->mm_arg_start = target_stat_field(target, 48);
	mm->mm_arg_end = target_stat_field(target, 49);
	mm->mm_env_start = target_stat_field(target, 50);
	mm->mm_env_end = target_stat_field(target, 51);
	/* Until the task is asked: the heap ends where its area does, rounded up to a page. */
	mm->mm_brk = mm->mm_start_brk;
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (mm->vmas[i]->status & VMA_HEAP)
			mm->mm_brk = mm->vmas[i]->end;
}

static int collect_auxv(struct target *target, MmEntry *mm, struct error *err)
{
	const uint64_t *words = target->auxv;
	size_t count = target->n_auxv;

	if (!words || count > AUXV_WORDS)
		return fail(err, ERR_TREE_CHANGED, "cannot read the auxiliary vector of pid %d",
			    target->pid);
	/* Without AT_NULL, as CRIU has it (and takes no more than that); the kernel appends it. */
	if (count >= 2 && words[count - 2] == AT_NULL)
		count -= 2;
	mm->n_mm_saved_auxv = count;
	mm->mm_saved_auxv = target->auxv;
	return 0;
}

static int memory_collect(struct target *target, struct error *err)
{
	enum area_pages *whose;
	MmEntry *mm;

	if (target->zombie)
		return 0;
	mm = snapshot_new(target->collect->snapshot, MM_ENTRY, MmEntry);
	if (areas_collect(target, mm, &whose, err) || collect_auxv(target, mm, err) ||
	    collect_path(target, "exe", O_RDONLY, &mm->exe_file_id, err))
		return -1;
	collect_addresses(target, mm);
	target->task->mm = mm;
	return pages_begin(target, whose, err);
}

struct memory_asked {
	size_t brk, dumpable;
	struct protection_keys_asked keys;
};

static void *memory_ask(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct memory_asked *asked = arena_new(asking->target->collect->arena, struct memory_asked);

	asked->brk = probe_ask(probe, SYS_brk, 0);
	asked->dumpable = probe_ask(probe, SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0);
	protection_keys_ask(probe, &asked->keys);
	return asked;
}

static int memory_answer(const struct asking *asking, void *data, struct error *err)
{
	struct probe *probe = asking->probe;
	const struct memory_asked *asked = data;
	MmEntry *mm = asking->target->task->mm;
	int64_t brk = probe_result(probe, asked->brk);
	int64_t dumpable = probe_result(probe, asked->dumpable);

	(void)err;
	if (brk > 0)
		mm->mm_brk = (uint64_t)brk;
	if (dumpable >= 0) {
		mm->has_dumpable = true;
		mm->dumpable = (int32_t)dumpable;
	}
	protection_keys_answer(probe, asking->target, &asked->keys);
	return 0;
}

/* --- Check --- */

/* What PR_SET_MM_MAP refuses (kernel/sys.c, validate_prctl_map_addr). */
static int check_addresses(const MmEntry *mm, struct error *err)
{
	if (mm->mm_start_code < mm->mm_end_code && mm->mm_start_data <= mm->mm_end_data &&
	    mm->mm_start_brk <= mm->mm_brk && mm->mm_arg_start <= mm->mm_arg_end &&
	    mm->mm_env_start <= mm->mm_env_end)
		return 0;
	return fail(err, ERR_IMAGE_INVALID,
		    "its code, data, heap, arguments or environment end before they start");
}

static int memory_check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	const MmEntry *mm = task->mm;

	if (!mm)
		return task_is_zombie(task)
			       ? 0
			       : fail(err, ERR_IMAGE_INVALID, "its memory is not recorded");
	if (!snapshot_file(snapshot, mm->exe_file_id))
		return fail(err, ERR_IMAGE_INVALID, "its executable (file %u) is not recorded",
			    mm->exe_file_id);
	if (mm->n_mm_saved_auxv > AUXV_WORDS)
		return fail(err, ERR_IMAGE_INVALID, "its auxiliary vector has %zu words",
			    mm->n_mm_saved_auxv);
	if (check_addresses(mm, err) || protection_keys_check(mm, err) ||
	    areas_check(snapshot, task, err))
		return -1;
	return pages_check(task, err);
}

/* --- Restore --- */

static int compare_starts(const void *a, const void *b)
{
	const struct address_range *one = a, *other = b;

	return compare_values(one->start, other->start);
}

/* Guard ranges by address; the end of each is that of the one that reaches furthest so far. */
static size_t list_guards(struct arena *arena, const MmEntry *mm, struct address_range **ret_guards)
{
	struct address_range *guards = arena_array(arena, struct address_range, mm->n_vmas);
	size_t n = 0;

	for (size_t i = 0; i < mm->n_vmas; i++)
		if (area_is_guard(mm->vmas[i]))
			guards[n++] =
				(struct address_range){ mm->vmas[i]->start, mm->vmas[i]->end };
	qsort(guards, n, sizeof *guards, compare_starts);
	for (size_t i = 1; i < n; i++)
		guards[i].end = max(guards[i].end, guards[i - 1].end);
	*ret_guards = guards;
	return n;
}

/* Only locking asks for it. */
static void note_guards(struct arena *arena, const MmEntry *mm, struct area_plan *areas)
{
	struct address_range *guards;
	size_t n = list_guards(arena, mm, &guards);

	for (size_t i = 0; n && i < mm->n_vmas; i++) {
		const VmaEntry *area = mm->vmas[i];
		size_t low = 0, high = n;

		if (!(area->flags & MAP_LOCKED) || area_is_guard(area))
			continue;
		while (low < high) {
			size_t middle = low + (high - low) / 2;

			if (guards[middle].start < area->end)
				low = middle + 1;
			else
				high = middle;
		}
		areas[i].has_guard = low > 0 && guards[low - 1].end > area->start;
	}
}

/* Runs and areas both ascend; one run may reach over several areas. */
static void note_content(const struct task *task, struct area_plan *areas)
{
	const MmEntry *mm = task->mm;
	size_t run = 0;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *area = mm->vmas[i];

		areas[i].has_content = area_is_aio(area);
		if (!area_has_private_pages(area))
			continue;
		for (size_t k = run; k < task->pages.n_runs; k++) {
			if (task->pages.runs[k].address >= area->end)
				break;
			areas[i].has_content = memory_run_end(&task->pages.runs[k]) > area->start;
			if (areas[i].has_content)
				break;
			run = k + 1;
		}
	}
}

static struct area_plan *plan_areas(struct plan *plan, const struct task *task,
				    const struct inherited *inherited)
{
	const MmEntry *mm = task->mm;
	struct area_plan *areas = arena_array(plan->arena, struct area_plan, mm->n_vmas);

	for (size_t i = 0; i < mm->n_vmas; i++)
		areas[i].area = mm->vmas[i];
	note_content(task, areas);
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *area = mm->vmas[i];
		areas[i].partly_kept = area_has_private_pages(area) &&
				       ranges_touch(&inherited->kept, area->start, area->end);
		areas[i].map_writable = areas[i].has_content || area->accounted;
	}
	note_guards(plan->arena, mm, areas);
	return areas;
}

static uint64_t map_data(struct program *program, const MmEntry *mm)
{
	struct prctl_mm_map map = {
		.start_code = mm->mm_start_code,
		.end_code = mm->mm_end_code,
		.start_data = mm->mm_start_data,
		.end_data = mm->mm_end_data,
		.start_brk = mm->mm_start_brk,
		.brk = mm->mm_brk,
		.start_stack = mm->mm_start_stack,
		.arg_start = mm->mm_arg_start,
		.arg_end = mm->mm_arg_end,
		.env_start = mm->mm_env_start,
		.env_end = mm->mm_env_end,
		.auxv_size = (uint32_t)(mm->n_mm_saved_auxv * sizeof mm->mm_saved_auxv[0]),
	};
	/* A result is 64 bits wide: room behind exe_fd, the last field, for its upper half. */
	struct {
		struct prctl_mm_map map;
		uint32_t upper_half;
	} data;

	map.auxv = (void *)(uintptr_t)program_data(program->set, mm->mm_saved_auxv, map.auxv_size,
						   sizeof(uint64_t));
	memset(&data, 0, sizeof data);
	data.map = map;
	return program_data(program->set, &data, sizeof data, sizeof(uint64_t));
}

/*
 * The kernel takes the executable's descriptor from the struct, but its number is known only when
 * the program runs: a copy is made above all numbers of the tree, its number stored in place.
 */
static void set_map(struct plan *plan, struct program *program, uint32_t exe_file_id,
		    const void *mm)
{
	uint64_t slot = plan_borrow(plan, program, plan_source(plan, SOURCE_FILE, exe_file_id));
	uint64_t data = map_data(program, mm);
	struct op *copy = program_call(program, SYS_fcntl, 0, F_DUPFD_CLOEXEC, plan->first_source);

	op_argument_from(copy, 0, slot);
	op_store(copy, data + offsetof(struct prctl_mm_map, exe_fd));
	op_expect(program_call(program, SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, data,
			       sizeof(struct prctl_mm_map), 0),
		  0);
}

static int memory_plan(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	struct program *program = planning->program;
	struct area_plan *areas;

	if (!task->mm)
		return 0;
	const struct inherited inherited = inherited_by(plan, task);
	areas = plan_areas(plan, task, &inherited);
	inherited_drop(program, &inherited);
	if (vdso_plan(plan, task, program, err))
		return -1;
	plan_let_in(plan, program, task->mm->exe_file_id, set_map, task->mm);
	if (protection_keys_plan_begin(plan, task->mm, program, err) ||
	    areas_plan_map(plan, task, program, areas, &inherited, err))
		return -1;
	pages_plan(plan, task, program, &inherited);
	areas_plan_finish(program, task, areas);
	protection_keys_plan_end(program, task->mm);
	return 0;
}

const struct task_kind memory_kind = {
	.name = "memory",
	.collect = memory_collect,
	.ask = memory_ask,
	.answer = memory_answer,
	.check = memory_check,
	.hand_down = inherited_hand_down,
	.plan = memory_plan,
};

static void end_pages(struct collect *collect, bool ended)
{
	(void)ended;
	memory_end_pages(collect);
}

static void settle_areas(struct collect *collect)
{
	mapped_sockets_settle(collect);
	mapped_maps_settle(collect);
}

const struct tree_kind memory_tree_kind = {
	.name = "memory",
	.before_stop = pages_reserve,
	.read_end = settle_areas,
	.content = memory_collect_pages,
	.content_running = memory_write_running,
	.end = end_pages,
	.adopt = memory_adopt,
};
