// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The coordinator with plans made by hand: real tasks, which keep the address space of this test
 * (no program unmaps it), so that what runs once they are let go is a function of ours. Cases
 * that need the rights to choose pids or to make namespaces are skipped without them.
 */
#include "arch/registers.h"
#include "images/images.h"
#include "kernel/facts.h"
#include "run/run.h"
#include "run/state.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX_TASKS = 4, MAX_THREADS = 2, STACK_SIZE = 16384, LONGEST_WAIT = 5000 };

static const uint64_t hole_start = 0x500000000000, hole_size = 1 << 20;

/* What a thread says once it runs. */
struct word_from_thread {
	volatile uint32_t runs;
	uint64_t argument; /* rdi and r12 as they came */
	uint64_t saved;
	pid_t pid, tid, parent;
};

struct fixture {
	struct arena arena;
	struct snapshot snapshot;
	struct user_namespace own;
	struct facts facts;
	struct plan plan;
	struct run_options options;
	struct run_result result;
	struct error err;
	struct planned_task tasks[MAX_TASKS];
	struct planned_thread threads[MAX_TASKS][MAX_THREADS];
	PstreeEntry pstree[MAX_TASKS];
	uint32_t thread_ids[MAX_TASKS][MAX_THREADS];
	struct word_from_thread (*words)[MAX_THREADS];
	uint8_t *stacks;
};

/* Runs in restored threads, without the C library. */
__attribute__((noreturn)) static void thread_body(struct word_from_thread *word)
{
	uint64_t saved;

	__asm__ volatile("mov %%r12, %0" : "=r"(saved));
	word->argument = (uintptr_t)word;
	word->saved = saved;
	word->pid = (pid_t)syscall(SYS_getpid);
	word->tid = (pid_t)syscall(SYS_gettid);
	word->parent = (pid_t)syscall(SYS_getppid);
	__atomic_store_n(&word->runs, 1, __ATOMIC_RELEASE);
	for (;;)
		syscall(SYS_pause);
}

static CoreEntry *make_core(struct fixture *fixture, size_t task, size_t thread)
{
	size_t index = task * MAX_THREADS + thread;
	struct user_regs_struct regs = {
		.rip = (uintptr_t)thread_body,
		.rsp = (uintptr_t)fixture->stacks + (index + 1) * STACK_SIZE - 8,
		.rdi = (uintptr_t)&fixture->words[task][thread],
		.r12 = 0x1212000012120000 + index,
		.orig_rax = (unsigned long long)-1,
		.cs = 0x33,
		.ss = 0x2b,
		.eflags = 0x202,
	};
	uint8_t *xstate = arena_alloc(&fixture->arena, XSTATE_MAX_SIZE);
	CoreEntry *core = snapshot_new(&fixture->snapshot, CORE_ENTRY, CoreEntry);

	/* The stack protector and errno of this test, copied with its address space. */
	syscall(SYS_arch_prctl, ARCH_GET_FS, &regs.fs_base);
	memcpy(xstate + 24, &(uint32_t){ 0x1f80 }, 4);
	memcpy(xstate + 512, &(uint64_t){ 3 }, 8);
	core->mtype = CORE_ENTRY__MARCH__X86_64;
	core->thread_core = snapshot_new(&fixture->snapshot, THREAD_CORE_ENTRY, ThreadCoreEntry);
	core->thread_core->has_blk_sigset = true;
	core->thread_core->blk_sigset = 1 << (SIGUSR2 - 1);
	registers_save(&regs, xstate, xstate_host_size(), &fixture->arena, core);
	if (!thread) {
		core->tc = snapshot_new(&fixture->snapshot, TASK_CORE_ENTRY, TaskCoreEntry);
		core->tc->task_state = TASK_ALIVE;
		core->tc->blk_sigset = core->thread_core->blk_sigset;
		core->tc->comm = arena_string(&fixture->arena, "test");
	}
	return core;
}

/* A task with n_threads threads, each with a program that is still empty. */
static struct planned_task *add_task(struct fixture *fixture, size_t n_threads)
{
	size_t index = fixture->plan.n_tasks++;
	struct planned_task *planned = &fixture->tasks[index];
	struct task *task = snapshot_add_task(&fixture->snapshot);

	task->user_namespace = &fixture->own;

	assert_true(index < MAX_TASKS && n_threads <= MAX_THREADS);
	fixture->pstree[index] = (PstreeEntry)PSTREE_ENTRY__INIT;
	fixture->pstree[index].threads = fixture->thread_ids[index];
	fixture->pstree[index].n_threads = n_threads;
	task->index = index;
	task->pstree = &fixture->pstree[index];
	task->n_threads = n_threads;
	for (size_t i = 0; i < n_threads; i++) {
		struct planned_thread *thread = &fixture->threads[index][i];

		thread->core = make_core(fixture, index, i);
		thread->program =
			program_new(&fixture->plan.programs,
				    arena_printf(&fixture->arena, "task %zu thread %zu", index, i));
	}
	task->core = (CoreEntry *)fixture->threads[index][0].core;
	planned->threads = fixture->threads[index];
	planned->n_threads = n_threads;
	planned->program = planned->threads[0].program;
	fixture->plan.n_parked += (uint32_t)n_threads;
	return planned;
}

static void set_pid(struct fixture *fixture, size_t task, size_t thread, uint32_t pid)
{
	fixture->thread_ids[task][thread] = pid;
	fixture->threads[task][thread].number = pid;
	if (!thread)
		fixture->pstree[task].pid = pid;
}

static int set_up(void **state)
{
	static struct fixture fixture;
	struct error err = { 0 };

	memset(&fixture, 0, sizeof fixture);
	arena_init(&fixture.arena);
	fixture.snapshot.arena = &fixture.arena;
	assert_int_equal(facts_probe(&fixture.facts, &fixture.arena, &err), 0);
	fixture.plan.arena = &fixture.arena;
	fixture.plan.snapshot = &fixture.snapshot;
	fixture.plan.facts = &fixture.facts;
	fixture.plan.hole = (struct address_range){ hole_start, hole_start + hole_size };
	fixture.plan.tasks = fixture.tasks;
	fixture.options.timeout_seconds = 5;
	fixture.options.root_fd = AT_FDCWD;
	program_set_init(&fixture.plan.programs, &fixture.arena, hole_start);
	fixture.words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fixture.stacks = mmap(NULL, MAX_TASKS * MAX_THREADS * STACK_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(fixture.words != MAP_FAILED && fixture.stacks != MAP_FAILED);
	*state = &fixture;
	return 0;
}

static bool has_children(void)
{
	siginfo_t info = { 0 };

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 ||
	       errno != ECHILD;
}

static void end_root(struct fixture *fixture)
{
	kill(fixture->result.root_pid, SIGKILL);
	assert_int_equal(waitpid(fixture->result.root_pid, NULL, 0), fixture->result.root_pid);
	fixture->result.root_pid = 0;
	/* Its children, which were killed before, have become ours. */
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	munmap(fixture->words, 4096);
	munmap(fixture->stacks, MAX_TASKS * MAX_THREADS * STACK_SIZE);
	arena_done(&fixture->arena);
	if (fixture->result.root_pid)
		end_root(fixture);
	assert_false(has_children());
	return 0;
}

static int run(struct fixture *fixture)
{
	for (size_t i = 0; i < fixture->plan.n_tasks; i++)
		fixture->tasks[i].task = &fixture->snapshot.tasks[i];
	program_set_link(&fixture->plan.programs);
	actions_make(&fixture->plan);
	return run_plan(&fixture->plan, NULL, &fixture->options, &fixture->result, &fixture->err);
}

static void succeeds(struct fixture *fixture)
{
	if (run(fixture) < 0)
		fail_msg("%s: %s", error_name(fixture->err.name), fixture->err.text);
}

static void wait_until_runs(const struct word_from_thread *word)
{
	struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < LONGEST_WAIT && !word->runs; i++)
		nanosleep(&pause, NULL);
	assert_int_equal(word->runs, 1);
}

/* Of /proc/PID/NAME, the line that starts with key; "" if there is none. */
static const char *proc_line(pid_t pid, const char *name, const char *key)
{
	static char line[512];
	char path[64];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, key, strlen(key))) {
			fclose(file);
			return line + strlen(key);
		}
	fclose(file);
	return "";
}

static char state_of(pid_t pid)
{
	const char *line = proc_line(pid, "status", "State:");

	return line[1];
}

static uint64_t clone_data(struct fixture *fixture, uint64_t flags, const uint32_t *set_tid,
			   size_t n_set_tid)
{
	struct clone_args args = { .flags = flags };

	if (!(flags & CLONE_THREAD))
		args.exit_signal = SIGCHLD;
	if (n_set_tid) {
		args.set_tid = program_data(&fixture->plan.programs, set_tid,
					    n_set_tid * sizeof *set_tid, 4);
		args.set_tid_size = n_set_tid;
	}
	return program_data(&fixture->plan.programs, &args, sizeof args, 8);
}

static const uint64_t thread_flags =
	CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

/* A pid that is free with some certainty: that of a child that has just ended. */
static pid_t free_pid(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

/* Sets the pid of the first task, which plans always know. */
static void choose_root_pid(struct fixture *fixture)
{
	uint32_t pid;

	if (!facts_has_capability(&fixture->facts, 21) || !fixture->facts.clone3_set_tid)
		skip();
	pid = (uint32_t)free_pid();
	fixture->plan.root_clone.set_tid[0] = pid;
	fixture->plan.root_clone.n_set_tid = 1;
	set_pid(fixture, 0, 0, pid);
	fixture->threads[0][0].outer_pid = pid;
}

static void a_task_gets_its_registers_and_its_mask(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *task = add_task(fixture, 1);
	uint64_t action[4] = { (uintptr_t)SIG_IGN };
	sigset_t before, after;
	pid_t pid;

	choose_root_pid(fixture);
	/* An ignored SIGTRAP must stay one. */
	op_expect(program_call(task->program, SYS_rt_sigaction, SIGTRAP,
			       program_data(&fixture->plan.programs, action, sizeof action, 8), 0,
			       8),
		  0);
	program_park(task->program);
	sigprocmask(SIG_BLOCK, NULL, &before);
	signal(SIGHUP, SIG_IGN);
	succeeds(fixture);
	signal(SIGHUP, SIG_DFL);
	sigprocmask(SIG_BLOCK, NULL, &after);
	assert_memory_equal(&before, &after, 8); /* what the kernel fills in */
	pid = fixture->result.root_pid;
	assert_int_equal(pid, fixture->thread_ids[0][0]);
	wait_until_runs(&fixture->words[0][0]);
	assert_int_equal(fixture->words[0][0].pid, pid);
	assert_int_equal(fixture->words[0][0].parent, getpid());
	assert_int_equal(fixture->words[0][0].saved, 0x1212000012120000);
	assert_string_equal(proc_line(pid, "status", "SigBlk:"), "\t0000000000000800\n");
	assert_string_equal(proc_line(pid, "status", "SigIgn:"), "\t0000000000000010\n");
	assert_string_equal(proc_line(pid, "status", "TracerPid:"), "\t0\n");
	assert_string_equal(proc_line(pid, "maps", "500000000000-"), "");
	end_root(fixture);
}

static void threads_and_children_are_finished(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = add_task(fixture, 2), *child = add_task(fixture, 1);
	uint32_t tids[] = { 0, 0 };

	choose_root_pid(fixture);
	tids[0] = (uint32_t)free_pid();
	tids[1] = (uint32_t)free_pid();
	set_pid(fixture, 0, 1, tids[0]);
	set_pid(fixture, 1, 0, tids[1]);
	fixture->threads[0][1].outer_pid = tids[0];
	fixture->threads[1][0].outer_pid = tids[1];
	program_clone(root->program, clone_data(fixture, thread_flags, &tids[0], 1),
		      sizeof(struct clone_args), root->threads[1].program);
	program_clone(root->program, clone_data(fixture, 0, &tids[1], 1), sizeof(struct clone_args),
		      child->program);
	program_park(root->program);
	program_park(root->threads[1].program);
	program_park(child->program);
	succeeds(fixture);
	wait_until_runs(&fixture->words[0][0]);
	wait_until_runs(&fixture->words[0][1]);
	wait_until_runs(&fixture->words[1][0]);
	assert_int_equal(fixture->words[0][1].pid, fixture->result.root_pid);
	assert_int_equal(fixture->words[0][1].tid, tids[0]);
	assert_int_equal(fixture->words[0][1].saved, 0x1212000012120001);
	assert_int_equal(fixture->words[1][0].pid, tids[1]);
	assert_int_equal(fixture->words[1][0].parent, fixture->result.root_pid);
	kill((pid_t)tids[1], SIGKILL);
	end_root(fixture);
}

static void a_failing_program_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = add_task(fixture, 1), *child = add_task(fixture, 1);

	program_clone(root->program, clone_data(fixture, 0, NULL, 0), sizeof(struct clone_args),
		      child->program);
	program_park(root->program);
	program_call(child->program, SYS_getpid);
	program_call(child->program, SYS_close, 5555);
	program_park(child->program);
	assert_int_equal(run(fixture), -1);
	assert_int_equal(fixture->err.name, ERR_PROGRAM_FAILED);
	assert_string_equal(fixture->err.text,
			    "task 1 thread 0: op 1: close(5555) = EBADF (Bad file descriptor)");
	assert_int_equal(fixture->err.os_errno, EBADF);
	assert_false(has_children());
}

static void a_death_is_noticed(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = add_task(fixture, 1), *child = add_task(fixture, 1);
	uint32_t tid;

	choose_root_pid(fixture);
	tid = (uint32_t)free_pid();
	set_pid(fixture, 1, 0, tid);
	fixture->threads[1][0].outer_pid = tid;
	program_clone(root->program, clone_data(fixture, 0, &tid, 1), sizeof(struct clone_args),
		      child->program);
	program_park(root->program);
	program_call(child->program, SYS_kill, tid, SIGKILL);
	program_park(child->program);
	assert_int_equal(run(fixture), -1);
	assert_int_equal(fixture->err.name, ERR_TASK_DIED);
	assert_string_equal(fixture->err.text, "task 1 thread 0 was killed by SIGKILL while it was "
					       "being restored");
	assert_false(has_children());
}

static void the_death_of_the_first_task_is_noticed(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = add_task(fixture, 1), *child = add_task(fixture, 1);

	program_clone(root->program, clone_data(fixture, 0, NULL, 0), sizeof(struct clone_args),
		      child->program);
	program_call(root->program, SYS_exit_group, 3);
	program_park(root->program);
	program_wait(child->program, program_word(&fixture->plan.programs, 0), 1);
	program_park(child->program);
	assert_int_equal(run(fixture), -1);
	assert_int_equal(fixture->err.name, ERR_TASK_DIED);
	assert_non_null(strstr(fixture->err.text, "exited with 3"));
	assert_false(has_children());
}

static void a_pid_in_use_names_who_has_it(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = add_task(fixture, 1), *child = add_task(fixture, 1);
	uint32_t tid = (uint32_t)getpid();

	choose_root_pid(fixture);
	program_clone(root->program, clone_data(fixture, 0, &tid, 1), sizeof(struct clone_args),
		      child->program);
	program_park(root->program);
	program_park(child->program);
	assert_int_equal(run(fixture), -1);
	assert_int_equal(fixture->err.name, ERR_PID_IN_USE);
	assert_non_null(strstr(fixture->err.text, "in use by \"test-run\""));
	assert_false(has_children());
}

static void the_pid_of_the_first_task_may_be_in_use(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = add_task(fixture, 1);

	choose_root_pid(fixture);
	fixture->plan.root_clone.set_tid[0] = (uint32_t)getpid();
	program_park(root->program);
	assert_int_equal(run(fixture), -1);
	assert_int_equal(fixture->err.name, ERR_PID_IN_USE);
	assert_false(has_children());
}

/* The number of a leader that is gone is in use as long as its group has members. */
static void a_number_that_a_group_keeps_is_in_use(void **state)
{
	struct fixture *fixture = *state;
	int told[2], held[2];
	pid_t member;
	char byte;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_return_code(pipe(told), errno);
	assert_return_code(pipe(held), errno);
	pid_t leader = fork();
	if (leader == 0) {
		setpgid(0, 0);
		member = fork();
		if (member == 0) {
			close(held[1]);
			_exit(read(held[0], &byte, 1) != 0);
		}
		_exit(write(told[1], &member, sizeof member) != sizeof member);
	}
	assert_int_equal(read(told[0], &member, sizeof member), sizeof member);
	assert_int_equal(waitpid(leader, NULL, 0), leader);
	fixture->plan.taken_ids = (uint32_t[]){ (uint32_t)leader };
	fixture->plan.n_taken_ids = 1;
	int result = run_check_ids(&fixture->plan, &fixture->err);
	close(held[1]);
	assert_int_equal(waitpid(member, NULL, 0), member);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
	assert_int_equal(result, -1);
	assert_int_equal(fixture->err.name, ERR_PID_IN_USE);
	assert_non_null(strstr(fixture->err.text, "by a process group"));
	assert_int_equal(run_check_ids(&fixture->plan, &fixture->err), 0);
	close(told[0]);
	close(told[1]);
	close(held[0]);
}

static void a_restore_that_hangs_ends(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = add_task(fixture, 1);

	fixture->options.timeout_seconds = 1;
	program_wait(root->program, program_word(&fixture->plan.programs, 0), 1);
	program_park(root->program);
	assert_int_equal(run(fixture), -1);
	assert_int_equal(fixture->err.name, ERR_RESTORE_TIMEOUT);
	assert_false(has_children());
}

/* Two tasks in a new pid namespace; the second is left stopped before the first goes on. */
static void make_namespace_with_stopped_child(struct fixture *fixture)
{
	struct planned_task *root = add_task(fixture, 1), *child = add_task(fixture, 1);
	uint32_t tid = 37;

	fixture->plan.root_clone.flags = CLONE_NEWPID;
	fixture->plan.root_clone.set_tid[0] = 1;
	fixture->plan.root_clone.n_set_tid = 1;
	fixture->snapshot.own_pid_namespace = true;
	set_pid(fixture, 0, 0, 1);
	set_pid(fixture, 1, 0, 37);
	child->stopped = true;
	child->stop_signal = SIGSTOP;
	root->waits_for_stop = true;
	fixture->plan.n_parked_before_stop = 1;
	program_clone(root->program, clone_data(fixture, 0, &tid, 1), sizeof(struct clone_args),
		      child->program);
	plan_wait_at_gate(&fixture->plan, GATE_STOPPED, &fixture->snapshot.tasks[0], 0,
			  root->program);
	program_park(root->program);
	program_park(child->program);
}

static void check_namespace_with_stopped_child(struct fixture *fixture)
{
	char *end, path[64];
	FILE *file;
	int child;

	wait_until_runs(&fixture->words[0][0]);
	assert_int_equal(fixture->words[0][0].pid, 1);
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)fixture->result.root_pid,
		 (int)fixture->result.root_pid);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &child), 1);
	fclose(file);
	assert_int_equal(state_of(child), 'T');
	assert_int_equal(fixture->words[1][0].runs, 0);
	assert_int_equal(strtol(proc_line(child, "status", "TracerPid:"), &end, 10), 0);
	kill(child, SIGCONT);
	wait_until_runs(&fixture->words[1][0]);
	assert_int_equal(fixture->words[1][0].pid, 37);
	end_root(fixture);
}

static void tasks_of_a_pid_namespace_are_found(void **state)
{
	struct fixture *fixture = *state;

	if (!facts_has_capability(&fixture->facts, 21))
		skip();
	make_namespace_with_stopped_child(fixture);
	succeeds(fixture);
	check_namespace_with_stopped_child(fixture);
}

/* Strict mode forbids all but read, write, exit and rt_sigreturn: also the futex of a park. */
static void add_strict_filter(struct fixture *fixture, struct planned_task *task)
{
	size_t index = (size_t)(task - fixture->tasks);

	plan_wait_at_filters(&fixture->plan, &fixture->snapshot.tasks[index], 0, task->program);
	op_expect(program_call(task->program, SYS_prctl, PR_SET_SECCOMP, 1), 0);
}

static void filters_are_silent_until_the_end(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = add_task(fixture, 1);
	pid_t pid;

	if (!facts_has_capability(&fixture->facts, 21))
		skip();
	choose_root_pid(fixture);
	add_strict_filter(fixture, root);
	program_park(root->program);
	fixture->options.leave_stopped = true;
	succeeds(fixture);
	pid = fixture->result.root_pid;
	assert_int_equal(state_of(pid), 'T');
	assert_string_equal(proc_line(pid, "status", "Seccomp:"), "\t1\n");
	assert_string_equal(proc_line(pid, "maps", "500000000000-"), "");
	end_root(fixture);
}

/* The parent comes to the gate only after its stopped child went through and is finished. */
static void the_gate_opens_for_stopped_children_first(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = add_task(fixture, 1), *child = add_task(fixture, 1);
	uint32_t tid;

	if (!facts_has_capability(&fixture->facts, 21))
		skip();
	choose_root_pid(fixture);
	tid = (uint32_t)free_pid();
	set_pid(fixture, 1, 0, tid);
	fixture->threads[1][0].outer_pid = tid;
	fixture->snapshot.tasks[1].parent = &fixture->snapshot.tasks[0];
	child->stopped = true;
	child->stop_signal = SIGSTOP;
	root->waits_for_stop = true;
	fixture->plan.n_parked_before_stop = 1;
	program_clone(root->program, clone_data(fixture, 0, &tid, 1), sizeof(struct clone_args),
		      child->program);
	plan_wait_at_gate(&fixture->plan, GATE_STOPPED, &fixture->snapshot.tasks[0], 0,
			  root->program);
	add_strict_filter(fixture, root);
	program_park(root->program);
	add_strict_filter(fixture, child);
	program_park(child->program);
	fixture->options.leave_stopped = true;
	succeeds(fixture);
	assert_string_equal(proc_line(fixture->result.root_pid, "status", "Seccomp:"), "\t1\n");
	assert_string_equal(proc_line((pid_t)tid, "status", "Seccomp:"), "\t1\n");
	assert_int_equal(state_of((pid_t)tid), 'T');
	kill((pid_t)tid, SIGKILL);
	end_root(fixture);
}

/* The holder's own pidfd is at its number, and nothing else is inherited. */
static void sources_are_at_their_numbers(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = add_task(fixture, 1);
	struct source source = { .kind = SOURCE_COORDINATOR, .number = 1, .inherited = true };

	choose_root_pid(fixture);
	fixture->plan.sources = &source;
	fixture->plan.n_sources = 1;
	op_expect(program_call(root->program, SYS_close, 0), -EBADF);
	op_expect(program_call(root->program, SYS_close, 2), -EBADF);
	/* A number that the holder has: its own pidfd. */
	op_expect(program_call(root->program, 438 /* pidfd_getfd */, 1, 1, 0), 0);
	op_expect(program_call(root->program, 438, 1, 7, 0), -EBADF);
	program_park(root->program);
	succeeds(fixture);
	wait_until_runs(&fixture->words[0][0]);
	end_root(fixture);
}

/* ---- What is fetched from holders ---- */

enum { HELD = 5, FETCHED = 3 };

static size_t n_open(const int fds[HELD])
{
	size_t n = 0;

	for (size_t i = 0; i < HELD; i++)
		n += fds[i] >= 0 && fcntl(fds[i], F_GETFD) >= 0;
	return n;
}

static ino_t inode_of(int fd)
{
	struct stat stat;

	assert_int_equal(fstat(fd, &stat), 0);
	return stat.st_ino;
}

static int lowest_free(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* There is room for some of them; who was asked for last goes last, and nothing stays. */
static void what_is_fetched_goes_in_turn(void **state)
{
	static const struct {
		size_t asked;
		bool there[HELD];
	} turns[] = {
		{ 0, { 1, 0, 0, 0, 0 } }, { 1, { 1, 1, 0, 0, 0 } }, { 2, { 1, 1, 1, 0, 0 } },
		{ 0, { 1, 1, 1, 0, 0 } }, { 3, { 1, 0, 1, 1, 0 } }, { 0, { 1, 0, 1, 1, 0 } },
		{ 4, { 1, 0, 0, 1, 1 } }, { 3, { 1, 0, 0, 1, 1 } }, { 1, { 0, 1, 0, 1, 1 } },
		{ 2, { 0, 1, 1, 1, 0 } },
	};
	int files[HELD], fds[HELD];
	uint32_t holders[HELD], numbers[HELD];
	size_t sources[FETCHED];
	struct run_fetched fetched = { .sources = sources, .room = FETCHED };
	struct run_holder all[2] = { { 0 },
				     { .pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0) } };
	struct run run = { .holders = all,
			   .source_fds = fds,
			   .source_holders = holders,
			   .source_numbers = numbers,
			   .fetched = &fetched };

	(void)state;
	for (size_t i = 0; i < HELD; i++) {
		files[i] = memfd_create("held", MFD_CLOEXEC);
		fds[i] = -1;
		holders[i] = 1;
		numbers[i] = (uint32_t)files[i];
	}
	int free_before = lowest_free();
	for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
		int fd = run_source_fd(&run, turns[i].asked);
		assert_int_equal(inode_of(fd), inode_of(files[turns[i].asked]));
		for (size_t k = 0; k < HELD; k++)
			assert_int_equal(fds[k] >= 0, turns[i].there[k]);
		assert_int_equal(n_open(fds), fetched.n);
	}
	run_forget_fetched(&run);
	assert_int_equal(fetched.n, 0);
	assert_int_equal(n_open(fds), 0);
	assert_int_equal(lowest_free(), free_before);
	for (size_t i = 0; i < HELD; i++)
		close(files[i]);
	close(all[1].pidfd);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_task_gets_its_registers_and_its_mask),
		TEST(threads_and_children_are_finished),
		TEST(a_failing_program_leaves_nothing),
		TEST(a_death_is_noticed),
		TEST(the_death_of_the_first_task_is_noticed),
		TEST(a_pid_in_use_names_who_has_it),
		TEST(the_pid_of_the_first_task_may_be_in_use),
		TEST(a_number_that_a_group_keeps_is_in_use),
		TEST(a_restore_that_hangs_ends),
		TEST(tasks_of_a_pid_namespace_are_found),
		TEST(filters_are_silent_until_the_end),
		TEST(the_gate_opens_for_stopped_children_first),
		TEST(sources_are_at_their_numbers),
		cmocka_unit_test(what_is_fetched_goes_in_turn),
	};

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
