// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-huge-shared
 * promise: huge pages that are shared stay so, and stay huge: without a name, of memory files with
 *	name, seals, mode and holes, held or only mapped, also privately
 * flavours: flat three user
 * needs: huge-pages:7 initial-user-namespace
 * alone: it takes pages that the machine has few of
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20, BLOCK = 512 };

static volatile char *common, *tail;

static bool is_filled(const volatile char *bytes, char value, size_t size)
{
	return bytes[0] == value && !memcmp((const char *)bytes, (const char *)bytes + 1, size - 1);
}

/* Maps but the second page, at another offset. */
static int other(void *unused)
{
	(void)unused;
	tail = common + HUGE_PAGE;
	munmap((void *)common, HUGE_PAGE);
	tail[1] = 'o';
	scenario_mark("other");
	scenario_wait_restored();
	for (int i = 0; i < 5000 && tail[2] != 'p'; i++)
		usleep(1000);
	scenario_check(tail[1] == 'o' && tail[2] == 'p', "what the parent writes is not seen");
	tail[3] = 'c';
	return 0;
}

static char *map(size_t size, int flags, int fd, off_t offset)
{
	char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, offset);

	scenario_need(bytes != MAP_FAILED, "cannot map");
	return bytes;
}

static int make(const char *name, off_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_HUGETLB | MFD_ALLOW_SEALING);

	scenario_need(fd >= 0 && ftruncate(fd, size) == 0, "no memfd %s", name);
	return fd;
}

static void check_file(int fd, const char *name, off_t size, int pages, int seals)
{
	char link[64], path[32], wanted[64];
	struct statfs fs;
	struct stat state;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	snprintf(wanted, sizeof wanted, "/memfd:%s (deleted)", name);
	ssize_t length = readlink(path, link, sizeof link - 1);
	link[length < 0 ? 0 : length] = 0;
	scenario_check(!strcmp(link, wanted), "it is called %s", link);
	scenario_check(fstatfs(fd, &fs) == 0 && fs.f_bsize == HUGE_PAGE, "its pages are small");
	scenario_check(fstat(fd, &state) == 0 && state.st_size == size &&
			       state.st_blocks == pages * (HUGE_PAGE / BLOCK),
		       "%s: size %jd, %jd blocks", name, (intmax_t)state.st_size,
		       (intmax_t)state.st_blocks);
	scenario_check(fcntl(fd, F_GET_SEALS) == seals, "seals %#x", fcntl(fd, F_GET_SEALS));
}

int main(int argc, char **argv)
{
	struct stat state;

	scenario_begin(argc, argv);
	common = map(3 * HUGE_PAGE, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	memset((void *)common, 's', HUGE_PAGE);
	pid_t child = scenario_child(other, NULL);
	scenario_wait_mark("other");
	/* A hole before its page; only the second is mapped, once as it is and once privately. */
	int held = make("held", 2 * HUGE_PAGE);
	char *shared = map(HUGE_PAGE, MAP_SHARED, held, HUGE_PAGE);
	memset(shared, 'h', HUGE_PAGE);
	char *private = map(HUGE_PAGE, MAP_PRIVATE, held, HUGE_PAGE);
	private[0] = 'x';
	scenario_need(fchmod(held, 0640) == 0 && lseek(held, 77, SEEK_SET) == 77 &&
			      fcntl(held, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) == 0,
		      "setup");
	int gone = make("gone", HUGE_PAGE);
	char *mapped = map(HUGE_PAGE, MAP_SHARED, gone, 0);
	memset(mapped, 'g', HUGE_PAGE);
	close(gone);
	/* The kernel has a name for it that tells no more. */
	int empty = make("empty", HUGE_PAGE);

	scenario_ready();

	scenario_check(is_filled(common, 's', HUGE_PAGE) && common[HUGE_PAGE + 1] == 'o',
		       "content without a name");
	common[HUGE_PAGE + 2] = 'p';
	scenario_reap(child);
	scenario_check(common[HUGE_PAGE + 3] == 'c', "what the child writes is not seen");
	scenario_check(is_filled(common + 2 * HUGE_PAGE, 0, HUGE_PAGE), "a page of nothing");
	scenario_check(munmap((void *)common, 4096) == -1 && errno == EINVAL,
		       "its pages are small");
	check_file(held, "held", 2 * HUGE_PAGE, 1, F_SEAL_GROW | F_SEAL_SHRINK);
	scenario_check(fstat(held, &state) == 0 && (state.st_mode & 07777) == 0640 &&
			       lseek(held, 0, SEEK_CUR) == 77,
		       "mode %o", state.st_mode);
	scenario_check(is_filled(shared, 'h', HUGE_PAGE) && private[0] == 'x' &&
			       is_filled(private + 1, 'h', HUGE_PAGE - 1),
		       "content of what is held");
	shared[5] = 's';
	char byte = 0;
	scenario_check(pread(held, &byte, 1, HUGE_PAGE + 5) == 1 && byte == 's' &&
			       private[5] == 'h',
		       "what is mapped is another file");
	scenario_check(is_filled(mapped, 'g', HUGE_PAGE) && munmap(mapped, 4096) == -1,
		       "content of what is only mapped");
	check_file(empty, "empty", HUGE_PAGE, 0, 0);
	return scenario_end();
}
