// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Records of files below /proc/PID: which of them can be opened again as one of a process, and
 * which are found again by their names once all are there.
 */
#include "base/arena.h"
#include "base/log.h"
#include "kinds/files/process-file.h"
#include "model/records.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* ---- directories are found again ---- */

enum { TASKS = 3, DESCRIPTORS = 3, FIRST_FD = 60 };

/* Has just the descriptors of one task, on what is no directory. */
static pid_t start_holder(size_t task)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < DESCRIPTORS; i++)
		dup2(STDIN_FILENO, FIRST_FD + DESCRIPTORS * (int)task + i);
	raise(SIGSTOP);
	_exit(0);
}

/* A directory of the first task, or a file of it; each has an id and a descriptor of its own. */
static void add_file(struct snapshot *snapshot, struct task *task, uint32_t number, bool directory)
{
	FileEntry *file = snapshot_new(snapshot, FILE_ENTRY, FileEntry);
	FdinfoEntry *descriptor = snapshot_new(snapshot, FDINFO_ENTRY, FdinfoEntry);

	file->id = descriptor->id = descriptor->fd = number;
	file->type = FD_TYPES__REG;
	file->reg = snapshot_new(snapshot, REG_FILE_ENTRY, RegFileEntry);
	file->reg->name = arena_printf(snapshot->arena, "/proc/%d/name-%u", PID, number);
	file->reg->has_process = file->reg->has_mode = true;
	file->reg->process = PID;
	file->reg->mode = directory ? S_IFDIR : S_IFREG;
	snapshot_add_file(snapshot, file);
	snapshot_add_descriptor(snapshot, task->table, descriptor);
}

static void add_tasks(struct snapshot *snapshot, pid_t *pids)
{
	for (uint32_t i = 0; i < TASKS; i++) {
		struct task *task = snapshot_add_task(snapshot);

		task->pstree = snapshot_new(snapshot, PSTREE_ENTRY, PstreeEntry);
		task->pstree->pid = PID + i;
		task->pstree->threads = arena_copy(snapshot->arena, &task->pstree->pid, 4);
		task->pstree->n_threads = 1;
		task->table = snapshot_add_table(snapshot, i + 1);
		for (uint32_t k = 0; k < DESCRIPTORS; k++)
			add_file(snapshot, task, FIRST_FD + DESCRIPTORS * i + k, k != 1);
		pids[i] = start_holder(i);
		assert_int_equal(waitpid(pids[i], NULL, WUNTRACED), pids[i]);
	}
	/* One that has none. */
	struct task *zombie = snapshot_add_task(snapshot);

	zombie->pstree = snapshot_new(snapshot, PSTREE_ENTRY, PstreeEntry);
	zombie->pstree->pid = PID + TASKS;
	pids[TASKS] = pids[0];
}

/* Looked up from there, each fails in a way that is told: it is no directory. */
static void each_directory_is_found_again(void **state)
{
	struct arena arena;
	struct snapshot snapshot = { .arena = &arena };
	pid_t pids[TASKS + 1];
	struct file_opener opener = { .snapshot = &snapshot, .arena = &arena, .pids = pids };
	int log_fd = memfd_create("log", MFD_CLOEXEC);
	char told[4096] = "", *line, *rest = told;
	unsigned number = FIRST_FD, expected = 0;

	(void)state;
	arena_init(&arena);
	add_tasks(&snapshot, pids);
	log_open(log_fd, LOG_WARNING);
	process_files_find_again(&opener);
	log_open(-1, LOG_ERROR);
	assert_true(pread(log_fd, told, sizeof told - 1, 0) > 0);
	close(log_fd);
	for (; (line = strsep(&rest, "\n")) && *line; expected++, number++) {
		char name[64];

		number += number % DESCRIPTORS == 1; /* a file */
		snprintf(name, sizeof name, "/proc/%d/name-%u: it may", (int)pids[0], number);
		if (!strstr(line, name) || !strstr(line, "Not a directory"))
			fail_msg("%s: %s", name, line);
	}
	assert_int_equal(expected, TASKS * (DESCRIPTORS - 1));
	for (size_t i = 0; i < TASKS; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_checked),
		cmocka_unit_test(each_directory_is_found_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
