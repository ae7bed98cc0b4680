// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: forest
 * promise: namespaces made, entered and owned at random, user namespaces with their maps, others
 *	with what is in them, and the credentials of random processes and threads, come back as they
 *	were
 *
 * The first process draws who does what (FOREST_SEED chooses another forest); one does something at
 * a time, so that a seed always gives the same. Run by tests/forests/run.
 */
#include "forest.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ACTORS = 32, ANSWER_SECONDS = 10 };

enum action {
	FORK,
	FORK_USER,
	FORK_PID,
	FORK_BOTH,
	UNSHARE_USER,
	UNSHARE_PID,
	ENTER_USER,
	ENTER_PID,
	ENTER_CHILDREN,
	UNSHARE_OTHER,
	ENTER_OTHER,
	WRITE_MAPS,
	IDS,
	GROUPS,
	CAPABILITIES,
	MARKS,
	THREAD,
	LEAVE,
	REAP,
	SETSID,
	ACTIONS,
	REAP_ALL, /* not drawn, as those that follow */
	DRAW_SELF,
	CHECK_SELF,
};

/* How often each is drawn; the first process does only what keeps it the root that it is. */
static const struct {
	unsigned weight;
	bool first_too;
} table[ACTIONS] = {
	[FORK] = { 8, true },
	[FORK_USER] = { 5, true },
	[FORK_PID] = { 2, true },
	[FORK_BOTH] = { 5, true },
	[UNSHARE_USER] = { 4, 0 },
	[UNSHARE_PID] = { 3, 0 },
	[ENTER_USER] = { 6, false },
	[ENTER_PID] = { 4, false },
	[ENTER_CHILDREN] = { 2, false },
	[UNSHARE_OTHER] = { 8, false },
	[ENTER_OTHER] = { 6, false },
	[WRITE_MAPS] = { 6, true },
	[IDS] = { 5, false },
	[GROUPS] = { 3, false },
	[CAPABILITIES] = { 4, false },
	[MARKS] = { 3, false },
	[THREAD] = { 4, true },
	[LEAVE] = { 4, false },
	[REAP] = { 2, true },
	[SETSID] = { 1, false },
};

struct actor {
	_Atomic pid_t pid, tid; /* as /proc names them */
	bool thread, init, gone;
	struct self_portrait portrait;
};

/* In shared memory. Whose turn it is acts, then gives the turn back to the first process. */
static struct board {
	_Atomic uint32_t turn;
	enum action action;
	uint64_t choice;
	uint32_t other;
	int count, most;
	struct actor actors[ACTORS];
} * board;

static _Thread_local int self;

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

static void pause_microseconds(long microseconds)
{
	nanosleep(&(struct timespec){ .tv_nsec = microseconds * 1000 }, NULL);
}

static void enrol(void)
{
	char link[64] = "";
	int pid = 0, tid = 0;

	if (readlink("/proc/thread-self", link, sizeof link - 1) > 0)
		sscanf(link, "%d/task/%d", &pid, &tid);
	board->actors[self].init = getpid() == 1;
	atomic_store(&board->actors[self].pid, pid);
	atomic_store(&board->actors[self].tid, tid);
}

static void await_enrolled(int actor)
{
	while (!atomic_load(&board->actors[actor].tid))
		pause_microseconds(30);
}

_Noreturn static void follow(void);

static pid_t other_pid(void)
{
	return atomic_load(&board->actors[board->other].pid);
}

static void fork_child(struct dice *dice, uint64_t flags)
{
	struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD };

	if (board->count == board->most)
		return;
	int index = board->count++;
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0) {
		self = index;
		enrol();
		follow();
	}
	if (pid < 0) {
		board->actors[index].gone = true;
		return;
	}
	await_enrolled(index);
	if ((flags & CLONE_NEWUSER) && !once_in(dice, 3))
		write_random_maps(dice, board->actors[index].pid);
}

static void *thread_body(void *index)
{
	self = (int)(intptr_t)index;
	enrol();
	follow();
}

static void make_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	if (board->count == board->most)
		return;
	int index = board->count++;
	board->actors[index].thread = true;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 128 * 1024);
	if (pthread_create(&thread, &attributes, thread_body, (void *)(intptr_t)index) == 0)
		await_enrolled(index);
	else
		board->actors[index].gone = true;
	pthread_attr_destroy(&attributes);
}

static void enter(const char *name, int flag)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)other_pid(), name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	setns(fd, flag);
	close(fd);
}

static void make_user_namespace(struct dice *dice)
{
	if (unshare(CLONE_NEWUSER) == 0 && once_in(dice, 3))
		write_random_maps(dice, board->actors[self].pid);
}

_Noreturn static void leave(struct dice *dice)
{
	bool by_signal = once_in(dice, 3);
	uint32_t status = draw(dice, 200);

	give_turn(0);
	if (board->actors[self].thread)
		syscall(SYS_exit, 0);
	if (by_signal)
		kill(getpid(), SIGKILL);
	_exit((int)status);
}

static void check_self(void)
{
	struct self_portrait now;

	draw_self(&now);
	/* That of the root is the runner's affair. */
	if (board->actors[self].pid == board->actors[0].pid)
		now.parent = board->actors[0].portrait.parent;
	const char *what = portrait_difference(&board->actors[self].portrait, &now);
	const struct surroundings *before = &board->actors[self].portrait.surroundings;
	scenario_check(!what, "actor %d: %s changed: %s%s%s, now %s%s%s", self, what,
		       before->interfaces, before->host, before->mounts,
		       now.surroundings.interfaces, now.surroundings.host, now.surroundings.mounts);
}

/* Threads share directories; such with their own are refused. */
static bool is_single(void)
{
	for (int i = 0; i < board->count; i++)
		if (i != self && !board->actors[i].gone &&
		    board->actors[i].pid == board->actors[self].pid)
			return false;
	return true;
}

static void change_family(enum action action, struct dice *dice)
{
	siginfo_t info = { 0 };

	switch (action) {
	case FORK:
		fork_child(dice, 0);
		break;
	case FORK_USER:
		fork_child(dice, CLONE_NEWUSER);
		break;
	case FORK_PID:
		fork_child(dice, CLONE_NEWPID);
		break;
	case FORK_BOTH:
		fork_child(dice, CLONE_NEWUSER | CLONE_NEWPID);
		break;
	case THREAD:
		make_thread();
		break;
	case LEAVE:
		leave(dice);
	case REAP:
		waitid(P_ALL, 0, &info, WEXITED | WNOHANG);
		break;
	case REAP_ALL:
		while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid)
			info.si_pid = 0;
		break;
	case SETSID:
		setsid();
		break;
	default:
		break;
	}
}

static void act(enum action action, struct dice *dice)
{
	switch (action) {
	case UNSHARE_USER:
		make_user_namespace(dice);
		break;
	case UNSHARE_PID:
		unshare(CLONE_NEWPID);
		break;
	case ENTER_USER:
		enter("user", CLONE_NEWUSER);
		break;
	case ENTER_PID:
		enter("pid", CLONE_NEWPID);
		break;
	case ENTER_CHILDREN:
		enter("pid_for_children", CLONE_NEWPID);
		break;
	case UNSHARE_OTHER:
		make_other_namespace(dice, is_single(), other_pid(), board->actors[0].pid);
		break;
	case ENTER_OTHER:
		enter_other_namespace(dice, is_single(), other_pid());
		break;
	case WRITE_MAPS:
		write_random_maps(dice, other_pid());
		break;
	case IDS:
		change_ids(dice);
		break;
	case GROUPS:
		change_groups(dice);
		break;
	case CAPABILITIES:
		change_capabilities(dice);
		break;
	case MARKS:
		change_marks(dice);
		break;
	case DRAW_SELF:
		draw_self(&board->actors[self].portrait);
		break;
	case CHECK_SELF:
		check_self();
		break;
	default:
		change_family(action, dice);
	}
}

/* What all but the first do for ever. */
_Noreturn static void follow(void)
{
	for (;;) {
		await_turn((uint32_t)self);
		struct dice dice = { board->choice };
		act(board->action, &dice);
		give_turn(0);
	}
}

/* ---- the first process, which draws ---- */

/*
 * A thread that is no longer there, and a process of which nothing runs any more: its first thread
 * looks dead while others are still on their way out.
 */
static bool is_gone(const struct actor *actor)
{
	char path[64], text[512];
	int threads = 0;

	if (actor->gone)
		return true;
	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)actor->pid, (int)actor->tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = 0;
	const char *end = strrchr(text, ')');
	if (!end)
		return true;
	sscanf(end + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d",
	       &threads);
	return (end[2] == 'Z' || end[2] == 'X') && (actor->thread || threads <= 1);
}

/* An init takes others with it, and a process its threads. */
static void look_who_is_gone(void)
{
	for (int i = 1; i < board->count; i++)
		board->actors[i].gone = is_gone(&board->actors[i]);
}

static bool await_gone(int actor);

/* True also if it died instead: an init that ends takes others with it, one after the other. */
static bool await_answer(int actor)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	int left = ANSWER_SECONDS * 50;

	while (atomic_load(&board->turn)) {
		if (syscall(SYS_futex, &board->turn, FUTEX_WAIT, actor, &pause, NULL, 0) == 0 ||
		    errno != ETIMEDOUT)
			continue;
		if (left-- == 0)
			return false;
		/* Once restored they may have other numbers. */
		if (!scenario_is_restored() && is_gone(&board->actors[actor])) {
			board->actors[actor].gone = true;
			atomic_store(&board->turn, 0);
		}
	}
	return true;
}

static bool let_act(int actor, enum action action, uint64_t choice)
{
	struct dice dice = { choice };

	board->action = action;
	board->choice = choice;
	if (actor == 0) {
		act(action, &dice);
		return true;
	}
	give_turn((uint32_t)actor);
	if (!await_answer(actor))
		return false;
	return action == LEAVE ? await_gone(actor) : true;
}

static void let_all(enum action action)
{
	for (int i = 0; i < board->count; i++)
		if (!board->actors[i].gone)
			scenario_check(let_act(i, action, 0), "actor %d does not answer", i);
}

/* An init waits for whatever was in its namespace, zombies of parents outside too. */
static bool await_gone(int actor)
{
	for (int i = 0; i < ANSWER_SECONDS * 10000; i++) {
		if (is_gone(&board->actors[actor])) {
			look_who_is_gone();
			return true;
		}
		if (i % 100 == 99) {
			board->actors[actor].gone = true;
			look_who_is_gone();
			let_all(REAP_ALL);
			board->actors[actor].gone = false;
		}
		pause_microseconds(100);
	}
	return false;
}

static enum action draw_action(struct dice *dice)
{
	unsigned all = 0, action = 0;

	for (size_t i = 0; i < ACTIONS; i++)
		all += table[i].weight;
	uint32_t drawn = draw(dice, all);
	while (drawn >= table[action].weight)
		drawn -= table[action++].weight;
	return (enum action)action;
}

/* Half of the time one of the youngest: that makes for depth. */
static int draw_actor(struct dice *dice)
{
	uint32_t count = (uint32_t)board->count;

	if (count > 3 && once_in(dice, 2))
		return (int)(count - 1 - draw(dice, 3));
	return (int)draw(dice, count);
}

static void grow(struct dice *dice)
{
	unsigned calls = 10 + draw(dice, 90);

	board->most = 4 + (int)draw(dice, ACTORS - 3);
	for (unsigned i = 0; i < calls; i++) {
		int actor = draw_actor(dice);
		enum action action = draw_action(dice);
		uint64_t choice = draw(dice, UINT32_MAX);
		board->other = draw(dice, (uint32_t)board->count);
		bool is_other = action == UNSHARE_OTHER || action == ENTER_OTHER;
		if ((is_other && !getenv("FOREST_OTHERS")) || board->actors[actor].gone ||
		    (actor == 0 && !table[action].first_too))
			continue;
		/* A fork into a namespace whose init is dead is refused by the kernel, and the
		 * dump. */
		if (action == LEAVE && board->actors[actor].init && !once_in(dice, 4))
			continue;
		scenario_need(let_act(actor, action, choice), "actor %d does not answer", actor);
	}
	look_who_is_gone();
}

int main(int argc, char **argv)
{
	const char *seed = getenv("FOREST_SEED");
	struct dice dice = { seed ? strtoull(seed, NULL, 10) * UINT64_C(0x2545f4914f6cdd1d) : 1 };

	scenario_begin(argc, argv);
	/* Orphans stay in the tree, also where nobody else in it would take them. */
	prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0, 0, 0);
	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	scenario_need(board != MAP_FAILED, "no memory");
	board->count = 1;
	enrol();
	grow(&dice);
	let_all(DRAW_SELF);
	scenario_ready();
	let_all(CHECK_SELF);
	return scenario_end();
}
