// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Descriptors: collected from a child that holds them, and opened again from what was collected.
 * What comes back has to look the same in /proc. Without privileges; content of unlinked files
 * (which goes through the images) is left to the scenarios.
 */
#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kinds/files/files.h"
#include "kinds/kind.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct arena arena;
	struct snapshot snapshot;
	struct collect collect;
	struct target target;
	struct dump_options options;
	struct file_opener opener;
	struct error err;
	char directory[64];
	pid_t child;
};

static int none_is_open(const struct file_opener *opener, uint32_t file_id)
{
	(void)opener;
	(void)file_id;
	return -1;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	arena_init(&f->arena);
	f->snapshot.arena = &f->arena;
	f->options.ghost_limit = 1 << 20;
	f->collect = (struct collect){ .arena = &f->arena,
				       .snapshot = &f->snapshot,
				       .options = &f->options,
				       .targets = &f->target,
				       .n_targets = 1,
				       .next_file_id = 1 };
	f->opener = (struct file_opener){ .snapshot = &f->snapshot,
					  .arena = &f->arena,
					  .file = none_is_open,
					  .root_fd = AT_FDCWD };
	strcpy(f->directory, "/tmp/nestor-files-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	assert_int_equal(chdir(f->directory), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];

	if (f->child) {
		kill(f->child, SIGKILL);
		waitpid(f->child, NULL, 0);
	}
	for (size_t i = 0; i < f->opener.n_kept_fds; i++)
		if (f->opener.kept_fds[i] >= 0)
			close(f->opener.kept_fds[i]);
	arena_done(&f->arena);
	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof command, "rm -r %s", f->directory);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* A child with no descriptors but those that `hold` opens. */
static void collect_child(struct fixture *f, void (*hold)(void), int expected)
{
	char path[32];
	int ready[2];

	assert_int_equal(pipe(ready), 0);
	f->child = fork();
	if (f->child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ready[1], 900);
		close_range(0, 899, 0);
		hold();
		close(900);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], path, 1), 0);
	close(ready[0]);
	snapshot_add_task(&f->snapshot);
	f->target = (struct target){ .collect = &f->collect,
				     .task = &f->snapshot.tasks[0],
				     .pid = f->child,
				     .tid = f->child };
	f->target.task->ids = snapshot_new(&f->snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	f->target.task->ids->files_id = 1;
	int result = collect_descriptors(&f->target, &f->err) ||
				     collect_files_complete(&f->collect, &f->err) ||
				     obstacles_report(&f->collect.obstacles, &f->err)
			     ? -1
			     : 0;
	if (result != expected)
		fail_msg("collecting gave %d: %s", result, f->err.text);
}

static const FdinfoEntry *descriptor(const struct fixture *f, uint32_t number)
{
	const struct descriptor_table *table = f->target.task->table;

	for (size_t i = 0; i < table->n_descriptors; i++)
		if (table->descriptors[i]->fd == number)
			return table->descriptors[i];
	fail_msg("descriptor %u was not collected", number);
	return NULL;
}

static const FileEntry *entry_of(const struct fixture *f, uint32_t number)
{
	return snapshot_file(&f->snapshot, descriptor(f, number)->id);
}

/* Opens every description, then compares it with the child's in /proc. */
static void check_same(struct fixture *f, int dir_fd, uint32_t number, int own_dir_fd, int own)
{
	char name[32], one[PATH_MAX] = "", other[PATH_MAX] = "";
	static const char *const keys[] = { "pos:", "flags:" };

	snprintf(name, sizeof name, "fd/%u", number);
	assert_true(readlinkat(dir_fd, name, one, sizeof one - 1) > 0);
	snprintf(name, sizeof name, "fd/%d", own);
	assert_true(readlinkat(own_dir_fd, name, other, sizeof other - 1) > 0);
	if (strncmp(one, "pipe:", 5))
		assert_string_equal(one, other);
	snprintf(name, sizeof name, "fdinfo/%u", number);
	assert_true(procfs_read_into(dir_fd, name, one, sizeof one) > 0);
	snprintf(name, sizeof name, "fdinfo/%d", own);
	assert_true(procfs_read_into(own_dir_fd, name, other, sizeof other) > 0);
	for (size_t i = 0; i < 2; i++) {
		uint64_t values[2];
		procfs_numbers(procfs_field(one, keys[i]), 8, &values[0], 1);
		procfs_numbers(procfs_field(other, keys[i]), 8, &values[1], 1);
		assert_int_equal(values[0] & ~(uint64_t)O_CLOEXEC,
				 values[1] & ~(uint64_t)O_CLOEXEC);
	}
	(void)f;
}

static int open_entry(struct fixture *f, const FileEntry *entry)
{
	const struct file_kind *kind = kind_of_file(&kinds, entry);

	if (kind->check && kind->check(&f->snapshot, entry, &f->err))
		return -1;
	for (size_t i = 0; kinds.aspects[i]; i++)
		if (kinds.aspects[i]->check &&
		    kinds.aspects[i]->check(&f->snapshot, entry, &f->err))
			return -1;
	if (kind->verify && kind->verify(&f->opener, entry, &f->err))
		return -1;
	return kind->open(&f->opener, entry, &f->err);
}

static void round_trip(struct fixture *f, void (*hold)(void))
{
	const struct descriptor_table *table;
	int own_dir_fd = open("/proc/self", O_PATH);

	collect_child(f, hold, 0);
	int folder_fd = target_open(&f->target, "", O_PATH | O_DIRECTORY);
	table = f->target.task->table;
	int *opened = arena_array(&f->arena, int, f->snapshot.n_files + 1);
	for (size_t i = 0; i < f->snapshot.n_files; i++) {
		opened[i] = open_entry(f, f->snapshot.files[i]);
		if (opened[i] < 0)
			fail_msg("%s (%s)", f->err.text, f->err.hint);
	}
	for (size_t i = 0; i < table->n_descriptors; i++)
		for (size_t j = 0; j < f->snapshot.n_files; j++)
			if (table->descriptors[i]->id == f->snapshot.files[j]->id)
				check_same(f, folder_fd, table->descriptors[i]->fd, own_dir_fd,
					   opened[j]);
	for (size_t i = 0; i < f->snapshot.n_files; i++)
		close(opened[i]);
	close(folder_fd);
	close(own_dir_fd);
}

static void hold_regular(void)
{
	int fd = open("file", O_RDWR | O_CREAT, 0644); /* 0 */
	if (write(fd, "hello", 5) != 5)
		_exit(1);
	open("file", O_WRONLY | O_APPEND | O_NONBLOCK);		/* 1 */
	lseek(open("file", O_RDONLY | O_NOATIME), 3, SEEK_SET); /* 2 */
	open("file", O_PATH);					/* 3 */
	open(".", O_RDONLY | O_DIRECTORY);			/* 4 */
	open("/dev/null", O_RDWR);				/* 5 */
	fcntl(0, F_DUPFD_CLOEXEC, 77);
	if (symlink("nowhere", "link"))
		_exit(1);
	open("link", O_PATH | O_NOFOLLOW); /* 6 */
	open("/proc/meminfo", O_RDONLY);   /* 7 */
	open("file", O_WRONLY);		   /* 8 */
	open("file", O_RDWR | O_APPEND);   /* 9 */
}

static void test_regular(void **state)
{
	struct fixture *f = *state;

	round_trip(f, hold_regular);
	assert_int_equal(descriptor(f, 0)->id, descriptor(f, 77)->id);
	assert_int_equal(descriptor(f, 0)->flags, 0);
	assert_int_equal(descriptor(f, 77)->flags, FD_CLOEXEC);
	assert_int_not_equal(descriptor(f, 0)->id, descriptor(f, 1)->id);
	assert_int_equal(entry_of(f, 0)->reg->pos, 5);
	assert_int_equal(entry_of(f, 0)->reg->size, 5);
	/* Others may append, where nothing reads what is there. */
	assert_false(entry_of(f, 1)->reg->has_size);
	assert_true(entry_of(f, 8)->reg->has_size);
	assert_true(entry_of(f, 9)->reg->has_size);
}

static void hold_directory(void)
{
	if (mkdir("gone", 0751) || mkdir("gone/deeper", 0700))
		_exit(1);
	open("gone", O_RDONLY | O_DIRECTORY);
	open("gone/deeper", O_PATH);
	if (rmdir("gone/deeper") || rmdir("gone"))
		_exit(1);
}

static void test_unlinked_directory(void **state)
{
	struct fixture *f = *state;

	round_trip(f, hold_directory);
	assert_int_equal(snapshot_records(&f->snapshot, IMAGE_GHOST_FILE)->count, 2);
	assert_int_equal(access("gone", F_OK), -1);
}

static void hold_taken(void)
{
	hold_directory();
	close(open("gone", O_CREAT | O_RDWR, 0600));
}

/* The name is taken meanwhile: another one is used, and nothing of it stays. */
static void test_unlinked_name_taken(void **state)
{
	struct fixture *f = *state;

	collect_child(f, hold_taken, 0);
	int fd = open_entry(f, entry_of(f, 0));
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(access("gone", F_OK), 0);
	assert_int_equal(unlink("gone"), 0);
	assert_int_equal(rmdir(f->directory), 0);
	assert_int_equal(mkdir(f->directory, 0700), 0);
}

static void hold_pipes(void)
{
	int ends[2];

	if (pipe(ends) || write(ends[1], "content", 7) != 7) /* 0 1 */
		_exit(1);
	fcntl(ends[1], F_SETPIPE_SZ, 8192);
	open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK); /* 2 */
	open("/proc/self/fd/0", O_RDWR);		/* 3 */
	if (pipe2(ends, O_NONBLOCK))			/* 4 5 */
		_exit(1);
	while (write(ends[1], "0123456789", 10) > 0)
		;
	if (pipe(ends)) /* 6 7, the write end is gone */
		_exit(1);
	close(7);
	if (pipe2(ends, O_DIRECT)) /* 7 8 */
		_exit(1);
	dup2(4, 30);
}

static void test_pipes(void **state)
{
	struct fixture *f = *state;
	char bytes[100];

	collect_child(f, hold_pipes, 0);
	assert_int_equal(snapshot_records(&f->snapshot, IMAGE_PIPES_DATA)->count, 4);
	assert_int_equal(descriptor(f, 4)->id, descriptor(f, 30)->id);
	int read_end = open_entry(f, entry_of(f, 0));
	int write_end = open_entry(f, entry_of(f, 1));
	int other_read_end = open_entry(f, entry_of(f, 2));
	assert_int_equal(fcntl(read_end, F_GETPIPE_SZ), 8192);
	assert_int_equal(write(write_end, "!", 1), 1);
	assert_int_equal(read(other_read_end, bytes, sizeof bytes), 8);
	assert_memory_equal(bytes, "content!", 8);
	assert_int_equal(read(other_read_end, bytes, sizeof bytes), -1);
	assert_int_equal(errno, EAGAIN);
	close(read_end);
	close(write_end);
	close(other_read_end);
}

static void test_pipe_round_trip(void **state)
{
	round_trip(*state, hold_pipes);
}

static void test_full_pipe_is_untouched(void **state)
{
	struct fixture *f = *state;
	const PipeDataEntry *content;

	collect_child(f, hold_pipes, 0);
	content = snapshot_record(&f->snapshot, IMAGE_PIPES_DATA, entry_of(f, 4)->pipe->pipe_id)
			  ->message;
	assert_int_equal(content->size, 65536);
	/* A write of ten bytes is never split: 409 of them fit into each of the 16 pages. */
	assert_int_equal(content->bytes, 16 * 4090);
}

/* Of a family that no kind has; a kernel need not have each. */
static bool open_odd_socket(void)
{
	return socket(AF_VSOCK, SOCK_STREAM, 0) >= 0 || socket(AF_ALG, SOCK_SEQPACKET, 0) >= 0 ||
	       socket(AF_KEY, SOCK_RAW, 2) >= 0;
}

static void hold_refused(void)
{
	/* Twice, for the count. */
	if (!open_odd_socket() || !open_odd_socket())
		_exit(1);
	char status[40];
	snprintf(status, sizeof status, "/proc/%d/status", (int)getppid());
	open(status, O_RDONLY);
	if (open("hard", O_RDWR | O_CREAT, 0600) < 0 || mkdir("elsewhere", 0700) ||
	    link("hard", "elsewhere/other") || unlink("hard"))
		_exit(1);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;

	collect_child(f, hold_refused, -1);
	assert_int_equal(f->err.name, ERR_UNSUPPORTED_FILE);
	assert_non_null(strstr(f->err.text, "a socket"));
	assert_non_null(strstr(f->err.text, "/status) is of a process that is not in the tree"));
	assert_non_null(strstr(f->err.text, "hard link"));
	assert_non_null(strstr(f->err.text, "4 things"));
}

/* Its end of a pipe of the test, which has the other end. */
static void hold_outside(void)
{
	dup2(901, 5);
}

static void test_pipe_outside(void **state)
{
	struct fixture *f = *state;
	int ends[2];

	/* The child's copy of our pipe survives close_range below 900. */
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[1], 901), 901);
	close(ends[1]);
	collect_child(f, hold_outside, -1);
	assert_non_null(strstr(f->err.text, "whose read end is outside of the tree"));
	close(901);
	close(ends[0]);
}

static RegFileEntry *hand_made(struct fixture *f, FileEntry **ret_entry, const char *name)
{
	FileEntry *entry = snapshot_new(&f->snapshot, FILE_ENTRY, FileEntry);

	entry->type = FD_TYPES__REG;
	entry->id = 1;
	entry->reg = snapshot_new(&f->snapshot, REG_FILE_ENTRY, RegFileEntry);
	entry->reg->id = 1;
	entry->reg->name = arena_printf(&f->arena, "%s/%s", f->directory, name);
	*ret_entry = entry;
	return entry->reg;
}

static void expect_failure(struct fixture *f, const FileEntry *entry, enum error_name name)
{
	memset(&f->err, 0, sizeof f->err);
	assert_int_equal(open_entry(f, entry), -1);
	if (f->err.name != name)
		fail_msg("%s: %s", error_name(f->err.name), f->err.text);
}

static void test_errors(void **state)
{
	struct fixture *f = *state;
	FileEntry *entry;
	RegFileEntry *reg = hand_made(f, &entry, "absent");

	expect_failure(f, entry, ERR_FILE_MISSING);
	assert_true(f->err.hint[0] != '\0');
	assert_int_equal(mkdir("there", 0700), 0);
	reg->name = arena_printf(&f->arena, "%s/there", f->directory);
	reg->has_mode = true;
	reg->mode = S_IFREG | 0644;
	expect_failure(f, entry, ERR_FILE_CHANGED);
	close(open("short", O_CREAT | O_RDWR, 0600));
	reg->name = arena_printf(&f->arena, "%s/short", f->directory);
	reg->has_size = true;
	reg->size = 1;
	expect_failure(f, entry, ERR_FILE_CHANGED);
	/* Only pipes and sockets are given away: never a file that has a name here. */
	reg->size = 0;
	entry->inode_owner = snapshot_new(&f->snapshot, INODE_OWNER_ENTRY, InodeOwnerEntry);
	expect_failure(f, entry, ERR_IMAGE_INVALID);
	entry->inode_owner = NULL;
	reg->name = arena_string(&f->arena, "");
	expect_failure(f, entry, ERR_IMAGE_INVALID);
	entry->reg = NULL;
	expect_failure(f, entry, ERR_IMAGE_INVALID);
}

/* Images say where terminals are made: nothing else is opened there, as that may do something. */
static void test_where_terminals_are_made(void **state)
{
	static const char *const names[] = { "fifo", "file", "/dev/zero" };
	struct fixture *f = *state;

	assert_int_equal(mkfifo("fifo", 0600), 0);
	close(open("file", O_CREAT | O_RDWR, 0600));
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		FileEntry *entry = snapshot_new(&f->snapshot, FILE_ENTRY, FileEntry);
		TtyInfoEntry *info = snapshot_new(&f->snapshot, TTY_INFO_ENTRY, TtyInfoEntry);
		info->id = (uint32_t)i + 1;
		info->type = TTY_TYPE__PTY;
		info->pty = snapshot_new(&f->snapshot, TTY_PTY_ENTRY, TtyPtyEntry);
		info->ptmx = names[i][0] == '/'
				     ? arena_string(&f->arena, names[i])
				     : arena_printf(&f->arena, "%s/%s", f->directory, names[i]);
		snapshot_add_record(&f->snapshot, IMAGE_TTY_INFO, info->id, info);
		entry->type = FD_TYPES__TTY;
		entry->id = 100 + info->id;
		entry->tty = snapshot_new(&f->snapshot, TTY_FILE_ENTRY, TtyFileEntry);
		entry->tty->id = entry->id;
		entry->tty->tty_info_id = info->id;
		entry->tty->has_master = entry->tty->master = true;
		expect_failure(f, entry, ERR_FILE_CHANGED);
	}
}

/* A path below a process that is gone may lead elsewhere: what is there is looked at, no more. */
static void test_places_of_gone_processes(void **state)
{
	struct fixture *f = *state;
	FileEntry *entry;
	RegFileEntry *reg = hand_made(f, &entry, "");
	RemapFilePathEntry *remap =
		snapshot_new(&f->snapshot, REMAP_FILE_PATH_ENTRY, RemapFilePathEntry);
	char event[512];

	assert_int_equal(mkfifo("fifo", 0600), 0);
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	assert_true(inotify_add_watch(watch, "fifo", IN_OPEN) > 0);
	reg->name = arena_printf(&f->arena, "/proc/4711/../..%s/fifo", f->directory);
	reg->flags = O_RDWR | O_NONBLOCK;
	reg->mnt_id = -1;
	remap->orig_id = entry->id;
	remap->has_remap_type = true;
	remap->remap_type = REMAP_TYPE__PROCFS;
	snapshot_add_record(&f->snapshot, IMAGE_REMAP_FPATH, entry->id, remap);
	expect_failure(f, entry, ERR_FILE_CHANGED);
	assert_int_equal(read(watch, event, sizeof event), -1);
	assert_int_equal(errno, EAGAIN);
	close(watch);
	assert_int_equal(gone_process_aspect.connect(&f->opener, entry, -1, &f->err), 0);
}

/* What settime would not take is found before: each of these is the last, or the first beyond. */
static void test_settings_of_timerfds(void **state)
{
	enum { NANOSECONDS = 1000000000 };
	static const struct {
		uint64_t vsec, vnsec, isec, insec;
		bool is_valid;
	} rows[] = {
		{ 1, NANOSECONDS - 1, 1, NANOSECONDS - 1, true },
		{ 1, NANOSECONDS, 1, 0, false },
		{ 1, 0, 1, NANOSECONDS, false },
		{ INT64_MAX / NANOSECONDS, 0, INT64_MAX / NANOSECONDS, 0, true },
		{ INT64_MAX / NANOSECONDS + 1, 0, 1, 0, false },
		{ 1, 0, INT64_MAX / NANOSECONDS + 1, 0, false },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		FileEntry entry = FILE_ENTRY__INIT;
		TimerfdEntry timer = TIMERFD_ENTRY__INIT;
		entry.type = FD_TYPES__TIMERFD;
		entry.id = timer.id = 7;
		entry.tfd = &timer;
		timer.vsec = rows[i].vsec;
		timer.vnsec = rows[i].vnsec;
		timer.isec = rows[i].isec;
		timer.insec = rows[i].insec;
		memset(&f->err, 0, sizeof f->err);
		int result = kind_of_file(&kinds, &entry)->check(&f->snapshot, &entry, &f->err);
		assert_int_equal(result == 0, rows[i].is_valid);
		assert_int_equal(f->err.name == ERR_IMAGE_INVALID, !rows[i].is_valid);
	}
}

/* Below a root directory symbolic links do not lead out of it; the first slash may be missing. */
static void test_below_root(void **state)
{
	struct fixture *f = *state;
	FileEntry *entry;
	RegFileEntry *reg = hand_made(f, &entry, "unused");

	f->opener.root_fd = open(f->directory, O_PATH | O_DIRECTORY);
	close(open("inside", O_CREAT | O_RDWR, 0600));
	assert_int_equal(symlink("/etc/passwd", "passwd"), 0);
	assert_int_equal(symlink("/inside", "absolute"), 0);
	reg->name = arena_string(&f->arena, "inside");
	assert_true(open_entry(f, entry) >= 0);
	reg->name = arena_string(&f->arena, "/absolute");
	assert_true(open_entry(f, entry) >= 0);
	reg->name = arena_string(&f->arena, "/passwd");
	expect_failure(f, entry, ERR_FILE_MISSING);
	reg->name = arena_string(&f->arena, "/");
	assert_true(open_entry(f, entry) >= 0);
	close(f->opener.root_fd);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_regular),
		TEST(test_unlinked_directory),
		TEST(test_unlinked_name_taken),
		TEST(test_pipes),
		TEST(test_pipe_round_trip),
		TEST(test_full_pipe_is_untouched),
		TEST(test_refused),
		TEST(test_pipe_outside),
		TEST(test_errors),
		TEST(test_settings_of_timerfds),
		TEST(test_where_terminals_are_made),
		TEST(test_places_of_gone_processes),
		TEST(test_below_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
