// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Small values that one call tells and one call gives again: of the process (its address space, its
 * signals) and of each thread. Each is a row of a table. What a kernel or processor lacks (EINVAL,
 * ENODEV, ENXIO, ENOSYS, EOPNOTSUPP) nobody has.
 *
 *  - Permission for AMX (ARCH_REQ_XCOMP_PERM, 5.16) is checked against alternate signal stacks,
 * which have to be large enough: so it is asked for before any is set, and cannot be given back.
 *  - PR_SET_SPECULATION_CTRL: with PR_SPEC_FORCE_DISABLE for good.
 *  - PR_SET_TSC, ARCH_SET_CPUID: what a thread may not do makes it fault. No restore program reads
 * the counter or asks CPUID.
 *
 * Some values nothing gives again, or nobody has needed yet: a task with a local descriptor table,
 * linear address masking or a cookie of core scheduling is refused.
 */
#include "kinds/task/task.h"

#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"
#include "plan/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum {
	GET_MEMORY_MERGE = 68, /* 6.4 */
	SET_MEMORY_MERGE = 67,
	SCHED_CORE = 62, /* PR_SCHED_CORE with 0: PR_SCHED_CORE_GET */
	GET_CPUID = 0x1011,
	SET_CPUID = 0x1012,
	GET_XCOMP_PERM = 0x1022,
	REQ_XCOMP_PERM = 0x1023,
	GET_UNTAG_MASK = 0x4001,
	XCOMP_TILE_DATA = 18,
	MCE_KILL_SET = 1,
	MCE_KILL_DEFAULT = 2,
	SPECULATION_DISABLED = PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE | PR_SPEC_DISABLE_NOEXEC,
	SPECULATION_KNOWN = PR_SPEC_PRCTL | PR_SPEC_ENABLE | SPECULATION_DISABLED,
};

enum { NO_BUFFER = -1 };

struct attribute {
	const char *name;
	enum loss loss;
	uint32_t nr;	  /* of the call that tells it */
	uint64_t args[2]; /* its first */
	int written; /* which argument is the address of the answer; NO_BUFFER: the result is it */
	bool wide;   /* 64 bits, else 32 */
	size_t has_at, value_at;
	uint64_t neutral; /* what every task has that did not ask for another */
	uint64_t known;	  /* bits that may be set */
	void (*give)(struct program *program, uint64_t value);
};

static void give_memory_merge(struct program *program, uint64_t value)
{
	program_call(program, SYS_prctl, SET_MEMORY_MERGE, value, 0, 0, 0);
}

static void give_permission(struct program *program, uint64_t value)
{
	if (value & UINT64_C(1) << XCOMP_TILE_DATA)
		program_call(program, SYS_arch_prctl, REQ_XCOMP_PERM, XCOMP_TILE_DATA);
}

static void give_machine_check_policy(struct program *program, uint64_t value)
{
	program_call(program, SYS_prctl, PR_MCE_KILL, MCE_KILL_SET, value, 0, 0);
}

static void give_tsc(struct program *program, uint64_t value)
{
	program_call(program, SYS_prctl, PR_SET_TSC, value);
}

static void give_cpuid(struct program *program, uint64_t value)
{
	program_call(program, SYS_arch_prctl, SET_CPUID, value);
}

/* Only what the task itself decides (PR_SPEC_PRCTL) and has switched off. */
static void give_speculation(struct program *program, uint64_t which, uint64_t value)
{
	if (value & PR_SPEC_PRCTL && value & SPECULATION_DISABLED)
		program_call(program, SYS_prctl, PR_SET_SPECULATION_CTRL, which,
			     value & SPECULATION_DISABLED, 0, 0);
}

static void give_store_bypass(struct program *program, uint64_t value)
{
	give_speculation(program, PR_SPEC_STORE_BYPASS, value);
}

static void give_indirect_branch(struct program *program, uint64_t value)
{
	give_speculation(program, PR_SPEC_INDIRECT_BRANCH, value);
}

/* Flushing is "enabled" where the others are "disabled". */
static void give_l1d_flush(struct program *program, uint64_t value)
{
	if (value & PR_SPEC_PRCTL && value & PR_SPEC_ENABLE)
		program_call(program, SYS_prctl, PR_SET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH,
			     PR_SPEC_ENABLE, 0, 0);
}

#define OF(message, field) offsetof(message, has_##field), offsetof(message, field)

/* The first three components are everybody's; the kernel counts more of them as it learns. */
static const struct attribute of_process[] = {
	{ "PR_GET_MEMORY_MERGE",
	  LOSS_MEMORY_MERGE,
	  SYS_prctl,
	  { GET_MEMORY_MERGE },
	  NO_BUFFER,
	  false,
	  OF(TaskCoreEntry, memory_merge),
	  0,
	  1,
	  give_memory_merge },
	{ "ARCH_GET_XCOMP_PERM",
	  LOSS_PROCESSOR_FEATURES,
	  SYS_arch_prctl,
	  { GET_XCOMP_PERM },
	  1,
	  true,
	  OF(TaskCoreEntry, xcomp_permission),
	  0,
	  UINT64_MAX,
	  give_permission },
	{ 0 },
};

static const struct attribute of_thread[] = {
	{ "PR_MCE_KILL_GET",
	  LOSS_MACHINE_CHECK_POLICY,
	  SYS_prctl,
	  { PR_MCE_KILL_GET },
	  NO_BUFFER,
	  false,
	  OF(ThreadCoreEntry, machine_check_policy),
	  MCE_KILL_DEFAULT,
	  3,
	  give_machine_check_policy },
	{ "PR_GET_TSC",
	  LOSS_TIME_STAMP_COUNTER,
	  SYS_prctl,
	  { PR_GET_TSC },
	  1,
	  false,
	  OF(ThreadCoreEntry, tsc_mode),
	  PR_TSC_ENABLE,
	  3,
	  give_tsc },
	{ "ARCH_GET_CPUID",
	  LOSS_CPUID,
	  SYS_arch_prctl,
	  { GET_CPUID },
	  NO_BUFFER,
	  false,
	  OF(ThreadCoreEntry, cpuid_enabled),
	  1,
	  1,
	  give_cpuid },
	{ "PR_GET_SPECULATION_CTRL of store bypass",
	  LOSS_SPECULATION,
	  SYS_prctl,
	  { PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS },
	  NO_BUFFER,
	  false,
	  OF(ThreadCoreEntry, store_bypass),
	  0,
	  SPECULATION_KNOWN,
	  give_store_bypass },
	{ "PR_GET_SPECULATION_CTRL of indirect branches",
	  LOSS_SPECULATION,
	  SYS_prctl,
	  { PR_GET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH },
	  NO_BUFFER,
	  false,
	  OF(ThreadCoreEntry, indirect_branch),
	  0,
	  SPECULATION_KNOWN,
	  give_indirect_branch },
	{ "PR_GET_SPECULATION_CTRL of L1D flushes",
	  LOSS_SPECULATION,
	  SYS_prctl,
	  { PR_GET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH },
	  NO_BUFFER,
	  false,
	  OF(ThreadCoreEntry, l1d_flush),
	  0,
	  SPECULATION_KNOWN,
	  give_l1d_flush },
	{ 0 },
};

enum { MOST_ATTRIBUTES = 8 };

/* --- asking -------------------------------------------------------------------------------- */

struct question {
	size_t call;
	uint64_t buffer;
};

static struct question *ask_all(struct probe *probe, struct arena *arena,
				const struct attribute *attributes)
{
	struct question *questions = arena_array(arena, struct question, MOST_ATTRIBUTES);

	for (size_t i = 0; attributes[i].name; i++) {
		const struct attribute *attribute = &attributes[i];
		uint64_t args[5] = { attribute->args[0], attribute->args[1] };

		if (attribute->written != NO_BUFFER)
			args[attribute->written] = questions[i].buffer =
				probe_buffer(probe, sizeof(uint64_t));
		questions[i].call = probe_call(probe, attribute->nr, args, 5);
	}
	return questions;
}

static bool is_missing(int64_t result)
{
	return result == -EINVAL || result == -ENODEV || result == -ENXIO || result == -ENOSYS ||
	       result == -EOPNOTSUPP;
}

static void keep(char *message, const struct attribute *attribute, uint64_t value)
{
	const protobuf_c_boolean yes = true;
	const uint32_t narrow = (uint32_t)value;

	memcpy(message + attribute->has_at, &yes, sizeof yes);
	if (attribute->wide)
		memcpy(message + attribute->value_at, &value, sizeof value);
	else
		memcpy(message + attribute->value_at, &narrow, sizeof narrow);
}

static bool kept(const char *message, const struct attribute *attribute, uint64_t *ret_value)
{
	protobuf_c_boolean has;
	uint32_t narrow;

	memcpy(&has, message + attribute->has_at, sizeof has);
	if (attribute->wide) {
		memcpy(ret_value, message + attribute->value_at, sizeof *ret_value);
	} else {
		memcpy(&narrow, message + attribute->value_at, sizeof narrow);
		*ret_value = narrow;
	}
	return has;
}

static int answer_one(struct probe *probe, struct target *target, size_t thread,
		      const struct attribute *attribute, const struct question *question,
		      char *message, struct error *err)
{
	int64_t result = probe_result(probe, question->call);
	uint64_t value = (uint64_t)result;
	uint32_t narrow;

	if (result == PROBE_FORBIDDEN) {
		loss_forbidden(target, thread, attribute->loss);
		return 0;
	}
	if (is_missing(result))
		return 0;
	if (result < 0)
		return fail(err, ERR_PROBE_FAILED, "thread %d: %s: %s", target->threads[thread].tid,
			    attribute->name, strerror((int)-result));
	if (question->buffer && attribute->wide) {
		memcpy(&value, probe_bytes(probe, question->buffer), sizeof value);
	} else if (question->buffer) {
		memcpy(&narrow, probe_bytes(probe, question->buffer), sizeof narrow);
		value = narrow;
	}
	keep(message, attribute, value);
	return 0;
}

static int answer_all(struct probe *probe, struct target *target, size_t thread,
		      const struct attribute *attributes, const struct question *questions,
		      void *message, struct error *err)
{
	for (size_t i = 0; attributes[i].name; i++)
		if (answer_one(probe, target, thread, &attributes[i], &questions[i], message, err))
			return -1;
	return 0;
}

/* --- checking and giving ------------------------------------------------------------------- */

static int check_all(const struct task *task, const struct attribute *attributes,
		     const void *message, struct error *err)
{
	uint64_t value;

	for (size_t i = 0; attributes[i].name; i++)
		if (kept(message, &attributes[i], &value) && value & ~attributes[i].known)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: %s cannot have given 0x%" PRIx64, task_name(task),
				    attributes[i].name, value);
	return 0;
}

static void give_all(struct program *program, const struct attribute *attributes,
		     const void *message)
{
	uint64_t value;

	for (size_t i = 0; attributes[i].name; i++)
		if (kept(message, &attributes[i], &value) && value != attributes[i].neutral)
			attributes[i].give(program, value);
}

/* --- what is refused ----------------------------------------------------------------------- */

struct refused_questions {
	size_t ldt, mask;
	uint64_t mask_buffer;
};

static void ask_refused(struct probe *probe, struct refused_questions *questions)
{
	questions->ldt = probe_local_segments(probe);
	questions->mask_buffer = probe_buffer(probe, sizeof(uint64_t));
	questions->mask = probe_ask(probe, SYS_arch_prctl, GET_UNTAG_MASK, questions->mask_buffer);
}

static void answer_refused(struct probe *probe, struct target *target,
			   const struct refused_questions *questions)
{
	static const char why[] = "has what nestor does not give again";
	int64_t ldt = probe_result(probe, questions->ldt);
	int64_t mask = probe_result(probe, questions->mask);
	uint64_t bits = UINT64_MAX;

	if (ldt == PROBE_FORBIDDEN)
		loss_forbidden(target, target->living, LOSS_LOCAL_DESCRIPTORS);
	else if (ldt > 0)
		loss_add(target, target->living, LOSS_LOCAL_DESCRIPTORS, why);
	if (mask == 0)
		memcpy(&bits, probe_bytes(probe, questions->mask_buffer), sizeof bits);
	if (mask == PROBE_FORBIDDEN)
		loss_forbidden(target, target->living, LOSS_ADDRESS_MASK);
	else if (bits != UINT64_MAX)
		loss_add(target, target->living, LOSS_ADDRESS_MASK, why);
}

/* --- of the process ------------------------------------------------------------------------ */

struct process_questions {
	struct question *attributes;
	struct refused_questions refused;
};

static void *ask_process(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	struct process_questions *questions =
		arena_new(target->collect->arena, struct process_questions);

	questions->attributes = ask_all(probe, target->collect->arena, of_process);
	ask_refused(probe, &questions->refused);
	return questions;
}

static int answer_process(const struct asking *asking, void *asked, struct error *err)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	const struct process_questions *questions = asked;

	answer_refused(probe, target, &questions->refused);
	return answer_all(probe, target, asking->thread, of_process, questions->attributes,
			  target->task->core->tc, err);
}

static int check_process(const struct snapshot *snapshot, const struct task *task,
			 struct error *err)
{
	(void)snapshot;
	return check_all(task, of_process, task->core->tc, err);
}

static int plan_process(const struct planning *planning, struct error *err)
{
	(void)err;
	give_all(planning->program, of_process, planning->task->core->tc);
	return 0;
}

const struct task_kind process_attributes_kind = {
	.name = "attributes of the process",
	.ask = ask_process,
	.answer = answer_process,
	.check = check_process,
	.plan = plan_process,
};

/* --- of each thread ------------------------------------------------------------------------ */

struct thread_questions {
	struct question *attributes;
	struct question core;
};

static void *ask_thread(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	struct thread_questions *questions =
		arena_new(target->collect->arena, struct thread_questions);

	questions->attributes = ask_all(probe, target->collect->arena, of_thread);
	questions->core.buffer = probe_buffer(probe, sizeof(uint64_t));
	questions->core.call =
		probe_ask(probe, SYS_prctl, SCHED_CORE, 0, 0, 0, questions->core.buffer);
	return questions;
}

static int answer_thread(const struct asking *asking, void *asked, struct error *err)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	size_t thread = asking->thread;
	const struct thread_questions *questions = asked;
	int64_t core = probe_result(probe, questions->core.call);
	uint64_t cookie = 0;

	if (core == 0)
		memcpy(&cookie, probe_bytes(probe, questions->core.buffer), sizeof cookie);
	if (core == PROBE_FORBIDDEN)
		loss_forbidden(target, thread, LOSS_CORE_SCHEDULING);
	else if (cookie)
		loss_add(target, thread, LOSS_CORE_SCHEDULING,
			 "has what nestor does not give again");
	return answer_all(probe, target, thread, of_thread, questions->attributes,
			  target->task->threads[thread]->thread_core, err);
}

static int check_thread(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	(void)snapshot;
	for (size_t i = 0; i < task->n_threads; i++)
		if (check_all(task, of_thread, task->threads[i]->thread_core, err))
			return -1;
	return 0;
}

static int plan_thread(const struct planning *planning, struct error *err)
{
	(void)err;
	give_all(planning->program, of_thread,
		 planning->task->threads[planning->thread]->thread_core);
	return 0;
}

const struct task_kind thread_attributes_kind = {
	.name = "attributes of threads",
	.per_thread = true,
	.ask = ask_thread,
	.answer = answer_thread,
	.check = check_thread,
	.plan = plan_thread,
};
