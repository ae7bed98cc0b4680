// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-below-root
 * promise: in a container whose root was moved onto that of others, with what is in /proc and /sys
 *	covered, a new user namespace may mount a proc and a sysfs just if it could before, also
 *	where all that is older than the mount namespace; where nothing is left below the root it
 *	may not; where no user namespace may be made, none may be made afterwards; also where nobody
 *	is root
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int mount_one(const char *type)
{
	int context = fsopen(type, FSOPEN_CLOEXEC);

	if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return 2;
	return fsmount(context, FSMOUNT_CLOEXEC, 0) < 0 ? 1 : 0;
}

static int status_of(pid_t pid)
{
	int status = -1;

	scenario_need(pid > 0 && waitpid(pid, &status, 0) == pid, "fork: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static bool may_mount(const char *type)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET))
			_exit(50);
		pid = fork();
		_exit(pid == 0 ? mount_one(type) : status_of(pid));
	}
	int status = status_of(pid);
	scenario_need(status <= 2, "cannot try to mount a %s: %d", type, status);
	return status == 0;
}

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

/* All that there is, with a /proc and /sys of which a part is covered. */
static void make_root(const char *name)
{
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	need(mkdir(name, 0755) == 0 && mount("/", name, NULL, MS_BIND | MS_REC, NULL) == 0 &&
		     chdir(name) == 0,
	     name);
	need(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0 &&
		     mount("none", "proc/sys", "tmpfs", MS_RDONLY, NULL) == 0 &&
		     mount("none", "sys", "tmpfs", MS_RDONLY, NULL) == 0,
	     "proc and sys");
}

static void keep(const char *name)
{
	bool proc = may_mount("proc"), sysfs = may_mount("sysfs");

	scenario_note("%s: proc %d sysfs %d", name, proc, sysfs);
	scenario_mark(name);
	scenario_wait_restored();
	scenario_check(may_mount("proc") == proc, "a proc could %sbe mounted", proc ? "" : "not ");
	scenario_check(may_mount("sysfs") == sysfs, "a sysfs could %sbe mounted",
		       sysfs ? "" : "not ");
}

static int moved(void *unused)
{
	(void)unused;
	make_root("moved");
	need(mount(".", "/", NULL, MS_MOVE, NULL) == 0 && chroot(".") == 0, "move");
	keep("moved");
	return 0;
}

/* Nobody is root there. */
static int rootless(void *unused)
{
	(void)unused;
	make_root("rootless");
	need(mount(".", "/", NULL, MS_MOVE, NULL) == 0 && chroot(".") == 0, "move");
	scenario_check(may_mount("proc"), "no proc may be mounted");
	keep("rootless");
	return 0;
}

static int new_directory(void)
{
	int context = fsopen("tmpfs", FSOPEN_CLOEXEC);

	need(context >= 0 && fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0, "tmpfs");
	int fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
	need(fd >= 0 && mkdirat(fd, "proc", 0755) == 0 && mkdirat(fd, "sys", 0755) == 0, "tmpfs");
	close(context);
	return fd;
}

static void become_root(int fd)
{
	need(move_mount(fd, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) == 0 && fchdir(fd) == 0 &&
		     syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
		     chdir("/") == 0,
	     "pivot_root");
}

/* The namespace is entered last: nothing below its first mount is younger. */
static int older(void *unused)
{
	static const char *const from[] = { NULL, "/proc", "/sys", "." };
	static const char *const to[] = { "/", "/proc", "/sys", "/" };
	int fds[4];

	(void)unused;
	make_root("older");
	fds[0] = new_directory();
	for (size_t i = 1; i < 4; i++)
		fds[i] = open_tree(AT_FDCWD, from[i],
				   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	need(fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0 && fds[3] >= 0, "copies");
	need(unshare(CLONE_NEWNS) == 0, "unshare");
	become_root(fds[0]);
	for (size_t i = 1; i < 4; i++)
		need(move_mount(fds[i], "", AT_FDCWD, to[i], MOVE_MOUNT_F_EMPTY_PATH) == 0, to[i]);
	need(chroot("/..") == 0 && chdir("/") == 0, "chroot");
	for (size_t i = 0; i < 4; i++)
		close(fds[i]);
	keep("older");
	return 0;
}

static int alone(void *unused)
{
	(void)unused;
	make_root("alone");
	need(syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
		     chdir("/") == 0,
	     "pivot_root");
	scenario_check(!may_mount("proc") && !may_mount("sysfs"), "it may be mounted");
	scenario_mark("alone");
	scenario_wait_restored();
	scenario_check(!may_mount("proc"), "a proc may be mounted now");
	scenario_check(!may_mount("sysfs"), "a sysfs may be mounted now");
	return 0;
}

static int proc_of_own(void)
{
	int context = fsopen("proc", FSOPEN_CLOEXEC);

	need(context >= 0 && fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0, "proc");
	int fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
	need(fd >= 0, "proc");
	close(context);
	return fd;
}

/* As bubblewrap does for flatpak (--disable-userns). */
static int limited(void *unused)
{
	(void)unused;
	int proc = proc_of_own(),
	    limit = openat(proc, "sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);

	make_root("limited");
	need(limit >= 0 && write(limit, "0", 1) == 1, "limit");
	close(proc);
	close(limit);
	need(mount(".", "/", NULL, MS_MOVE, NULL) == 0 && chroot(".") == 0, "move");
	scenario_mark("limited");
	scenario_wait_restored();
	scenario_check(unshare(CLONE_NEWUSER) < 0 && errno == ENOSPC,
		       "a user namespace is not beyond the limit");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t first = scenario_child_in(CLONE_NEWNS | CLONE_NEWPID, moved, NULL);
	pid_t third = scenario_child_in(CLONE_NEWNS | CLONE_NEWPID, older, NULL);
	pid_t second = scenario_child_in(CLONE_NEWNS | CLONE_NEWPID, alone, NULL);
	const struct scenario_users users = { "0 0 1", "0 0 1", false };
	pid_t fourth = scenario_child_users(CLONE_NEWNS | CLONE_NEWPID, &users, limited, NULL);
	const struct scenario_users others = { "7 0 1", "7 0 1", false };
	pid_t fifth = scenario_child_users(CLONE_NEWNS | CLONE_NEWPID, &others, rootless, NULL);
	scenario_wait_mark("limited");
	scenario_wait_mark("rootless");
	scenario_wait_mark("moved");
	scenario_wait_mark("alone");
	scenario_wait_mark("older");

	scenario_ready();

	scenario_reap(first);
	scenario_reap(second);
	scenario_reap(third);
	scenario_reap(fourth);
	scenario_reap(fifth);
	return scenario_end();
}
