// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The probe: what all kinds want to ask of a thread becomes one program, run by the interpreter
 * in an arena that the thread's process maps for it.
 *
 *   arena   run_header, the `active` word, results, buffers, operations
 *
 * Tasks are asked several at a time, since each waits for the kernel to run it: while one works,
 * the next is prepared. Threads of one process share an arena and go one after another.
 * The first that lives, mostly the leader, maps it and answers for the process.
 *
 * A thread with a seccomp filter is asked what its filter permits, and what it answers with an
 * error: for that it is suspended (PTRACE_O_SUSPEND_SECCOMP). The suspension ends with us; if we
 * die, what is left of the program fails, and nobody is hurt. What the filter punishes otherwise is
 * not asked, nor anything of a thread for which it does not permit the calls of the stub; for the
 * leader, which maps the arena, that holds for the whole process. In strict mode nothing is
 * permitted. What a kind lacks for that is asked once more where nobody ends us meanwhile (guarded,
 * pipeline/dump.c): then everything is.
 */
#include "collect/probe.h"
#include "arch/stub.h"
#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/inject.h"
#include "collect/losses.h"
#include "collect/seccomp.h"
#include "collect/wait.h"
#include "collect/witness.h"
#include "kinds/kind.h"
#include "program/op.h"

#include <assert.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/syscall.h>

#ifndef PTRACE_O_SUSPEND_SECCOMP /* linux/ptrace.h, which does not go together with sys/ptrace.h \
				  */
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21)
#endif

enum {
	MAX_CALLS = 256,
	BUFFER_ROOM = 16384,
	BUFFER_ALIGNMENT = 16,
	RESULTS_AT = 128, /* behind run_header and ARENA_ACTIVE */
	BUFFERS_AT = RESULTS_AT + MAX_CALLS * sizeof(uint64_t),
	OPS_AT = BUFFERS_AT + BUFFER_ROOM,
	ARENA_SIZE = (OPS_AT + (MAX_CALLS + 1) * OP_SIZE + 4095) & ~4095,
	AT_ONCE = 32, /* tasks at work */
	DEFAULT_TIMEOUT = 10,
};

static_assert(sizeof(struct run_header) <= ARENA_ACTIVE, "the word lies behind the header");
static_assert(sizeof(struct op) == OP_SIZE, "as the interpreter has it");

struct probe {
	struct target *target;
	struct injection injection;
	bool failed;	 /* err has the reason */
	bool may_inject; /* the leader's filter permits an arena */
	/* Of the thread that is being asked: */
	size_t thread;
	bool may_run;
	bool suspended; /* its filters are */
	struct seccomp_filters filters;
	struct op ops[MAX_CALLS + 1];
	bool forbidden[MAX_CALLS];
	size_t n_calls;
	size_t buffer_size;
	bool ran;
	bool goes_on; /* with what follows from its answers */
	uint64_t results[MAX_CALLS];
	uint8_t buffers[BUFFER_ROOM];
	void **asked; /* one per kind, in the order of the table */
};

static bool is_forbidden(const struct probe *probe, const struct op *op)
{
	switch (seccomp_judge(&probe->filters, op->nr, op->args,
			      injection_call_ip(&probe->injection))) {
	case SECCOMP_PASSES:
		return false;
	case SECCOMP_FAILS:
		return !probe->suspended;
	default:
		return !probe->suspended || !probe->target->collect->options->guarded;
	}
}

size_t probe_call(struct probe *probe, uint32_t nr, const uint64_t *args, size_t n_args)
{
	size_t index = probe->n_calls;
	struct op *op = &probe->ops[index];

	assert(index < MAX_CALLS && n_args <= 6);
	*op = (struct op){
		.nr = nr,
		.kind = OP_CALL,
		.check = CHECK_NONE, /* a failure is an answer too */
		.result = probe->injection.arena + RESULTS_AT + index * sizeof(uint64_t),
	};
	memcpy(op->args, args, n_args * sizeof *args);
	probe->forbidden[index] = !probe->may_run || is_forbidden(probe, op);
	probe->n_calls++;
	return index;
}

/*
 * By a read of the table where that may be called. Else by asking for the access rights of all
 * 8,192 selectors, which no filter forbids, but which takes 0.2 ms.
 */
size_t probe_local_segments(struct probe *probe)
{
	enum { READ_TABLE, ENTRY_SIZE = 8 };
	size_t index = probe_ask(probe, SYS_modify_ldt, READ_TABLE, probe_buffer(probe, ENTRY_SIZE),
				 ENTRY_SIZE);

	if (probe->may_run && probe->forbidden[index]) {
		probe->ops[index].kind = OP_LOCAL;
		probe->forbidden[index] = false;
	}
	return index;
}

uint64_t probe_buffer(struct probe *probe, size_t size)
{
	size_t at = probe->buffer_size;

	probe->buffer_size = (at + size + BUFFER_ALIGNMENT - 1) & ~(size_t)(BUFFER_ALIGNMENT - 1);
	assert(probe->buffer_size <= BUFFER_ROOM);
	return probe->injection.arena + BUFFERS_AT + at;
}

int64_t probe_result(const struct probe *probe, size_t call)
{
	assert(call < probe->n_calls);
	if (!probe->ran || probe->forbidden[call])
		return PROBE_FORBIDDEN;
	return (int64_t)probe->results[call];
}

const void *probe_bytes(const struct probe *probe, uint64_t buffer)
{
	uint64_t at = buffer - probe->injection.arena - BUFFERS_AT;

	assert(at < BUFFER_ROOM);
	return probe->buffers + at;
}

/* Reads the filters of a thread; may_run says whether it may be asked anything. */
static int read_permissions(struct probe *probe, size_t thread, struct error *err)
{
	const struct target_thread *where = &probe->target->threads[thread];
	uint64_t mode = procfs_value(where->status, "Seccomp:", 10);

	probe->filters = (struct seccomp_filters){ 0 };
	probe->may_run = true;
	probe->suspended = false;
	if (mode == SECCOMP_MODE_DISABLED)
		return 0;
	bool permitted = false;
	if (mode == SECCOMP_MODE_FILTER) {
		if (seccomp_read_filters(where->tid, probe->target->collect->arena, &probe->filters,
					 err))
			return -1;
		permitted = injection_permitted(&probe->injection, thread, &probe->filters);
	}
	bool guarded = probe->target->collect->options->guarded;
	/* Until it is let go. Wants CAP_SYS_ADMIN, and no filter of our own. */
	probe->suspended =
		(permitted || guarded) && ptrace(PTRACE_SETOPTIONS, where->tid, NULL,
						 (unsigned long)PTRACE_O_SUSPEND_SECCOMP) == 0;
	if ((permitted || guarded) && !probe->suspended && errno_tells_nothing(errno))
		return fail_errno(err, ERR_PROBE_FAILED, "cannot suspend the filters of thread %d",
				  where->tid);
	probe->may_run = permitted || probe->suspended;
	return 0;
}

static void begin_program(struct probe *probe, bool goes_on)
{
	probe->goes_on = goes_on;
	probe->ran = false;
	memset(probe->buffers, 0, probe->buffer_size); /* of the one before */
	probe->n_calls = probe->buffer_size = 0;
}

static void ask_kinds(struct probe *probe, const struct kind_table *table, size_t thread)
{
	const struct asking asking = { probe, probe->target, thread };
	bool speaks = thread == probe->target->living;
	size_t index = 0;

	probe->thread = thread;
	begin_program(probe, false);
	for (size_t stage = 0; stage < STAGE_COUNT; stage++)
		for (const struct task_kind *const *kind = table->tasks[stage]; kind && *kind;
		     kind++) {
			if ((*kind)->ask && (speaks || (*kind)->per_thread))
				probe->asked[index] = (*kind)->ask(&asking);
			index++;
		}
}

static int answer_kinds(struct probe *probe, const struct kind_table *table, struct error *err)
{
	const struct asking asking = { probe, probe->target, probe->thread };
	bool speaks = probe->thread == probe->target->living;
	size_t index = 0;

	for (size_t stage = 0; stage < STAGE_COUNT; stage++)
		for (const struct task_kind *const *kind = table->tasks[stage]; kind && *kind;
		     kind++) {
			if ((*kind)->answer && (speaks || (*kind)->per_thread) &&
			    (*kind)->answer(&asking, probe->asked[index], err) < 0)
				return -1;
			index++;
		}
	return 0;
}

static size_t count_kinds(const struct kind_table *table)
{
	size_t count = 0;

	for (size_t stage = 0; stage < STAGE_COUNT; stage++)
		for (const struct task_kind *const *kind = table->tasks[stage]; kind && *kind;
		     kind++)
			count++;
	return count;
}

static int fail_memory(const struct probe *probe, struct error *err)
{
	return fail_errno(err, ERR_PROBE_FAILED,
			  "cannot reach the memory that pid %d mapped for us", probe->target->pid);
}

/* Writes the program and the empty buffers, and starts the thread on it. */
static int run_program(struct probe *probe, struct error *err)
{
	uint64_t arena = probe->injection.arena;
	size_t n = 0;

	/* The permitted calls close ranks; results keep the slots that they were promised. */
	for (size_t i = 0; i < probe->n_calls; i++)
		if (!probe->forbidden[i])
			probe->ops[n++] = probe->ops[i];
	if (n == 0)
		return 0;
	probe->ops[n] = (struct op){ .kind = OP_LEAVE };
	probe->ops[n++].args[0] = injection_leave_address(&probe->injection, probe->thread);

	const struct iovec local[] = { { probe->ops, n * sizeof(struct op) },
				       { probe->buffers, probe->buffer_size } };
	const struct iovec remote[] = { { (void *)(arena + OPS_AT), n * sizeof(struct op) },
					{ (void *)(arena + BUFFERS_AT), probe->buffer_size } };
	ssize_t size = (ssize_t)(local[0].iov_len + local[1].iov_len);
	if (process_vm_writev(probe->target->tid, local, 2, remote, 2, 0) != size)
		return fail_memory(probe, err);
	if (probe->thread == probe->target->living && !probe->goes_on)
		probe->target->asked_from = wait_clock();
	if (injection_run(&probe->injection, probe->thread, arena + OPS_AT, err))
		return -1;
	probe->ran = true;
	return 0;
}

static int wait_program(struct probe *probe, struct error *err)
{
	uint64_t arena = probe->injection.arena;
	const struct iovec local[] = { { probe->results, probe->n_calls * sizeof(uint64_t) },
				       { probe->buffers, probe->buffer_size } };
	const struct iovec remote[] = { { (void *)(arena + RESULTS_AT), local[0].iov_len },
					{ (void *)(arena + BUFFERS_AT), probe->buffer_size } };
	ssize_t size = (ssize_t)(local[0].iov_len + local[1].iov_len);

	if (!probe->ran)
		return 0;
	if (injection_ran(&probe->injection, probe->thread, err))
		return -1;
	if (probe->thread == probe->target->living && !probe->goes_on)
		probe->target->asked_to = wait_clock();
	if (process_vm_readv(probe->target->tid, local, 2, remote, 2, 0) != size)
		return fail_memory(probe, err);
	return 0;
}

static int ask_kind_more(struct probe *probe, const struct task_kind *kind, void *asked,
			 struct error *err)
{
	const struct asking asking = { probe, probe->target, probe->thread };

	for (;;) {
		begin_program(probe, true);
		void *more = kind->ask_more(&asking, asked);
		if (!more)
			return 0;
		if (collect_go_on(probe->target->collect, err) || run_program(probe, err) ||
		    wait_program(probe, err) || kind->answer_more(&asking, more, err))
			return -1;
	}
}

/* What follows from the answers of the thread. */
static int ask_more(struct probe *probe, const struct kind_table *table, struct error *err)
{
	bool speaks = probe->thread == probe->target->living;
	size_t index = 0;

	for (size_t stage = 0; stage < STAGE_COUNT; stage++)
		for (const struct task_kind *const *kind = table->tasks[stage]; kind && *kind;
		     kind++, index++)
			if ((*kind)->ask_more && (speaks || (*kind)->per_thread) &&
			    ask_kind_more(probe, *kind, probe->asked[index], err))
				return -1;
	return 0;
}

/* First step: the leader maps an arena, where its filter permits that. */
static int begin(struct probe *probe, struct target *target, bool alone, uint64_t deadline,
		 struct error *err)
{
	probe->target = target;
	probe->failed = probe->may_inject = false;
	if (injection_prepare(&probe->injection, target, ARENA_SIZE, deadline, err))
		return -1;
	/* If nobody is at work, then it was one of our pid that died. */
	if (alone)
		probe->injection.address_space_busy = false;
	if (probe->injection.address_space_busy)
		return 0;
	if (read_permissions(probe, target->living, err))
		return -1;
	probe->may_inject = probe->may_run;
	if (!probe->may_inject) {
		log_info("collect", "",
			 "pid %d is not asked: its seccomp filter does not permit that",
			 target->pid);
		return 0;
	}
	return injection_start(&probe->injection, err);
}

/* Second step: the leader works on its program. */
static int ask_leader(struct probe *probe, const struct kind_table *table, struct error *err)
{
	if (probe->may_inject && injection_started(&probe->injection, err))
		return -1;
	ask_kinds(probe, table, probe->target->living);
	return run_program(probe, err);
}

/* Third step: its answers, then those of the other threads; then the arena goes. */
static int ask_others(struct probe *probe, const struct kind_table *table, struct error *err)
{
	if (wait_program(probe, err) || answer_kinds(probe, table, err) ||
	    ask_more(probe, table, err))
		return -1;
	for (size_t thread = probe->target->living + 1; thread < probe->target->n_threads;
	     thread++) {
		if (collect_go_on(probe->target->collect, err) ||
		    read_permissions(probe, thread, err))
			return -1;
		probe->may_run = probe->may_run && probe->may_inject;
		ask_kinds(probe, table, thread);
		if (run_program(probe, err) || wait_program(probe, err) ||
		    answer_kinds(probe, table, err) || ask_more(probe, table, err))
			return -1;
	}
	return 0;
}

/* Each round makes at least one timer one that has expired, so there is an end to them. */
static int settle_kinds(struct target *target, const struct kind_table *table, struct error *err)
{
	bool again = true;

	while (again) {
		again = false;
		if (collect_go_on(target->collect, err))
			return -1;
		for (size_t stage = 0; stage < STAGE_COUNT; stage++)
			for (const struct task_kind *const *kind = table->tasks[stage];
			     kind && *kind; kind++)
				if ((*kind)->settle && (*kind)->settle(target, &again, err) < 0)
					return -1;
	}
	return 0;
}

/* Whatever failed on the way, who was started is brought back. */
static int ask_batch(struct probe **probes, size_t n, const struct kind_table *table,
		     struct error *err)
{
	int failed = 0;

	for (size_t i = 0; i < n; i++)
		if (!probes[i]->failed)
			probes[i]->failed = ask_leader(probes[i], table, err) < 0;
	for (size_t i = 0; i < n; i++) {
		if (!probes[i]->failed)
			probes[i]->failed = ask_others(probes[i], table, err) < 0;
		if (probes[i]->injection.started && injection_finish(&probes[i]->injection, err))
			probes[i]->failed = true;
	}
	for (size_t i = 0; i < n; i++) {
		if (probes[i]->injection.started &&
		    injection_finished(&probes[i]->injection, err) < 0)
			probes[i]->failed = true;
		if (!probes[i]->failed)
			probes[i]->failed = settle_kinds(probes[i]->target, table, err) < 0;
		if (probes[i]->failed)
			failed = -1;
	}
	return failed;
}

/* Starts the next few tasks; returns how many. */
static size_t begin_batch(struct collect *collect, size_t *at, struct probe **probes,
			  uint64_t deadline, struct error *err)
{
	size_t n = 0;

	for (; *at < collect->n_targets && n < AT_ONCE; ++*at) {
		struct target *target = &collect->targets[*at];

		if (target->zombie)
			continue;
		probes[n]->failed = begin(probes[n], target, n == 0, deadline, err) < 0;
		/* Of tasks that share their memory, one at a time. */
		if (probes[n]->injection.address_space_busy)
			break;
		n++;
	}
	return n;
}

int collect_probe_kinds(struct collect *collect, const struct kind_table *table, struct error *err)
{
	unsigned timeout = collect->options->timeout_seconds;
	uint64_t deadline = wait_deadline(timeout ? timeout : DEFAULT_TIMEOUT);
	struct probe *probes[AT_ONCE];
	size_t n_kinds = count_kinds(table), at = 0;
	sigset_t saved;
	int failed = 0;

	for (size_t i = 0; i < AT_ONCE && i < collect->n_targets; i++) {
		probes[i] = arena_new(collect->arena, struct probe);
		probes[i]->asked = arena_array(collect->arena, void *, n_kinds);
	}
	wait_begin(&saved);
	while (at < collect->n_targets && !failed) {
		/* Before anybody has begun: who was started has to be waited for. */
		failed = collect_go_on(collect, err) < 0;
		if (failed)
			break;
		size_t n = begin_batch(collect, &at, probes, deadline, err);

		failed = ask_batch(probes, n, table, err);
	}
	witnesses_dismiss(collect);
	wait_end(&saved);
	return failed ? -1 : 0;
}

int collect_probe(struct collect *collect, struct error *err)
{
	/* What is not known of a task cannot be asked for in parts. */
	for (size_t i = 0; i < collect->n_targets; i++)
		if (collect->targets[i].refused)
			return 0;
	if (collect_probe_kinds(collect, &kinds, err) && collect_pass(collect, err))
		return -1;
	return losses_report(collect, err);
}

int collect_look_again(struct collect *collect, struct error *err)
{
	for (size_t i = 0; i < collect->n_targets; i++)
		for (size_t stage = 0; stage < STAGE_COUNT && !collect->targets[i].zombie; stage++)
			for (const struct task_kind *const *kind = kinds.tasks[stage];
			     kind && *kind; kind++)
				if ((*kind)->look_again &&
				    (*kind)->look_again(&collect->targets[i], err) < 0)
					return -1;
	return 0;
}
