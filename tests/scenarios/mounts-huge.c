// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-huge
 * promise: hugetlbfs comes back with its options and its files: their sizes, modes, owners and
 *	pages, those that are there and no others, reserved ones too; mapped by several, privately,
 *	below a user namespace, and without a name
 * flavours: flat one three
 * needs: initial-user-namespace huge-pages:14
 * options: --ghost-limit 64M
 * ignore: maps
 * alone: it takes pages that the machine has few of
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

static const size_t HUGE_PAGE = 2 << 20;
enum { BEHIND = 3 };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static char *map(int fd, int type, size_t pages)
{
	char *bytes = mmap(NULL, pages * HUGE_PAGE, PROT_READ | PROT_WRITE, type, fd, 0);

	need(bytes != MAP_FAILED, "mmap");
	return bytes;
}

static bool is_filled(const char *bytes, char value)
{
	return bytes[0] == value && memcmp(bytes, bytes + 1, HUGE_PAGE - 1) == 0;
}

struct file {
	int fd;
	char *shared;
	struct stat stat;
};

/* A page of data, a hole, a page of zeros; and one behind the end. */
static struct file make_file(const char *path)
{
	struct file file = { .fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640) };

	need(file.fd >= 0 && ftruncate(file.fd, (off_t)(3 * HUGE_PAGE)) == 0 &&
		     fchown(file.fd, 3, 4) == 0,
	     path);
	file.shared = map(file.fd, MAP_SHARED, 3);
	memset(file.shared, path[4], HUGE_PAGE);
	file.shared[2 * HUGE_PAGE] = '\0';
	need(fallocate(file.fd, FALLOC_FL_KEEP_SIZE, (off_t)(BEHIND * HUGE_PAGE),
		       (off_t)HUGE_PAGE) == 0,
	     "behind");
	need(fstat(file.fd, &file.stat) == 0, "stat");
	return file;
}

static void check_file(const struct file *file, const char *path)
{
	struct stat stat = { 0 };

	scenario_check(fstat(file->fd, &stat) == 0 && stat.st_mode == (S_IFREG | 0640) &&
			       stat.st_uid == 3 && stat.st_gid == 4 &&
			       stat.st_size == file->stat.st_size &&
			       stat.st_nlink == file->stat.st_nlink,
		       "%s: another mode, owner or size", path);
	scenario_check(stat.st_blocks == file->stat.st_blocks, "%s: %ld blocks, not %ld", path,
		       (long)stat.st_blocks, (long)file->stat.st_blocks);
	scenario_check(is_filled(file->shared, path[4]) &&
			       is_filled(file->shared + 2 * HUGE_PAGE, 0),
		       "%s has another content", path);
	/* Touching what is there takes nothing, and the hole is one: */
	need(fallocate(file->fd, FALLOC_FL_KEEP_SIZE, (off_t)(2 * HUGE_PAGE),
		       (off_t)(2 * HUGE_PAGE)) == 0,
	     "fallocate");
	need(fstat(file->fd, &stat) == 0, "fstat");
	scenario_check(stat.st_blocks == file->stat.st_blocks,
		       "%s: what was reserved is not: %ld blocks", path, (long)stat.st_blocks);
	need(fallocate(file->fd, 0, (off_t)HUGE_PAGE, (off_t)HUGE_PAGE) == 0, "fallocate");
	scenario_check(fstat(file->fd, &stat) == 0 &&
			       stat.st_blocks == file->stat.st_blocks + (long)HUGE_PAGE / 512,
		       "%s: the hole is none", path);
}

/* One that no ftruncate gives. */
static int make_odd(void)
{
	int fd = open("own/odd", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	need(fd >= 0 && fallocate(fd, 0, 0, 12345) == 0, "own/odd");
	return fd;
}

/* Below a user namespace: what is mounted is locked, what is mapped is the same. */
static int below(void *data)
{
	const struct file *file = data;
	int fd = open("own/file", O_RDONLY | O_CLOEXEC);

	need(fd >= 0, "own/file below a user namespace");
	const char *seen = mmap(NULL, HUGE_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	need(seen != MAP_FAILED, "mmap below a user namespace");
	scenario_mark("below");
	scenario_wait_mark("written");

	scenario_check(seen[1] == 'w' && file->shared[1] == 'w', "it is mapped by itself");
	scenario_check(umount2("own", MNT_DETACH) < 0, "the mount is not locked");
	scenario_check(mount(NULL, "own", NULL, MS_REMOUNT, "mode=777") < 0,
		       "who is below may reconfigure it");
	return 0;
}

static void check_mount(const struct statfs *before, const struct stat *top)
{
	struct statfs fs = { 0 };
	struct stat stat_now = { 0 };

	need(statfs("own", &fs) == 0, "statfs");
	scenario_check(fs.f_blocks == before->f_blocks && fs.f_bfree == before->f_bfree &&
			       fs.f_files == before->f_files && fs.f_ffree == before->f_ffree &&
			       fs.f_bsize == before->f_bsize,
		       "own: %ld of %ld pages, %ld of %ld files; %ld, %ld before", (long)fs.f_bfree,
		       (long)fs.f_blocks, (long)fs.f_ffree, (long)fs.f_files, (long)before->f_bfree,
		       (long)before->f_ffree);
	scenario_check(stat("own", &stat_now) == 0 && stat_now.st_mode == top->st_mode &&
			       stat_now.st_uid == 5 && stat_now.st_gid == 7,
		       "own has another mode or owner");
	scenario_check(stat("own/folder", &stat_now) == 0 && stat_now.st_mode == (S_IFDIR | 0700) &&
			       stat("own/fifo", &stat_now) == 0 && S_ISFIFO(stat_now.st_mode),
		       "a folder or a pipe is not there");
	int fd = open("own/folder", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	scenario_check(fd >= 0 && fallocate(fd, 0, 0, (off_t)(12 * HUGE_PAGE)) < 0,
		       "it takes more than its size");
	close(fd);
}

static void check_odd(int fd)
{
	struct stat stat = { 0 };

	scenario_check(fstat(fd, &stat) == 0 && stat.st_size == 12345 &&
			       stat.st_blocks == (long)HUGE_PAGE / 512,
		       "own/odd: %ld bytes, %ld blocks", (long)stat.st_size, (long)stat.st_blocks);
}

static int inside(void *unused)
{
	struct statfs before;
	struct stat top;

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("own", 0755) == 0 &&
		     mount("none", "own", "hugetlbfs", 0,
			   "pagesize=2M,size=24M,min_size=4M,nr_inodes=20,mode=0755,uid=5,gid=7") ==
			     0,
	     "hugetlbfs");
	need(mkdir("own/folder", 0700) == 0 && mkfifo("own/fifo", 0600) == 0, "names");
	struct file file = make_file("own/file"), gone = make_file("own/gone");
	int odd = make_odd();
	need(chmod("own/file", 0640) == 0 && unlink("own/gone") == 0 &&
		     fstat(gone.fd, &gone.stat) == 0,
	     "unlink");
	need(chmod("own/file", 0644) == 0, "chmod");
	pid_t pid = scenario_child_in(CLONE_NEWUSER | CLONE_NEWNS, below, &file);
	scenario_wait_mark("below");
	/* Read where it is the file's, and written where it is not any more. */
	char *private = map(file.fd, MAP_PRIVATE, 3);
	private[2 * HUGE_PAGE + 1] = 'p';
	need(private[0] == 'f', "private");
	need(chmod("own/file", 0640) == 0 && statfs("own", &before) == 0 && stat("own", &top) == 0,
	     "statfs");
	scenario_mark("inside");

	scenario_wait_restored();
	check_mount(&before, &top);
	scenario_check(is_filled(private, 'f') && private[2 * HUGE_PAGE] == 0 &&
			       private[2 * HUGE_PAGE + 1] == 'p',
		       "what is mapped privately is another");
	check_file(&file, "own/file");
	check_file(&gone, "own/gone");
	check_odd(odd);
	file.shared[1] = 'w';
	scenario_check(private[1] == 'w', "the pages of the file are copied");
	scenario_mark("written");
	scenario_reap(pid);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
