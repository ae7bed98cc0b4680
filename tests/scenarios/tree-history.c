// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: tree-history
 * promise: the tree that a random history of forks, exits, sessions, groups and namespaces leaves
 *	comes back as it was (HISTORY_SEED chooses another one)
 * flavours: flat fresh one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 40, CALLS = 90, CHILDREN = 64 };

enum action {
	FORK,
	FORK_INIT,
	FORK_INSIDE,
	STAY_INSIDE,
	SETSID,
	LEAD_GROUP,
	JOIN_PARENT,
	JOIN_CHILD,
	MOVE_CHILD,
	LEAVE,
	REAP,
	SUBREAPER,
	ACTIONS,
};

/* How often each is drawn. */
static const unsigned weights[ACTIONS] = {
	[FORK] = 14,	  [FORK_INIT] = 2,  [FORK_INSIDE] = 3, [STAY_INSIDE] = 1,
	[SETSID] = 3,	  [LEAD_GROUP] = 3, [JOIN_PARENT] = 2, [JOIN_CHILD] = 2,
	[MOVE_CHILD] = 2, [LEAVE] = 6,	    [REAP] = 3,	       [SUBREAPER] = 1,
};

/* In shared memory. Whose turn it is acts, then gives the turn back to the first process. */
static struct board {
	_Atomic uint32_t turn; /* 0: the first process, which draws */
	enum action action;
	uint32_t choice;
	int count;
	bool gone[PROCESSES], is_init[PROCESSES];
} * board;

static int self;
static pid_t children[CHILDREN]; /* as this process sees them; may be gone */
static int n_children;

static uint32_t draw(uint32_t below)
{
	static uint64_t state;

	if (!state) {
		const char *seed = getenv("HISTORY_SEED");
		state = (seed ? strtoull(seed, NULL, 10) : 1) * UINT64_C(0x9e3779b97f4a7c15);
	}
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(state >> 33) % below;
}

static void give_turn(uint32_t to)
{
	atomic_store(&board->turn, to);
	syscall(SYS_futex, &board->turn, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void await_turn(uint32_t turn)
{
	uint32_t now;

	while ((now = atomic_load(&board->turn)) != turn)
		syscall(SYS_futex, &board->turn, FUTEX_WAIT, now, NULL, NULL, 0);
}

_Noreturn static void follow(void);

static void fork_child(uint64_t flags)
{
	struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD };

	if (board->count == PROCESSES || n_children == CHILDREN)
		return;
	int index = board->count++;
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0) {
		self = index;
		n_children = 0;
		follow();
	}
	if (pid < 0) {
		board->gone[index] = true;
		return;
	}
	board->is_init[index] = flags & CLONE_NEWPID;
	children[n_children++] = pid;
}

static pid_t some_child(void)
{
	return n_children ? children[board->choice % (uint32_t)n_children] : 0;
}

static bool enter_namespace_of(pid_t pid)
{
	int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	bool entered = fd >= 0 && setns(fd, CLONE_NEWPID) == 0;

	if (fd >= 0)
		close(fd);
	return entered;
}

_Noreturn static void leave(void)
{
	board->gone[self] = true;
	give_turn(0);
	if (board->choice % 3 == 0)
		kill(getpid(), SIGKILL);
	_exit((int)(board->choice % 200));
}

static void act(void)
{
	siginfo_t info;

	switch (board->action) {
	case FORK:
		fork_child(0);
		break;
	case FORK_INIT:
		fork_child(CLONE_NEWPID);
		break;
	case FORK_INSIDE:
		if (enter_namespace_of(some_child())) {
			fork_child(0);
			enter_namespace_of(getpid());
		}
		break;
	case STAY_INSIDE:
		enter_namespace_of(some_child());
		break;
	case SETSID:
		setsid();
		break;
	case LEAD_GROUP:
		setpgid(0, 0);
		break;
	case JOIN_PARENT:
		if (getppid() > 0)
			setpgid(0, getpgid(getppid()));
		break;
	case JOIN_CHILD:
		if (some_child())
			setpgid(0, getpgid(some_child()));
		break;
	case MOVE_CHILD:
		if (some_child())
			setpgid(some_child(),
				board->choice % 2 ? getpgrp()
						  : getpgid(children[(size_t)(board->choice / 2) %
								     (size_t)n_children]));
		break;
	case LEAVE:
		leave();
	case REAP:
		waitid(P_ALL, 0, &info, WEXITED | WNOHANG);
		break;
	case SUBREAPER:
		prctl(PR_SET_CHILD_SUBREAPER, self == 0 || board->choice % 2 ? 1UL : 0UL, 0, 0, 0);
		break;
	case ACTIONS:
		break;
	}
}

/* What every process but the first does for ever. */
_Noreturn static void follow(void)
{
	for (;;) {
		await_turn((uint32_t)self);
		act();
		give_turn(0);
	}
}

static enum action draw_action(void)
{
	unsigned all = 0, action = 0;

	for (size_t i = 0; i < ACTIONS; i++)
		all += weights[i];
	uint32_t drawn = draw(all);
	while (drawn >= weights[action])
		drawn -= weights[action++];
	return (enum action)action;
}

static void make_history(void)
{
	for (int i = 0; i < CALLS; i++) {
		int process = (int)draw((uint32_t)board->count);
		board->action = draw_action();
		board->choice = draw(1000000);
		if (board->gone[process] ||
		    (board->action == LEAVE && (process == 0 || board->is_init[process])))
			continue;
		if (process == 0) {
			act();
			continue;
		}
		bool leaves = board->action == LEAVE;
		give_turn((uint32_t)process);
		await_turn(0);
		/* Its children are somebody else's once it is really gone. */
		if (leaves)
			scenario_sleep_ms(5);
	}
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	/* Orphans stay in the tree, also where nobody else in it would take them. */
	prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0, 0, 0);
	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	scenario_need(board != MAP_FAILED, "no memory");
	board->count = 1;
	make_history();
	scenario_ready();
	/* The turns still go round. */
	for (int i = 1; i < board->count; i++) {
		if (board->gone[i])
			continue;
		board->action = ACTIONS;
		give_turn((uint32_t)i);
		await_turn(0);
	}
	return scenario_end();
}
