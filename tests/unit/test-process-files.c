// SPDX-License-Identifier: LGPL-2.1-or-later
/* Records of files below /proc/PID: which of them can be opened again as one of a process. */
#include "base/arena.h"
#include "kinds/files/process-file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { PID = 12 };

static const struct row {
	const char *name;
	uint32_t process, mode;
	bool valid;
} rows[] = {
	{ "/proc/12/status", PID, S_IFREG, true },
	{ "/proc/12", PID, S_IFDIR, true },
	{ "/proc/12/task/12", PID, S_IFDIR, true },
	{ "/proc/12/task/12/status", PID, S_IFREG, true },
	{ "/proc/12/task/123", PID, S_IFDIR, false },
	{ "/proc/12/task/123/status", PID, S_IFREG, false },
	{ "/proc/12/task/13/status", PID, S_IFREG, false },
	{ "/proc/12/task/1", PID, S_IFDIR, false },
	{ "/proc/12/pagemap", PID, S_IFREG, false },
	{ "/proc/12/uid_map", PID, S_IFREG, false },
	{ "/proc/12/gid_map", PID, S_IFREG, false },
	{ "/proc/12/projid_map", PID, S_IFREG, false },
	{ "/proc/12/setgroups", PID, S_IFREG, false },
	{ "/proc/12/task/12/pagemap", PID, S_IFREG, false },
	{ "/proc/12/pagemaps", PID, S_IFREG, true },
	{ "/proc/uptime", PID, S_IFREG, false },
	{ "/proc/12/status", PID + 1, S_IFREG, false },
	{ "/proc/12/status", PID, S_IFLNK, false },
	{ "/proc/12/status", PID, S_IFIFO, false },
	{ "/proc/12/status", PID, 0, false },
};

static int check(const struct snapshot *snapshot, const struct row *row, struct error *err)
{
	RegFileEntry reg = REG_FILE_ENTRY__INIT;

	reg.name = (char *)(uintptr_t)row->name;
	reg.has_process = true;
	reg.process = row->process;
	reg.has_mode = row->mode != 0;
	reg.mode = row->mode;
	return process_file_check(snapshot, &reg, 7, err);
}

static void records_are_checked(void **state)
{
	PstreeEntry pstree = PSTREE_ENTRY__INIT;
	struct arena arena;
	struct snapshot snapshot = { .arena = &arena };

	(void)state;
	arena_init(&arena);
	pstree.pid = PID;
	pstree.threads = (uint32_t[]){ PID };
	pstree.n_threads = 1;
	struct task *task = snapshot_add_task(&snapshot);
	task->pstree = &pstree;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = { 0 };
		int result = check(&snapshot, &rows[i], &err);
		if (result != (rows[i].valid ? 0 : -1) ||
		    err.name != (rows[i].valid ? ERR_NONE : ERR_IMAGE_INVALID))
			fail_msg("%s, row %zu: %d %s", rows[i].name, i, result, err.text);
	}
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
