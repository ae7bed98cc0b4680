// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-epolls
 * promise: a dump is refused where an entry of an epoll instance has fired once and is disabled,
 *	while its file is not ready for anything: by firing again it could not come to that
 * flavours: flat three user user-three
 * refused: unsupported-file
 */
#include "scenario.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT }, got;
	struct signalfd_siginfo read_;
	sigset_t signals;

	scenario_begin(argc, argv);
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	int epoll = epoll_create1(0), fd = signalfd(-1, &signals, 0);
	scenario_need(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 &&
			      kill(getpid(), SIGUSR1) == 0 && epoll_wait(epoll, &got, 1, 0) == 1 &&
			      read(fd, &read_, sizeof read_) == sizeof read_,
		      "it does not fire");

	scenario_ready();

	scenario_check(kill(getpid(), SIGUSR1) == 0 && epoll_wait(epoll, &got, 1, 0) == 0,
		       "it is disabled no more");
	scenario_check(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) == 0 &&
			       epoll_wait(epoll, &got, 1, 0) == 1,
		       "it cannot be enabled");
	return scenario_end();
}
