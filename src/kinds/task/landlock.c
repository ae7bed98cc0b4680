// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A Landlock domain (landlock(7)) confines a thread for good, and nothing shows it, nor its rules.
 * It cannot be given again, so a thread that is in one is refused.
 *
 * It can be found out: a thread in a domain has no ptrace rights over processes outside of it
 * (hook_ptrace_access_check, security/landlock/task.c), whatever the domain is about. So each
 * thread asks for the robust list of a process of ours that differs from it in nothing but that
 * (collect/witness.h), which takes the right to read (PTRACE_MODE_READ_REALCREDS). nestor in a
 * domain itself dumps what is in the same.
 */
#include "kinds/task/task.h"

#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"
#include "collect/witness.h"
#include "kernel/facts.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

struct question {
	pid_t witness;
	size_t call;
};

static void *ask(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	struct question *question = arena_new(target->collect->arena, struct question);
	uint64_t head, length;

	if (!target->collect->facts->landlock)
		return NULL;
	question->witness = witness_for(target, asking->thread);
	if (question->witness < 0)
		return question;
	head = probe_buffer(probe, sizeof(uint64_t));
	length = probe_buffer(probe, sizeof(uint64_t));
	question->call =
		probe_ask(probe, SYS_get_robust_list, (uint64_t)question->witness, head, length);
	return question;
}

static int answer(const struct asking *asking, void *asked, struct error *err)
{
	struct target *target = asking->target;
	size_t thread = asking->thread;
	const struct question *question = asked;

	if (!question)
		return 0;
	if (question->witness < 0 && errno_tells_nothing(-question->witness)) {
		errno = -question->witness;
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "thread %d: cannot make a process to see what confines it",
				  target->threads[thread].tid);
	}
	if (question->witness < 0) {
		loss_add(target, thread, LOSS_LANDLOCK,
			 "cannot be seen to be free of a confinement");
		return 0;
	}
	int64_t result = probe_result(asking->probe, question->call);
	if (result == PROBE_FORBIDDEN)
		loss_forbidden(target, thread, LOSS_LANDLOCK);
	else if (result == -EPERM)
		loss_add(target, thread, LOSS_LANDLOCK, "is confined for good");
	else if (result < 0)
		return fail(err, ERR_PROBE_FAILED, "thread %d: get_robust_list: %s",
			    target->threads[thread].tid, strerror((int)-result));
	return 0;
}

const struct task_kind landlock_kind = {
	.name = "Landlock domain",
	.per_thread = true,
	.ask = ask,
	.answer = answer,
};
