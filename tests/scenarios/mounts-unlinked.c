// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-unlinked
 * promise: files and directories that were removed in a mount namespace of the tree come back
 *	there, on file systems of its own and on copied ones: open, mapped, as working directory
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

struct removed {
	int file, other;
	char *mapped;
	struct statfs fs;
};

static struct removed make(const char *name)
{
	struct removed removed = { .file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0640) };

	need(removed.file >= 0 && write(removed.file, name, strlen(name)) > 0, name);
	removed.other = open(name, O_RDONLY | O_CLOEXEC);
	removed.mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, removed.file, 0);
	need(removed.mapped != MAP_FAILED && unlink(name) == 0, name);
	need(fstatfs(removed.file, &removed.fs) == 0, "statfs");
	return removed;
}

static void check(const struct removed *removed, const char *name)
{
	char text[64] = "";
	struct stat one, other;
	struct statfs fs;

	scenario_check(read(removed->other, text, sizeof text - 1) == (ssize_t)strlen(name) &&
			       strcmp(text, name) == 0,
		       "%s has \"%s\"", name, text);
	removed->mapped[0] = '#';
	scenario_check(pread(removed->file, text, 1, 0) == 1 && text[0] == '#',
		       "%s: what is mapped is another file", name);
	scenario_check(fstat(removed->file, &one) == 0 && fstat(removed->other, &other) == 0 &&
			       one.st_ino == other.st_ino && one.st_nlink == 0 &&
			       one.st_mode == (S_IFREG | 0640),
		       "%s: links %d, mode %o", name, (int)one.st_nlink, one.st_mode);
	scenario_check(fstatfs(removed->file, &fs) == 0 && fs.f_type == removed->fs.f_type,
		       "%s is on another file system", name);
	scenario_check(access(name, F_OK) < 0 && errno == ENOENT, "%s has its name", name);
}

/* As sem_open(3) makes it: its first name is gone, it has another. */
static int make_linked(void)
{
	int fd = open("own/first", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	need(fd >= 0 && write(fd, "linked", 6) == 6 && link("own/first", "own/second") == 0 &&
		     unlink("own/first") == 0,
	     "link");
	return fd;
}

static void check_linked(int fd)
{
	struct stat one, other;

	scenario_check(fstat(fd, &one) == 0 && stat("own/second", &other) == 0 &&
			       one.st_ino == other.st_ino && one.st_nlink == 1,
		       "the file with another name is another one");
	scenario_check(access("own/first", F_OK) < 0, "its first name is there");
}

static int inside(void *unused)
{
	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("own", 0755) == 0 &&
		     mount("own", "own", "tmpfs", 0, "size=1m,mode=755") == 0 &&
		     mkdir("own/folder", 0755) == 0,
	     "mounts");
	const struct removed own = make("own/file"), deep = make("own/folder/file"),
			     copied = make("copied");
	need(rmdir("own/folder") == 0 && mkdir("own/removed", 0711) == 0, "folders");
	int linked = make_linked();
	int back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	need(chdir("own/removed") == 0 && unlinkat(back, "own/removed", AT_REMOVEDIR) == 0,
	     "chdir");
	scenario_mark("inside");

	scenario_wait_restored();
	struct stat here;
	scenario_check(stat(".", &here) == 0 && here.st_mode == (S_IFDIR | 0711),
		       "the working directory has mode %o", here.st_mode);
	scenario_check(open("new", O_CREAT | O_RDWR, 0600) < 0 && errno == ENOENT,
		       "the working directory is not removed");
	need(fchdir(back) == 0, "fchdir");
	check(&own, "own/file");
	check(&deep, "own/folder/file");
	check(&copied, "copied");
	check_linked(linked);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
