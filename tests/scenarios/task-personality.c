// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-personality
 * promise: personality, oom_score_adj, also where it is lowered, and registered memory barriers are
 *	kept
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

static int read_adjustment(void)
{
	char text[16] = "";
	int fd = open("/proc/self/oom_score_adj", O_RDONLY);

	if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
		scenario_check(false, "cannot read oom_score_adj");
	close(fd);
	return atoi(text);
}

static bool write_adjustment(const char *text)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return done;
}

/* Lowered as far as it may be: below zero takes CAP_SYS_RESOURCE in the initial user namespace. */
static int lowered(void *unused)
{
	int wanted;

	(void)unused;
	write_adjustment("-333");
	wanted = read_adjustment();
	scenario_mark("lowered");
	scenario_wait_restored();
	scenario_check(read_adjustment() == wanted, "oom_score_adj is %d, was %d",
		       read_adjustment(), wanted);
	return 0;
}

int main(int argc, char **argv)
{
	const unsigned long wanted = ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT;

	scenario_begin(argc, argv);
	scenario_need(personality(wanted) >= 0, "personality");
	pid_t child = scenario_child(lowered, NULL);
	scenario_wait_mark("lowered");
	scenario_need(write_adjustment("333"), "oom_score_adj");
	scenario_need(!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0),
		      "membarrier");

	scenario_ready();

	scenario_check(personality(0xffffffff) == (int)wanted, "the personality is %#x",
		       personality(0xffffffff));
	scenario_check(read_adjustment() == 333, "oom_score_adj is %d", read_adjustment());
	scenario_check(!syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0),
		       "the expedited memory barrier is no longer registered");
	scenario_reap(child);
	return scenario_end();
}
