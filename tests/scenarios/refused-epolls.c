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
#include <sys/eventfd.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT }, got;
	struct epoll_event watched = { .events = EPOLLIN };
	eventfd_t value;

	scenario_begin(argc, argv);
	int epoll = epoll_create1(0), inner = epoll_create1(0), ready = eventfd(1, 0);
	scenario_need(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, inner, &event) == 0 &&
			      epoll_ctl(inner, EPOLL_CTL_ADD, ready, &watched) == 0,
		      "an epoll instance");
	scenario_need(epoll_wait(epoll, &got, 1, 0) == 1 && eventfd_read(ready, &value) == 0,
		      "it does not fire");

	scenario_ready();

	scenario_check(eventfd_write(ready, 1) == 0 && epoll_wait(epoll, &got, 1, 0) == 0,
		       "it is disabled no more");
	scenario_check(epoll_ctl(epoll, EPOLL_CTL_MOD, inner, &event) == 0 &&
			       epoll_wait(epoll, &got, 1, 0) == 1,
		       "it cannot be enabled");
	return scenario_end();
}
