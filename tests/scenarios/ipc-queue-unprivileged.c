// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: ipc-queue-unprivileged
 * promise: the POSIX message queue that an ordinary user has open in nestor's ipc namespace, where
 *	that user's nestor cannot mount what shows queues, is known by its name and stays open
 * flavours: flat ordinary unprivileged unprivileged-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	char name[64], own[48], text[16] = "";
	unsigned int priority = 0;

	scenario_begin(argc, argv);
	scenario_own_name(own, sizeof own);
	snprintf(name, sizeof name, "/%s", own);
	struct mq_attr attributes = { .mq_maxmsg = 3, .mq_msgsize = sizeof text };
	mqd_t queue = mq_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600, &attributes);
	scenario_need(queue >= 0 && mq_send(queue, "one", 3, 5) == 0, "queue: %s", strerror(errno));
	scenario_ready();
	scenario_check(mq_receive(queue, text, sizeof text, &priority) == 3 && priority == 5 &&
			       strcmp(text, "one") == 0,
		       "%s with priority %u: %s", text, priority, strerror(errno));
	scenario_check(mq_unlink(name) == 0, "its name is gone: %s", strerror(errno));
	return scenario_end();
}
