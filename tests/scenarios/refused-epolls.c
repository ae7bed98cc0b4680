// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-epolls
 * promise: a dump is refused where an entry of an epoll instance has fired once and is disabled,
 *	while its file is not ready for anything: by firing again it could not come to that
 * flavours: flat three user user-three
 * refused: unsupported-file
 */
#include "scenario.h"

#include <sys/epoll.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT }, got;
	int ends[2];
	char byte;

	scenario_begin(argc, argv);
	int epoll = epoll_create1(0);
	scenario_need(pipe(ends) == 0 && epoll >= 0 &&
			      epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event) == 0,
		      "an epoll instance");
	scenario_need(write(ends[1], "x", 1) == 1 && epoll_wait(epoll, &got, 1, 0) == 1 &&
			      read(ends[0], &byte, 1) == 1,
		      "it does not fire");

	scenario_ready();

	scenario_check(write(ends[1], "y", 1) == 1 && epoll_wait(epoll, &got, 1, 0) == 0,
		       "it is disabled no more");
	scenario_check(epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &event) == 0 &&
			       epoll_wait(epoll, &got, 1, 0) == 1,
		       "it cannot be enabled");
	return scenario_end();
}
