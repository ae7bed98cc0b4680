// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Terminals as tasks have them: where their devpts is, and whether they control their session. And
 * what keeps one from being made again: a path that leads to none is no reason, a shortage is.
 */
#include "kinds/ttys/ttys.h"

#include "base/arena.h"
#include "collect/collect.h"
#include "kinds/opener.h"
#include "model/mounts.h"
#include "model/records.h"

#include <errno.h>
#include <fcntl.h>

#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

enum { SLAVES = 136 }; /* the first major number of slaves (Documentation/admin-guide/devices) */

/* By the name that it has there, and no other one. */
static void a_terminal_is_found_in_its_devpts(void **state)
{
	struct collect collect = { .first_thread = pthread_self() };
	struct target target = { .collect = &collect, .pid = getpid(), .tid = getpid() };
	char name[64];
	struct stat found;
	int master, slave;

	(void)state;
	assert_int_equal(openpty(&master, &slave, name, NULL, NULL), 0);
	assert_int_equal(stat(name, &found), 0);
	const dev_t there = found.st_rdev;
	assert_int_equal(tty_devpts_of(&target, there), found.st_dev);
	assert_int_equal(tty_devpts_of(&target, makedev(major(there) + 1, minor(there))), 0);
	assert_int_equal(tty_devpts_of(&target, makedev(major(there), 0xfffff)), 0);
	target.held_for = "somebody";
	assert_int_equal(tty_devpts_of(&target, there), 0);
	close(master);
	close(slave);
}

/* As stat of proc(5) has it: the minor number is in two parts. */
static void the_own_one_has_both_numbers(void **state)
{
	const unsigned minors[] = { 0, 3, 255, 256, 259, 1000, 0xfffff };
	struct target target = { 0 };
	char stat[128];

	(void)state;
	for (size_t i = 0; i < sizeof minors / sizeof *minors; i++) {
		const unsigned number =
			(minors[i] & 0xff) | SLAVES << 8 | (minors[i] & ~0xffu) << 12;
		snprintf(stat, sizeof stat, "S 1 20 10 %u 20", number);
		target.leader_stat = stat;
		target.held_for = NULL;
		assert_int_equal(tty_session_of(&target), 10);
		assert_true(tty_is_own(&target, makedev(SLAVES, minors[i])));
		assert_false(tty_is_own(&target, makedev(SLAVES, minors[i] ^ 1)));
		assert_false(tty_is_own(&target, makedev(SLAVES, minors[i] ^ 0x100)));
		assert_false(tty_is_own(&target, makedev(SLAVES + 1, minors[i])));
		target.held_for = "somebody";
		assert_false(tty_is_own(&target, makedev(SLAVES, minors[i])));
		assert_int_equal(tty_session_of(&target), 0);
	}
}

/* ---- restore ---- */

static int failing_call; /* 0: none */
static int failure;

static bool fails(int call)
{
	if (failing_call != call)
		return false;
	failing_call = 0;
	errno = failure;
	return true;
}

/* Instead of libc's, for nestor's code; once. Without a mode: nobody creates anything here. */
int open(const char *path, int flags, ...)
{
	if (strncmp(path, "/proc/self/fd/", 14) == 0 && fails(SYS_open))
		return -1;
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags);
}

/* What it becomes of flags that are no constant, by _FORTIFY_SOURCE. */
int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
	return open(path, flags);
}

int fcntl(int fd, int command, ...)
{
	va_list list;

	va_start(list, command);
	const long argument = va_arg(list, long);
	va_end(list);
	return fails(command) ? -1 : (int)syscall(SYS_fcntl, fd, command, argument);
}

/* Of a snapshot with one mount, 3: of a devpts of somebody outside. */
static void add_devpts(struct snapshot *snapshot)
{
	MntEntry *mount = snapshot_new(snapshot, MNT_ENTRY, MntEntry);
	struct namespace *namespace = arena_new(snapshot->arena, struct namespace);
	struct error err = { 0 };

	mount->fstype = FSTYPE__DEVPTS;
	mount->mnt_id = 3;
	mount->root = mount->mountpoint = (char *)(uintptr_t) "/";
	mount->bound_path = (char *)(uintptr_t) "/dev/pts";
	*namespace = (struct namespace){ .type = NAMESPACE_MNT, .id = 9 };
	snapshot->plain_namespaces = arena_array(snapshot->arena, struct namespace *, 1);
	snapshot->plain_namespaces[0] = namespace;
	snapshot->n_plain_namespaces = 1;
	snapshot_add_record(snapshot, IMAGE_MOUNTPOINTS, namespace->id, mount);
	if (place_mount_namespaces(snapshot, &err))
		fail_msg("%s", err.text);
}

static void close_all(struct file_opener *opener)
{
	for (size_t i = 0; i < opener->n_masters; i++)
		close(opener->masters[i]);
	for (size_t i = 0; i < opener->n_kept_fds; i++)
		close(opener->kept_fds[i]);
}

/* Of one that the tree had there, for a session, whose path leads to a ptmx: is that told? */
static bool is_told(int what_fails)
{
	TtyInfoEntry info = TTY_INFO_ENTRY__INIT;
	TtyPtyEntry pty = TTY_PTY_ENTRY__INIT;
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena);
	struct snapshot snapshot = { .arena = &arena };
	struct file_opener opener = { .snapshot = &snapshot, .arena = &arena, .root_fd = AT_FDCWD };
	add_devpts(&snapshot);
	info.has_mount_id = true;
	info.mount_id = 3;
	info.sid = 7;
	info.ptmx = (char[]){ "/dev/ptmx" };
	info.pty = &pty;
	failing_call = SYS_open;
	failure = what_fails;
	int fd = pty_take_master(&opener, &info, &err);
	assert_int_equal(failing_call, 0);
	/* Its number may be in use. */
	assert_true(fd >= 0 || err.os_errno == failure || err.name == ERR_TERMINAL_IN_USE);
	close_all(&opener);
	if (fd >= 0)
		close(fd);
	arena_done(&arena);
	return err.os_errno == failure;
}

/* Then it is made by the ptmx of its devpts. */
static void other_paths_are_tried(void **state)
{
	static const int nowhere[] = { ENOENT, ENOTDIR, EACCES, ENODEV, ENXIO };
	static const int shortages[] = { ENOMEM, EMFILE, ENFILE, EIO, ENOSPC };

	(void)state;
	/* That in a devpts is nobody's (mode 0). */
	if (geteuid())
		skip();
	for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++)
		if (is_told(nowhere[i]))
			fail_msg("%s", strerror(nowhere[i]));
	for (size_t i = 0; i < sizeof shortages / sizeof *shortages; i++)
		if (!is_told(shortages[i]))
			fail_msg("%s", strerror(shortages[i]));
}

/* Its master goes to the caller of the restore. */
static void a_master_that_cannot_be_given_is_told(void **state)
{
	static const int calls[] = { 0, F_DUPFD_CLOEXEC, F_SETFL };
	const struct externals externals = { .give_masters = true };
	TtyInfoEntry info = TTY_INFO_ENTRY__INIT;

	(void)state;
	info.type = TTY_TYPE__EXT_TTY;
	info.has_mount_id = true;
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		struct error err = { 0 };
		struct arena arena;

		arena_init(&arena);
		struct snapshot snapshot = { .arena = &arena };
		struct file_opener opener = { .snapshot = &snapshot,
					      .arena = &arena,
					      .root_fd = AT_FDCWD,
					      .externals = &externals };
		failing_call = calls[i];
		failure = EPERM;
		int fd = pty_take_master(&opener, &info, &err);
		assert_int_equal(failing_call, 0);
		assert_int_equal(fd < 0, calls[i] != 0);
		assert_int_equal(err.os_errno, calls[i] ? EPERM : 0);
		assert_int_equal(opener.n_masters, calls[i] == 0);
		close_all(&opener);
		if (fd >= 0)
			close(fd);
		arena_done(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_terminal_is_found_in_its_devpts),
		cmocka_unit_test(the_own_one_has_both_numbers),
		cmocka_unit_test(other_paths_are_tried),
		cmocka_unit_test(a_master_that_cannot_be_given_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
