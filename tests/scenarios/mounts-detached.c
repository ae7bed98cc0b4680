// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-detached
 * promise: mounts that are attached nowhere, of open_tree and of fsmount, come back with what is in
 *	them and below them, their flags, what they share, and who may copy them; files and
 *	directories stay open there, and they can be attached afterwards
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TREE = AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void make_file(int dir_fd, const char *path)
{
	const char *text = last_name(path);
	int fd = openat(dir_fd, path, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);

	need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	close(fd);
}

static bool has_text(int fd, const char *text)
{
	char found[64] = "";

	return fd >= 0 && pread(fd, found, sizeof found - 1, 0) >= 0 && strcmp(found, text) == 0;
}

static bool shows(int dir_fd, const char *path)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	bool result = has_text(fd, last_name(path));

	close(fd);
	return result;
}

static int new_tmpfs(void)
{
	int context = fsopen("tmpfs", FSOPEN_CLOEXEC);

	need(context >= 0 && fsconfig(context, FSCONFIG_SET_STRING, "size", "1m", 0) == 0 &&
		     fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0,
	     "fsopen");
	int fd = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
	need(fd >= 0, "fsmount");
	close(context);
	return fd;
}

/* In another mount namespace. */
static bool can_be_copied_elsewhere(int fd)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWNS) == 0 && open_tree(fd, "", AT_EMPTY_PATH | TREE) >= 0
			      ? 0
			      : 1);
	need(pid > 0 && waitpid(pid, &status, 0) == pid, "fork");
	return status == 0;
}

static bool can_be_copied(int fd)
{
	int copy = open_tree(fd, "", AT_EMPTY_PATH | TREE);

	return copy >= 0 && close(copy) == 0;
}

/* What its flags allow. */
static bool is_read_only(int fd)
{
	struct statvfs fs;

	return fstatvfs(fd, &fs) == 0 && fs.f_flag & ST_RDONLY;
}

static void make_tree(void)
{
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	need(mkdir("top", 0755) == 0 && mount("top", "top", "tmpfs", 0, "size=1m") == 0, "top");
	make_file(AT_FDCWD, "top/above");
	need(mkdir("place", 0755) == 0 && mkdir("top/later", 0755) == 0 &&
		     mkdir("top/below", 0755) == 0 &&
		     mount("low", "top/below", "tmpfs", 0, NULL) == 0,
	     "below");
	make_file(AT_FDCWD, "top/below/inner");
	need(mount(NULL, "top/below", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOEXEC, NULL) ==
		     0,
	     "read-only");
}

/* What a sandbox has copied has what is locked in it, and goes on having it. */
static int look_from_sandbox(void *unused)
{
	struct mount_attr writable = { .attr_clr = MOUNT_ATTR_RDONLY };

	(void)unused;
	int tree = open_tree(AT_FDCWD, "top", TREE);
	need(tree >= 0, "open_tree in a sandbox");
	scenario_mark("sandbox");
	scenario_wait_restored();

	scenario_check(shows(tree, "below/inner"), "sandbox: content");
	scenario_check(move_mount(tree, "", AT_FDCWD, "place", MOVE_MOUNT_F_EMPTY_PATH) == 0,
		       "sandbox: it cannot be attached: %s", strerror(errno));
	scenario_check(umount2("place/below", MNT_DETACH) < 0, "sandbox: a lock is gone");
	scenario_check(syscall(SYS_mount_setattr, AT_FDCWD, "place/below", 0, &writable,
			       sizeof writable) < 0,
		       "sandbox: it can be made writable");
	scenario_check(umount2("place", MNT_DETACH) == 0, "sandbox: what was free is locked");
	return 0;
}

static int inside(void *unused)
{
	(void)unused;
	make_tree();
	/* One that nobody else shows, with a directory and a file open in it, and one removed. */
	int new = new_tmpfs();
	need(mkdirat(new, "sub", 0711) == 0, "sub");
	make_file(new, "sub/deep");
	int sub = openat(new, "sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int deep = openat(sub, "deep", O_RDWR | O_CLOEXEC);
	make_file(new, "gone");
	int gone = openat(new, "gone", O_RDONLY | O_CLOEXEC);
	need(sub >= 0 && deep >= 0 && gone >= 0 && unlinkat(new, "gone", 0) == 0, "open");
	int again = openat(new, ".", O_PATH | O_CLOEXEC);

	/* One with another below, which is read-only, of what is mounted here, and shared. */
	need(mount(NULL, "top", NULL, MS_SHARED, NULL) == 0, "shared");
	int tree = open_tree(AT_FDCWD, "top", TREE);
	int inner = openat(tree, "below/inner", O_RDONLY | O_CLOEXEC);
	need(tree >= 0 && inner >= 0, "open_tree");
	/* And one of a directory of others. */
	int bound = open_tree(AT_FDCWD, "/usr/bin", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	need(bound >= 0, "bind");
	int top = open("top", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int place = open("place", O_PATH | O_CLOEXEC);
	pid_t sandbox = scenario_child_in(CLONE_NEWUSER | CLONE_NEWNS, look_from_sandbox, NULL);
	scenario_wait_mark("sandbox");
	need(top >= 0 && place >= 0 && fchdir(sub) == 0, "fchdir");

	scenario_need(can_be_copied(tree) && !can_be_copied_elsewhere(tree), "a copy");
	scenario_need(can_be_copied(new) && can_be_copied_elsewhere(new), "a copy elsewhere");
	scenario_mark("inside");
	scenario_wait_restored();

	scenario_check(shows(new, "sub/deep") && shows(AT_FDCWD, "deep"), "fsmount: no content");
	scenario_check(has_text(deep, "deep"), "fsmount: a file");
	scenario_check(has_text(gone, "gone"), "fsmount: a removed file");
	make_file(sub, "later");
	scenario_check(shows(new, "sub/later") && shows(again, "sub/later"),
		       "fsmount: the directory is of another one");
	scenario_check(shows(tree, "above") && shows(tree, "below/inner"), "open_tree: content");
	scenario_check(has_text(inner, "inner"), "open_tree: a file");
	scenario_check(!is_read_only(tree) && is_read_only(inner), "open_tree: flags");
	scenario_check(can_be_copied(tree), "open_tree: it cannot be copied");
	scenario_check(!can_be_copied_elsewhere(tree), "open_tree: anybody can copy it");
	scenario_check(can_be_copied(new) && can_be_copied_elsewhere(new),
		       "fsmount: it cannot be copied everywhere");
	scenario_check(faccessat(bound, "env", X_OK, 0) == 0, "a bind of others");

	struct statvfs fs;
	scenario_check(fstatvfs(new, &fs) == 0 && fs.f_flag & ST_NODEV && fs.f_flag & ST_NOSUID &&
			       fs.f_blocks * fs.f_frsize == 1 << 20,
		       "fsmount: flags or size");
	/* Nothing shows up in what is attached nowhere (IS_MNT_NEW, fs/pnode.h). */
	scenario_check(move_mount(tree, "", place, "",
				  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0,
		       "it cannot be attached: %s", strerror(errno));
	scenario_check(fchdir(top) == 0 && mount("new", "later", "tmpfs", 0, NULL) == 0, "later");
	make_file(AT_FDCWD, "later/seen");
	scenario_check(shows(tree, "later/seen"), "what was shared is not");
	scenario_reap(sandbox);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
