// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-interrupted
 * promise: calls that return EINTR for a stop do not when a dump is refused before all has stopped
 * flavours: flat ordinary
 * options: --timeout 4
 * refused: vfork-in-progress
 */
#include "scenario.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

static int vforks(void *unused)
{
	int status;
	pid_t pid = vfork();

	(void)unused;
	if (pid == 0) {
		scenario_mark("vforked");
		scenario_wait_restored();
		/* Its end sends a signal that interrupts whoever does not block it. */
		scenario_wait_mark("joined");
		_exit(7);
	}
	return waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7 ? 0 : 1;
}

static void *in_sigwaitinfo(void *data)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	int got = sigwaitinfo(&set, &info);
	scenario_check(got == SIGUSR2, "sigwaitinfo: %d, errno %d", got, errno);
	return data;
}

static void *in_epoll_wait(void *data)
{
	struct epoll_event event;
	int got = epoll_wait(*(int *)data, &event, 1, -1);

	scenario_check(got == 1, "epoll_wait: %d, errno %d", got, errno);
	return NULL;
}

int main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN };
	pthread_t waits[2];
	sigset_t set;
	int ends[2];

	scenario_begin(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pid_t child = scenario_child(vforks, NULL);
	scenario_wait_mark("vforked");
	int epoll = epoll_create1(0);
	scenario_need(epoll >= 0 && !pipe(ends) &&
			      !epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event),
		      "epoll");
	scenario_need(!pthread_create(&waits[0], NULL, in_sigwaitinfo, NULL) &&
			      !pthread_create(&waits[1], NULL, in_epoll_wait, &epoll),
		      "pthread_create");
	scenario_sleep_ms(50);

	scenario_ready();

	pthread_kill(waits[0], SIGUSR2);
	scenario_check(write(ends[1], "w", 1) == 1, "write");
	pthread_join(waits[0], NULL);
	pthread_join(waits[1], NULL);
	scenario_mark("joined");
	scenario_reap(child);
	return scenario_end();
}
