// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-queue-directory
 * promise: what nobody inside could do is refused: the directory of POSIX message queues belongs to
 *	somebody who has no number in the owner of its ipc namespace, and he has changed its mode
 * flavours: flat three user
 * refused: unsupported-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int inside(void *data)
{
	const int *ready = data, *go = ready + 2;
	char byte;

	scenario_need(write(ready[1], "", 1) == 1, "nobody listens");
	close(go[1]);
	return read(go[0], &byte, 1) != 0;
}

/* With rights that nobody inside has. */
static void visit(pid_t pid, bool sets)
{
	struct stat found;

	pid_t visitor = fork();
	if (visitor == 0) {
		int target = (int)syscall(SYS_pidfd_open, pid, 0);
		bool there = target >= 0 && setns(target, CLONE_NEWIPC) == 0 &&
			     unshare(CLONE_NEWNS) == 0 &&
			     mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			     mount("mqueue", "/mnt", "mqueue", 0, NULL) == 0 &&
			     (!sets || chmod("/mnt", 0711) == 0) && stat("/mnt", &found) == 0 &&
			     (found.st_mode & 07777) == 0711;
		_exit(!there);
	}
	scenario_reap(visitor);
}

int main(int argc, char **argv)
{
	const struct scenario_users users = { "0 1 9", "0 1 9", false };
	int ready[4], *go = ready + 2;
	char byte;

	scenario_begin(argc, argv);
	scenario_need(pipe(ready) == 0 && pipe(go) == 0, "no pipes");
	pid_t pid = scenario_child_users(CLONE_NEWUSER | CLONE_NEWIPC, &users, inside, ready);
	scenario_need(read(ready[0], &byte, 1) == 1, "it says nothing");
	visit(pid, true);

	scenario_ready();

	visit(pid, false);
	close(go[1]);
	scenario_reap(pid);
	return scenario_end();
}
