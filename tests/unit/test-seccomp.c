// SPDX-License-Identifier: LGPL-2.1-or-later
/* Evaluation of seccomp filters, held to what the kernel does with the same ones. */
#include "collect/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NR	     offsetof(struct seccomp_data, nr)
#define ARG(i)	     (offsetof(struct seccomp_data, args) + 8 * (i))
#define REFUSE	     (SECCOMP_RET_ERRNO | 99)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool passes(const struct seccomp_filters *filters, uint32_t nr, const uint64_t args[6],
		   uint64_t ip)
{
	return seccomp_judge(filters, nr, args, ip) == SECCOMP_PASSES;
}

static bool permits(struct sock_filter *instructions, size_t count, uint32_t nr, uint64_t first)
{
	struct seccomp_filter filter = { .instructions = instructions, .count = count };
	struct seccomp_filters filters = { &filter, 1 };

	return passes(&filters, nr, (const uint64_t[6]){ first }, 0x1000);
}

static void no_filter(void **unused)
{
	(void)unused;
	assert_true(passes(&(struct seccomp_filters){ 0 }, 1, (const uint64_t[6]){ 0 }, 0));
}

static void by_number_and_argument(void **unused)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NR),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG(0)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 10, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_LOG),
	};
	struct seccomp_filter one = { .instructions = filter, .count = COUNT(filter) };
	struct seccomp_filters filters = { &one, 1 };
	const uint64_t args[6] = { 3 };

	(void)unused;
	assert_true(permits(filter, COUNT(filter), SYS_getpid, 11));
	assert_true(permits(filter, COUNT(filter), SYS_prctl, 10));
	assert_false(permits(filter, COUNT(filter), SYS_prctl, 11));
	/* Arguments that are not known: only what does not depend on them. */
	assert_int_equal(seccomp_judge_any(&filters, SYS_getpid, args, 0), SECCOMP_PASSES);
	assert_int_equal(seccomp_judge_any(&filters, SYS_prctl, args, 1), SECCOMP_PASSES);
	assert_int_equal(seccomp_judge_any(&filters, SYS_prctl, args, 0x3e), SECCOMP_HARMS);
}

/* What is calculated from something unknown is unknown, on whichever side it stands. */
static void unknown_operands(void **unused)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG(0)),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_IMM, 0),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct seccomp_filter one = { .instructions = filter, .count = COUNT(filter) };
	struct seccomp_filters filters = { &one, 1 };
	const uint64_t args[6] = { 0 };

	(void)unused;
	assert_int_equal(seccomp_judge_any(&filters, SYS_getpid, args, 1), SECCOMP_PASSES);
	assert_int_equal(seccomp_judge_any(&filters, SYS_getpid, args, 0x3e), SECCOMP_HARMS);
	/* The same compared with X itself, and returned. */
	filter[3] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, 0);
	filter[4] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1);
	assert_int_equal(seccomp_judge_any(&filters, SYS_getpid, args, 1), SECCOMP_PASSES);
	assert_int_equal(seccomp_judge_any(&filters, SYS_getpid, args, 0x3e), SECCOMP_HARMS);
}

static void most_severe_holds(void **unused)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_filter trap = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
	struct seccomp_filter both[] = { { &allow, 1, false }, { &trap, 1, false } };
	struct seccomp_filters filters = { both, 2 };

	(void)unused;
	assert_false(passes(&filters, 1, (const uint64_t[6]){ 0 }, 0));
	filters.n = 1;
	assert_true(passes(&filters, 1, (const uint64_t[6]){ 0 }, 0));
}

/* A filter of random arithmetic that ends in a comparison; the kernel accepts all of them. */
static size_t random_filter(struct sock_filter *filter)
{
	static const uint16_t operations[] = { BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_AND,
					       BPF_OR,	BPF_XOR, BPF_LSH, BPF_RSH };
	size_t n = 0;

	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NR);
	/* All calls but getpriority pass. */
	filter[n++] =
		(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpriority, 1, 0);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG(2));
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_MISC | BPF_TAX, 0);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_ST, 3);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG(1));
	for (int i = 0; i < 6; i++) {
		uint16_t operation = operations[(size_t)random() % COUNT(operations)];
		bool by_x = random() % 3 == 0, shift = operation == BPF_LSH || operation == BPF_RSH;
		uint32_t k = shift ? (uint32_t)random() % 32 : (uint32_t)random() % 1000 + 1;

		filter[n++] = (struct sock_filter)BPF_STMT(
			BPF_ALU | operation | (by_x ? BPF_X : BPF_K), by_x ? 0 : k);
		if (random() % 4 == 0)
			filter[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_NEG, 0);
	}
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LDX | BPF_MEM, 3);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0);
	filter[n++] =
		(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1u << random() % 32, 1, 0);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, REFUSE);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	return n;
}

/* What the kernel says, asked by a child: does the call get to the kernel at all? */
static bool kernel_permits(struct sock_filter *filter, size_t count, const uint64_t args[6])
{
	struct sock_fprog program = { (unsigned short)count, filter };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
			_exit(2);
		errno = 0;
		syscall(SYS_getpriority, args[0], args[1], args[2]);
		_exit(errno == 99 ? 1 : 0);
	}
	waitpid(pid, &status, 0);
	/* A division by zero ends the filter with 0: SECCOMP_RET_KILL_THREAD. */
	if (WIFSIGNALED(status))
		return false;
	assert_int_not_equal(WEXITSTATUS(status), 2);
	return WEXITSTATUS(status) == 0;
}

static void as_the_kernel(void **unused)
{
	(void)unused;
	srandom(1);
	for (int i = 0; i < 100; i++) {
		struct sock_filter filter[64];
		size_t count = random_filter(filter);
		uint64_t args[6] = { 0, (uint64_t)random() << 16,
				     random() % 4 ? (uint64_t)random() : 0 };
		struct seccomp_filter one = { .instructions = filter, .count = count };
		struct seccomp_filters filters = { &one, 1 };

		assert_int_equal(passes(&filters, SYS_getpriority, args, 0),
				 kernel_permits(filter, count, args));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_filter),	    cmocka_unit_test(by_number_and_argument),
		cmocka_unit_test(unknown_operands), cmocka_unit_test(most_severe_holds),
		cmocka_unit_test(as_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
