// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a thread registered with the kernel about itself: the word that is cleared when it ends
 * (set_tid_address, which pthread_join waits on), the list of robust futexes, its name.
 *
 * A new task starts with neither pointer (they are not inherited), and with its parent's name.
 */
#include "kinds/task/task.h"

#include "base/log.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"
#include "kernel/syscalls.h"
#include "plan/plan.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum {
	NAME_SIZE = 16,	       /* TASK_COMM_LEN */
	ROBUST_LIST_SIZE = 24, /* struct robust_list_head */
	EXIT_WORD_BEFORE_LIST = 16,
};

struct question {
	size_t call;
	uint64_t address;
};

static int collect(struct target *target, struct error *err)
{
	for (size_t i = 0; i < target->n_threads; i++) {
		ThreadCoreEntry *thread = target->task->threads[i]->thread_core;
		uint64_t head, length;

		if (target->threads[i].dead)
			continue;
		if (kernel_get_robust_list(target->threads[i].tid, &head, &length))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot read the robust list of thread %d",
					  target->threads[i].tid);
		thread->futex_rla = head;
		thread->futex_rla_len = (uint32_t)length;
	}
	return 0;
}

static void *ask(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct question *question = arena_new(asking->target->collect->arena, struct question);

	question->address = probe_buffer(probe, sizeof(uint64_t));
	question->call =
		probe_ask(probe, SYS_prctl, PR_GET_TID_ADDRESS, question->address, 0, 0, 0);
	return question;
}

/*
 * glibc keeps the word right before its robust list, with the thread's own id in it (struct
 * pthread, nptl/descr.h: tid, a pad, robust_prev, robust_head). The list can be seen from outside,
 * and the word has to hold the id.
 */
static bool find_exit_address(const struct target *target, size_t thread, uint64_t *ret_address)
{
	uint64_t head = target->task->threads[thread]->thread_core->futex_rla;
	struct pid_vector ids = thread_pids(target->task, thread);
	uint32_t word = 0;
	struct iovec local = { &word, sizeof word };
	struct iovec remote = { (void *)(head - EXIT_WORD_BEFORE_LIST), sizeof word };

	if (head < EXIT_WORD_BEFORE_LIST ||
	    process_vm_readv(target->tid, &local, 1, &remote, 1, 0) != (ssize_t)sizeof word ||
	    word != ids.pid[ids.levels - 1])
		return false;
	*ret_address = head - EXIT_WORD_BEFORE_LIST;
	return true;
}

static int answer(const struct asking *asking, void *asked, struct error *err)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	size_t thread = asking->thread;
	const struct question *question = asked;
	int64_t result = probe_result(probe, question->call);
	ThreadInfoX86 *info = target->task->threads[thread]->thread_info;

	if (result == PROBE_FORBIDDEN) {
		if (!find_exit_address(target, thread, &info->clear_tid_addr))
			loss_forbidden(target, thread, LOSS_EXIT_ADDRESS);
		return 0;
	}
	if (result < 0)
		return fail(err, ERR_PROBE_FAILED, "thread %d: PR_GET_TID_ADDRESS: %s",
			    target->threads[thread].tid, strerror((int)-result));
	memcpy(&info->clear_tid_addr, probe_bytes(probe, question->address), sizeof(uint64_t));
	return 0;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	(void)snapshot;
	for (size_t i = 0; i < task->n_threads; i++) {
		const ThreadCoreEntry *thread = task->threads[i]->thread_core;
		if (thread->futex_rla && thread->futex_rla_len != ROBUST_LIST_SIZE)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: the robust list of thread %zu has a head of %u bytes",
				    task_name(task), i, thread->futex_rla_len);
	}
	return 0;
}

static int plan_pointers(const struct planning *planning, struct error *err)
{
	const struct task *task = planning->task;
	struct program *program = planning->program;
	const CoreEntry *core = task->threads[planning->thread];
	const ThreadCoreEntry *state = core->thread_core;
	char name[NAME_SIZE] = "";

	(void)err;
	/* Older images name the process only. */
	strncpy(name, state->comm ? state->comm : task->core->tc->comm, NAME_SIZE - 1);
	program_call(program, SYS_prctl, PR_SET_NAME,
		     program_data(program->set, name, sizeof name, 1));
	if (core->thread_info && core->thread_info->clear_tid_addr)
		program_call(program, SYS_set_tid_address, core->thread_info->clear_tid_addr);
	if (state->futex_rla)
		program_call(program, SYS_set_robust_list, state->futex_rla, state->futex_rla_len);
	return 0;
}

const struct task_kind thread_pointers_kind = {
	.name = "thread pointers",
	.per_thread = true,
	.collect = collect,
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan_pointers,
};
