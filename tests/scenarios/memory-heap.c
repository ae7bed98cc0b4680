// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-heap
 * promise: the heap goes on growing where it ended; arguments, environment, auxiliary vector and
 *	the link to the executable are what they were
 * flavours: flat one three user user-three unprivileged unprivileged-three ordinary
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROC_FILES = 4, ROOM = 16384 };

static const char *const names[PROC_FILES] = { "/proc/self/cmdline", "/proc/self/environ",
					       "/proc/self/auxv", "/proc/self/stat" };

struct contents {
	char bytes[PROC_FILES][ROOM];
	size_t sizes[PROC_FILES];
	char executable[4096];
};

/* Static: reading them changes no area. */
static struct contents before, after;

static void read_all(struct contents *contents)
{
	for (size_t i = 0; i < PROC_FILES; i++) {
		int fd = open(names[i], O_RDONLY);
		ssize_t got = read(fd, contents->bytes[i], ROOM);

		scenario_need(got >= 0, "cannot read %s", names[i]);
		contents->sizes[i] = (size_t)got;
		close(fd);
	}
	scenario_need(readlink("/proc/self/exe", contents->executable,
			       sizeof contents->executable - 1) > 0,
		      "cannot read the link to the executable");
}

/* Field of stat, counted as in proc_pid_stat(5). */
static uint64_t stat_field(const struct contents *contents, unsigned field)
{
	const char *at = strrchr(contents->bytes[3], ')');

	for (unsigned i = 2; at && i < field; i++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

int main(int argc, char **argv)
{
	static const unsigned fields[] = { 26, 27, 28, 45, 46, 47, 48, 49, 50, 51 };
	uint8_t *heap_end;

	scenario_begin(argc, argv);
	/* Ends in the middle of a page. */
	heap_end = (uint8_t *)sbrk(100000) + 100000;
	memset(heap_end - 100000, 'h', 100000);
	read_all(&before);

	scenario_ready();

	scenario_check(sbrk(0) == heap_end, "the heap ends at %p, not at %p", sbrk(0),
		       (void *)heap_end);
	scenario_check(heap_end[-1] == 'h' && heap_end[-100000] == 'h',
		       "the heap has another content");
	read_all(&after);
	for (size_t i = 0; i < 3; i++)
		scenario_check(before.sizes[i] == after.sizes[i] &&
				       !memcmp(before.bytes[i], after.bytes[i], before.sizes[i]),
			       "%s is not what it was", names[i]);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		scenario_check(stat_field(&before, fields[i]) == stat_field(&after, fields[i]),
			       "field %u of stat has changed", fields[i]);
	scenario_check(!strcmp(before.executable, after.executable), "the executable is %s, was %s",
		       after.executable, before.executable);
	scenario_check(sbrk(1 << 20) == heap_end, "the heap does not grow");
	heap_end[(1 << 20) - 1] = 1;
	scenario_check(!sbrk(-(1 << 20)) || sbrk(0) == heap_end, "the heap does not shrink");
	return scenario_end();
}
