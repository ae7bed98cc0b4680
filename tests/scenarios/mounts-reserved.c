// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-reserved
 * promise: memory that files of a tmpfs have reserved (fallocate) stays reserved, in holes and
 *	behind the end, zeros that were written too, and holes stay holes; of files without a name,
 *	too: where all else is taken, what was reserved can be written and nothing else
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 256, SYS_CACHESTAT = 451 };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

/* By pages: data, zeros that were written, reserved, a hole; what is not in size is behind it. */
static const struct {
	const char *name, *pages;
	int size;
} files[] = {
	{ "own/dense", "dddd", 4 },
	{ "own/reserved", "rrrrrrrr", 8 },
	{ "own/mixed", "d..rrzd.rr..z.r", 13 },
	{ "own/behind", "dd.rrr", 2 },
	{ "own/empty", "rrr", 0 },
	{ "own/hole", "........", 8 },
	{ "own/far", "d......................................................r", 1 },
};
enum { FILES = sizeof files / sizeof *files, ALL = 2 * FILES };

struct made {
	int fd;
	struct stat stat;
};

static struct made make(size_t index)
{
	static const char zeros[PAGE];
	const char *pages = files[index].pages;
	struct made made = { .fd = open(files[index].name, O_RDWR | O_CREAT | O_CLOEXEC, 0600) };
	char data[PAGE];

	memset(data, 'd', sizeof data);
	need(made.fd >= 0, files[index].name);
	for (int i = 0; pages[i]; i++)
		need(pages[i] == '.' ||
			     (pages[i] == 'r' ? fallocate(made.fd, FALLOC_FL_KEEP_SIZE,
							  (off_t)i * PAGE, PAGE) == 0
					      : pwrite(made.fd, pages[i] == 'd' ? data : zeros,
						       PAGE, (off_t)i * PAGE) == PAGE),
		     files[index].name);
	need(ftruncate(made.fd, files[index].size * PAGE) == 0, "size");
	/* What is reserved behind is let go with the rest that is cut off. */
	for (int i = files[index].size; i < (int)strlen(pages); i++)
		need(pages[i] == '.' ||
			     fallocate(made.fd, FALLOC_FL_KEEP_SIZE, (off_t)i * PAGE, PAGE) == 0,
		     files[index].name);
	return made;
}

/* Before Linux 6.5 nothing tells where it is, only how much. */
static bool is_told(int fd)
{
	const uint64_t range[2] = { 0 };
	uint64_t count[5];

	return syscall(SYS_CACHESTAT, fd, range, count, 0) == 0;
}

static bool can_write(int fd, int page)
{
	return pwrite(fd, "w", 1, (off_t)page * PAGE) == 1;
}

static void check(const struct made *made, size_t index)
{
	const char *pages = files[index].pages;
	struct stat stat = { 0 };
	char byte;

	need(fstat(made->fd, &stat) == 0, files[index].name);
	scenario_check(stat.st_size == (off_t)files[index].size * PAGE &&
			       stat.st_blocks == made->stat.st_blocks &&
			       stat.st_nlink == made->stat.st_nlink,
		       "%s: size %ld, %ld blocks", files[index].name, (long)stat.st_size,
		       (long)stat.st_blocks);
	for (int i = 0; i < files[index].size; i++)
		scenario_check(pread(made->fd, &byte, 1, (off_t)i * PAGE) == 1 &&
				       byte == (pages[i] == 'd' ? 'd' : 0),
			       "%s: page %d has another content", files[index].name, i);
	for (int i = 0; is_told(made->fd) && pages[i]; i++)
		scenario_check(can_write(made->fd, i) == (pages[i] != '.'), "%s: page %d ('%c')",
			       files[index].name, i, pages[i]);
}

/* Whatever is left. */
static int take_all(void)
{
	int fd = open("own/rest", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	need(fd >= 0, "own/rest");
	for (int i = 0; i < PAGES; i++)
		if (fallocate(fd, 0, (off_t)i * PAGE, PAGE))
			return fd;
	need(false, "it has no end");
	return fd;
}

static int inside(void *unused)
{
	struct made made[ALL];
	struct statfs before, after;

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("own", 0755) == 0 &&
		     mount("own", "own", "tmpfs", 0, "size=1m,mode=755") == 0,
	     "tmpfs");
	for (size_t i = 0; i < ALL; i++) {
		made[i] = make(i % FILES);
		/* The first of each has no name any more. */
		need(i >= FILES || unlink(files[i].name) == 0, "unlink");
	}
	for (size_t i = 0; i < ALL; i++)
		need(fstat(made[i].fd, &made[i].stat) == 0, "fstat");
	int rest = take_all();
	need(statfs("own", &before) == 0, "statfs");
	scenario_mark("inside");

	scenario_wait_restored();
	need(statfs("own", &after) == 0, "statfs");
	scenario_check(after.f_bfree == before.f_bfree && after.f_blocks == before.f_blocks,
		       "%ld of %ld blocks are free", (long)after.f_bfree, (long)after.f_blocks);
	for (size_t i = 0; i < ALL; i++)
		check(&made[i], i % FILES);
	close(rest);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
