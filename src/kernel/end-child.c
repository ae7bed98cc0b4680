// SPDX-License-Identifier: LGPL-2.1-or-later
/* Ending a helper of our own; see end-child.h. A signal that was not sent is not waited for. */
#include "kernel/end-child.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

enum { ATTEMPTS = 100 };

void end_child(pid_t pid)
{
	bool sent = false;

	for (int i = 0; i < ATTEMPTS && !sent; i++)
		sent = kill(pid, SIGKILL) == 0 || errno == ESRCH;
	for (int i = 0; i < ATTEMPTS; i++)
		if (waitpid(pid, NULL, sent ? __WALL : __WALL | WNOHANG) >= 0 || errno == ECHILD)
			return;
}
