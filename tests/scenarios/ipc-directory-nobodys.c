// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: ipc-directory-nobodys
 * promise: the directory of POSIX message queues of an ipc namespace that was made together with
 *	its user namespace, by somebody who has no number in there, or only a group, stays his:
 *	root in there may not change it
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <mqueue.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOBODY = 65534 };

struct wanted {
	const char *name;
	int ready[2], *go; /* another user sees no marks */
	uid_t uid;
	gid_t gid;
};

static int look(void *data)
{
	const struct wanted *wanted = data;
	struct stat found = { 0 };

	scenario_check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			       mount("mqueue", "/mnt", "mqueue", 0, NULL) == 0 &&
			       stat("/mnt", &found) == 0,
		       "%s: cannot look: %s", wanted->name, strerror(errno));
	scenario_check((found.st_mode & 07777) == 01777 && found.st_uid == wanted->uid &&
			       found.st_gid == wanted->gid,
		       "%s: mode %o, uid %u, gid %u", wanted->name, (unsigned)found.st_mode,
		       (unsigned)found.st_uid, (unsigned)found.st_gid);
	scenario_check(chmod("/mnt", 0700) < 0 && errno == EPERM,
		       "%s: root in there may change its mode", wanted->name);
	return 0;
}

static void check(struct wanted *wanted)
{
	scenario_reap(scenario_child_in(CLONE_NEWNS, look, wanted));
}

static int inside(void *data)
{
	struct wanted *wanted = data;
	const struct mq_attr limits = { .mq_maxmsg = 2, .mq_msgsize = 10 };
	char text[10];

	scenario_need(setresgid(0, 0, 0) == 0 && setresuid(0, 0, 0) == 0, "cannot become root");
	mqd_t queue = mq_open("/own", O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &limits);
	scenario_need(queue >= 0 && mq_send(queue, "one", 3, 0) == 0, "no queue: %s",
		      strerror(errno));
	check(wanted);
	scenario_need(write(wanted->ready[1], "", 1) == 1, "nobody listens");
	close(wanted->go[1]);
	scenario_need(read(wanted->go[0], text, 1) == 0, "it does not go on");
	check(wanted);
	scenario_check(mq_receive(queue, text, sizeof text, NULL) == 3 && mq_unlink("/own") == 0,
		       "%s: the queue: %s", wanted->name, strerror(errno));
	return 0;
}

int main(int argc, char **argv)
{
	const struct scenario_users users[] = { { "0 1 9", "0 1 9", false },
						{ "0 1 9", "0 1 8\n8 0 1", false } };
	int go[2];
	struct wanted wanted[] = { { .name = "nobody", .go = go, .uid = NOBODY, .gid = NOBODY },
				   { .name = "grouped", .go = go, .uid = NOBODY, .gid = 8 } };
	pid_t pids[2];
	char byte;

	scenario_begin(argc, argv);
	scenario_need(pipe(go) == 0, "no pipe");
	for (int i = 0; i < 2; i++) {
		scenario_need(pipe(wanted[i].ready) == 0, "no pipe");
		pids[i] = scenario_child_users(CLONE_NEWUSER | CLONE_NEWIPC, &users[i], inside,
					       &wanted[i]);
		scenario_need(read(wanted[i].ready[0], &byte, 1) == 1, "it says nothing");
	}

	scenario_ready();

	close(go[1]);
	for (int i = 0; i < 2; i++)
		scenario_reap(pids[i]);
	return scenario_end();
}
