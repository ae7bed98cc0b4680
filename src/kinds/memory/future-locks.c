// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What mlockall(2) says of mappings to come (MCL_FUTURE, with MCL_ONFAULT or without): the kernel
 * keeps it with the address space (mm->def_flags) and tells it to nobody, but it shows in what is
 * mapped now. That is the memory we have ourselves mapped in the task to ask it: madvise(2)
 * refuses to make pages cold that are locked, and /proc/PID/smaps has the rest. Locks of areas that
 * are there belong to the areas (vma.c). Of a task that cannot be asked at all it is lost; unless
 * nothing of its memory is locked, which says that nothing was mapped since.
 */
#include "kinds/memory/memory.h"

#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"
#include "plan/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef MADV_COLD
#define MADV_COLD 20 /* 5.4 */
#endif

struct question {
	uint64_t address;
	size_t call;
};

static void *ask(const struct asking *asking)
{
	struct question *question = arena_new(asking->target->collect->arena, struct question);

	question->address = probe_buffer(asking->probe, sizeof(uint64_t));
	question->call = probe_ask(asking->probe, SYS_madvise,
				   question->address / AREA_PAGE * AREA_PAGE, AREA_PAGE, MADV_COLD);
	return question;
}

/* The flags of the area with an address; NULL: no area has it. */
static const char *flags_at(const char *smaps, uint64_t address)
{
	uint64_t start, end;
	bool found = false;

	for (const char *line = smaps; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2)
			found = start <= address && address < end;
		else if (found && !strncmp(line, "VmFlags:", strlen("VmFlags:")))
			return line;
	}
	return NULL;
}

static bool has_flag(const char *flags, const char *flag)
{
	const char *found = strstr(flags, flag);

	return found && found < flags + strcspn(flags, "\n");
}

static int answer(const struct asking *asking, void *asked, struct error *err)
{
	const struct question *question = asked;
	MmEntry *mm = asking->target->task->mm;

	/* Where it was not asked, for a filter or an old kernel, the file tells all of it. */
	if (probe_result(asking->probe, question->call) == 0 || !mm)
		return 0;
	const char *smaps = target_read(asking->target, "smaps", err);
	if (!smaps)
		return -1;
	const char *flags = flags_at(smaps, question->address);
	/* Nothing was mapped in who cannot be asked at all. */
	if (!flags && procfs_value(asking->target->status, "VmLck:", 10))
		loss_forbidden(asking->target, asking->thread, LOSS_FUTURE_LOCKS);
	if (!flags)
		return 0;
	if (!has_flag(flags, " lo"))
		return 0;
	mm->has_lock_future = true;
	mm->lock_future = MCL_FUTURE | (has_flag(flags, " lf") ? MCL_ONFAULT : 0);
	return 0;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	const MmEntry *mm = task->mm;

	(void)snapshot;
	if (mm && mm->lock_future && (mm->lock_future & ~(uint32_t)MCL_ONFAULT) != MCL_FUTURE)
		return fail(err, ERR_IMAGE_INVALID,
			    "task %s cannot have asked to lock what is mapped by %#" PRIx32,
			    task_name(task), mm->lock_future);
	return 0;
}

/* Once all is mapped: nothing there changes by it. */
static int plan_locks(const struct planning *planning, struct error *err)
{
	const MmEntry *mm = planning->task->mm;

	(void)err;
	if (mm && mm->lock_future)
		op_expect(program_call(planning->program, SYS_mlockall, mm->lock_future), 0);
	return 0;
}

const struct task_kind future_locks_kind = {
	.name = "locks of memory to come",
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan_locks,
};
