// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-seals
 * promise: areas that are sealed (mseal) stay so, with their content, in who sealed them, in a
 *	child that inherited them and shares their pages, and in one that sealed others; what is
 *	beside them can still be unmapped
 * needs: memory_seals
 * flavours: flat one three user user-three ordinary
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum { PAGE = 4096, PAGES = 512, SIZE = PAGES * PAGE };
enum { WRITTEN, READ_ONLY, SHARED, FILE_BEHIND, LOCKED, GUARDED, RESERVED, HALF, OPEN, AREAS };

static uint8_t *areas[AREAS];
static int is_child;

static uint8_t pattern(size_t area, size_t page)
{
	return (uint8_t)(page * 7 + area + 1);
}

static uint8_t *map(size_t area, int flags, int fd)
{
	uint8_t *bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

	scenario_need(bytes != MAP_FAILED, "cannot map area %zu", area);
	for (size_t page = 0; fd < 0 && page < PAGES; page++)
		bytes[page * PAGE] = pattern(area, page);
	return areas[area] = bytes;
}

static void seal(size_t area, size_t size)
{
	scenario_need(!syscall(SYS_mseal, areas[area], size, 0), "cannot seal area %zu", area);
}

static void map_all(void)
{
	const int private_flags = MAP_PRIVATE | MAP_ANONYMOUS;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	scenario_need(fd >= 0, "cannot open this program");
	for (size_t area = 0; area < AREAS; area++)
		if (area != SHARED && area != FILE_BEHIND && area != RESERVED)
			map(area, private_flags, -1);
	map(SHARED, MAP_SHARED | MAP_ANONYMOUS, -1);
	map(FILE_BEHIND, MAP_PRIVATE, fd);
	close(fd);
	areas[RESERVED] = mmap(NULL, SIZE, PROT_NONE, private_flags | MAP_NORESERVE, -1, 0);
	scenario_need(areas[RESERVED] != MAP_FAILED, "cannot reserve addresses");
	scenario_need(!mprotect(areas[READ_ONLY], SIZE, PROT_READ) &&
			      !mlock2(areas[LOCKED], 4 * PAGE, MLOCK_ONFAULT),
		      "cannot protect or lock");
	/* Not where the kernel has no guards. */
	madvise(areas[GUARDED] + PAGE, PAGE, MADV_GUARD_INSTALL);
}

/* What is sealed, without asking for memory meanwhile. */
static void read_seals(char *text, size_t size)
{
	static char buffer[1 << 16];
	int fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
	size_t length = 0, filled = 0;
	unsigned long from, to, start = 0, end = 0, last = 0;
	ssize_t got;

	scenario_need(fd >= 0, "cannot open smaps");
	while ((got = read(fd, buffer + filled, sizeof buffer - 1 - filled)) > 0)
		filled += (size_t)got;
	scenario_need(!got && filled < sizeof buffer - 1, "cannot read all of smaps");
	close(fd);
	buffer[filled] = '\0';
	for (char *next, *line = buffer; *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			start = from, end = to;
		if (strncmp(line, "VmFlags:", 8) || !strstr(line, " sl"))
			continue;
		/* Whether neighbours are one area is the kernel's own business. */
		if (start != last)
			length += (size_t)snprintf(text + length, size - length, "-%lx %lx", last,
						   start);
		scenario_need(length < size, "there are more areas than thought");
		last = end;
	}
	snprintf(text + length, size - length, "-%lx", last);
}

/* Each area for itself, those that are sealed in one half too. */
static void check_sealed(size_t area, uint8_t *bytes)
{
	errno = 0;
	scenario_check(munmap(bytes, PAGE) && errno == EPERM, "area %zu can be unmapped", area);
	errno = 0;
	scenario_check(mprotect(bytes, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) && errno == EPERM,
		       "area %zu can be protected otherwise", area);
	errno = 0;
	scenario_check(mremap(bytes, SIZE / 2, SIZE / 4, 0) == MAP_FAILED && errno == EPERM,
		       "area %zu can be made smaller", area);
	errno = 0;
	scenario_check(mmap(bytes, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			    0) == MAP_FAILED &&
			       errno == EPERM,
		       "area %zu can be mapped over", area);
}

static void check_content(size_t area)
{
	if (area == RESERVED || area == FILE_BEHIND)
		return;
	for (size_t page = 0; page < PAGES; page++)
		if (area != GUARDED || page != 1)
			scenario_check(areas[area][page * PAGE] == pattern(area, page),
				       "page %zu of area %zu has another content", page, area);
}

static void check_all(void)
{
	for (size_t area = 0; area < AREAS; area++) {
		check_content(area);
		if (area < HALF)
			check_sealed(area, areas[area]);
	}
	check_sealed(HALF, areas[HALF] + SIZE / 2);
	scenario_check(!munmap(areas[HALF], SIZE / 2), "what is beside a seal cannot be unmapped");
	errno = 0;
	scenario_check(madvise(areas[READ_ONLY], PAGE, MADV_DONTNEED) && errno == EPERM,
		       "a sealed area that is read-only can be emptied");
	if (is_child)
		check_sealed(OPEN, areas[OPEN]);
	else
		scenario_check(!munmap(areas[OPEN], SIZE), "what a child sealed is sealed for all");
}

static char before[1 << 16], after[1 << 16];

static int child(void *data)
{
	(void)data;
	is_child = 1;
	seal(OPEN, SIZE);
	areas[WRITTEN][5 * PAGE + 1] = 'c';
	read_seals(before, sizeof before);
	scenario_mark("sealed");
	scenario_wait_restored();
	read_seals(after, sizeof after);
	scenario_check(!strcmp(before, after), "what a child has sealed differs");
	scenario_check(areas[WRITTEN][5 * PAGE + 1] == 'c', "the child's own page is another one");
	check_all();
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	map_all();
	for (size_t area = 0; area < HALF; area++)
		seal(area, SIZE);
	areas[HALF] += SIZE / 2;
	seal(HALF, SIZE / 2);
	areas[HALF] -= SIZE / 2;
	pid_t pid = scenario_child(child, NULL);
	scenario_wait_mark("sealed");
	read_seals(before, sizeof before);

	scenario_ready();

	read_seals(after, sizeof after);
	scenario_check(!strcmp(before, after), "what is sealed differs");
	scenario_check(areas[WRITTEN][5 * PAGE + 1] == 0, "a page of the child's is the parent's");
	check_all();
	scenario_reap(pid);
	return scenario_end();
}
