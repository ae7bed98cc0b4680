// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-unmounted
 * promise: directories and files on mounts that were unmounted while in use (umount -l) stay on
 *	such mounts: as many as there were, which lead nowhere else, and allow what they allowed
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static void make_file(int dir_fd, const char *path)
{
	int fd = openat(dir_fd, path, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);

	need(fd >= 0 && write(fd, path, strlen(path)) == (ssize_t)strlen(path), path);
	close(fd);
}

static bool has_text(int fd, const char *text)
{
	char found[64] = "";

	return fd >= 0 && pread(fd, found, sizeof found - 1, 0) >= 0 && strcmp(found, text) == 0;
}

static bool shows(int dir_fd, const char *path, const char *text)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	bool result = has_text(fd, text);

	close(fd);
	return result;
}

static unsigned long long mount_of(int dir_fd, const char *path)
{
	struct statx found;

	need(statx(dir_fd, path, AT_EMPTY_PATH, 0, &found) == 0, "statx");
	return found.stx_mnt_id;
}

static bool is_read_only(int fd)
{
	struct statvfs fs;

	return fstatvfs(fd, &fs) == 0 && fs.f_flag & ST_RDONLY;
}

static bool is_linked(int fd, const char *wanted)
{
	char path[64], link[64] = "";

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return readlink(path, link, sizeof link - 1) > 0 && strcmp(link, wanted) == 0;
}

/* What nobody can copy, and what leads to its root and no further. */
static bool is_unmounted(int dir_fd)
{
	char path[1024] = "";

	return fchdir(dir_fd) == 0 && syscall(SYS_getcwd, path, sizeof path) > 0 &&
	       strncmp(path, "(unreachable)", 13) == 0 &&
	       open_tree(dir_fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE) < 0 && errno == EINVAL &&
	       mount_of(dir_fd, "../../../../..") == mount_of(dir_fd, "");
}

/* Of a file system that others have mounted, a part of it, read-only, with a mount in it. */
struct bound {
	int deep, file, again, inner, other;
	int alone;	  /* and on one of which there is nothing else */
	const char *area; /* the file, mapped */
};

static struct bound leave_bound(const char *state)
{
	struct bound bound;

	need(chdir(state) == 0 && mkdir("from", 0755) == 0 && mkdir("from/sub", 0755) == 0 &&
		     mkdir("from/sub/deep", 0755) == 0 && mkdir("from/in", 0755) == 0 &&
		     mkdir("at", 0755) == 0,
	     "directories");
	make_file(AT_FDCWD, "from/sub/deep/file");
	make_file(AT_FDCWD, "from/below");
	need(mount("from", "at", NULL, MS_BIND, NULL) == 0 &&
		     mount("from/sub", "at/in", NULL, MS_BIND, NULL) == 0 &&
		     mount(NULL, "at", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV, NULL) ==
			     0,
	     "bind");
	bound.deep = open("at/sub/deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bound.file = open("at/sub/deep/file", O_RDONLY | O_CLOEXEC);
	bound.again = open("at", O_PATH | O_CLOEXEC);
	bound.inner = open("at/in/deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bound.other = open("at/in/deep/file", O_RDWR | O_CLOEXEC);
	need(bound.deep >= 0 && bound.file >= 0 && bound.again >= 0 && bound.inner >= 0 &&
		     bound.other >= 0 && lseek(bound.file, 4, SEEK_SET) == 4,
	     "open");
	bound.area = mmap(NULL, 4, PROT_READ, MAP_PRIVATE, bound.file, 0);
	need(bound.area != MAP_FAILED && umount2("at", MNT_DETACH) == 0, "umount");
	need(mount("from", "at", NULL, MS_BIND, NULL) == 0 &&
		     (bound.alone = open("at/sub/deep/file", O_RDONLY | O_CLOEXEC)) >= 0 &&
		     umount2("at", MNT_DETACH) == 0,
	     "alone");
	return bound;
}

static void check_bound(const struct bound *bound, const char *state)
{
	unsigned long long id = mount_of(bound->deep, ""), inner = mount_of(bound->inner, "");

	scenario_check(has_text(bound->file, "from/sub/deep/file") &&
			       lseek(bound->file, 0, SEEK_CUR) == 4 &&
			       is_linked(bound->file, "/sub/deep/file") &&
			       memcmp(bound->area, "from", 4) == 0,
		       "the file is another one");
	scenario_check(is_linked(bound->alone, "/sub/deep/file") &&
			       has_text(bound->alone, "from/sub/deep/file") &&
			       mount_of(bound->alone, "") != id && !is_read_only(bound->alone),
		       "the file that is alone is another one, or on another mount");
	scenario_check(is_unmounted(bound->deep) && is_unmounted(bound->again) &&
			       is_unmounted(bound->inner),
		       "it can be copied, or leads out");
	scenario_check(id == mount_of(bound->file, "") && id == mount_of(bound->again, "") &&
			       inner == mount_of(bound->other, "") && id != inner,
		       "what was on one mount is not");
	scenario_check(is_read_only(bound->deep) && is_read_only(bound->file) &&
			       !is_read_only(bound->other) &&
			       openat(bound->deep, "file", O_RDWR) < 0 && errno == EROFS,
		       "what was read-only can be written to");
	scenario_check(shows(bound->deep, "../../below", "from/below") &&
			       shows(bound->inner, "../deep/file", "from/sub/deep/file") &&
			       faccessat(bound->again, "in/deep", F_OK, 0) < 0,
		       "it shows something else");
	scenario_check(chdir(state) == 0 && umount2("at", MNT_DETACH) < 0 && errno == EINVAL,
		       "it is mounted");
	make_file(bound->inner, "later");
	scenario_check(shows(AT_FDCWD, "from/sub/deep/later", "later"), "it is a copy");
}

/* Of file systems in memory that nobody has any more, one in the other; and by two mounts. */
struct last {
	int deep, file, gone, inner, second;
};

static struct last leave_last(const char *state)
{
	struct last last;

	need(chdir(state) == 0 && mkdir("memory", 0755) == 0 && mkdir("bound", 0755) == 0 &&
		     mount("memory", "memory", "tmpfs", MS_NODEV, "size=1m,nr_inodes=50") == 0 &&
		     mkdir("memory/sub", 0711) == 0 && mkdir("memory/sub/deep", 0700) == 0 &&
		     mkdir("memory/in", 0755) == 0 &&
		     mount("inner", "memory/in", "tmpfs", 0, NULL) == 0 &&
		     mkdir("memory/in/side", 0755) == 0,
	     "memory");
	make_file(AT_FDCWD, "memory/sub/deep/file");
	make_file(AT_FDCWD, "memory/sub/gone");
	make_file(AT_FDCWD, "memory/below");
	make_file(AT_FDCWD, "memory/in/inner");
	need(mount("memory", "bound", NULL, MS_BIND, NULL) == 0 &&
		     mount(NULL, "bound", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0,
	     "bind");
	last.deep = open("memory/sub/deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	last.file = open("memory/sub/deep/file", O_RDWR | O_CLOEXEC);
	last.gone = open("memory/sub/gone", O_RDONLY | O_CLOEXEC);
	last.inner = open("memory/in/side", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	last.second = open("bound/sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	need(last.deep >= 0 && last.file >= 0 && last.gone >= 0 && last.inner >= 0 &&
		     last.second >= 0 && unlink("memory/sub/gone") == 0,
	     "open");
	need(umount2("memory", MNT_DETACH) == 0 && umount2("bound", MNT_DETACH) == 0, "umount");
	return last;
}

static void check_last(const struct last *last)
{
	struct statvfs fs;

	scenario_check(is_unmounted(last->deep) && is_unmounted(last->inner) &&
			       is_unmounted(last->second),
		       "memory: it can be copied, or leads out");
	scenario_check(has_text(last->file, "memory/sub/deep/file") &&
			       is_linked(last->file, "/sub/deep/file") &&
			       has_text(last->gone, "memory/sub/gone") &&
			       is_linked(last->gone, "/sub/gone (deleted)"),
		       "memory: the files are others");
	scenario_check(mount_of(last->deep, "") == mount_of(last->file, "") &&
			       mount_of(last->deep, "") == mount_of(last->gone, "") &&
			       mount_of(last->deep, "") != mount_of(last->second, "") &&
			       mount_of(last->deep, "") != mount_of(last->inner, ""),
		       "memory: what was on one mount is not");
	scenario_check(shows(last->deep, "../../below", "memory/below") &&
			       shows(last->inner, "../inner", "memory/in/inner") &&
			       faccessat(last->deep, "../../in/side", F_OK, 0) < 0,
		       "memory: it shows something else");
	scenario_check(fstatvfs(last->deep, &fs) == 0 && fs.f_blocks * fs.f_frsize == 1 << 20 &&
			       fs.f_files == 50 && fs.f_flag & ST_NODEV && !(fs.f_flag & ST_RDONLY),
		       "memory: its size or its flags are others");
	make_file(last->deep, "later");
	scenario_check(shows(last->second, "deep/later", "later") &&
			       openat(last->second, "deep/other", O_CREAT | O_WRONLY, 0600) < 0 &&
			       errno == EROFS,
		       "memory: both mounts are not of one");
}

/* Who has mounted it may still change it, and nobody else in there. */
static bool can_be_changed(int dir_fd)
{
	int root = openat(dir_fd, "../..", O_PATH | O_CLOEXEC);
	int context = fspick(root, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	bool result = context >= 0 &&
		      fsconfig(context, FSCONFIG_SET_STRING, "size", "1m", 0) == 0 &&
		      fsconfig(context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) == 0;

	close(context);
	close(root);
	return result;
}

static int ask_from_inside(void *data)
{
	_exit(can_be_changed(*(int *)data) ? 1 : 0);
}

static void check_owner(int dir_fd)
{
	pid_t pid = scenario_child_in(CLONE_NEWUSER | CLONE_NEWNS, ask_from_inside, &dir_fd);

	scenario_check(can_be_changed(dir_fd), "memory: its owner is another one");
	scenario_reap(pid);
}

/* Where it is the root and the working directory, and so no path leads to what the tests share. */
static int ready[2], go_on[2];

static int confined(void *state)
{
	char byte = 0;

	need(chdir(state) == 0 && mkdir("cell", 0755) == 0 && mkdir("cell/bottom", 0755) == 0 &&
		     mount("cell", "cell", NULL, MS_BIND, NULL) == 0,
	     "cell");
	make_file(AT_FDCWD, "cell/bottom/inside");
	int root = open("cell", O_PATH | O_CLOEXEC);
	need(chdir("cell/bottom") == 0 && umount2("..", MNT_DETACH) == 0 && chroot("..") == 0,
	     "chroot");
	need(write(ready[1], &byte, 1) == 1 && read(go_on[0], &byte, 1) == 1, "wait");
	scenario_check(shows(AT_FDCWD, "inside", "cell/bottom/inside") &&
			       shows(AT_FDCWD, "/bottom/inside", "cell/bottom/inside"),
		       "the root is another directory");
	scenario_check(mount_of(AT_FDCWD, "/") == mount_of(root, "") &&
			       mount_of(AT_FDCWD, ".") == mount_of(root, ""),
		       "they are on other mounts");
	scenario_check(access("/from", F_OK) < 0, "it sees more");
	return 0;
}

static int inside(void *unused)
{
	char state[1024];

	(void)unused;
	need(getcwd(state, sizeof state) && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
	     "private");
	struct bound bound = leave_bound(state);
	struct last last = leave_last(state);
	char byte = 0;
	need(pipe2(ready, O_CLOEXEC) == 0 && pipe2(go_on, O_CLOEXEC) == 0, "pipe");
	pid_t child = scenario_child_in(0, confined, state);
	need(read(ready[0], &byte, 1) == 1, "wait");
	scenario_mark("inside");
	scenario_wait_restored();
	need(write(go_on[1], &byte, 1) == 1, "go on");
	scenario_reap(child);
	check_bound(&bound, state);
	check_last(&last);
	check_owner(last.deep);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
