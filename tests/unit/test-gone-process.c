// SPDX-License-Identifier: LGPL-2.1-or-later
/* The process that a restore makes in place of one that is gone, where none can be made. */
#include "kinds/files/gone-process.h"

#include "base/arena.h"
#include "kinds/opener.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool let_fail(int failure)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)failure),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof code / sizeof *code, code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* 0 if that is told; else what is wrong. */
static int open_failing(int failure)
{
	RegFileEntry reg = REG_FILE_ENTRY__INIT;
	FileEntry entry = FILE_ENTRY__INIT;
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena);
	struct snapshot snapshot = { .arena = &arena };
	struct file_opener opener = { .snapshot = &snapshot, .arena = &arena };
	reg.name = (char[]){ "/proc/1234/task" };
	entry.reg = &reg;
	if (!let_fail(failure))
		return 1;
	if (gone_process_open(&opener, &entry, &err) != -1)
		return 2;
	arena_done(&arena);
	if (err.os_errno != failure)
		return 3;
	return strstr(err.text, "in place of one that is gone") ? 0 : 4;
}

static void a_shortage_of_processes_is_told(void **state)
{
	static const int failures[] = { ENOMEM, EMFILE };

	(void)state;
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(open_failing(failures[i]));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shortage_of_processes_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
