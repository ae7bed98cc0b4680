// SPDX-License-Identifier: LGPL-2.1-or-later
/* What is probed agrees with itself and between two probes; no privilege is needed. */
#include "base/arena.h"
#include "kernel/facts.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void probe(struct facts *facts, struct arena *arena)
{
	struct error err = { 0 };

	assert_int_equal(facts_probe(facts, arena, &err), 0);
}

static void ranges_ascend(void **state)
{
	(void)state;
	struct arena arena;
	struct facts facts;

	arena_init(&arena);
	probe(&facts, &arena);
	assert_true(facts.n_busy > 0);
	for (size_t i = 0; i < facts.n_busy; i++) {
		assert_true(facts.busy[i].start < facts.busy[i].end);
		assert_true(i == 0 || facts.busy[i - 1].end < facts.busy[i].start);
	}
	for (size_t i = 1; i < facts.n_vdso; i++)
		assert_true(facts.vdso[i - 1].range.end <= facts.vdso[i].range.start);
	arena_done(&arena);
}

/* A name without anything of the task, where core files may be of any size. */
static void core_files_go_where_the_kernel_says(void **state)
{
	(void)state;
	struct arena arena;
	struct facts facts;
	char pattern[256] = "";
	FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
	if (!file || fscanf(file, "%255s", pattern) != 1 || strpbrk(pattern, "|@%/") ||
	    limit.rlim_max != RLIM_INFINITY || geteuid())
		pattern[0] = '\0';
	if (file)
		fclose(file);
	if (!pattern[0])
		skip();
	arena_init(&arena);
	probe(&facts, &arena);
	assert_non_null(facts.core_pattern);
	assert_string_equal(facts.core_pattern, pattern);
	arena_done(&arena);
}

static void identity_is_ours(void **state)
{
	(void)state;
	struct arena arena;
	struct facts facts;

	arena_init(&arena);
	probe(&facts, &arena);
	assert_int_equal(facts.uids[0], getuid());
	assert_int_equal(facts.uids[1], geteuid());
	assert_int_equal(facts.gids[1], getegid());
	assert_int_equal(facts.n_groups, getgroups(0, NULL));
	assert_int_equal(facts.capabilities & ~facts.permitted, 0);
	assert_int_equal(facts.page_size, sysconf(_SC_PAGESIZE));
	assert_true(facts.affinity_size > 0);
	arena_done(&arena);
}

static void probing_twice_changes_nothing(void **state)
{
	(void)state;
	struct arena arena;
	struct facts one, other;

	arena_init(&arena);
	probe(&one, &arena);
	probe(&other, &arena);
	assert_int_equal(one.vdso_hash, other.vdso_hash);
	assert_int_equal(one.rseq_address, other.rseq_address);
	assert_int_equal(one.rseq_size, other.rseq_size);
	assert_int_equal(one.clone3_set_tid, other.clone3_set_tid);
	assert_int_equal(one.xsave_features, other.xsave_features);
	arena_done(&arena);
}

/* In a child, to which one call says EPERM: whether probing fails then. */
static bool fails_without(uint32_t number, uint32_t first_argument)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first_argument, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };
	struct error err = { 0 };
	struct arena arena;
	struct facts facts;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		arena_init(&arena);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
			_exit(2);
		_exit(facts_probe(&facts, &arena, &err) < 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 1;
}

/* That nobody may ask is not known of any of them. */
static void what_is_not_told_is_not_known(void **state)
{
	(void)state;
	assert_false(fails_without(SYS_prctl, 0xffff));
	assert_true(fails_without(SYS_prctl, PR_GET_SECUREBITS));
	assert_true(fails_without(SYS_prctl, PR_GET_DUMPABLE));
	assert_true(fails_without(SYS_prctl, PR_GET_TIMERSLACK));
	assert_true(fails_without(SYS_prctl, PR_GET_THP_DISABLE));
	assert_true(fails_without(SYS_personality, 0xffffffff));
	assert_true(fails_without(SYS_getpriority, PRIO_PROCESS));
	assert_true(fails_without(SYS_ioprio_get, 1));
}

/* Whatever nobody builds a kernel without who wants tasks checkpointed. */
static void recent_kernels_have_all(void **state)
{
	(void)state;
	struct utsname kernel;
	struct facts facts;
	struct arena arena;
	int major = 0, minor = 0;

	assert_int_equal(uname(&kernel), 0);
	assert_int_equal(sscanf(kernel.release, "%d.%d", &major, &minor), 2);
	if (major < 6 || (major == 6 && minor < 15))
		skip();
	arena_init(&arena);
	probe(&facts, &arena);
	assert_true(facts.pidfd_getfd && facts.kcmp && facts.children_file);
	assert_true(facts.pagemap_scan && facts.guard_regions && facts.timer_restore_ids);
	assert_true(facts.per_namespace_pid_max && facts.pidfd_namespaces && facts.memory_seals);
	assert_true(facts.rseq_configuration);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_ascend),
		cmocka_unit_test(core_files_go_where_the_kernel_says),
		cmocka_unit_test(identity_is_ours),
		cmocka_unit_test(probing_twice_changes_nothing),
		cmocka_unit_test(what_is_not_told_is_not_known),
		cmocka_unit_test(recent_kernels_have_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
