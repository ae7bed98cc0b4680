// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: cgroups-events
 * promise: cgroups of v1 go on to count eventfds up: when memory has run out, when its use passes
 *	thresholds, under pressure; also several of them one, and one of them several
 * needs: initial-user-namespace kernel_memory file:/sys/fs/cgroup/memory/cgroup.event_control
 * flavours: flat one three
 * not-shifted: it makes cgroups of its own
 */
#include "cgroup-file.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY "/sys/fs/cgroup/memory"
enum { ROOM = 512, MOST_MS = 5000, MEGABYTE = 1 << 20, LIMIT = 64, PASSED = 16, NOT_PASSED = 48 };

static char folder[ROOM], other[ROOM];

static void watch(const char *where, const char *name, const char *argument, int counted)
{
	char path[2 * ROOM], text[ROOM];

	snprintf(path, sizeof path, "%s/%s", where, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(text, sizeof text, "%d %d %s", counted, fd, argument);
	cgroup_write(where, "cgroup.event_control", text);
	close(fd);
}

static int threshold(const char *where, int megabytes, int counted)
{
	char text[32];

	snprintf(text, sizeof text, "%lld", (long long)megabytes * MEGABYTE);
	watch(where, "memory.usage_in_bytes", text, counted);
	return counted;
}

static uint64_t count(int fd, int wait_ms)
{
	struct pollfd asked = { .fd = fd, .events = POLLIN };
	uint64_t value = 0;

	if (poll(&asked, 1, wait_ms) == 1)
		scenario_check(read(fd, &value, sizeof value) == sizeof value, "cannot read");
	return value;
}

static int take(int megabytes)
{
	size_t size = (size_t)megabytes * MEGABYTE;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -1;
	memset(memory, 1, size);
	return 0;
}

/* In the cgroup: first passes one threshold, and then takes more than there is. */
static int inside(void *data)
{
	int passed = *(int *)data;

	cgroup_write(folder, "cgroup.procs", "0");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(take((PASSED + NOT_PASSED) / 2) == 0, "no memory");
	scenario_check(count(passed, MOST_MS) == 1, "the threshold is not told of");
	scenario_mark("passed");
	/* The first process has looked. */
	scenario_wait_mark("run out");
	take(2 * LIMIT);
	return 1;
}

static int beside(void *unused)
{
	(void)unused;
	cgroup_write(other, "cgroup.procs", "0");
	scenario_mark("beside");
	scenario_wait_restored();
	return 0;
}

int main(int argc, char **argv)
{
	char own[64], text[32];

	scenario_begin(argc, argv);
	scenario_own_name(own, sizeof own);
	snprintf(folder, sizeof folder, MEMORY "/%s", own);
	snprintf(other, sizeof other, MEMORY "/%s-b", own);
	scenario_need(mkdir(folder, 0755) == 0 && mkdir(other, 0755) == 0, "no cgroups");
	snprintf(text, sizeof text, "%d", LIMIT * MEGABYTE);
	cgroup_write(folder, "memory.limit_in_bytes", text);

	int passed = threshold(folder, PASSED, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	int unwatched = eventfd(0, EFD_CLOEXEC), not_passed = eventfd(0, EFD_CLOEXEC);
	threshold(folder, NOT_PASSED, not_passed);
	threshold(other, PASSED, not_passed);
	int out = eventfd(0, EFD_CLOEXEC), both = eventfd(3, EFD_CLOEXEC);
	watch(folder, "memory.oom_control", "", out);
	watch(folder, "memory.oom_control", "", both);
	threshold(folder, PASSED, both);
	threshold(folder, PASSED + 1, both);
	int pressed = eventfd(0, EFD_CLOEXEC);
	watch(folder, "memory.pressure_level", "critical,local", pressed);

	pid_t child = scenario_child(inside, &passed);
	pid_t second = scenario_child(beside, NULL);
	scenario_wait_mark("inside");
	scenario_wait_mark("beside");

	scenario_ready();

	scenario_wait_mark("passed");
	scenario_check(count(both, 0) == 3 + 2, "thresholds that one eventfd has");
	scenario_check(!count(not_passed, 0) && !count(out, 0) && !count(unwatched, 0),
		       "counted up for nothing");
	scenario_mark("run out");
	int status;
	scenario_check(waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
			       WTERMSIG(status) == SIGKILL,
		       "the limit is none");
	scenario_check(count(out, MOST_MS) >= 1 && count(both, MOST_MS) >= 1,
		       "nobody tells that memory has run out");
	scenario_check(count(pressed, MOST_MS) >= 1, "nobody tells of pressure");
	scenario_check(count(not_passed, MOST_MS) >= 1, "the other threshold");
	scenario_check(!count(unwatched, 0), "one that nobody was told of is counted up");
	scenario_reap(second);
	rmdir(folder);
	rmdir(other);
	return scenario_end();
}
