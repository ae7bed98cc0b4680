// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-owners
 * promise: who gets signals of an open file, a process, a group whose leader is gone, a thread,
 *	or nobody any more; which signal; whose ids decide; and O_ASYNC sends them, also where
 *	nobody is to get them yet
 */
#include "scenario.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GETOWNER_UIDS = 17, GIVEN_UID = 31, HOLDER = 60 };

static int idle(void *unused)
{
	(void)unused;
	scenario_wait_restored();
	scenario_wait_mark("checked");
	return 0;
}

/* A group of which only a member is left. */
static int member(void *group)
{
	setpgid(0, *(pid_t *)group);
	scenario_mark("joined");
	return idle(NULL);
}

static int leader(void *unused)
{
	(void)unused;
	setpgid(0, 0);
	scenario_mark("leads");
	scenario_wait_mark("joined");
	return 0;
}

static void set_owner(int fd, int type, pid_t pid)
{
	struct f_owner_ex owner = { type, pid };

	scenario_need(fcntl(fd, F_SETOWN_EX, &owner) == 0, "F_SETOWN_EX");
}

static void check_owner(int fd, int type, pid_t pid, const char *what)
{
	struct f_owner_ex owner = { -1, -1 };

	fcntl(fd, F_GETOWN_EX, &owner);
	scenario_check((int)owner.type == type && owner.pid == pid, "%s: type %d, pid %d", what,
		       (int)owner.type, owner.pid);
}

static void check_signal(int read_end, int write_end)
{
	const struct timespec patience = { .tv_sec = 5 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	scenario_check(write(write_end, "x", 1) == 1, "write");
	int got = sigtimedwait(&set, &info, &patience);
	scenario_check(got == SIGRTMIN + 3, "signal %d instead", got);
	scenario_check(info.si_fd == read_end && info.si_code == POLL_IN, "si_fd %d, si_code %d",
		       info.si_fd, info.si_code);
}

int main(int argc, char **argv)
{
	int ends[2], gone[2], other[2], unowned[2];
	sigset_t set;
	uint32_t uids[2] = { 99, 99 };

	scenario_begin(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &set, NULL);
	scenario_need(!pipe(ends) && !pipe(gone) && !pipe(other) && !pipe(unowned), "no pipes");
	pid_t group = scenario_child(leader, NULL);
	scenario_wait_mark("leads");
	pid_t in_group = scenario_child(member, &group);
	scenario_reap(group);
	pid_t short_lived = scenario_child(idle, NULL);

	set_owner(ends[0], F_OWNER_PID, getpid());
	scenario_need(!fcntl(ends[0], F_SETSIG, SIGRTMIN + 3) &&
			      !fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK),
		      "O_ASYNC");
	set_owner(ends[1], F_OWNER_PGRP, group);
	int file = open("file", O_RDWR | O_CREAT | O_ASYNC, 0600);
	set_owner(file, F_OWNER_TID, getpid());
	set_owner(gone[0], F_OWNER_PID, short_lived);
	scenario_need(!fcntl(gone[0], F_SETSIG, SIGUSR2), "F_SETSIG");
	kill(short_lived, SIGKILL);
	waitpid(short_lived, NULL, 0);
	bool uid = syscall(SYS_setresuid, -1, GIVEN_UID, -1) == 0;
	set_owner(other[0], F_OWNER_PID, getpid());
	scenario_need(!uid || syscall(SYS_setresuid, -1, 0, -1) == 0, "setresuid");
	scenario_need(!fcntl(unowned[0], F_SETFL, O_ASYNC) &&
			      !fcntl(unowned[0], F_SETSIG, SIGRTMIN + 3),
		      "O_ASYNC");

	scenario_ready();

	check_owner(ends[0], F_OWNER_PID, getpid(), "process");
	check_owner(ends[1], F_OWNER_PGRP, group, "group");
	check_owner(file, F_OWNER_TID, getpid(), "thread");
	struct f_owner_ex owner = { -1, -1 };
	fcntl(gone[0], F_GETOWN_EX, &owner);
	scenario_check(owner.pid == 0 && fcntl(gone[0], F_GETSIG) == SIGUSR2, "owner that is gone");
	check_owner(other[0], F_OWNER_PID, getpid(), "with other ids");
	scenario_check(fcntl(other[0], GETOWNER_UIDS, uids) == 0 && uids[0] == getuid() &&
			       (!uid || uids[1] == GIVEN_UID),
		       "set by %u, %u", uids[0], uids[1]);
	scenario_check((fcntl(ends[0], F_GETFL) & (O_ASYNC | O_NONBLOCK)) == (O_ASYNC | O_NONBLOCK),
		       "flags of the pipe");
	scenario_check(fcntl(file, F_GETFL) & O_ASYNC, "flags of the file");
	check_signal(ends[0], ends[1]);
	scenario_check(fcntl(unowned[0], F_GETOWN) == 0 && fcntl(unowned[0], F_GETFL) & O_ASYNC,
		       "it has an owner, or no O_ASYNC");
	set_owner(unowned[0], F_OWNER_PID, getpid());
	check_signal(unowned[0], unowned[1]);
	scenario_mark("checked");
	scenario_reap(in_group);
	return scenario_end();
}
