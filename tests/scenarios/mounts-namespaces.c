// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-namespaces
 * promise: sysfs shows the devices of the net namespace in which it was mounted, mqueue the queues
 *	of the ipc namespace, whoever looks
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct scenario_users root_inside = { "0 0 1", "0 0 1", true };

static bool has(const char *path)
{
	return access(path, F_OK) == 0;
}

static int inside(void *unused)
{
	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	scenario_need(mkdir("sys", 0755) == 0 && mkdir("queues", 0755) == 0 &&
			      mount("sysfs", "sys", "sysfs", MS_NOSUID, NULL) == 0 &&
			      mount("mqueue", "queues", "mqueue", 0, NULL) == 0,
		      "mount: %s", strerror(errno));
	scenario_need(has("sys/class/net/lo"), "no lo");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(has("sys/class/net/lo"), "no lo");
	mqd_t queue = mq_open("/mine", O_CREAT | O_RDWR | O_CLOEXEC, 0600, NULL);
	scenario_check(queue != (mqd_t)-1 && has("queues/mine"),
		       "a queue of the own ipc namespace does not show up: %s", strerror(errno));
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child_users(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC,
					 &root_inside, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
