// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The first fork. A holder, a child of ours with a descriptor table of its own, puts the sources
 * at the numbers that the plan gave them, which may be in use here, and makes the first task with
 * CLONE_PARENT: that task is our child, and inherits nothing but sources. The holder stays as the
 * place that pidfd_getfd takes files from until all programs are parked.
 *
 * A first task that wants a signal when its parent ends would get it as soon as we do, where nobody
 * waits for the tree (-d). So it is a child of the holder's, and gets its death signal when that is
 * gone: whoever has become its parent then is the one that it would have in the end.
 *
 * A first task that is to be a sibling of ours is made with CLONE_PARENT by ourselves: by a thread
 * that has let go of the common descriptor table (unshare(2)) and placed the sources in its own.
 */
#include "base/compare.h"
#include "program/layout.h"
#include "run/raw.h"
#include "run/state.h"
#include "kernel/end-child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Everything that the holder needs, made before it exists. */
struct holding {
	struct run *run;
	struct address_range *unwanted, *not_inherited; /* descriptors, first to last */
	size_t n_unwanted, n_not_inherited;
	struct placing placing;
	struct clone_args clone;
	pid_t coordinator;
};

/* Numbers that stay open: of sources, and for the holder those of the others. */
static size_t list_kept(const struct run *run, bool inherited_only, uint32_t *numbers)
{
	const struct plan *plan = run->plan;
	size_t n = 0;

	for (size_t i = 0; i < plan->n_sources; i++)
		if (plan->sources[i].way == FILE_EARLY && !plan->sources[i].holder &&
		    (plan->sources[i].inherited || !inherited_only))
			numbers[n++] = plan->sources[i].number;
	for (size_t i = 1; i <= plan->n_holders && !inherited_only; i++)
		numbers[n++] = (uint32_t)run->holders[i].pidfd;
	qsort(numbers, n, sizeof *numbers, compare_uint32);
	return n;
}

/* Ranges of descriptors between those that stay open. */
static struct address_range *gaps(const struct run *run, bool inherited_only, size_t *ret_n)
{
	const struct plan *plan = run->plan;
	size_t room = plan->n_sources + plan->n_holders + 1, n = 0;
	uint32_t *numbers = arena_array(run->arena, uint32_t, room);
	struct address_range *ranges = arena_array(run->arena, struct address_range, room);
	size_t n_numbers = list_kept(run, inherited_only, numbers);
	uint64_t next = 0;

	for (size_t i = 0; i < n_numbers; i++) {
		if (numbers[i] > next)
			ranges[n++] = (struct address_range){ next, numbers[i] - 1 };
		next = (uint64_t)numbers[i] + 1;
	}
	ranges[n++] = (struct address_range){ next, UINT32_MAX };
	*ret_n = n;
	return ranges;
}

__attribute__((always_inline)) static inline long close_ranges(const struct address_range *ranges,
							       size_t n)
{
	long result = 0;

	for (size_t i = 0; i < n && result >= 0; i++)
		result = raw_call(SYS_close_range, ranges[i].start, ranges[i].end, 0, 0, 0);
	return result;
}

/* Says what came of it; then there is nothing left to do but to keep the files open, or a child. */
__attribute__((noreturn)) static void hold(struct run *run, const char *what, long result)
{
	run->birth->what = what;
	run->birth->root_pid = result > 0 ? (int32_t)result : 0;
	run->birth->failed_errno = result < 0 ? (int32_t)-result : 0;
	__atomic_store_n(&run->birth->over, 1, __ATOMIC_RELEASE);
	raw_call(SYS_futex, (uintptr_t)&run->birth->over, FUTEX_WAKE, 1, 0, 0);
	while (!__atomic_load_n(&run->birth->empty, __ATOMIC_ACQUIRE))
		raw_call(SYS_futex, (uintptr_t)&run->birth->empty, FUTEX_WAIT, 0, 0, 0);
	raw_call(SYS_close_range, 0, UINT32_MAX, 0, 0, 0);
	__atomic_store_n(&run->birth->emptied, 1, __ATOMIC_RELEASE);
	raw_call(SYS_futex, (uintptr_t)&run->birth->emptied, FUTEX_WAKE, 1, 0, 0);
	for (;;)
		raw_call(SYS_pause, 0, 0, 0, 0, 0);
}

/* Tasks start with every action at its default: neither our handlers nor what we ignore. */
static void reset_signal_actions(void)
{
	const uint64_t action[4] = { 0 }; /* the kernel's struct sigaction: SIG_DFL */

	for (uint64_t signal = 1; signal <= 64; signal++)
		raw_call(SYS_rt_sigaction, signal, (uintptr_t)action, 0, 8, 0);
}

/* Errors would show when a program misses a number. */
__attribute__((noreturn)) static void be_first_task(const struct holding *holding)
{
	const struct run *run = holding->run;

	close_ranges(holding->not_inherited, holding->n_not_inherited);
	raw_enter_interpreter((uintptr_t)run->mapped, run->plan->tasks[0].program->address,
			      (uintptr_t)run->header);
}

/* The init of a fresh pid namespace; the first task is its child, not ours. */
__attribute__((noreturn)) static void make_below_init(struct holding *holding)
{
	struct run *run = holding->run;
	struct clone_args *args = &holding->clone;
	long root = raw_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);

	*args = (struct clone_args){
		.flags = CLONE_CLEAR_SIGHAND,
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)run->plan->root_clone.set_tid,
		.set_tid_size = run->plan->root_clone.n_set_tid,
	};
	if (root >= 0)
		root = raw_call(SYS_clone3, (uintptr_t)args, sizeof *args, 0, 0, 0);
	if (root == 0)
		be_first_task(holding);
	run->birth->root_errno = root < 0 ? (int32_t)-root : 0;
	__atomic_store_n(&run->birth->root_made, 1, __ATOMIC_RELEASE);
	raw_call(SYS_futex, (uintptr_t)&run->birth->root_made, FUTEX_WAKE, 1, 0, 0);
	run_be_init(run, holding->coordinator, (pid_t)root);
}

__attribute__((noreturn)) static void be_holder(struct holding *holding)
{
	struct run *run = holding->run;
	const struct plan *plan = run->plan;
	long result = raw_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);

	/* We may have died before it was asked to go with us. */
	if (raw_call(SYS_getppid, 0, 0, 0, 0, 0) != holding->coordinator)
		raw_call(SYS_exit_group, 1, 0, 0, 0, 0);
	reset_signal_actions();
	if (result >= 0 && run->root_namespace_fd >= 0)
		result = raw_call(SYS_setns, (uint64_t)run->root_namespace_fd, CLONE_NEWPID, 0, 0,
				  0);
	if (result >= 0)
		result = run_place_sources(&holding->placing, 0);
	if (result < 0)
		hold(run, "placing the sources", result);
	result = close_ranges(holding->unwanted, holding->n_unwanted);
	if (result < 0)
		hold(run, "closing descriptors", result);
	if (run->options->sibling)
		hold(run, "placing the sources", 0);
	result = raw_call(SYS_clone3, (uintptr_t)&holding->clone, sizeof holding->clone, 0, 0, 0);
	if (result == 0 && plan->fresh_pid_namespace)
		make_below_init(holding);
	if (result == 0)
		be_first_task(holding);
	while (result > 0 && plan->fresh_pid_namespace &&
	       !__atomic_load_n(&run->birth->root_made, __ATOMIC_ACQUIRE))
		raw_call(SYS_futex, (uintptr_t)&run->birth->root_made, FUTEX_WAIT, 0, 0, 0);
	if (run->birth->root_errno)
		result = -run->birth->root_errno;
	hold(run, "clone3 of the first task", result);
}

/* ---- A sibling of ours ---- */

/* The program begins by taking back the registration that it was planned to inherit: the first
 * thread's, which waits meanwhile. */
static long register_as_planned(const struct facts *facts)
{
	char *own = (char *)__builtin_thread_pointer() + __rseq_offset;
	long result;

	if (!facts->rseq_address)
		return 0;
	result = raw_call(SYS_rseq, (uintptr_t)own, facts->rseq_size, RSEQ_FLAG_UNREGISTER,
			  facts->rseq_signature, 0);
	return result < 0 ? result
			  : raw_call(SYS_rseq, facts->rseq_address, facts->rseq_size, 0,
				     facts->rseq_signature, 0);
}

static void *make_sibling(void *argument)
{
	struct holding *holding = argument;
	struct run *run = holding->run;
	long result = raw_call(SYS_unshare, CLONE_FILES, 0, 0, 0, 0);

	if (result >= 0)
		result = register_as_planned(run->plan->facts);
	if (result >= 0 && run->root_namespace_fd >= 0)
		result = raw_call(SYS_setns, (uint64_t)run->root_namespace_fd, CLONE_NEWPID, 0, 0,
				  0);
	if (result >= 0)
		result = run_place_sources(&holding->placing, run->holder);
	if (result >= 0)
		result = raw_call(SYS_clone3, (uintptr_t)&holding->clone, sizeof holding->clone, 0,
				  0, 0);
	if (result == 0)
		be_first_task(holding);
	run->birth->what = "clone3 of the first task";
	run->birth->root_pid = result > 0 ? (int32_t)result : 0;
	run->birth->failed_errno = result < 0 ? (int32_t)-result : 0;
	return NULL;
}

static int fork_sibling(struct holding *holding, struct error *err)
{
	pthread_t thread;

	/* Our signal actions are those of all our threads; the child begins with none. */
	holding->clone.flags |= CLONE_CLEAR_SIGHAND;
	errno = pthread_create(&thread, NULL, make_sibling, holding);
	if (errno)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a thread");
	pthread_join(thread, NULL);
	return 0;
}

static int wait_for_birth(struct run *run, struct holding *holding, struct error *err)
{
	const struct timespec tick = { .tv_nsec = 20 * 1000 * 1000 };

	while (!__atomic_load_n(&run->birth->over, __ATOMIC_ACQUIRE)) {
		siginfo_t info = { 0 };

		syscall(SYS_futex, &run->birth->over, FUTEX_WAIT, 0, &tick, NULL, 0);
		if ((waitid(P_PID, (id_t)run->holder, &info, WEXITED | WNOHANG | WNOWAIT) < 0 &&
		     errno == ECHILD) ||
		    info.si_pid)
			return fail(err, ERR_TASK_DIED,
				    "the process that holds the open files died");
		if (run_check_interrupted(err))
			return -1;
	}
	if (run->options->sibling && !run->birth->failed_errno && fork_sibling(holding, err))
		return -1;
	if (run->birth->root_pid) {
		run->child = run->birth->root_pid;
		return 0;
	}
	errno = run->birth->failed_errno;
	if (errno == EEXIST)
		return fail_pid_in_use(run, run->plan->tasks[0].program->name,
				       run->plan->root_clone.set_tid,
				       run->plan->root_clone.n_set_tid, true, err);
	fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
		   "cannot make %s: %s", run->plan->tasks[0].program->name, run->birth->what);
	if (err->name == ERR_NO_PRIVILEGE)
		fail_hint(err, "giving ids takes CAP_CHECKPOINT_RESTORE, making pid namespaces "
			       "CAP_SYS_ADMIN; a tree in a user namespace of one's own takes "
			       "neither, with a pid namespace of its own or --unshare pid");
	return -1;
}

int run_fork(struct run *run, struct error *err)
{
	const struct root_clone *clone = &run->plan->root_clone;
	struct holding holding = {
		.run = run,
		.coordinator = getpid(),
		.clone = {
			.flags = clone->flags | CLONE_PARENT,
			.set_tid = (uintptr_t)clone->set_tid,
			.set_tid_size = clone->n_set_tid,
			/* No exit_signal: with CLONE_PARENT it is that of the holder. */
		},
	};

	run->orphans_root = run->options->detached && !run->options->sibling &&
			    run->plan->root_has_death_signal && !run->plan->fresh_pid_namespace;
	if (run->root_namespace_fd >= 0)
		holding.clone.flags &= ~(uint64_t)CLONE_NEWPID;
	if (run->plan->fresh_pid_namespace)
		holding.clone = (struct clone_args){ .flags = CLONE_PARENT | CLONE_NEWPID };
	if (run->orphans_root) {
		holding.clone.flags &= ~(uint64_t)CLONE_PARENT;
		holding.clone.exit_signal = SIGCHLD;
	}
	if (!clone->n_set_tid)
		holding.clone.set_tid = 0;
	holding.unwanted = gaps(run, false, &holding.n_unwanted);
	holding.not_inherited = gaps(run, true, &holding.n_not_inherited);
	run_prepare_placing(run, &holding.placing);
	run->holder = fork();
	if (run->holder < 0) {
		run->holder = 0;
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
	}
	if (!run->holder)
		be_holder(&holding);
	return wait_for_birth(run, &holding, err);
}

int run_empty_holder(struct run *run, struct error *err)
{
	const struct timespec tick = { .tv_nsec = 20 * 1000 * 1000 };

	if (!run->orphans_root) {
		run_end_holder(run);
		return 0;
	}
	run_set_word(&run->birth->empty, 1);
	while (!__atomic_load_n(&run->birth->emptied, __ATOMIC_ACQUIRE)) {
		syscall(SYS_futex, &run->birth->emptied, FUTEX_WAIT, 0, &tick, NULL, 0);
		if (run_state_of(run->holder) == 'Z')
			return fail(err, ERR_TASK_DIED,
				    "the process that holds the open files died");
	}
	return 0;
}

void run_end_holder(struct run *run)
{
	if (!run->holder)
		return;
	end_child(run->holder);
	run->holder = 0;
}
