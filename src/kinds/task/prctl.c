// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * State that only prctl(2) knows, in the stages where it can be set:
 *
 *  - of the address space: transparent huge pages off (PR_SET_THP_DISABLE) and
 *    memory-deny-write-execute (PR_SET_MDWE, 6.3), once all mappings are made;
 *  - of each thread: timer slack;
 *  - last: dumpable and the parent death signal, because the kernel resets both whenever ids or
 *    capabilities change (commit_creds), and the subreaper mark, because it catches orphans.
 *
 * The dumpable mark belongs to the address space, so that the last thread to change its ids would
 * decide: every thread sets it after its own change. The value 2 (SUID_DUMP_ROOT) cannot be set
 * (prctl takes 0 and 1), it only arises by an exec or a change of ids; 0 is set in its place,
 * which allows less.
 *
 * no_new_privs and keepcaps are with the credentials.
 */
#include "kinds/task/task.h"

#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum {
	SET_MDWE = 65, /* PR_SET_MDWE, 6.3 */
	GET_MDWE = 66,
	LAST_SIGNAL = 64,
	PATH_ROOM = 64,
	MAP_ROOM = 16384, /* 340 extents */
};

/* One prctl that returns its answer, or writes an int. */
struct question {
	const char *name;
	size_t call;
	uint64_t buffer; /* 0: the result is the answer */
};

static struct question ask_one(struct probe *probe, const char *name, uint64_t option,
			       uint64_t buffer)
{
	return (struct question){
		.name = name,
		.call = probe_ask(probe, SYS_prctl, option, buffer, 0, 0, 0),
		.buffer = buffer,
	};
}

/* 1 with the value, 0 where it could not be asked, -1 on an error nobody expects. */
static int answer_one(const struct probe *probe, struct target *target, size_t thread,
		      const struct question *question, enum loss loss, uint64_t *ret_value,
		      struct error *err)
{
	int64_t result = probe_result(probe, question->call);
	int32_t written;

	*ret_value = 0;
	if (result == PROBE_FORBIDDEN) {
		loss_forbidden(target, thread, loss);
		return 0;
	}
	if (result < 0)
		return fail(err, ERR_PROBE_FAILED, "thread %d: %s: %s", target->threads[thread].tid,
			    question->name, strerror((int)-result));
	if (question->buffer) {
		memcpy(&written, probe_bytes(probe, question->buffer), sizeof written);
		*ret_value = (uint64_t)written;
	} else {
		*ret_value = (uint64_t)result;
	}
	return 1;
}

/* --- the address space ------------------------------------------------------------------- */

struct memory_questions {
	struct question thp, mdwe;
};

static void *ask_memory(struct probe *probe, struct target *target, size_t thread)
{
	struct memory_questions *questions =
		arena_new(target->collect->arena, struct memory_questions);

	(void)thread;
	questions->thp = ask_one(probe, "PR_GET_THP_DISABLE", PR_GET_THP_DISABLE, 0);
	questions->mdwe = ask_one(probe, "PR_GET_MDWE", GET_MDWE, 0);
	return questions;
}

/* /proc/PID/status shows whether they are off altogether, and nothing of exceptions. */
static int answer_thp(const struct probe *probe, struct target *target, size_t thread,
		      const struct question *question, uint64_t *ret_value, struct error *err)
{
	const char *enabled = procfs_field(target->status, "THP_enabled:");

	if (probe_result(probe, question->call) == PROBE_FORBIDDEN && enabled && *enabled == '0') {
		*ret_value = 1;
		return 1;
	}
	if (probe_result(probe, question->call) == PROBE_FORBIDDEN && enabled)
		return 0;
	return answer_one(probe, target, thread, question, LOSS_HUGE_PAGES, ret_value, err);
}

static int answer_memory(struct probe *probe, struct target *target, size_t thread, void *asked,
			 struct error *err)
{
	const struct memory_questions *questions = asked;
	TaskCoreEntry *tc = target->task->core->tc;
	uint64_t value;

	int known = answer_thp(probe, target, thread, &questions->thp, &value, err);
	if (known < 0)
		return -1;
	if (known && value) {
		target->task->mm->has_thp_disabled = true;
		target->task->mm->thp_disabled = true;
		/* 6.18 returns 1 with the flags that were given. */
		tc->has_thp_disable_flags = value != 1;
		tc->thp_disable_flags = (uint32_t)value & ~1u;
	}
	/* A kernel before 6.3 does not know it (EINVAL), and has it for nobody. */
	if (probe_result(probe, questions->mdwe.call) == -EINVAL)
		return 0;
	known = answer_one(probe, target, thread, &questions->mdwe, LOSS_MEMORY_DENY_WRITE_EXECUTE,
			   &value, err);
	if (known < 0)
		return -1;
	tc->has_memory_deny_write_exec = known && value;
	tc->memory_deny_write_exec = tc->has_memory_deny_write_exec ? (uint32_t)value : 0;
	return 0;
}

static int plan_memory(struct plan *plan, const struct task *task, size_t thread,
		       struct program *program, struct error *err)
{
	const TaskCoreEntry *tc = task->core->tc;
	bool disabled = task->mm && task->mm->thp_disabled;

	(void)thread;
	(void)err;
	if (disabled || plan->facts->thp_disable)
		program_call(program, SYS_prctl, PR_SET_THP_DISABLE, disabled,
			     disabled ? tc->thp_disable_flags : 0, 0, 0);
	if (tc->has_memory_deny_write_exec && tc->memory_deny_write_exec)
		program_call(program, SYS_prctl, SET_MDWE, tc->memory_deny_write_exec, 0, 0, 0);
	return 0;
}

const struct task_kind memory_policy_kind = {
	.name = "memory policy",
	.ask = ask_memory,
	.answer = answer_memory,
	.plan = plan_memory,
};

/* --- timer slack ------------------------------------------------------------------------- */

static void *ask_slack(struct probe *probe, struct target *target, size_t thread)
{
	struct question *question = arena_new(target->collect->arena, struct question);

	(void)thread;
	*question = ask_one(probe, "PR_GET_TIMERSLACK", PR_GET_TIMERSLACK, 0);
	return question;
}

/* The file wants CAP_SYS_NICE. */
static bool read_slack(pid_t tid, uint64_t *ret_value)
{
	char path[PATH_ROOM], text[PATH_ROOM];

	snprintf(path, sizeof path, "/proc/%d/timerslack_ns", tid);
	return procfs_read_into(AT_FDCWD, path, text, sizeof text) > 0 &&
	       procfs_numbers(text, 10, ret_value, 1) == 1;
}

static int answer_slack(struct probe *probe, struct target *target, size_t thread, void *asked,
			struct error *err)
{
	ThreadCoreEntry *state = target->task->threads[thread]->thread_core;
	const struct question *question = asked;
	uint64_t value;
	int known = 1;

	if (probe_result(probe, question->call) != PROBE_FORBIDDEN ||
	    !read_slack(target->threads[thread].tid, &value))
		known = answer_one(probe, target, thread, question, LOSS_TIMER_SLACK, &value, err);
	if (known < 0)
		return -1;
	state->has_timer_slack_ns = known;
	state->timer_slack_ns = known ? value : 0;
	return 0;
}

static int plan_slack(struct plan *plan, const struct task *task, size_t thread,
		      struct program *program, struct error *err)
{
	const ThreadCoreEntry *state = task->threads[thread]->thread_core;

	(void)err;
	/* 0 is that of real-time policies, which have no other; setting 0 means "the default". */
	if (state->has_timer_slack_ns && state->timer_slack_ns &&
	    state->timer_slack_ns != plan->facts->timer_slack_ns)
		program_call(program, SYS_prctl, PR_SET_TIMERSLACK, state->timer_slack_ns, 0, 0, 0);
	return 0;
}

const struct task_kind timer_slack_kind = {
	.name = "timer slack",
	.per_thread = true,
	.ask = ask_slack,
	.answer = answer_slack,
	.plan = plan_slack,
};

/* --- dumpable ---------------------------------------------------------------------------- */

static void *ask_dumpable(struct probe *probe, struct target *target, size_t thread)
{
	struct question *question = arena_new(target->collect->arena, struct question);

	if (thread != target->living)
		return question;
	*question = ask_one(probe, "PR_GET_DUMPABLE", PR_GET_DUMPABLE, 0);
	return question;
}

/*
 * The files below /proc/PID of one that is not dumpable belong to root of the user namespace in
 * which its program was executed (task_dump_owner); of others, to its effective uid. That tells
 * nothing of root itself, in whatever namespace.
 */
static bool find_dumpable(const struct target *target, uint64_t *ret_value)
{
	const char *field = procfs_field(target->status, "Uid:");
	char path[PATH_ROOM], map[MAP_ROOM];
	uint64_t ids[4], extent[3];
	struct stat stat;

	if (!field || procfs_numbers(field, 10, ids, 4) != 4 ||
	    target_look(target, "status", &stat) < 0)
		return false;
	snprintf(path, sizeof path, "/proc/%d/uid_map", target->tid);
	if (procfs_read_into(AT_FDCWD, path, map, sizeof map) <= 0 ||
	    procfs_numbers(map, 10, extent, 3) != 3)
		return false;
	*ret_value = stat.st_uid == ids[1];
	return !*ret_value || (ids[1] != 0 && extent[0] == 0 && extent[1] == 0);
}

static int answer_dumpable(struct probe *probe, struct target *target, size_t thread, void *asked,
			   struct error *err)
{
	MmEntry *mm = target->task->mm;
	uint64_t value;

	if (thread != target->living)
		return 0;
	int known = 1;
	if (probe_result(probe, ((const struct question *)asked)->call) != PROBE_FORBIDDEN ||
	    !find_dumpable(target, &value))
		known = answer_one(probe, target, thread, asked, LOSS_DUMPABLE, &value, err);
	if (known < 0)
		return -1;
	mm->has_dumpable = true;
	mm->dumpable = known ? (int32_t)value : 0;
	return 0;
}

static int plan_dumpable(struct plan *plan, const struct task *task, size_t thread,
			 struct program *program, struct error *err)
{
	bool dumpable = !task->mm || !task->mm->has_dumpable || task->mm->dumpable == 1;

	(void)plan;
	(void)thread;
	(void)err;
	program_call(program, SYS_prctl, PR_SET_DUMPABLE, dumpable, 0, 0, 0);
	return 0;
}

const struct task_kind dumpable_kind = {
	.name = "dumpable",
	.per_thread = true,
	.ask = ask_dumpable,
	.answer = answer_dumpable,
	.plan = plan_dumpable,
};

/* --- subreaper --------------------------------------------------------------------------- */

static void *ask_subreaper(struct probe *probe, struct target *target, size_t thread)
{
	struct question *question = arena_new(target->collect->arena, struct question);

	(void)thread;
	*question = ask_one(probe, "PR_GET_CHILD_SUBREAPER", PR_GET_CHILD_SUBREAPER,
			    probe_buffer(probe, sizeof(int32_t)));
	return question;
}

static int answer_subreaper(struct probe *probe, struct target *target, size_t thread, void *asked,
			    struct error *err)
{
	struct task *task = target->task;
	uint64_t value;

	int known = answer_one(probe, target, thread, asked, LOSS_SUBREAPER, &value, err);
	if (known < 0)
		return -1;
	if (known && value) {
		task->core->tc->has_child_subreaper = task->core->tc->child_subreaper = true;
		task->pstree->has_child_subreaper = task->pstree->child_subreaper = true;
	}
	return 0;
}

static int plan_subreaper(struct plan *plan, const struct task *task, size_t thread,
			  struct program *program, struct error *err)
{
	(void)plan;
	(void)thread;
	(void)err;
	if (task->core->tc->child_subreaper || task->pstree->child_subreaper)
		program_call(program, SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	return 0;
}

const struct task_kind child_subreaper_kind = {
	.name = "subreaper mark",
	.ask = ask_subreaper,
	.answer = answer_subreaper,
	.plan = plan_subreaper,
};

/* --- parent death signal ----------------------------------------------------------------- */

static void *ask_death_signal(struct probe *probe, struct target *target, size_t thread)
{
	struct question *question = arena_new(target->collect->arena, struct question);

	(void)thread;
	*question = ask_one(probe, "PR_GET_PDEATHSIG", PR_GET_PDEATHSIG,
			    probe_buffer(probe, sizeof(int32_t)));
	return question;
}

static int answer_death_signal(struct probe *probe, struct target *target, size_t thread,
			       void *asked, struct error *err)
{
	ThreadCoreEntry *state = target->task->threads[thread]->thread_core;
	uint64_t value;

	int known = answer_one(probe, target, thread, asked, LOSS_DEATH_SIGNAL, &value, err);
	if (known < 0)
		return -1;
	if (known && value) {
		state->has_pdeath_sig = true;
		state->pdeath_sig = (uint32_t)value;
	}
	return 0;
}

static int check_death_signal(const struct snapshot *snapshot, const struct task *task,
			      struct error *err)
{
	(void)snapshot;
	for (size_t i = 0; i < task->n_threads; i++)
		if (task->threads[i]->thread_core->pdeath_sig > LAST_SIGNAL)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: thread %zu has parent death signal %" PRIu32,
				    task_name(task), i, task->threads[i]->thread_core->pdeath_sig);
	return 0;
}

static int plan_death_signal(struct plan *plan, const struct task *task, size_t thread,
			     struct program *program, struct error *err)
{
	uint32_t signal = task->threads[thread]->thread_core->pdeath_sig;

	(void)err;
	/* It would come when the parent's first thread exits, or what makes the root task does. */
	if (signal && (!task->parent || task_leader_is_dead(task->parent))) {
		plan_call_at_end(plan, task, thread, SYS_prctl, PR_SET_PDEATHSIG, signal, 0);
		signal = 0;
	}
	/* The first thread has SIGKILL since its birth, so that nothing outlives a failed restore.
	 */
	if (thread == 0 || signal)
		program_call(program, SYS_prctl, PR_SET_PDEATHSIG, signal, 0, 0, 0);
	return 0;
}

const struct task_kind parent_death_signal_kind = {
	.name = "parent death signal",
	.per_thread = true,
	.ask = ask_death_signal,
	.answer = answer_death_signal,
	.check = check_death_signal,
	.plan = plan_death_signal,
};
