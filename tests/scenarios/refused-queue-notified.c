// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-queue-notified
 * promise: a message queue whose next message somebody is to be told of is refused by name, since
 *	what comes with the signal is shown to nobody; and it is still told
 * flavours: flat one three
 * needs: initial-user-namespace
 * refused: unsupported-file
 */
#include "scenario.h"

#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

int main(int argc, char **argv)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = SIGUSR1,
				  .sigev_value.sival_int = 7 };
	const struct timespec limit = { .tv_sec = 5 };
	siginfo_t info;
	sigset_t set;

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWIPC) == 0, "no namespace");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	mqd_t queue = mq_open("/told", O_RDWR | O_CREAT, 0600, NULL);
	scenario_need(queue >= 0 && mq_notify(queue, &event) == 0, "no queue");

	scenario_ready();

	scenario_check(mq_send(queue, "x", 1, 0) == 0 &&
			       sigtimedwait(&set, &info, &limit) == SIGUSR1 &&
			       info.si_value.sival_int == 7,
		       "it is not told");
	mq_unlink("/told");
	return scenario_end();
}
