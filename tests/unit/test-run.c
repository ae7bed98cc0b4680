// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The coordinator with plans made by hand. Cases that need the rights to choose pids or to make
 * namespaces are skipped without them.
 */
#include "run-fixture.h"

#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void a_task_gets_its_registers_and_its_mask(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *task = fixture_add_task(fixture, 1);
	uint64_t action[4] = { (uintptr_t)SIG_IGN };
	sigset_t before, after;
	pid_t pid;

	fixture_choose_root_pid(fixture);
	/* An ignored SIGTRAP must stay one. */
	op_expect(program_call(task->program, SYS_rt_sigaction, SIGTRAP,
			       program_data(&fixture->plan.programs, action, sizeof action, 8), 0,
			       8),
		  0);
	program_park(task->program);
	sigprocmask(SIG_BLOCK, NULL, &before);
	signal(SIGHUP, SIG_IGN);
	fixture_succeed(fixture);
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
	fixture_end_root(fixture);
}

static void threads_and_children_are_finished(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = fixture_add_task(fixture, 2),
			    *child = fixture_add_task(fixture, 1);
	uint32_t tids[] = { 0, 0 };

	fixture_choose_root_pid(fixture);
	tids[0] = (uint32_t)free_pid();
	tids[1] = (uint32_t)free_pid();
	fixture_set_pid(fixture, 0, 1, tids[0]);
	fixture_set_pid(fixture, 1, 0, tids[1]);
	fixture->threads[0][1].outer_pid = tids[0];
	fixture->threads[1][0].outer_pid = tids[1];
	program_clone(root->program, fixture_clone_data(fixture, thread_flags, &tids[0], 1),
		      sizeof(struct clone_args), root->threads[1].program);
	program_clone(root->program, fixture_clone_data(fixture, 0, &tids[1], 1),
		      sizeof(struct clone_args), child->program);
	program_park(root->program);
	program_park(root->threads[1].program);
	program_park(child->program);
	fixture_succeed(fixture);
	wait_until_runs(&fixture->words[0][0]);
	wait_until_runs(&fixture->words[0][1]);
	wait_until_runs(&fixture->words[1][0]);
	assert_int_equal(fixture->words[0][1].pid, fixture->result.root_pid);
	assert_int_equal(fixture->words[0][1].tid, tids[0]);
	assert_int_equal(fixture->words[0][1].saved, 0x1212000012120001);
	assert_int_equal(fixture->words[1][0].pid, tids[1]);
	assert_int_equal(fixture->words[1][0].parent, fixture->result.root_pid);
	kill((pid_t)tids[1], SIGKILL);
	fixture_end_root(fixture);
}

static void a_failing_program_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = fixture_add_task(fixture, 1),
			    *child = fixture_add_task(fixture, 1);

	program_clone(root->program, fixture_clone_data(fixture, 0, NULL, 0),
		      sizeof(struct clone_args), child->program);
	program_park(root->program);
	program_call(child->program, SYS_getpid);
	program_call(child->program, SYS_close, 5555);
	program_park(child->program);
	assert_int_equal(fixture_run(fixture), -1);
	assert_int_equal(fixture->err.name, ERR_PROGRAM_FAILED);
	assert_string_equal(fixture->err.text,
			    "task 1 thread 0: op 1: close(5555) = EBADF (Bad file descriptor)");
	assert_int_equal(fixture->err.os_errno, EBADF);
	assert_false(has_children());
}

static void a_death_is_noticed(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = fixture_add_task(fixture, 1),
			    *child = fixture_add_task(fixture, 1);
	uint32_t tid;

	fixture_choose_root_pid(fixture);
	tid = (uint32_t)free_pid();
	fixture_set_pid(fixture, 1, 0, tid);
	fixture->threads[1][0].outer_pid = tid;
	program_clone(root->program, fixture_clone_data(fixture, 0, &tid, 1),
		      sizeof(struct clone_args), child->program);
	program_park(root->program);
	program_call(child->program, SYS_kill, tid, SIGKILL);
	program_park(child->program);
	assert_int_equal(fixture_run(fixture), -1);
	assert_int_equal(fixture->err.name, ERR_TASK_DIED);
	assert_string_equal(fixture->err.text, "task 1 thread 0 was killed by SIGKILL while it was "
					       "being restored");
	assert_false(has_children());
}

static void the_death_of_the_first_task_is_noticed(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = fixture_add_task(fixture, 1),
			    *child = fixture_add_task(fixture, 1);

	program_clone(root->program, fixture_clone_data(fixture, 0, NULL, 0),
		      sizeof(struct clone_args), child->program);
	program_call(root->program, SYS_exit_group, 3);
	program_park(root->program);
	program_wait(child->program, program_word(&fixture->plan.programs, 0), 1);
	program_park(child->program);
	assert_int_equal(fixture_run(fixture), -1);
	assert_int_equal(fixture->err.name, ERR_TASK_DIED);
	assert_non_null(strstr(fixture->err.text, "exited with 3"));
	assert_false(has_children());
}

static void a_pid_in_use_names_who_has_it(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = fixture_add_task(fixture, 1),
			    *child = fixture_add_task(fixture, 1);
	uint32_t tid = (uint32_t)getpid();

	fixture_choose_root_pid(fixture);
	program_clone(root->program, fixture_clone_data(fixture, 0, &tid, 1),
		      sizeof(struct clone_args), child->program);
	program_park(root->program);
	program_park(child->program);
	assert_int_equal(fixture_run(fixture), -1);
	assert_int_equal(fixture->err.name, ERR_PID_IN_USE);
	assert_non_null(strstr(fixture->err.text, "in use by \"test-run\""));
	assert_false(has_children());
}

static void the_pid_of_the_first_task_may_be_in_use(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = fixture_add_task(fixture, 1);

	fixture_choose_root_pid(fixture);
	fixture->plan.root_clone.set_tid[0] = (uint32_t)getpid();
	program_park(root->program);
	assert_int_equal(fixture_run(fixture), -1);
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
	struct planned_task *root = fixture_add_task(fixture, 1);

	fixture->options.timeout_seconds = 1;
	program_wait(root->program, program_word(&fixture->plan.programs, 0), 1);
	program_park(root->program);
	assert_int_equal(fixture_run(fixture), -1);
	assert_int_equal(fixture->err.name, ERR_RESTORE_TIMEOUT);
	assert_false(has_children());
}

/* Two tasks in a new pid namespace; the second is left stopped before the first goes on. */
static void make_namespace_with_stopped_child(struct fixture *fixture)
{
	struct planned_task *root = fixture_add_task(fixture, 1),
			    *child = fixture_add_task(fixture, 1);
	uint32_t tid = 37;

	fixture->plan.root_clone.flags = CLONE_NEWPID;
	fixture->plan.root_clone.set_tid[0] = 1;
	fixture->plan.root_clone.n_set_tid = 1;
	fixture->snapshot.own_pid_namespace = true;
	fixture_set_pid(fixture, 0, 0, 1);
	fixture_set_pid(fixture, 1, 0, 37);
	child->stopped = true;
	child->stop_signal = SIGSTOP;
	root->waits_for_stop = true;
	fixture->plan.n_parked_before_stop = 1;
	program_clone(root->program, fixture_clone_data(fixture, 0, &tid, 1),
		      sizeof(struct clone_args), child->program);
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
	fixture_end_root(fixture);
}

static void tasks_of_a_pid_namespace_are_found(void **state)
{
	struct fixture *fixture = *state;

	if (!facts_has_capability(&fixture->facts, 21))
		skip();
	make_namespace_with_stopped_child(fixture);
	fixture_succeed(fixture);
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
	struct planned_task *root = fixture_add_task(fixture, 1);
	pid_t pid;

	if (!facts_has_capability(&fixture->facts, 21))
		skip();
	fixture_choose_root_pid(fixture);
	add_strict_filter(fixture, root);
	program_park(root->program);
	fixture->options.leave_stopped = true;
	fixture_succeed(fixture);
	pid = fixture->result.root_pid;
	assert_int_equal(state_of(pid), 'T');
	assert_string_equal(proc_line(pid, "status", "Seccomp:"), "\t1\n");
	assert_string_equal(proc_line(pid, "maps", "500000000000-"), "");
	fixture_end_root(fixture);
}

/* The parent comes to the gate only after its stopped child went through and is finished. */
static void the_gate_opens_for_stopped_children_first(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = fixture_add_task(fixture, 1),
			    *child = fixture_add_task(fixture, 1);
	uint32_t tid;

	if (!facts_has_capability(&fixture->facts, 21))
		skip();
	fixture_choose_root_pid(fixture);
	tid = (uint32_t)free_pid();
	fixture_set_pid(fixture, 1, 0, tid);
	fixture->threads[1][0].outer_pid = tid;
	fixture->snapshot.tasks[1].parent = &fixture->snapshot.tasks[0];
	child->stopped = true;
	child->stop_signal = SIGSTOP;
	root->waits_for_stop = true;
	fixture->plan.n_parked_before_stop = 1;
	program_clone(root->program, fixture_clone_data(fixture, 0, &tid, 1),
		      sizeof(struct clone_args), child->program);
	plan_wait_at_gate(&fixture->plan, GATE_STOPPED, &fixture->snapshot.tasks[0], 0,
			  root->program);
	add_strict_filter(fixture, root);
	program_park(root->program);
	add_strict_filter(fixture, child);
	program_park(child->program);
	fixture->options.leave_stopped = true;
	fixture_succeed(fixture);
	assert_string_equal(proc_line(fixture->result.root_pid, "status", "Seccomp:"), "\t1\n");
	assert_string_equal(proc_line((pid_t)tid, "status", "Seccomp:"), "\t1\n");
	assert_int_equal(state_of((pid_t)tid), 'T');
	kill((pid_t)tid, SIGKILL);
	fixture_end_root(fixture);
}

/* The holder's own pidfd is at its number, and nothing else is inherited. */
static void sources_are_at_their_numbers(void **state)
{
	struct fixture *fixture = *state;
	struct planned_task *root = fixture_add_task(fixture, 1);
	struct source source = { .kind = SOURCE_COORDINATOR, .number = 1, .inherited = true };

	fixture_choose_root_pid(fixture);
	fixture->plan.sources = &source;
	fixture->plan.n_sources = 1;
	op_expect(program_call(root->program, SYS_close, 0), -EBADF);
	op_expect(program_call(root->program, SYS_close, 2), -EBADF);
	/* A number that the holder has: its own pidfd. */
	op_expect(program_call(root->program, 438 /* pidfd_getfd */, 1, 1, 0), 0);
	op_expect(program_call(root->program, 438, 1, 7, 0), -EBADF);
	program_park(root->program);
	fixture_succeed(fixture);
	wait_until_runs(&fixture->words[0][0]);
	fixture_end_root(fixture);
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

/* Sources get numbers above the highest of the tree, however few there are. */
static void limits_are_raised_for_high_numbers(void **state)
{
	FdinfoEntry high = FDINFO_ENTRY__INIT, *descriptors[] = { &high };
	struct descriptor_table table = { .descriptors = descriptors, .n_descriptors = 1 };
	struct descriptor_table *tables[] = { &table };
	struct snapshot snapshot = { .tables = tables, .n_tables = 1 };
	struct rlimit before, limit;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	if (before.rlim_max < 4096)
		skip();
	high.fd = 2999;
	limit = (struct rlimit){ 2000, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(run_raise_limits(&snapshot, &err), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(limit.rlim_cur >= 4000);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* All in a row up to the sixteenth, then how many more there are. */
static void who_has_numbers_is_named(void **state)
{
	struct fixture *fixture = *state;
	uint32_t taken[18];
	char one[64], all[640];

	fixture->plan.taken_ids = taken;
	for (size_t i = 0; i < 18; i++)
		taken[i] = (uint32_t)getpid();
	snprintf(one, sizeof one, "%d by \"test-run\"", getpid());
	for (size_t n = 1; n <= 18; n++) {
		int length =
			snprintf(all, sizeof all,
				 "cannot restore the tree: %zu of its ids %s already in use: ", n,
				 n == 1 ? "is" : "are");
		for (size_t i = 0; i < n && i < 16; i++)
			length += snprintf(all + length, sizeof all - (size_t)length, "%s%s",
					   i ? ", " : "", one);
		if (n > 16)
			snprintf(all + length, sizeof all - (size_t)length, ", and %zu more",
				 n - 16);
		fixture->err = (struct error){ 0 };
		fixture->plan.n_taken_ids = n;
		assert_int_equal(run_check_ids(&fixture->plan, &fixture->err), -1);
		assert_int_equal(fixture->err.name, ERR_PID_IN_USE);
		assert_string_equal(fixture->err.text, all);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)

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
		TEST(who_has_numbers_is_named),
		TEST(a_restore_that_hangs_ends),
		TEST(tasks_of_a_pid_namespace_are_found),
		TEST(filters_are_silent_until_the_end),
		TEST(the_gate_opens_for_stopped_children_first),
		TEST(sources_are_at_their_numbers),
		cmocka_unit_test(what_is_fetched_goes_in_turn),
		cmocka_unit_test(limits_are_raised_for_high_numbers),
	};

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
