// SPDX-License-Identifier: LGPL-2.1-or-later
/* See run-fixture.h. */
#include "run-fixture.h"

#include "arch/registers.h"
#include "images/images.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { STACK_SIZE = 16384, LONGEST_WAIT = 5000 };

static const uint64_t hole_start = 0x500000000000, hole_size = 1 << 20;

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

struct planned_task *fixture_add_task(struct fixture *fixture, size_t n_threads)
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

void fixture_set_pid(struct fixture *fixture, size_t task, size_t thread, uint32_t pid)
{
	fixture->thread_ids[task][thread] = pid;
	fixture->threads[task][thread].number = pid;
	if (!thread)
		fixture->pstree[task].pid = pid;
}

int fixture_set_up(void **state)
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

bool has_children(void)
{
	siginfo_t info = { 0 };

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 ||
	       errno != ECHILD;
}

void fixture_end_root(struct fixture *fixture)
{
	kill(fixture->result.root_pid, SIGKILL);
	assert_int_equal(waitpid(fixture->result.root_pid, NULL, 0), fixture->result.root_pid);
	fixture->result.root_pid = 0;
	/* Its children, which were killed before, have become ours. */
	while (waitpid(-1, NULL, 0) > 0)
		;
}

int fixture_tear_down(void **state)
{
	struct fixture *fixture = *state;

	munmap(fixture->words, 4096);
	munmap(fixture->stacks, MAX_TASKS * MAX_THREADS * STACK_SIZE);
	arena_done(&fixture->arena);
	if (fixture->result.root_pid)
		fixture_end_root(fixture);
	assert_false(has_children());
	return 0;
}

int fixture_run(struct fixture *fixture)
{
	for (size_t i = 0; i < fixture->plan.n_tasks; i++)
		fixture->tasks[i].task = &fixture->snapshot.tasks[i];
	program_set_link(&fixture->plan.programs);
	actions_make(&fixture->plan);
	return run_plan(&fixture->plan, NULL, &fixture->options, &fixture->result, &fixture->err);
}

void fixture_succeed(struct fixture *fixture)
{
	if (fixture_run(fixture) < 0)
		fail_msg("%s: %s", error_name(fixture->err.name), fixture->err.text);
}

void wait_until_runs(const struct word_from_thread *word)
{
	struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < LONGEST_WAIT && !word->runs; i++)
		nanosleep(&pause, NULL);
	assert_int_equal(word->runs, 1);
}

const char *proc_line(pid_t pid, const char *name, const char *key)
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

char state_of(pid_t pid)
{
	const char *line = proc_line(pid, "status", "State:");

	return line[1];
}

uint64_t fixture_clone_data(struct fixture *fixture, uint64_t flags, const uint32_t *set_tid,
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

pid_t free_pid(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

void fixture_choose_root_pid(struct fixture *fixture)
{
	uint32_t pid;

	if (!facts_has_capability(&fixture->facts, 21) || !fixture->facts.clone3_set_tid)
		skip();
	pid = (uint32_t)free_pid();
	fixture->plan.root_clone.set_tid[0] = pid;
	fixture->plan.root_clone.n_set_tid = 1;
	fixture_set_pid(fixture, 0, 0, pid);
	fixture->threads[0][0].outer_pid = pid;
}
