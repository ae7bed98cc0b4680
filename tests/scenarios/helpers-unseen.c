// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: helpers-unseen
 * promise: nobody notices those who stood in for dead leaders and parents during the restore: no
 *	SIGCHLD, pending or handled, no wait result, no process is left of them
 * flavours: flat fresh one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 4 }; /* of each that watches */

static const char *who;
static volatile sig_atomic_t signals;

static const char *mark_of(const char *name, const char *what)
{
	static char mark[64];

	snprintf(mark, sizeof mark, "%s-%s", name, what);
	return mark;
}

static void count_signal(int signal)
{
	(void)signal;
	signals++;
}

static pid_t reap_any(void)
{
	pid_t pid;

	do
		pid = waitpid(-1, NULL, 0);
	while (pid < 0 && errno == EINTR);
	return pid;
}

static int stay(void *unused)
{
	(void)unused;
	scenario_wait_restored();
	scenario_wait_mark("looked");
	return 0;
}

/* Leads a session, and leaves a member behind. */
static int leave_session_behind(void *unused)
{
	(void)unused;
	scenario_need(setsid() > 0, "no session");
	scenario_child(stay, NULL);
	return 0;
}

/* The same one step further: the member has lost its parent's parent too. */
static int leave_twice(void *unused)
{
	(void)unused;
	scenario_need(setsid() > 0, "no session");
	scenario_child(leave_session_behind, NULL);
	scenario_need(reap_any() > 0, "nobody to reap");
	return 0;
}

static int lead_group(void *unused)
{
	(void)unused;
	return pause();
}

static int join_group(void *leader)
{
	scenario_need(setpgid(0, *(const pid_t *)leader) == 0, "no group");
	scenario_mark(mark_of(who, "joined"));
	return stay(NULL);
}

/* Two sessions and a group without leaders, and one child without a history. */
static void make_children(void)
{
	pid_t leader = scenario_child(lead_group, NULL);

	scenario_need(setpgid(leader, leader) == 0, "no group");
	scenario_child(join_group, &leader);
	scenario_wait_mark(mark_of(who, "joined"));
	kill(leader, SIGKILL);
	scenario_child(leave_session_behind, NULL);
	scenario_child(leave_twice, NULL);
	scenario_child(stay, NULL);
	for (int dead = 0; dead < 3; dead++)
		scenario_need(reap_any() > 0, "nobody to reap");
}

static int count_children(void)
{
	char text[4096] = "";
	FILE *file = fopen("/proc/thread-self/children", "re");
	int count = 0;

	scenario_need(file != NULL, "no list of children");
	if (fgets(text, sizeof text, file))
		for (const char *at = text; (at = strchr(at, ' ')); at++)
			count++;
	fclose(file);
	return count;
}

static void look(int children)
{
	siginfo_t info = { 0 };
	sigset_t set;

	scenario_sleep_ms(50);
	sigpending(&set);
	scenario_check(signals == 0, "%s: %d SIGCHLD have come", who, (int)signals);
	scenario_check(!sigismember(&set, SIGCHLD), "%s: SIGCHLD is pending", who);
	int result = waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG | __WALL);
	scenario_check(result == 0 && info.si_pid == 0, "%s: child %d can be waited for", who,
		       (int)info.si_pid);
	scenario_check(count_children() == children, "%s has %d children", who, count_children());
}

static void get_ready(const char *name, bool blocked)
{
	sigset_t set;

	who = name;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	make_children();
	scenario_need(count_children() == CHILDREN, "%d children", count_children());
	/* What has come so far is taken. */
	signal(SIGCHLD, SIG_IGN);
	signal(SIGCHLD, blocked ? SIG_DFL : count_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (blocked)
		sigprocmask(SIG_BLOCK, &set, NULL);
}

static int watch(void *name)
{
	get_ready(name, strcmp(name, "blocked") == 0);
	scenario_mark(mark_of(who, "ready"));
	scenario_wait_restored();
	look(CHILDREN);
	scenario_mark(mark_of(who, "looked"));
	for (int i = 0; i < CHILDREN; i++)
		scenario_check(reap_any() > 0, "%s: a child is missing", who);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	/* One that would find a SIGCHLD pending; and the init of a namespace: it gets orphans. */
	pid_t blocked = scenario_child(watch, "blocked");
	pid_t init = scenario_child_in(CLONE_NEWPID, watch, "init");
	scenario_wait_mark("blocked-ready");
	scenario_wait_mark("init-ready");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	who = "root";
	make_children();
	signal(SIGCHLD, SIG_IGN);
	signal(SIGCHLD, count_signal);

	scenario_ready();

	look(CHILDREN + 2);
	scenario_wait_mark("blocked-looked");
	scenario_wait_mark("init-looked");
	scenario_mark("looked");
	for (int i = 0; i < CHILDREN + 2; i++) {
		int status = 0;
		pid_t pid;
		while ((pid = waitpid(-1, &status, 0)) < 0 && errno == EINTR)
			;
		scenario_check(pid > 0 && status == 0, "%s left with 0x%x",
			       pid == blocked ? "blocked"
			       : pid == init  ? "init"
					      : "a child",
			       (unsigned)status);
	}
	return scenario_end();
}
