// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sessions-groups
 * promise: sessions and process groups are kept: leaders and members, background groups, groups
 *	and sessions whose leader is gone or in an outer pid namespace, children forked before
 *	their parent's setsid
 * flavours: flat fresh one three user user-three unprivileged
 */
#include "scenario.h"

#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Every task here ends the same way: its ids have to be what they were. */
static int keep_ids(const char *mark)
{
	char before[SCENARIO_IDS_ROOM], after[SCENARIO_IDS_ROOM];

	scenario_ids(before);
	scenario_mark(mark);
	scenario_wait_restored();
	scenario_ids(after);
	scenario_check(!strcmp(before, after), "%s: ids were %s, are %s", mark, before, after);
	return 0;
}

static int member(void *mark)
{
	return keep_ids(mark);
}

static int moved_member(void *mark)
{
	char moved[64];

	snprintf(moved, sizeof moved, "%s-moved", (const char *)mark);
	scenario_wait_mark(moved);
	return keep_ids(mark);
}

/* By the parent, from outside as it were; group 0: one of its own. */
static pid_t member_of(pid_t group, char *mark)
{
	char moved[64];
	pid_t pid = scenario_child(moved_member, mark);

	scenario_need(setpgid(pid, group) == 0, "cannot move %s", mark);
	snprintf(moved, sizeof moved, "%s-moved", mark);
	scenario_mark(moved);
	return pid;
}

/* A shell with a foreground job and a background one. */
static int shell(void *unused)
{
	pid_t pids[3];

	(void)unused;
	setsid();
	pids[0] = scenario_child(member, "own-group");
	pids[1] = member_of(0, "job-leader");
	pids[2] = member_of(pids[1], "job-member");
	int result = keep_ids("shell");
	for (int i = 0; i < 3; i++)
		scenario_reap(pids[i]);
	return result;
}

static int short_leader(void *unused)
{
	(void)unused;
	setpgid(0, 0);
	scenario_mark("leader-there");
	scenario_wait_mark("leader-may-end");
	return 0;
}

/* A group that lives on without its leader, which has been waited for. */
static int group_without_leader(void *unused)
{
	(void)unused;
	pid_t leader = scenario_child(short_leader, NULL);
	scenario_wait_mark("leader-there");
	pid_t left = member_of(leader, "without-leader");
	scenario_wait_mark("without-leader");
	scenario_mark("leader-may-end");
	scenario_reap(leader);
	int result = keep_ids("group-parent");
	scenario_reap(left);
	return result;
}

/* A child that stays in the session that its parent has left since. */
static int late_leader(void *unused)
{
	(void)unused;
	pid_t before = scenario_child(member, "before-setsid");
	pid_t moved = member_of(0, "before-setsid-own-group");
	scenario_wait_mark("before-setsid");
	scenario_need(setsid() == getpid(), "cannot make a session");
	pid_t after = scenario_child(member, "after-setsid");
	scenario_wait_mark("after-setsid");
	int result = keep_ids("late-leader");
	scenario_reap(before);
	scenario_reap(moved);
	scenario_reap(after);
	return result;
}

static int nested(void *unused)
{
	(void)unused;
	scenario_need(getpgrp() == 0 && getsid(0) == 0, "group and session are visible here");
	pid_t plain = scenario_child(member, "nested-plain");
	pid_t own = member_of(0, "nested-own-group");
	pid_t with = member_of(own, "nested-member");
	scenario_wait_mark("nested-plain");
	int result = keep_ids("nested");
	scenario_check(getpgrp() == 0 && getsid(0) == 0, "group %d, session %d", getpgrp(),
		       getsid(0));
	scenario_reap(plain);
	scenario_reap(own);
	scenario_reap(with);
	return result;
}

/* Inside, moved from outside into a group that has no name there. */
static int nested_moved(void *unused)
{
	(void)unused;
	scenario_wait_mark("moved");
	scenario_need(getpgrp() == 0, "the group is visible here");
	pid_t child = scenario_child(member, "nested-moved-child");
	scenario_wait_mark("nested-moved-child");
	int result = keep_ids("nested-moved");
	scenario_reap(child);
	return result;
}

static int nested_leader(void *unused)
{
	(void)unused;
	setsid();
	pid_t child = scenario_child(member, "nested-leader-child");
	scenario_wait_mark("nested-leader-child");
	int result = keep_ids("nested-leader");
	scenario_reap(child);
	return result;
}

int main(int argc, char **argv)
{
	static const char *const marks[] = {
		"own-group",	"job-leader",	 "job-member",	     "shell",
		"group-parent", "outer",	 "late-leader",	     "before-setsid-own-group",
		"nested",	"nested-plain",	 "nested-own-group", "nested-member",
		"nested-moved", "nested-leader",
	};
	pid_t pids[7];

	scenario_begin(argc, argv);
	pids[0] = scenario_child(shell, NULL);
	pids[1] = scenario_child(group_without_leader, NULL);
	pids[2] = scenario_child(late_leader, NULL);
	pids[3] = member_of(0, "outer");
	pids[4] = scenario_child_in(CLONE_NEWPID, nested, NULL);
	pids[5] = scenario_child_in(CLONE_NEWPID, nested_moved, NULL);
	scenario_need(setpgid(pids[5], pids[3]) == 0, "cannot move an init");
	scenario_mark("moved");
	pids[6] = scenario_child_in(CLONE_NEWPID, nested_leader, NULL);
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		scenario_wait_mark(marks[i]);

	scenario_ready();

	for (int i = 0; i < 7; i++)
		scenario_reap(pids[i]);
	return scenario_end();
}
