// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-unread-events
 * promise: a dump waits for a task that is about to read its inotify events and netlink messages
 * needs: initial-user-namespace
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY = 300 /* milliseconds, in which the dump begins */ };

struct ask {
	struct nlmsghdr header;
	struct rtgenmsg message;
};

static int read_late(void *data)
{
	struct ask ask = { .header = { .nlmsg_len = sizeof ask,
				       .nlmsg_type = RTM_GETLINK,
				       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
	int netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	int watches = inotify_init1(IN_NONBLOCK);
	int number = mkdir("folder", 0700) ? -1 : inotify_add_watch(watches, "folder", IN_CREATE);
	char text[16384];

	scenario_need(netlink >= 0 && number > 0, "no socket, or no watch");
	scenario_need(mkdir("folder/inner", 0700) == 0, "cannot make a folder");
	scenario_need(send(netlink, &ask, sizeof ask, 0) == (ssize_t)sizeof ask, "cannot ask");
	scenario_mark(data);
	scenario_sleep_ms(BUSY);
	scenario_check(read(watches, text, sizeof text) > 0, "there was no event");
	while (recv(netlink, text, sizeof text, MSG_DONTWAIT) > 0)
		;
	scenario_wait_restored();
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t child = scenario_child(read_late, "unread");

	scenario_wait_mark("unread");
	scenario_ready();
	scenario_reap(child);
	return scenario_end();
}
