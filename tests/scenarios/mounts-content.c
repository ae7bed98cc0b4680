// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-content
 * promise: file systems of a mount namespace come back: those in memory with all that is in
 *	them, below what hides it too, devices bound one by one, terminals of its own, files bound
 *	over files, read-only and other flags for each mount; their owner may change their limits,
 *	and what is in them is known by the same numbers
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static const struct scenario_users root_inside = { "0 0 1", "0 0 1", true };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static void mount_at(const char *source, const char *target, const char *type, unsigned long flags,
		     const char *options)
{
	scenario_need(mount(source, target, type, flags, options) == 0, "mount %s: %s", target,
		      strerror(errno));
}

static void make_file(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0640);

	need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	close(fd);
}

static void check_file(const char *path, const char *text)
{
	char found[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, found, sizeof found - 1);

	scenario_check(size == (ssize_t)strlen(text) && memcmp(found, text, (size_t)size) == 0,
		       "%s is not \"%s\": %s", path, text, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static const struct timespec times[2] = { { 1000000001, 5 }, { 1000000002, 7 } };

#define HUGE_SIZE ((off_t)1 << 42)

static void fill(void)
{
	int fd;

	make_file("file", "alpha");
	need(link("file", "second") == 0 && symlink("file", "link") == 0 &&
		     mkfifo("fifo", 0604) == 0 && mknod("socket", S_IFSOCK | 0600, 0) == 0,
	     "nodes");
	need(setxattr("file", "user.key", "value", 5, 0) == 0, "setxattr");
	need(chmod("file", 04751) == 0, "chmod");
	need(mkdir("folder", 0700) == 0 && mkdir("folder/hidden", 0711) == 0, "mkdir");
	make_file("folder/hidden/file", "beta");
	fd = open("sparse", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	need(fd >= 0 && ftruncate(fd, 4 << 20) == 0 && pwrite(fd, "x", 1, 3 << 20) == 1, "sparse");
	close(fd);
	/* A dump that looked at every byte would take hours. */
	fd = open("huge", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	need(fd >= 0 && ftruncate(fd, HUGE_SIZE) == 0 && pwrite(fd, "x", 1, HUGE_SIZE / 2) == 1,
	     "huge");
	close(fd);
	need(utimensat(AT_FDCWD, "file", times, 0) == 0, "times");
	need(utimensat(AT_FDCWD, "folder", times, 0) == 0, "times");
}

/* What is in a directory that is younger than it, and behind numbers that nobody has any more. */
static const char *const numbered[] = { "file",	  "link",  "fifo",	"socket",
					"sparse", "young", "young/old", "folder/hidden/file" };
enum { N_NUMBERED = sizeof numbered / sizeof *numbered, N_HIDDEN = 1 };
static ino_t numbers[N_NUMBERED];

static void number_inodes(void)
{
	make_file("old", "delta");
	for (int i = 0; i < 100; i++) {
		make_file("passing", "");
		need(unlink("passing") == 0, "unlink");
	}
	need(mkdir("young", 0700) == 0 && rename("old", "young/old") == 0, "young");
}

static ino_t number_of(const char *path)
{
	struct stat stat_;

	return lstat(path, &stat_) ? 0 : stat_.st_ino;
}

static void check_number(size_t i)
{
	scenario_check(number_of(numbered[i]) == numbers[i], "%s has number %lu, not %lu",
		       numbered[i], number_of(numbered[i]), numbers[i]);
}

static void check_times(const char *path)
{
	struct stat stat_;

	scenario_check(stat(path, &stat_) == 0 && stat_.st_mtim.tv_sec == times[1].tv_sec &&
			       stat_.st_mtim.tv_nsec == times[1].tv_nsec,
		       "%s has another time", path);
}

static void check_filled(void)
{
	struct stat file, other;
	char value[8];

	check_times("file");
	for (size_t i = 0; i < N_NUMBERED - N_HIDDEN; i++)
		check_number(i);
	check_file("file", "alpha");
	scenario_check(stat("file", &file) == 0 && stat("second", &other) == 0 &&
			       file.st_ino == other.st_ino && file.st_nlink == 2 &&
			       file.st_mode == (S_IFREG | 04751),
		       "file is another one");
	scenario_check(getxattr("file", "user.key", value, sizeof value) == 5, "no attribute");
	scenario_check(readlink("link", value, sizeof value) == 4, "no link");
	scenario_check(stat("fifo", &file) == 0 && file.st_mode == (S_IFIFO | 0604), "no fifo");
	scenario_check(stat("socket", &file) == 0 && S_ISSOCK(file.st_mode), "no socket");
	scenario_check(stat("sparse", &file) == 0 && file.st_size == 4 << 20 && file.st_blocks < 64,
		       "sparse has %ld blocks", (long)file.st_blocks);
	int fd = open("huge", O_RDONLY | O_CLOEXEC);
	scenario_check(fstat(fd, &file) == 0 && file.st_size == HUGE_SIZE && file.st_blocks < 64 &&
			       pread(fd, value, 1, HUGE_SIZE / 2) == 1 && value[0] == 'x',
		       "huge has %ld blocks", (long)file.st_blocks);
	close(fd);
}

/* The owner of a file system may change its limits. */
static void check_owned(const char *path, bool owned)
{
	int fd = fspick(AT_FDCWD, path, FSPICK_CLOEXEC);
	int result = fsconfig(fd, FSCONFIG_SET_STRING, "size", "9m", 0) ||
		     fsconfig(fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0);

	scenario_check(owned ? result == 0 : result && errno == EPERM, "%s: reconfigured: %s", path,
		       strerror(errno));
	close(fd);
}

static void check_all(void)
{
	check_filled();
	check_owned(".", true);
	check_owned("outer", false);
	check_file("outer/file", "delta");
	check_file("over", "gamma");
	scenario_check(open("outer/new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) == -1 &&
			       errno == EROFS,
		       "outer is writable");
	scenario_check(open("dev/null", O_RDWR | O_CLOEXEC) >= 0, "no device");
	scenario_check(access("pts/ptmx", F_OK) == 0, "no terminals");
}

static int inside(void *unused)
{
	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	mount_at("mine", "new", "tmpfs", MS_NOSUID | MS_NODEV, "size=8m,mode=755");
	need(chdir("new") == 0, "chdir");
	fill();
	number_inodes();
	for (size_t i = 0; i < N_NUMBERED; i++)
		numbers[i] = number_of(numbered[i]);
	mount_at("over", "folder", "tmpfs", MS_NODEV | MS_NOATIME, "mode=711");
	make_file("folder/file", "gamma");
	make_file("over", "");
	mount_at("folder/file", "over", NULL, MS_BIND, NULL);
	need(mkdir("outer", 0755) == 0 && mkdir("dev", 0755) == 0 && mkdir("pts", 0755) == 0 &&
		     mkdir("proc", 0755) == 0,
	     "mkdir");
	mount_at("../outer", "outer", NULL, MS_BIND, NULL);
	mount_at(NULL, "outer", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOEXEC, NULL);
	make_file("dev/null", "");
	mount_at("/dev/null", "dev/null", NULL, MS_BIND, NULL);
	mount_at("devpts", "pts", "devpts", MS_NOSUID, "newinstance,mode=620,ptmxmode=666");
	mount_at("/proc", "proc", NULL, MS_BIND | MS_REC, NULL);
	check_all();
	scenario_mark("inside");
	scenario_wait_restored();
	check_all();
	scenario_check(umount2("folder", MNT_DETACH) == 0, "folder stays: %s", strerror(errno));
	check_file("folder/hidden/file", "beta");
	check_number(N_NUMBERED - 1);
	check_times("folder");
	return 0;
}

static int outside(void *unused)
{
	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	need(mkdir("new", 0755) == 0 && mkdir("outer", 0755) == 0, "mkdir");
	mount_at("outer", "outer", "tmpfs", 0, "size=1m");
	make_file("outer/file", "delta");
	pid_t pid = scenario_child_users(CLONE_NEWUSER | CLONE_NEWNS, &root_inside, inside, NULL);
	scenario_wait_mark("inside");
	scenario_mark("outside");
	scenario_wait_restored();
	scenario_reap(pid);
	check_owned("outer", true);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child_in(CLONE_NEWNS, outside, NULL);
	scenario_wait_mark("outside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
