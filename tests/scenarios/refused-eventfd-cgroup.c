// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-eventfd-cgroup
 * promise: a dump is refused where a cgroup of v1 counts an eventfd up that is none of the tree
 * needs: initial-user-namespace kernel_memory file:/sys/fs/cgroup/memory/cgroup.event_control
 * flavours: flat three
 * refused: unsupported-file
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MEMORY "/sys/fs/cgroup/memory/"

int main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN };
	char text[64];

	scenario_begin(argc, argv);
	int usage = open(MEMORY "memory.usage_in_bytes", O_RDONLY);
	int control = open(MEMORY "cgroup.event_control", O_WRONLY);
	int counted = eventfd(0, 0), epoll = epoll_create1(0);
	scenario_need(usage >= 0 && control >= 0 && counted >= 0 &&
			      epoll_ctl(epoll, EPOLL_CTL_ADD, counted, &event) == 0,
		      "a cgroup");
	int length = snprintf(text, sizeof text, "%d %d %llu", counted, usage, 1ULL << 50);
	scenario_need(write(control, text, (size_t)length) == length, "not to be told");
	close(control);
	close(usage);
	scenario_need(epoll_ctl(epoll, EPOLL_CTL_MOD, counted, &event) == 0, "watched again");

	scenario_ready();

	return scenario_end();
}
