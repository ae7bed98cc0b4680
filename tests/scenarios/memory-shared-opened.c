// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-shared-opened
 * promise: the file behind shared anonymous memory, opened by map_files, stays one with all areas
 *	of it, shared ones, private ones and such for reading, also where users are mapped
 * needs: initial-user-namespace
 * flavours: flat one three fresh
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 5 };

struct opened {
	int fd, reader;
	char *whole;	   /* the mapping that has made it */
	char *private;	   /* from the second page on; its second page is written to */
	char *later;	   /* shared, from the third page on */
	const char *shown; /* shared, by the description for reading */
};

static struct opened memory;
static int unmapped, zero;
static char *of_zero;

static int open_mapped(const char *bytes, size_t size, int flags)
{
	char link[96];

	snprintf(link, sizeof link, "/proc/self/map_files/%" PRIxPTR "-%" PRIxPTR, (uintptr_t)bytes,
		 (uintptr_t)bytes + size);
	int fd = open(link, flags | O_CLOEXEC);
	scenario_need(fd >= 0, "cannot open %s: %s", link, strerror(errno));
	return fd;
}

static char *map(size_t size, int prot, int flags, int fd, size_t page)
{
	char *bytes = mmap(NULL, size, prot, flags, fd, (off_t)(page * PAGE));

	scenario_need(bytes != MAP_FAILED, "cannot map: %s", strerror(errno));
	return bytes;
}

static void make(void)
{
	const size_t size = PAGES * PAGE;

	memory.whole = map(size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < PAGES - 1; i++)
		memory.whole[i * PAGE] = (char)('0' + i);
	memory.fd = open_mapped(memory.whole, size, O_RDWR);
	memory.reader = open_mapped(memory.whole, size, O_RDONLY);
	memory.private = map(3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, memory.fd, 1);
	memory.private[PAGE] = 'p';
	memory.later = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd, 2);
	memory.shown = map(size, PROT_READ, MAP_SHARED, memory.reader, 0);
	scenario_need(lseek(memory.fd, 3, SEEK_SET) == 3, "no position");
}

/* Nobody has it mapped, and it is no longer as long as the mapping was. */
static void make_unmapped(void)
{
	char *bytes = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
			  -1, 0);

	unmapped = open_mapped(bytes, PAGE, O_RDWR);
	munmap(bytes, PAGE);
	scenario_need(ftruncate(unmapped, 0) == 0 && write(unmapped, "hello", 5) == 5 &&
			      lseek(unmapped, 3, SEEK_SET) == 3 &&
			      fcntl(unmapped, F_SETFL, O_APPEND) == 0 &&
			      fchmod(unmapped, 0640) == 0,
		      "cannot write to the file: %s", strerror(errno));
}

/* /dev/zero mapped as shared memory is the same. Here only a private mapping is left. */
static void make_of_zero(void)
{
	int device = open("/dev/zero", O_RDWR | O_CLOEXEC);
	char *bytes = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);

	memcpy(bytes, "zero", 5);
	zero = open_mapped(bytes, 2 * PAGE, O_RDWR);
	of_zero = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
	of_zero[PAGE] = 'w';
	munmap(bytes, 2 * PAGE);
	close(device);
	close(zero);
}

static void check_link(int fd)
{
	char name[32], link[96];

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(name, link, sizeof link - 1);
	link[length < 0 ? 0 : length] = '\0';
	scenario_check(strcmp(link, "/dev/zero (deleted)") == 0, "descriptor %d is %s", fd, link);
}

static void check_is_one(char mark)
{
	char byte = 0;

	memory.whole[4 * PAGE] = mark;
	scenario_check(pread(memory.reader, &byte, 1, (off_t)4 * PAGE) == 1 && byte == mark,
		       "what is written to memory is not in its file");
	scenario_check(memory.shown[4 * PAGE] == mark, "the area for reading is another one");
	memory.later[1] = mark;
	scenario_check(memory.whole[2 * PAGE + 1] == mark, "the later area is another one");
	scenario_check(pwrite(memory.fd, &mark, 1, 3 * PAGE + 1) == 1 &&
			       memory.whole[3 * PAGE + 1] == mark,
		       "what is written to the file is not in memory");
	scenario_check(memory.private[0] == '1' && memory.private[PAGE] == 'p' &&
			       memory.private[2 * PAGE] == '3',
		       "the private area has another content");
	scenario_check(memory.private[2 * PAGE + 1] == mark,
		       "what was not written to privately does not follow the file");
	scenario_check(memory.private[PAGE + 1] == 0, "what was written to privately does");
}

static void check_cannot(void)
{
	scenario_check(mprotect((void *)memory.shown, PAGE, PROT_READ | PROT_WRITE) < 0 &&
			       errno == EACCES,
		       "an area for reading can be made writable");
	scenario_check(write(memory.reader, "x", 1) < 0 && errno == EBADF,
		       "a description for reading writes");
	scenario_check(fcntl(memory.fd, F_GET_SEALS) == F_SEAL_SEAL, "it can be sealed");
}

static void check_unmapped(void)
{
	char bytes[8] = "";
	struct stat stat;

	scenario_check(fcntl(unmapped, F_GETFL) & O_APPEND && lseek(unmapped, 0, SEEK_CUR) == 3,
		       "flags or position of what is not mapped");
	scenario_check(pread(unmapped, bytes, sizeof bytes, 0) == 5 && strcmp(bytes, "hello") == 0,
		       "content of what is not mapped");
	scenario_check(fstat(unmapped, &stat) == 0 && stat.st_size == 5 &&
			       (stat.st_mode & 07777) == 0640,
		       "size or mode of what is not mapped");
}

static int inside(void *unused)
{
	(void)unused;
	munmap(memory.later, PAGE);
	memory.later = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd, 2 * PAGE);
	scenario_need(memory.later != MAP_FAILED, "cannot map inside");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_wait_mark("checked");
	check_is_one('c');
	check_cannot();
	scenario_check(memory.whole[0] == 'p', "parent and child have different files");
	return 0;
}

int main(int argc, char **argv)
{
	const struct scenario_users users = { "0 1000 1000\n", "0 1000 1000\n", false };

	scenario_begin(argc, argv);
	make();
	make_unmapped();
	make_of_zero();
	pid_t child = scenario_child_users(0, &users, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_check(lseek(memory.fd, 0, SEEK_CUR) == 3, "position");
	check_link(memory.fd);
	check_link(memory.reader);
	check_link(unmapped);
	check_is_one('a');
	check_cannot();
	check_unmapped();
	scenario_check(strcmp(of_zero, "zero") == 0 && of_zero[PAGE] == 'w',
		       "mapping of /dev/zero");
	memory.whole[0] = 'p';
	scenario_mark("checked");
	scenario_reap(child);
	return scenario_end();
}
