// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-notify
 * promise: a dump is refused where a task is told of changes of a directory by F_NOTIFY
 * flavours: flat three user user-three
 * refused: unsupported-file
 */
#include "scenario.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const struct timespec soon = { .tv_sec = 5 };
	sigset_t io;
	siginfo_t info;

	scenario_begin(argc, argv);
	int fd = open(".", O_RDONLY | O_DIRECTORY);
	sigemptyset(&io);
	sigaddset(&io, SIGRTMIN);
	scenario_need(fd >= 0 && sigprocmask(SIG_BLOCK, &io, NULL) == 0 &&
			      fcntl(fd, F_SETSIG, SIGRTMIN) == 0 &&
			      fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT) == 0,
		      "F_NOTIFY");

	scenario_ready();

	close(open("new", O_CREAT | O_WRONLY, 0600));
	scenario_check(sigtimedwait(&io, &info, &soon) == SIGRTMIN && info.si_fd == fd,
		       "nothing is told of a new file");
	return scenario_end();
}
