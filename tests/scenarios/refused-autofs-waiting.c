// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-autofs-waiting
 * promise: a tree in which somebody waits for the daemon of an autofs is refused by name, as who
 *	waits there cannot be stopped, and goes on: once the daemon has answered he is let in
 * flavours: flat three
 * needs: initial-user-namespace
 * unseen: who waits is seen by nothing but that he does not stop
 * options: --timeout 3
 * refused: stop-timeout
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/auto_fs.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE = 20000 };

static int be_daemon(void *unused)
{
	struct autofs_v5_packet packet;
	char text[128];
	int ends[2], status = -1;

	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("auto", 0755) == 0 && pipe2(ends, O_CLOEXEC) == 0,
		      "private: %s", strerror(errno));
	setpgid(0, 0);
	snprintf(text, sizeof text, "fd=%d,pgrp=%d,minproto=5,maxproto=5,indirect", ends[1],
		 (int)getpgrp());
	scenario_need(mount("auto", "auto", "autofs", 0, text) == 0, "autofs: %s", strerror(errno));
	pid_t pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		_exit(access("auto/key/within", F_OK) == 0 ? 0 : 1);
	}
	struct pollfd state = { .fd = ends[0], .events = POLLIN };
	scenario_need(poll(&state, 1, PATIENCE) == 1 &&
			      read(ends[0], &packet, sizeof packet) == (ssize_t)sizeof packet,
		      "no request");
	scenario_mark("inside");
	scenario_wait_restored();
	int root_fd = open("auto", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scenario_check(mkdir("auto/key", 0755) == 0 &&
			       mount("on", "auto/key", "tmpfs", 0, NULL) == 0 &&
			       mkdir("auto/key/within", 0755) == 0 &&
			       ioctl(root_fd, AUTOFS_IOC_READY,
				     (unsigned long)packet.wait_queue_token) == 0,
		       "cannot answer: %s", strerror(errno));
	scenario_check(waitpid(pid, &status, 0) == pid && status == 0, "not let in: %x", status);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, be_daemon);
}
