// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Building, linking and printing programs; and the interpreter itself, run in forked children
 * over a shared arena, where it makes real system calls.
 */
#include "program/interpreter/interpreter.h"
#include "program/layout.h"
#include "program/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const uint64_t base = 0x500000000000;

struct fixture {
	struct arena arena;
	struct program_set set;
	uint8_t *mapped;
	struct run_header *header;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof fixture);
	arena_init(&fixture.arena);
	program_set_init(&fixture.set, &fixture.arena, base);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	if (fixture->mapped)
		munmap(fixture->mapped, fixture->set.size);
	arena_done(&fixture->arena);
	return 0;
}

static const char *printed(struct fixture *fixture, const struct op *op, const int64_t *result)
{
	struct text text;

	text_init(&text, &fixture->arena);
	op_print(&fixture->set, op, result, &text);
	return text.string;
}

/* Building and linking. */

static void data_keeps_its_address_and_bytes(void **state)
{
	struct fixture *fixture = *state;
	uint64_t addresses[200];
	uint8_t bytes[1000];
	size_t room;

	for (int i = 0; i < 200; i++) {
		memset(bytes, i, sizeof bytes);
		addresses[i] = program_data(&fixture->set, bytes, sizeof bytes, 8);
		assert_int_equal(addresses[i] % 8, 0);
		assert_true(!i || addresses[i] >= addresses[i - 1] + sizeof bytes);
	}
	for (int i = 0; i < 200; i++) {
		uint8_t *at = program_data_at(&fixture->set, addresses[i] + 999, &room);

		assert_non_null(at);
		assert_int_equal(*at, i);
		assert_true(room >= 1);
	}
	assert_null(program_data_at(&fixture->set, base, NULL));
	assert_null(program_data_at(&fixture->set, addresses[199] + 1000, NULL));
}

static const uint8_t *written(const struct fixture *fixture)
{
	uint8_t *bytes = arena_alloc(fixture->set.arena, fixture->set.size);

	program_set_write(&fixture->set, bytes);
	return bytes;
}

static void large_and_aligned_data_has_its_own_room(void **state)
{
	struct fixture *fixture = *state;
	uint64_t word = program_word(&fixture->set, 7);
	uint64_t large = program_data(&fixture->set, NULL, 300000, 4096);
	uint64_t after = program_word(&fixture->set, 9);
	size_t room;

	assert_int_equal(large % 4096, 0);
	assert_true(after >= large + 300000);
	assert_int_equal(*(uint64_t *)program_data_at(&fixture->set, word, NULL), 7);
	assert_int_equal(*(uint64_t *)program_data_at(&fixture->set, after, NULL), 9);
	assert_non_null(program_data_at(&fixture->set, large, &room));
	assert_true(room >= 300000);
	*(uint64_t *)program_data_at(&fixture->set, word, NULL) = 8;
	program_set_link(&fixture->set);
	assert_int_equal(*(uint64_t *)(written(fixture) + (word - base)), 8);
}

static void targets_become_addresses(void **state)
{
	struct fixture *fixture = *state;
	struct program *first = program_new(&fixture->set, "first");
	struct program *empty = program_new(&fixture->set, "empty");
	struct program *second = program_new(&fixture->set, "second");
	const struct program *found;
	size_t index;

	program_call(first, SYS_getpid);
	program_jump(first, second);
	program_park(second);
	program_set_link(&fixture->set);
	assert_int_equal(fixture->set.size % 4096, 0);
	assert_int_equal(first->ops[1].target, second->address);
	assert_ptr_equal(program_set_find(&fixture->set, first->address + OP_SIZE, &found, &index),
			 &first->ops[1]);
	assert_ptr_equal(found, first);
	assert_int_equal(index, 1);
	assert_non_null(program_set_find(&fixture->set, second->address, &found, &index));
	assert_ptr_equal(found, second);
	assert_int_equal(empty->n_ops, 0);
	assert_null(program_set_find(&fixture->set, first->address + 8, &found, &index));
	assert_null(program_set_find(&fixture->set, second->address + OP_SIZE, &found, &index));
	assert_null(program_set_find(&fixture->set, base, &found, &index));
	assert_memory_equal(written(fixture) + (second->address - base), second->ops, OP_SIZE);
}

/* Printing. */

static void calls_print_as_strace_does(void **state)
{
	struct fixture *fixture = *state;
	struct program *program = program_new(&fixture->set, "task 1");
	int64_t failed = -ENOMEM, address = 0x7f0000001000;
	struct op *op;

	op = program_call(program, SYS_mmap, 0x7f0000000000, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_FIXED_NOREPLACE | MAP_ANONYMOUS, (uint64_t)-1, 0);
	op_expect(op, 0x7f0000000000);
	assert_string_equal(printed(fixture, op, NULL),
			    "mmap(0x7f0000000000, 8192, PROT_READ|PROT_WRITE, "
			    "MAP_PRIVATE|MAP_FIXED_NOREPLACE|MAP_ANONYMOUS, -1, 0) "
			    "== 0x7f0000000000");
	assert_string_equal(strstr(printed(fixture, op, &failed), ") ="),
			    ") = ENOMEM (Cannot allocate memory)");
	assert_string_equal(strstr(printed(fixture, op, &address), ") ="),
			    ") = 0x7f0000001000 instead of 0x7f0000000000");
	op = op_argument_from(program_call(program, SYS_dup3, 0, 3, O_CLOEXEC), 0, 0x1000);
	assert_string_equal(printed(fixture, op, NULL), "dup3(*0x1000, 3, O_CLOEXEC)");
	op = op_any(program_call(program, SYS_setfsuid, (uint64_t)-1));
	assert_string_equal(printed(fixture, op, NULL), "setfsuid(-1) == any");
	op = program_call(program, 4000, 1, 0, 0xab);
	assert_string_equal(printed(fixture, op, NULL), "syscall_4000(0x1, 0, 0xab)");
	op = program_call(program, SYS_madvise, 0x1000, 4096, MADV_HUGEPAGE);
	assert_string_equal(printed(fixture, op, NULL), "madvise(0x1000, 4096, MADV_HUGEPAGE)");
	op = program_call(program, SYS_setsid);
	assert_string_equal(printed(fixture, op, NULL), "setsid()");
	op = program_call(program, SYS_kill, 5, SIGSTOP);
	assert_string_equal(printed(fixture, op, NULL), "kill(5, SIGSTOP)");
}

static void pointers_print_what_they_point_to(void **state)
{
	struct fixture *fixture = *state;
	struct program_set *set = &fixture->set;
	struct program *program = program_new(set, "task 1");
	struct program *child = program_new(set, "task 2");
	uint32_t tids[] = { 37, 4711 };
	struct clone_args args = { .exit_signal = SIGCHLD, .flags = CLONE_NEWPID };
	struct iovec iovec[] = { { (void *)0x5000, 4096 }, { (void *)0x9000, 8192 } };
	uint64_t limits[] = { 5, RLIM_INFINITY };
	uint64_t action[] = { 0x401000, SA_RESTART, 0, 1 << (SIGUSR1 - 1) };
	struct op *op;

	args.set_tid = program_data(set, tids, sizeof tids, 4);
	args.set_tid_size = 2;
	op = program_clone(program, program_data(set, &args, sizeof args, 8), sizeof args, child);
	assert_string_equal(printed(fixture, op, NULL),
			    "clone3({flags=CLONE_NEWPID, exit_signal=SIGCHLD, set_tid=[37, 4711]},"
			    " 88) -> child runs \"task 2\"");
	args = (struct clone_args){
		.pidfd = 1, .child_tid = 2, .stack_size = 3, .tls = 4, .exit_signal = 64
	};
	op = program_clone(program, program_data(set, &args, sizeof args, 8), sizeof args, child);
	assert_string_equal(printed(fixture, op, NULL),
			    "clone3({flags=0, exit_signal=SIGRT_32, pidfd=0x1, child_tid=0x2, "
			    "stack_size=0x3, tls=0x4}, 88) -> child runs \"task 2\"");
	op = program_call(program, SYS_preadv, 9, program_data(set, iovec, sizeof iovec, 8), 2);
	assert_string_equal(printed(fixture, op, NULL),
			    "preadv(9, [{0x5000, 4096}, {0x9000, 8192}], 2, 0, 0)");
	op = program_call(program, SYS_prlimit64, 0, RLIMIT_NOFILE,
			  program_data(set, limits, sizeof limits, 8), 0);
	assert_string_equal(printed(fixture, op, NULL),
			    "prlimit64(0, RLIMIT_NOFILE, {cur=5, max=RLIM_INFINITY}, NULL)");
	op = program_call(program, SYS_prctl, PR_SET_NAME, program_data(set, "a\"b\n", 5, 1));
	assert_string_equal(printed(fixture, op, NULL), "prctl(PR_SET_NAME, \"a\\\"b\\x0a\")");
	op = program_call(program, SYS_rt_sigaction, SIGUSR2,
			  program_data(set, action, sizeof action, 8), 0, 8);
	assert_string_equal(printed(fixture, op, NULL),
			    "rt_sigaction(SIGUSR2, {handler=0x401000, mask=[SIGUSR1], "
			    "flags=0x10000000, restorer=0x0}, NULL, 8)");
	/* Without the zeros at its end, whatever comes after it. */
	op = program_call(program, SYS_sched_setaffinity, 0, 2,
			  program_data(set, "\4\0\x09", 3, 1));
	assert_string_equal(printed(fixture, op, NULL), "sched_setaffinity(0, 2, {0x04})");
	/* Too little room behind the address: shown as an address. */
	op = program_call(program, SYS_rt_sigaction, SIGUSR2, program_word(set, 0), 0, 8);
	assert_non_null(strstr(printed(fixture, op, NULL), "rt_sigaction(SIGUSR2, 0x5000000"));
	program_park(child);
	program_set_link(set);
	assert_non_null(strstr(printed(fixture, &program->ops[0], NULL), "runs \"task 2\""));
}

/* As many as may be printed, and one more. */
static void long_lists_are_cut_off(void **state)
{
	enum { MOST = 32 };
	struct fixture *fixture = *state;
	struct program_set *set = &fixture->set;
	struct program *program = program_new(set, "task 1");
	struct iovec iovec[MOST + 1] = { 0 };
	const uint64_t parts = program_data(set, iovec, sizeof iovec, 8);

	for (uint64_t n = MOST; n <= MOST + 1; n++) {
		const char *text =
			printed(fixture, program_call(program, SYS_preadv, 9, parts, n), NULL);
		size_t shown = 0;
		for (const char *at = text; (at = strchr(at, '{')); at++)
			shown++;
		assert_int_equal(shown, MOST);
		assert_int_equal(strstr(text, ", ...]") != NULL, n > MOST);
	}
}

static void programs_print_line_by_line(void **state)
{
	struct fixture *fixture = *state;
	struct program *program = program_new(&fixture->set, "task 1");
	struct text text;

	program_call(program, SYS_getpid);
	program_wait(program, 0x2000, 3);
	program_wake(program, 0x2000, 3);
	program_park(program);
	text_init(&text, &fixture->arena);
	program_print(program, &text);
	assert_string_equal(text.string, "task 1:\n     0  getpid()\n     1  wait(0x2000 >= 3)\n"
					 "     2  wake(0x2000 += 1, at 3)\n     3  park()\n");
	text_init(&text, &fixture->arena);
	program_print_json(program, &text);
	assert_non_null(
		strstr(text.string, "{\"index\": 1, \"kind\": \"wait\", \"text\": \"wait("));
}

/* The interpreter. */

static void load(struct fixture *fixture)
{
	struct program_set *set = &fixture->set;

	program_set_link(set);
	fixture->mapped = mmap((void *)base, set->size, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_ptr_equal(fixture->mapped, (void *)base);
	program_set_write(set, fixture->mapped);
	memcpy(fixture->mapped, interpreter_start, INTERPRETER_SIZE);
	assert_int_equal(mprotect(fixture->mapped, 4096, PROT_READ | PROT_EXEC), 0);
	fixture->header = (struct run_header *)program_set_header(set);
}

static pid_t start(struct fixture *fixture, const struct program *program)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		__asm__ volatile("mov %0, %%rax\n\tmov %1, %%rcx\n\tmov %2, %%rdx\n\t"
				 "mov %%rcx, %%rbx\n\tmov %%rax, %%rbp\n\tjmp *%%rdx"
				 :
				 : "m"(program->address), "m"(fixture->header), "m"(base)
				 : "rax", "rcx", "rdx");
		__builtin_unreachable();
	}
	return pid;
}

/* Waits until the counter is there or a program failed; false after five seconds. */
static bool parked(struct fixture *fixture, uint32_t wanted)
{
	struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < 5000; i++) {
		if (__atomic_load_n(&fixture->header->done, __ATOMIC_ACQUIRE) >= wanted)
			return true;
		if (__atomic_load_n(&fixture->header->failed, __ATOMIC_ACQUIRE))
			return false;
		nanosleep(&pause, NULL);
	}
	return false;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static uint64_t word_at(uint64_t address)
{
	return *(volatile uint64_t *)address;
}

static void interpreter_fits(void **state)
{
	(void)state;
	assert_true(INTERPRETER_SIZE <= 1024);
	assert_memory_equal(interpreter_syscall, "\x0f\x05", 2);
}

/* See run/life.c. */
static void who_sleeps_ends_when_the_coordinator_died(void **state)
{
	struct fixture *fixture = *state;
	struct program *parking = program_new(&fixture->set, "parks");
	struct program *waiting = program_new(&fixture->set, "waits");
	uint64_t word = program_word(&fixture->set, 0);
	pid_t pids[2];
	int status;

	program_park(parking);
	program_wait(waiting, word, 1);
	program_park(waiting);
	load(fixture);
	fixture->header->patience_time[1] = 10 * 1000 * 1000;
	fixture->header->patience = (uintptr_t)fixture->header->patience_time;
	fixture->header->coordinator = (uint32_t)getpid();
	pids[0] = start(fixture, parking);
	pids[1] = start(fixture, waiting);
	assert_true(parked(fixture, 1));
	usleep(50 * 1000);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(waitpid(pids[i], NULL, WNOHANG), 0);
	__atomic_store_n(&fixture->header->coordinator, FUTEX_OWNER_DIED, __ATOMIC_SEQ_CST);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	}
}

static void calls_are_made_and_results_kept(void **state)
{
	struct fixture *fixture = *state;
	struct program_set *set = &fixture->set;
	struct program *program = program_new(set, "task");
	uint64_t pid_slot = program_word(set, 0), ppid_slot = program_word(set, 0);
	uint64_t failed_slot = program_word(set, 0), fd_slot = program_word(set, 77777);
	uint64_t pipe_fds = program_word(set, 0);
	uint64_t six[6] = {
		0x510000000000,		4096,
		PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		(uint64_t)-1,		0
	};
	pid_t pid;

	op_store(program_call(program, SYS_getpid), pid_slot);
	op_store(program_call(program, SYS_getppid), ppid_slot);
	op_store(op_any(program_call(program, SYS_close, 55555)), failed_slot);
	op_expect(op_argument_from(program_call(program, SYS_close, 0), 0, fd_slot), -EBADF);
	op_expect(program_call_args(program, SYS_mmap, six, 6), 0x510000000000);
	/* All six arguments from slots. */
	program_call(program, SYS_munmap, 0x510000000000, 4096);
	for (unsigned i = 0; i < 6; i++)
		six[i] = program_word(set, six[i]);
	op_expect(program_call_args(program, SYS_mmap, six, 6), 0x510000000000);
	for (unsigned i = 0; i < 6; i++)
		op_argument_from(&program->ops[program->n_ops - 1], i, six[i]);
	op_expect(program_call(program, SYS_pipe2, pipe_fds, 0), 0);
	program_park(program);
	load(fixture);
	pid = start(fixture, program);
	assert_true(parked(fixture, 1));
	assert_int_equal(word_at(pid_slot), pid);
	assert_int_equal(word_at(ppid_slot), getpid());
	assert_int_equal((int64_t)word_at(failed_slot), -EBADF);
	assert_int_not_equal(word_at(pipe_fds), 0);
	end(pid);
}

static void the_first_failure_is_recorded(void **state)
{
	struct fixture *fixture = *state;
	struct program *program = program_new(&fixture->set, "task");
	uint64_t after = program_word(&fixture->set, 0);
	const struct program *found;
	size_t index;
	pid_t pid;

	program_call(program, SYS_getpid);
	program_call(program, SYS_close, 55555);
	op_store(program_call(program, SYS_getpid), after);
	program_park(program);
	load(fixture);
	pid = start(fixture, program);
	assert_false(parked(fixture, 1));
	assert_int_equal(fixture->header->failed, 1);
	assert_int_equal(fixture->header->failed_result, -EBADF);
	assert_non_null(
		program_set_find(&fixture->set, fixture->header->failed_op, &found, &index));
	assert_int_equal(index, 1);
	assert_string_equal(printed(fixture, &program->ops[1], &fixture->header->failed_result),
			    "close(55555) = EBADF (Bad file descriptor)");
	assert_int_equal(word_at(after), 0);
	assert_int_equal(fixture->header->done, 0);
	end(pid);
}

static void another_result_than_expected_is_a_failure(void **state)
{
	struct fixture *fixture = *state;
	struct program *program = program_new(&fixture->set, "task");
	pid_t pid;

	op_expect(program_call(program, SYS_getppid), getpid());
	op_expect(program_call(program, SYS_getppid), 1 << 30);
	program_park(program);
	load(fixture);
	pid = start(fixture, program);
	assert_false(parked(fixture, 1));
	assert_int_equal(fixture->header->failed_op, program->address + OP_SIZE);
	assert_int_equal(fixture->header->failed_result, getpid());
	end(pid);
}

/* Three tasks: the children wait for the parent's word, the parent for both of theirs. */
static void tasks_clone_wait_and_wake(void **state)
{
	struct fixture *fixture = *state;
	struct program_set *set = &fixture->set;
	struct clone_args args = { .exit_signal = SIGCHLD };
	struct program *parent = program_new(set, "parent"), *child = program_new(set, "child");
	struct program *tail = program_new(set, "tail");
	uint64_t go = program_word(set, 0), ready = program_word(set, 0);
	uint64_t first = program_word(set, 0), second = program_word(set, 0);
	uint64_t clone = program_data(set, &args, sizeof args, 8);
	pid_t pid;

	op_store(program_clone(parent, clone, sizeof args, child), first);
	op_store(program_clone(parent, clone, sizeof args, child), second);
	program_wake(parent, go, 1);
	program_wait(parent, ready, 2);
	program_jump(parent, tail);
	program_wait(child, go, 1);
	program_wake(child, ready, 2);
	program_jump(child, tail);
	program_park(tail);
	load(fixture);
	fixture->header->wanted = 3;
	pid = start(fixture, parent);
	assert_true(parked(fixture, 3));
	assert_int_equal(kill((pid_t)word_at(first), SIGKILL), 0);
	assert_int_equal(kill((pid_t)word_at(second), SIGKILL), 0);
	end(pid);
}

static void jumps_may_depend_on_a_word(void **state)
{
	struct fixture *fixture = *state;
	struct program_set *set = &fixture->set;
	struct program *program = program_new(set, "task"), *again = program_new(set, "again");
	struct program *tail = program_new(set, "tail");
	uint64_t rounds = program_word(set, 0);
	pid_t pid;

	program_jump(program, again);
	program_wake(again, rounds, 1);
	program_jump_if(again, rounds, 3, tail);
	program_jump(again, again);
	program_park(tail);
	load(fixture);
	pid = start(fixture, program);
	assert_true(parked(fixture, 1));
	assert_int_equal(word_at(rounds), 3);
	end(pid);
}

/* A park survives signals without counting twice, and wakes who waits for the last one. */
static void parks_hold(void **state)
{
	struct fixture *fixture = *state;
	struct program *program = program_new(&fixture->set, "task");
	struct timespec limit = { .tv_sec = 5 };
	pid_t pid;

	program_call(program, SYS_nanosleep,
		     program_data(&fixture->set, &(struct timespec){ .tv_nsec = 50000000 },
				  sizeof(struct timespec), 8),
		     0);
	program_park(program);
	load(fixture);
	fixture->header->wanted = 1;
	pid = start(fixture, program);
	assert_int_equal(syscall(SYS_futex, &fixture->header->done, FUTEX_WAIT, 0, &limit, NULL, 0),
			 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(kill(pid, SIGSTOP), 0);
		assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
		assert_int_equal(kill(pid, SIGCONT), 0);
	}
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	assert_int_equal(fixture->header->done, 1);
	end(pid);
}

static void leave_jumps_to_machine_code(void **state)
{
	struct fixture *fixture = *state;
	/* mov $42, %edi; mov $SYS_exit_group, %eax; syscall */
	static const uint8_t code[] = { 0xbf, 42, 0, 0, 0, 0xb8, SYS_exit_group, 0, 0, 0, 0x0f, 5 };
	struct program *program = program_new(&fixture->set, "task");
	uint64_t at = base + 0xf00;
	int status;
	pid_t pid;

	program_call(program, SYS_getpid);
	*program_call(program, 0) = (struct op){ .kind = OP_LEAVE, .args = { at } };
	load(fixture);
	assert_int_equal(mprotect(fixture->mapped, 4096, PROT_READ | PROT_WRITE), 0);
	memcpy(fixture->mapped + 0xf00, code, sizeof code);
	assert_int_equal(mprotect(fixture->mapped, 4096, PROT_READ | PROT_EXEC), 0);
	pid = start(fixture, program);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(data_keeps_its_address_and_bytes),
		TEST(large_and_aligned_data_has_its_own_room),
		TEST(targets_become_addresses),
		TEST(calls_print_as_strace_does),
		TEST(pointers_print_what_they_point_to),
		TEST(long_lists_are_cut_off),
		TEST(programs_print_line_by_line),
		TEST(interpreter_fits),
		TEST(who_sleeps_ends_when_the_coordinator_died),
		TEST(calls_are_made_and_results_kept),
		TEST(the_first_failure_is_recorded),
		TEST(another_result_than_expected_is_a_failure),
		TEST(tasks_clone_wait_and_wake),
		TEST(parks_hold),
		TEST(jumps_may_depend_on_a_word),
		TEST(leave_jumps_to_machine_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
