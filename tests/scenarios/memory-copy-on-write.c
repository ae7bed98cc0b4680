// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-copy-on-write
 * promise: pages that parent, children and grandchildren share since a fork are shared again, and
 *	those that one of them has changed, dropped or protected are as each has them
 * flavours: one three user user-three
 * needs: initial-user-namespace
 *
 * Not flat, as those are exchanged with CRIU, whose images do not say what was shared.
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 4096, FILE_PAGES = 512, TASKS = 4 };

/* Of all processes, in shared memory: what each has before, to be compared with after. */
static struct {
	uint64_t sums[TASKS][3];
	_Atomic uint64_t pss[TASKS][2]; /* KiB, the proportional share of each before and after */
} * before;

static uint8_t *area, *file, *late;

static uint64_t sum_of(const uint8_t *bytes, size_t n_pages)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n_pages * PAGE; i += 64)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static void sums_of(uint64_t sums[3], bool has_hole)
{
	sums[0] = sum_of(area, has_hole ? PAGES / 2 : PAGES);
	sums[1] = sum_of(file, FILE_PAGES);
	sums[2] = late ? sum_of(late, PAGES / 4) : 0;
}

static uint64_t own_pss(void)
{
	FILE *rollup = fopen("/proc/self/smaps_rollup", "re");
	char line[128];
	uint64_t pss = 0;

	scenario_need(rollup, "cannot read smaps_rollup");
	while (fgets(line, sizeof line, rollup))
		if (!strncmp(line, "Pss:", 4))
			pss = strtoull(line + 4, NULL, 10);
	fclose(rollup);
	return pss;
}

/* All measure while nobody writes; nothing is zero. */
static void measure(unsigned task, unsigned when)
{
	before->pss[task][when] = own_pss();
	for (unsigned other = 0; other < TASKS; other++)
		while (!before->pss[other][when])
			scenario_sleep_ms(2);
}

static void mark_and_wait(unsigned task, const char *mark)
{
	scenario_mark(mark);
	scenario_wait_mark("complete");
	measure(task, 0);
	scenario_wait_restored();
	measure(task, 1);
}

static void check_content(unsigned task, bool has_hole)
{
	uint64_t sums[3];

	sums_of(sums, has_hole);
	for (int i = 0; i < 3; i++)
		scenario_check(sums[i] == before->sums[task][i],
			       "content %d of task %u is another one", i, task);
}

/* Nobody sees what another one writes now. */
static void write_somewhere(unsigned task)
{
	memset(area + (100 + task) * PAGE, (int)(0xa0 + task), PAGE);
	scenario_sleep_ms(50);
	for (unsigned other = 0; other < TASKS; other++)
		scenario_check(other == task || area[(100 + other) * PAGE] != 0xa0 + other,
			       "task %u sees what task %u writes", task, other);
}

static int grandchild_main(void *data)
{
	(void)data;
	memset(late + 7 * PAGE, 'g', PAGE);
	sums_of(before->sums[3], true);
	mark_and_wait(3, "grandchild");
	check_content(3, true);
	write_somewhere(3);
	return 0;
}

/* Has changed, protected, dropped and unmapped parts, and something of its own to share. */
static int changing_child_main(void *data)
{
	(void)data;
	for (size_t i = 0; i < PAGES / 2; i += 64)
		area[i * PAGE + 5] ^= 0xff;
	madvise(area + 1024 * PAGE, 16 * PAGE, MADV_DONTNEED);
	mprotect(area + 1200 * PAGE, 40 * PAGE, PROT_READ);
	memset(file + 20 * PAGE, 'f', 3 * PAGE);
	late = mmap(NULL, PAGES / 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	for (size_t i = 0; i < PAGES / 4; i++)
		memset(late + i * PAGE, (int)i, PAGE);
	munmap(area + PAGES / 2 * PAGE, PAGES / 2 * PAGE);
	pid_t grandchild = scenario_child(grandchild_main, NULL);
	scenario_wait_mark("grandchild");
	sums_of(before->sums[2], true);
	mark_and_wait(2, "changing");
	check_content(2, true);
	scenario_check(area[1030 * PAGE] == 0, "what was dropped has content");
	write_somewhere(2);
	scenario_reap(grandchild);
	return 0;
}

static int child_main(void *data)
{
	(void)data;
	sums_of(before->sums[1], false);
	mark_and_wait(1, "child");
	check_content(1, false);
	write_somewhere(1);
	return 0;
}

static void map_file(void)
{
	int fd = open("mapped", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	scenario_need(fd >= 0 && ftruncate(fd, FILE_PAGES * PAGE) == 0, "cannot make a file");
	file = mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	scenario_need(file != MAP_FAILED, "cannot map a file");
	close(fd);
	for (size_t i = 0; i < FILE_PAGES; i += 1 + i % 3)
		memset(file + i * PAGE, (int)(i + 3), PAGE);
}

static void check_sizes(void)
{
	uint64_t sizes[2] = { 0 };

	for (unsigned task = 0; task < TASKS; task++)
		for (unsigned when = 0; when < 2; when++)
			sizes[when] += before->pss[task][when];
	scenario_check(sizes[1] <= sizes[0] + sizes[0] / 10, "all take %lu KiB, and took %lu",
		       (unsigned long)sizes[1], (unsigned long)sizes[0]);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	before = mmap(NULL, sizeof *before, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	scenario_need(before != MAP_FAILED && area != MAP_FAILED, "cannot map memory");
	for (size_t i = 0; i < PAGES; i++)
		memset(area + i * PAGE, (int)(i * 7 + 1), PAGE);
	map_file();
	pid_t child = scenario_child(child_main, NULL);
	scenario_wait_mark("child");
	pid_t changing = scenario_child(changing_child_main, NULL);
	scenario_wait_mark("changing");
	/* The children still share what it was. */
	for (size_t i = 0; i < PAGES; i += 256)
		area[i * PAGE] ^= 0x55;
	sums_of(before->sums[0], false);
	scenario_mark("complete");
	measure(0, 0);
	scenario_ready();
	measure(0, 1);
	check_sizes();
	check_content(0, false);
	write_somewhere(0);
	scenario_reap(child);
	scenario_reap(changing);
	return scenario_end();
}
