// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-pressure
 * promise: files that tell of pressure wait for what they waited for, of all tasks or of some, and
 *	are told; who waits for nothing may choose as its opener could, and no more
 * options: --force-lost pressure-events
 * needs: initial-user-namespace
 * flavours: flat one three user user-three
 */
#include "credentials.h"
#include "pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

static int open_pressure(const char *resource)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/pressure/%s", resource);
	int fd = open(path, O_RDWR | O_NONBLOCK);
	scenario_need(fd >= 0, "%s: %s", path, strerror(errno));
	return fd;
}

static int waiting_for(const char *resource, const char *text)
{
	int fd = open_pressure(resource);

	scenario_need(write_trigger(fd, text) > 0, "%s to %s: %s", text, resource, strerror(errno));
	return fd;
}

static uint64_t join(const uint32_t low, const uint32_t high)
{
	return (uint64_t)high << 32 | low;
}

/* That of a user namespace allows it, too, but nestor may not have it. */
static bool has_right(const struct credentials *own)
{
	unsigned first = 1, outside = 1, count = 0;
	FILE *map = fopen("/proc/self/uid_map", "r");
	bool is_initial = map && fscanf(map, "%u %u %u", &first, &outside, &count) == 3 && !first &&
			  !outside && count == UINT32_MAX;

	if (map)
		fclose(map);
	return is_initial && own->sets[0].effective & CAP_TO_MASK(CAP_SYS_RESOURCE);
}

static void lose_right(const struct credentials *own)
{
	uint64_t right = UINT64_C(1) << CAP_SYS_RESOURCE;
	const struct __user_cap_data_struct *sets = own->sets;

	credentials_set_capabilities(join(sets[0].effective, sets[1].effective) & ~right,
				     join(sets[0].permitted, sets[1].permitted),
				     join(sets[0].inheritable, sets[1].inheritable));
}

static void check_waits(int fd, const char *what)
{
	short told = told_of_pressure(fd, 0);

	scenario_check(!(told & POLLERR), "%s waits for nothing: %#hx", what, told);
	scenario_check(write_trigger(fd, "some 100000 2000000") < 0 && errno == EBUSY,
		       "%s lets itself be changed: %s", what, strerror(errno));
}

static void check_free(int fd, const char *text, bool allowed, const char *what)
{
	short told = told_of_pressure(fd, 0);

	scenario_check(told & POLLERR, "%s waits for something: %#hx", what, told);
	bool done = write_trigger(fd, text) > 0;
	scenario_check(done == allowed, "%s: \"%s\" %s", what, text,
		       done ? "is taken" : strerror(errno));
}

static void check_told(int fd, int watcher, const char *what)
{
	struct epoll_event event;
	struct busy busy;

	busy_begin(&busy);
	told_of_pressure(fd, 0);
	short told = told_of_pressure(fd, 20000);
	scenario_check(told == POLLPRI, "%s is not told: %#hx", what, told);
	int ready = epoll_wait(watcher, &event, 1, 20000);
	busy_end(&busy);
	scenario_check(ready == 1 && event.events == EPOLLPRI && event.data.u32 == 7,
		       "the epoll instance is not told of it");
}

int main(int argc, char **argv)
{
	struct credentials own;
	struct epoll_event wanted = { EPOLLPRI, { .u32 = 7 } };

	scenario_begin(argc, argv);
	credentials_read(&own);
	bool privileged = has_right(&own);
	const char *often = "some 400000 500000";
	if (!privileged)
		lose_right(&own);
	int quick = waiting_for("cpu", privileged ? "some 1000 1000000" : "some 1000 2000000");
	int watched = waiting_for("cpu", privileged ? "some 2000 700000" : "some 2000 4000000");
	int calm = waiting_for("memory", "full 1999999 2000000"), own_free = open_pressure("io");
	int watcher = epoll_create1(0);
	scenario_need(epoll_ctl(watcher, EPOLL_CTL_ADD, watched, &wanted) == 0, "epoll");
	if (privileged)
		lose_right(&own);
	int plain = waiting_for("io", "some 1999999 2000000"), other_free = open_pressure("memory");

	scenario_ready();

	check_waits(quick, "the quick one");
	check_waits(calm, "the calm one");
	check_waits(plain, "the one without a right");
	scenario_check(!told_of_pressure(calm, 0) && !told_of_pressure(plain, 0),
		       "told of nothing");
	check_free(own_free, often, privileged, "what was opened first");
	check_free(other_free, often, false, "what was opened without the right");
	check_free(other_free, "some 1999999 2000000", true, "the same");
	check_told(quick, watcher, "the quick one");
	return scenario_end();
}
