// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is read of a task once it is stopped, and from the stopped tasks the list of targets.
 *
 * Registers are settled at the stop, so that injection, image and release agree on them:
 *
 *  - A thread inside a restartable sequence is to be aborted (rseq(2)). The kernel does that on
 *    the thread's way back to user space, but any call we inject is a way back too, and takes the
 *    pending abort with it. So rip becomes abort_ip, as the kernel would make it.
 *  - Calls that the stop interrupted: interrupted.c.
 */
#include "arch/registers.h"
#include "arch/vdso.h"
#include "base/cleanup.h"
#include "base/compare.h"
#include "base/procfs.h"
#include "collect/code-room.h"
#include "collect/collect.h"
#include "collect/assistant.h"
#include "collect/finisher.h"
#include "collect/inject.h"
#include "collect/read-ahead.h"
#include "collect/seize.h"
#include "collect/wait.h"
#include "collect/witness.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>

enum {
	PATH_ROOM = 64,
	MASK_SIZE = 8,
	RSEQ_CS_OFFSET = 8, /* of rseq_cs in struct rseq */
	DEFAULT_TIMEOUT = 10,
	RECOVERY_SECONDS = 5,
	FIRST_DELAY = 1000000, /* ns */
	LONGEST_DELAY = 500000000,
	FIRST_PATIENCE = 50000000,
	USUAL_DESCRIPTORS = 4096,
};

/* struct ptrace_rseq_configuration of linux/ptrace.h, which clashes with sys/ptrace.h. */
struct rseq_configuration {
	uint64_t address;
	uint32_t size, signature, flags, pad;
};

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif

#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif

/* struct rseq_cs of linux/rseq.h. */
struct critical_section {
	uint32_t version, flags;
	uint64_t start_ip, post_commit_offset, abort_ip;
};

static bool read_memory(pid_t pid, uint64_t address, void *bytes, size_t size)
{
	struct iovec local = { bytes, size }, remote = { (void *)address, size };

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

static void settle_rseq(struct target *target, struct target_thread *thread)
{
	struct critical_section section;
	uint64_t address;

	/* A thread inside a system call is not in a critical section. */
	if (thread->rseq_address == 0 || (int64_t)thread->regs.orig_rax >= 0)
		return;
	if (!target_peek(target, thread->rseq_address + RSEQ_CS_OFFSET, &address, sizeof address) ||
	    address == 0 || !target_peek(target, address, &section, sizeof section))
		return;
	if (thread->regs.rip - section.start_ip < section.post_commit_offset)
		thread->regs.rip = section.abort_ip;
}

static int fail_registers(const struct target *target, const struct target_thread *thread,
			  struct error *err)
{
	if (errno == ESRCH)
		return fail(err, ERR_TREE_CHANGED, "pid %d was ended while it was being stopped",
			    target->pid);
	return fail_errno(err, ERR_KERNEL_REFUSED,
			  "cannot read the registers of thread %d of pid %d", thread->tid,
			  target->pid);
}

/*
 * What stands between a system call and the kernel has to be known before one is injected: syscall
 * user dispatch (prctl(2), PR_SET_SYSCALL_USER_DISPATCH) turns each into SIGSYS unless the selector
 * byte, if there is one, lets it pass, and a program handles that in ways that we know nothing of.
 * It could be switched off meanwhile, but would stay so if we died.
 */
static int check_dispatch(const struct target *target, const struct target_thread *thread,
			  struct error *err)
{
	uint8_t state = SYSCALL_DISPATCH_FILTER_BLOCK;

	if (thread->dispatch.mode == PR_SYS_DISPATCH_OFF)
		return 0;
	if (thread->dispatch.mode != PR_SYS_DISPATCH_ON)
		return fail(err, ERR_UNSUPPORTED_TASK,
			    "thread %d of pid %d uses syscall user dispatch in mode %" PRIu64,
			    thread->tid, target->pid, thread->dispatch.mode);
	if (thread->dispatch.selector &&
	    !read_memory(target->tid, thread->dispatch.selector, &state, sizeof state))
		state = SYSCALL_DISPATCH_FILTER_BLOCK;
	if (state == SYSCALL_DISPATCH_FILTER_ALLOW)
		return 0;
	fail(err, ERR_UNSUPPORTED_TASK,
	     "thread %d of pid %d uses syscall user dispatch, and is where its system calls are "
	     "blocked",
	     thread->tid, target->pid);
	return thread->dispatch.selector
		       ? fail_hint(err, "try again: while it waits in a system call they are not")
		       : -1;
}

/* Since 6.4. Before, nobody can see from outside whether it is on: that is one with EIO. */
static int read_dispatch(struct target_thread *thread, struct error *err)
{
	thread->dispatch.mode = PR_SYS_DISPATCH_OFF;
	if (ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, thread->tid, sizeof thread->dispatch,
		   &thread->dispatch) < 0 &&
	    errno != EIO)
		return fail_errno(err, procfs_error(errno),
				  "cannot read the syscall user dispatch of thread %d",
				  thread->tid);
	return 0;
}

static int check_thread(const struct target *target, const struct target_thread *thread,
			struct error *err)
{
	const char *features = procfs_field(thread->status, "x86_Thread_features:");
	uint64_t unsupported = xstate_unsupported(thread->xstate, thread->xstate_size);

	if (thread->regs.cs != REGISTERS_CS_64)
		return fail(err, ERR_UNSUPPORTED_TASK, "pid %d runs 32-bit code", target->pid);
	if (features && strncmp(features, "shstk", strlen("shstk")) == 0)
		return fail(err, ERR_UNSUPPORTED_TASK, "thread %d of pid %d has a shadow stack",
			    thread->tid, target->pid);
	if (unsupported)
		return fail(err, ERR_UNSUPPORTED_TASK,
			    "thread %d of pid %d uses processor state that the images have no place"
			    " for (XSAVE components 0x%" PRIx64 ")",
			    thread->tid, target->pid, unsupported);
	return check_dispatch(target, thread, err);
}

static int read_thread(struct target *target, struct target_thread *thread, struct error *err)
{
	uint8_t xstate[XSTATE_MAX_SIZE];
	struct iovec general = { &thread->regs, sizeof thread->regs };
	struct iovec extended = { xstate, sizeof xstate };
	struct rseq_configuration rseq;

	if (ptrace(PTRACE_GETREGSET, thread->tid, NT_PRSTATUS, &general) < 0 ||
	    ptrace(PTRACE_GETREGSET, thread->tid, NT_X86_XSTATE, &extended) < 0 ||
	    ptrace(PTRACE_GETSIGMASK, thread->tid, MASK_SIZE, &thread->signal_mask) < 0)
		return fail_registers(target, thread, err);
	thread->xstate_size = extended.iov_len;
	thread->xstate = arena_copy(target->collect->arena, xstate, extended.iov_len);
	/* Since 5.13; without it (EIO) a registration could not be told from none. */
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, thread->tid, sizeof rseq, &rseq) < 0)
		return fail_errno(err, errno == EIO ? ERR_KERNEL_TOO_OLD : procfs_error(errno),
				  "cannot read the rseq registration of thread %d", thread->tid);
	thread->rseq_address = rseq.address;
	thread->rseq_size = rseq.size;
	thread->rseq_signature = rseq.signature;
	if (read_dispatch(thread, err))
		return -1;
	return check_thread(target, thread, err);
}

static int read_status(struct target *target, struct target_thread *thread, struct error *err)
{
	char path[PATH_ROOM];

	if (thread->tid == target->tid) {
		thread->status = target->status;
		return 0;
	}
	snprintf(path, sizeof path, "task/%d/status", thread->tid);
	thread->status = target_read(target, path, err);
	return thread->status ? 0 : -1;
}

static bool is_vdso(const struct target *target, uint64_t address)
{
	const uint8_t *own = vdso_own();
	uint8_t header[VDSO_HEADER_SIZE];

	return own && read_memory(target->tid, address, header, sizeof header) &&
	       memcmp(own, header, sizeof header) == 0;
}

static int read_auxv(struct target *target, struct error *err)
{
	autofree char *bytes = NULL;
	ssize_t size = target_text(target, "auxv", &bytes);

	/* Who may not read it may not read the memory either: collect_check_privileges tells. */
	if (size < 0 && errno == EACCES)
		return 0;
	if (size < 0)
		return fail_errno(err, procfs_error(errno), "cannot read /proc/%d/auxv",
				  target->tid);
	target->auxv = (uint64_t *)arena_copy(target->collect->arena, bytes, (size_t)size);
	target->n_auxv = (size_t)size / sizeof target->auxv[0];
	return 0;
}

/* The auxiliary vector knows, unless the vdso was moved later; then the list of areas does. */
static int find_vdso(struct target *target, struct error *err)
{
	const uint8_t *own = vdso_own();
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), size = own ? vdso_content_size(own) : 0;
	autofree char *maps = NULL;
	char *at;

	if (read_auxv(target, err))
		return -1;
	for (size_t i = 0; i + 1 < target->n_auxv; i += 2) {
		if (target->auxv[i] != AT_SYSINFO_EHDR || !is_vdso(target, target->auxv[i + 1]))
			continue;
		target->vdso_start = target->auxv[i + 1];
		target->vdso_end = target->vdso_start + ((size + page - 1) & ~(page - 1));
		return 0;
	}
	if (target_text(target, "maps", &maps) < 0 && errno == EACCES)
		return 0;
	if (!maps)
		return fail_errno(err, procfs_error(errno), "cannot read /proc/%d/maps",
				  target->tid);
	at = strstr(maps, " [vdso]\n");
	while (at && at > maps && at[-1] != '\n')
		at--;
	if (at) {
		target->vdso_start = strtoull(at, &at, 16);
		target->vdso_end = strtoull(at + 1, NULL, 16);
	} else {
		if (code_room_find(target, maps, injection_code_size(), &target->code_room))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot look for room for code in pid %d", target->tid);
	}
	return 0;
}

static int read_stat(struct target *target, const char *path, char **ret_stat, struct error *err)
{
	char *text = target_read(target, path, err);
	char *after_name = text ? strrchr(text, ')') : NULL;

	if (!text)
		return -1;
	if (!after_name || after_name[1] != ' ')
		return fail(err, ERR_KERNEL_REFUSED, "cannot read /proc/%d/%s", target->pid, path);
	*ret_stat = after_name + 2;
	return 0;
}

static int read_process(struct target *target, struct error *err)
{
	char path[PATH_ROOM];

	target->status = target_read(target, "status", err);
	if (!target->status || read_stat(target, "stat", &target->stat, err))
		return -1;
	target->leader_stat = target->stat;
	if (target->living == 0)
		return 0;
	snprintf(path, sizeof path, "task/%d/stat", target->pid);
	return read_stat(target, path, &target->leader_stat, err);
}

/*
 * Threads that are still in code of an earlier nestor, which was killed. Those of a running task
 * come home by themselves; one in a group stop does not run. From the last to the first: it is
 * the leader that clears up.
 */
static enum stop_outcome take_home(struct target *target, struct error *err)
{
	uint64_t deadline = wait_deadline(RECOVERY_SECONDS);

	for (size_t i = target->n_threads; i-- > 0;) {
		const struct target_thread *thread = &target->threads[i];

		if (thread->dead || !injection_is_inside(target, thread->regs.rip) ||
		    (target->stop_signal && injection_recover(target, i, deadline)))
			continue;
		fail(err, ERR_BUSY,
		     "thread %d of pid %d does not come back from what an earlier nestor,"
		     " which was killed, has asked it",
		     thread->tid, target->pid);
		return STOP_AGAIN;
	}
	return STOP_DONE;
}

static int read_threads(struct target *target, struct error *err)
{
	for (size_t i = 0; i < target->n_threads; i++) {
		struct target_thread *thread = &target->threads[i];

		if (read_status(target, thread, err) ||
		    (!thread->dead && read_thread(target, thread, err)))
			return -1;
	}
	return 0;
}

enum stop_outcome target_read_stopped(struct target *target, struct error *err)
{
	enum stop_outcome outcome;

	if (read_process(target, err))
		return STOP_FAILED;
	if (target->zombie && target->stat[0] != 'Z') {
		fail(err, ERR_TREE_CHANGED, "pid %d, a zombie, has become another process",
		     target->pid);
		return STOP_AGAIN;
	}
	if (target->zombie) {
		target->threads[0].status = target->status;
		return STOP_DONE;
	}
	if (find_vdso(target, err) || read_threads(target, err))
		return STOP_FAILED;
	outcome = take_home(target, err);
	for (size_t i = 0; outcome == STOP_DONE && i < target->n_threads; i++) {
		struct target_thread *thread = &target->threads[i];

		if (thread->dead)
			continue;
		settle_rseq(target, thread);
		interrupted_settle(target, thread);
	}
	errno = target->peek_failure;
	if (outcome == STOP_DONE && errno) {
		fail_errno(err, ERR_KERNEL_REFUSED,
			   "cannot tell in which call pid %d was interrupted", target->pid);
		return STOP_FAILED;
	}
	return outcome;
}

int target_read_running(struct target *target, struct error *err)
{
	if (read_process(target, err))
		return -1;
	if (target->zombie) {
		target->threads[0].status = target->status;
		return 0;
	}
	if (find_vdso(target, err))
		return -1;
	for (size_t i = 0; i < target->n_threads; i++)
		if (read_status(target, &target->threads[i], err))
			return -1;
	return 0;
}

static int compare_tids(const void *left, const void *right)
{
	const struct target_thread *a = left, *b = right;

	return compare_values(a->tid, b->tid);
}

static void fill_target(struct target *target, struct collect *collect, struct found_task *task)
{
	size_t dead = task->leader_dead || task->zombie;

	*target = (struct target){
		.collect = collect,
		.pid = task->pid,
		.living = task->zombie ? 0 : dead,
		.tid = task->pid,
		.zombie = task->zombie,
		.stop_signal = task->stop_signal,
		.n_threads = task->n_threads + dead,
		.threads =
			arena_array(collect->arena, struct target_thread, task->n_threads + dead),
	};
	if (dead)
		target->threads[0] =
			(struct target_thread){ .tid = task->pid,
						.dead = true,
						.seized = task->leader_seized && !task->zombie };
	for (size_t i = 0; i < task->n_threads; i++) {
		target->threads[i + dead].tid = task->threads[i].tid;
		target->threads[i + dead].sleep = task->threads[i].sleep;
		target->threads[i + dead].seized = true;
	}
	if (task->n_threads > 1)
		qsort(target->threads + 1, target->n_threads - 1, sizeof *target->threads,
		      compare_tids);
	if (target->living)
		target->tid = target->threads[1].tid;
}

/* Breadth first: a task's target is written before those of its children. */
static void list_targets(struct collect *collect, const struct found_tree *tree)
{
	struct found_task **order = arena_array(collect->arena, struct found_task *, tree->n_tasks);
	size_t *parents = arena_array(collect->arena, size_t, tree->n_tasks), n = 1;

	order[0] = tree->tasks[0];
	for (size_t i = 0; i < n; i++)
		for (struct found_task *child = order[i]->first_child; child;
		     child = child->next_sibling) {
			if (child->gone)
				continue;
			parents[n] = i;
			order[n++] = child;
		}
	collect->targets = arena_array(collect->arena, struct target, n);
	collect->n_targets = n;
	for (size_t i = 0; i < n; i++) {
		fill_target(&collect->targets[i], collect, order[i]);
		if (i > 0)
			collect->targets[i].parent = &collect->targets[parents[i]];
	}
}

static enum stop_outcome stop_once(struct collect *collect, struct found_tree *tree,
				   struct error *err)
{
	enum stop_outcome outcome = find_and_stop(tree, collect->options->pid, err);

	if (outcome != STOP_DONE)
		return outcome;
	list_targets(collect, tree);
	for (size_t i = 0; i < collect->n_targets && outcome == STOP_DONE; i++)
		outcome = collect_go_on(collect, err) < 0
				  ? STOP_FAILED
				  : target_read_stopped(&collect->targets[i], err);
	return outcome;
}

/*
 * One descriptor per task, and more later: up to what we are allowed without asking anybody. A
 * table that grows while threads or deputies share it is waited for (expand_fdtable:
 * synchronize_rcu, some milliseconds each time), so it does now.
 */
static void make_room_for_descriptors(void)
{
	struct rlimit limit = { 0 };

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	autoclose int root = open("/", O_PATH | O_CLOEXEC);
	autoclose int last = root < 0 ? -1 : fcntl(root, F_DUPFD_CLOEXEC, USUAL_DESCRIPTORS - 1);
	(void)last;
}

/* Tasks move when their array grows, so targets are linked once all are there. */
void collect_add_tasks(struct collect *collect)
{
	for (size_t i = 0; i < collect->n_targets; i++)
		snapshot_add_task(collect->snapshot);
	for (size_t i = 0; i < collect->n_targets; i++)
		collect->targets[i].task = &collect->snapshot->tasks[i];
}

static enum stop_outcome try_until(struct collect *collect, uint64_t deadline, struct error *err)
{
	uint64_t delay = FIRST_DELAY, patience = FIRST_PATIENCE;
	struct late_threads late = { .n = 0 };

	for (;;) {
		struct found_tree *tree = arena_new(collect->arena, struct found_tree);
		enum stop_outcome outcome;

		tree->collect = collect;
		tree->arena = collect->arena;
		tree->deadline = deadline;
		tree->patience = patience;
		tree->late = &late;
		outcome = stop_once(collect, tree, err);
		if (outcome == STOP_DONE)
			return outcome;
		collect->targets = NULL;
		collect->n_targets = 0;
		bool last = outcome == STOP_FAILED || wait_clock() + delay >= deadline;
		if (last && collect->freezer.restore)
			collect->freezer.restore(collect->freezer.data);
		found_tree_release(tree);
		if (last)
			return STOP_FAILED;
		*err = (struct error){ 0 };
		/* Running, the tree gets over what was in the way. */
		nanosleep(&(struct timespec){ .tv_nsec = (long)delay }, NULL);
		delay = delay * 2 < LONGEST_DELAY ? delay * 2 : LONGEST_DELAY;
		patience *= 2;
	}
}

int collect_stop_tree(struct collect *collect, struct error *err)
{
	unsigned timeout = collect->options->timeout_seconds;
	enum stop_outcome outcome;
	sigset_t saved;

	make_room_for_descriptors();
	if (!collect->options->leave_running) {
		collect->finisher = finisher_start(err);
		if (!collect->finisher)
			return -1;
	}
	wait_begin(&saved);
	outcome = try_until(collect, wait_deadline(timeout ? timeout : DEFAULT_TIMEOUT), err);
	wait_end(&saved);
	if (outcome != STOP_DONE)
		return -1;
	collect_add_tasks(collect);
	collect->first_thread = pthread_self();
	witnesses_prepare(collect);
	collect->assistant = assistant_start();
	read_ahead_start(collect);
	return 0;
}
