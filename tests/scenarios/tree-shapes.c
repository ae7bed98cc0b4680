// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: tree-shapes
 * promise: each way in which a session, a process group or a parent can be somebody who is gone,
 *	elsewhere or late comes back; the cases have their names in the table
 * flavours: flat one three
 */
#include "live.h"
#include "scenario.h"

#include <stdio.h>
#include <string.h>

/* Histories as tests/model/history-text.c has them; each below an init of its own. */
static const struct shape {
	const char *name, *calls;
} shapes[] = {
	/* ---- sessions ---- */
	{ "session, leader alive", "0 fork 1\n1 setsid\n1 fork 2\n2 fork 3\n" },
	{ "session, leader dead and reaped",
	  "0 fork 1\n1 setsid\n1 fork 2\n2 fork 3\n1 exit 0\n0 wait @1\n" },
	{ "session, leader a zombie", "0 fork 1\n1 setsid\n1 fork 2\n2 fork 3\n1 exit 768\n" },
	{ "session, leader in an outer namespace",
	  "0 fork 1\n1 setsid\n1 fork 2 newpid\n2 fork 3\n3 fork 4\n" },
	{ "session, leader in an outer namespace, dead",
	  "0 fork 1\n1 setsid\n1 fork 2 newpid\n2 fork 3\n1 exit 0\n0 wait @1\n" },
	{ "children forked before their parent's setsid",
	  "0 fork 1\n1 setsid\n1 fork 2\n2 fork 3\n2 setsid\n2 fork 4\n" },
	{ "several generations before the setsid of each",
	  "0 fork 1\n1 fork 2\n2 fork 3\n3 fork 4\n1 setsid\n2 setsid\n3 setsid\n"
	  "1 fork 5\n2 fork 6\n3 fork 7\n" },
	{ "session that spans namespaces",
	  "0 fork 1\n1 setsid\n1 fork 2 newpid\n2 fork 3 newpid\n3 fork 4\n1 enter @3\n"
	  "1 fork 5\n1 enter @1\n1 fork 6\n" },
	{ "background group in a session whose leader is gone",
	  "0 fork 1\n1 setsid\n1 fork 2\n2 setpgid 0 0\n2 fork 3\n1 exit 0\n0 wait @1\n" },
	{ "two sessions whose children crossed over",
	  "0 subreaper 1\n0 fork 1\n1 setsid\n1 fork 2\n2 setsid\n2 fork 3\n3 fork 4\n"
	  "1 fork 5\n5 exit 0\n1 wait @5\n1 subreaper 1\n3 exit 0\n1 subreaper 0\n2 wait @3\n" },
	{ "two session leaders, each with a child in the session of the other",
	  "0 fork 1\n1 setsid\n1 fork 2\n2 fork 3\n2 setsid\n2 fork 4\n4 fork 5\n"
	  "1 subreaper 1\n4 exit 0\n2 wait @4\n1 subreaper 0\n" },
	{ "two sessions of dead leaders, with a child of each of two tasks, one of them adopted",
	  "0 fork 1\n1 fork 2\n2 setsid\n2 fork 3 parent\n3 fork 4\n4 fork 5\n2 exit 0\n1 wait @2\n"
	  "5 fork 6\n5 fork 7\n7 setsid\n7 fork 8 parent\n7 fork 9 parent\n9 fork 10\n7 exit 0\n"
	  "5 wait @7\n1 subreaper 1\n9 exit 0\n5 wait @9\n1 subreaper 0\n4 exit 0\n3 wait @4\n"
	  "5 setsid\n1 setsid\n" },
	/* ---- process groups ---- */
	{ "group, leader alive", "0 fork 1\n1 setpgid 0 0\n0 fork 2\n0 setpgid @2 @1\n" },
	{ "group, leader dead and reaped",
	  "0 fork 1\n1 setpgid 0 0\n0 fork 2\n0 setpgid @2 @1\n1 exit 0\n0 wait @1\n" },
	{ "group, leader a zombie",
	  "0 fork 1\n1 setpgid 0 0\n0 fork 2\n0 setpgid @2 @1\n1 exit 256\n" },
	{ "group, its maker went to another",
	  "0 fork 1\n1 setpgid 0 0\n1 fork 2\n0 fork 3\n3 setpgid 0 0\n1 setpgid 0 @3\n" },
	{ "group, leader in an outer namespace",
	  "0 fork 1\n1 setpgid 0 0\n1 fork 2 newpid\n2 fork 3\n" },
	{ "group, moved into by a parent further out",
	  "0 fork 1\n1 setpgid 0 0\n0 fork 2 newpid\n0 setpgid @2 @1\n2 fork 3\n" },
	{ "group with members in several namespaces",
	  "0 fork 1\n1 setpgid 0 0\n1 fork 2 newpid\n2 fork 3 newpid\n1 fork 4\n"
	  "1 enter @3\n1 fork 5\n" },
	{ "group of a session whose leader is dead, its own leader too",
	  "0 fork 1\n1 setsid\n1 fork 2\n2 setpgid 0 0\n2 fork 3\n2 exit 0\n1 wait @2\n"
	  "1 exit 0\n0 wait @1\n" },
	{ "groups of one init by way of parents from outside",
	  "0 fork 2\n0 setsid\n2 fork 3 newpid\n0 enter @3\n0 fork 4\n4 fork 5\n4 exit 9\n" },
	{ "moved into one group for its child, into another for itself",
	  "0 fork 1\n1 setpgid 0 0\n0 fork 2\n2 setpgid 0 0\n0 fork 3 newpid\n"
	  "0 setpgid @3 @1\n3 fork 4\n0 setpgid @3 @2\n" },
	/* ---- orphans ---- */
	{ "orphan of the init", "0 fork 1\n1 setsid\n1 fork 2\n2 fork 3\n2 exit 0\n1 wait @2\n" },
	{ "orphan of a nested init",
	  "0 fork 1 newpid\n1 fork 2\n2 setsid\n2 fork 3\n2 exit 0\n1 wait @2\n" },
	{ "orphan of a subreaper",
	  "0 fork 1\n1 subreaper 1\n1 fork 2\n2 setsid\n2 fork 3\n3 fork 4\n3 exit 0\n"
	  "2 exit 0\n1 wait @2\n1 wait @3\n" },
	{ "orphan of a subreaper that was marked after the birth",
	  "0 fork 1\n1 fork 2\n2 setsid\n2 fork 3\n3 fork 4\n1 subreaper 1\n3 exit 0\n"
	  "2 wait @3\n" },
	{ "orphan of a subreaper whose mark is gone",
	  "0 fork 1\n1 subreaper 1\n1 fork 2\n2 setsid\n2 fork 3\n3 fork 4\n3 exit 0\n"
	  "2 wait @3\n1 subreaper 0\n" },
	{ "came in from outside, and lost its parent",
	  "0 fork 1 newpid\n0 fork 2\n2 setsid\n2 enter @1\n2 fork 3\n3 fork 4\n3 exit 0\n"
	  "2 wait @3\n" },
	{ "child of a task in an outer namespace",
	  "0 fork 1 newpid\n0 fork 2\n2 enter @1\n2 fork 3\n3 fork 4\n2 enter @2\n2 fork 5\n" },
	{ "sibling by CLONE_PARENT, of a parent in an outer namespace",
	  "0 unshare\n0 fork 1\n0 fork 2\n2 setsid\n2 fork 3 parent\n" },
	{ "init by CLONE_PARENT, of a parent in an outer namespace",
	  "0 fork 1 newpid\n0 fork 2\n1 fork 3\n2 enter @3\n2 fork 4\n4 fork 5 newpid parent\n" },
	/* ---- where nobody can be born any more ---- */
	{ "children of a namespace whose init is dead and reaped",
	  "0 fork 1\n1 unshare\n1 fork 2\n2 exit 0\n1 wait @2\n" },
	{ "children of a namespace whose init is a zombie",
	  "0 fork 1\n1 unshare\n1 fork 2\n2 exit 256\n" },
	/* ---- zombies ---- */
	{ "zombies of an init, of others, of orphans",
	  "0 fork 1\n1 fork 2\n2 fork 3\n3 exit 9\n2 exit 512\n0 fork 4\n4 exit 15\n" },
	{ "dead inits of nested namespaces",
	  "0 fork 1 newpid\n1 fork 2 newpid\n2 exit 1024\n0 fork 3 newpid\n3 exit 0\n" },
	{ "zombies whose session and group leaders are gone",
	  "0 fork 1\n1 setsid\n1 fork 2\n2 setpgid 0 0\n2 fork 3\n3 exit 256\n2 exit 0\n"
	  "1 wait @2\n1 exit 0\n0 wait @1\n" },
};

static void play(const struct shape *shape)
{
	struct history *history = live_history(true);
	char text[1024];

	snprintf(text, sizeof text, "root own\n%send\n", shape->calls);
	FILE *file = fmemopen(text, strlen(text), "r");
	scenario_need(file && history_read(history, file), "%s: not a history", shape->name);
	fclose(file);
	scenario_need(history_is_at_rest(history), "%s: not at rest", shape->name);
	scenario_note("%s: %u processes", shape->name, live_play(shape->name));
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	live_begin();
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
		play(&shapes[i]);
	live_ready();
	scenario_ready();
	live_check();
	return scenario_end();
}
