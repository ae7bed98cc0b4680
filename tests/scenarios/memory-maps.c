// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-maps
 * promise: /proc/PID/maps has what it had before, with the flags that madvise and mlock set, and
 *	nothing else; the vdso works
 * needs: initial-user-namespace
 * flavours: flat one three user user-three ordinary
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, ROOM = 256 * 1024, ADVISED = 16 * PAGE };

static char smaps[ROOM], before[ROOM], after[ROOM];

static bool starts(const char *line, const char *with)
{
	return !strncmp(line, with, strlen(with));
}

/*
 * Header and VmFlags lines. What shows the state of pages and not of areas is left out, and inode
 * numbers of shared memory are, for the kernel chooses them; "gu" tells that guards were there.
 */
static void read_areas(char *text)
{
	int fd = open("/proc/self/smaps", O_RDONLY);
	size_t size = 0;
	ssize_t got;

	while ((got = read(fd, smaps + size, ROOM - 1 - size)) > 0)
		size += (size_t)got;
	close(fd);
	smaps[size] = '\0';
	for (char *line = smaps, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		bool header = strchr("0123456789abcdef", *line) && strchr(line, '-');

		if (header && strstr(line, "/dev/zero (deleted)"))
			line[strcspn(line, " ")] = '\0';
		if (!header && !starts(line, "VmFlags:"))
			continue;
		char *written =
			header ? NULL : strstr(line, " sd"); /* with CONFIG_MEM_SOFT_DIRTY */
		if (written)
			memmove(written, written + 3, strlen(written + 3) + 1);
		text = stpcpy(text, line);
		*text++ = '\n';
	}
	*text = '\0';
}

static void tell_difference(void)
{
	const char *a = before, *b = after;

	while (*a && *a == *b) {
		a++;
		b++;
	}
	while (a > before && a[-1] != '\n') {
		a--;
		b--;
	}
	scenario_note("before: %.300s", a);
	scenario_note("after: %.300s", b);
}

static void make_areas(void)
{
	static const int advice[] = { MADV_DONTFORK,   MADV_DONTDUMP,  MADV_RANDOM,
				      MADV_SEQUENTIAL, MADV_HUGEPAGE,  MADV_MERGEABLE,
				      MADV_NOHUGEPAGE, MADV_WIPEONFORK };
	uint8_t *bytes = mmap(NULL, 32 * ADVISED, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	scenario_need(bytes != MAP_FAILED, "cannot map memory");
	for (size_t i = 0; i < sizeof advice / sizeof advice[0]; i++) {
		memset(bytes + i * ADVISED + PAGE, 'm', PAGE);
		madvise(bytes + i * ADVISED, ADVISED, advice[i]);
	}
	mlock(bytes + 10 * ADVISED, PAGE);
	syscall(SYS_mlock2, bytes + 11 * ADVISED, 4 * PAGE, 1 /* MLOCK_ONFAULT */);
	mprotect(bytes + 13 * ADVISED, ADVISED, PROT_NONE);
	munmap(bytes + 15 * ADVISED, ADVISED);
	mmap(NULL, ADVISED, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mmap(NULL, ADVISED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

int main(int argc, char **argv)
{
	struct timespec first, second;

	scenario_begin(argc, argv);
	make_areas();
	clock_gettime(CLOCK_REALTIME, &first);
	read_areas(before);

	scenario_ready();

	read_areas(after);
	if (strcmp(before, after)) {
		scenario_check(false, "the areas are not what they were");
		tell_difference();
	}
	scenario_check(!clock_gettime(CLOCK_REALTIME, &second) && second.tv_sec >= first.tv_sec &&
			       second.tv_sec - first.tv_sec < 3600,
		       "the vdso tells another time");
	return scenario_end();
}
