// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-io-uring-rights
 * promise: the thread of the kernel's own that an io_uring instance has (SQPOLL) comes back with
 *	the ids, groups and effective capabilities of a task that has fewer rights than nestor:
 *	what the task may not open is not opened by its requests either
 * needs: initial-user-namespace
 * flavours: flat one
 * ignore: Threads
 * arguments: user capable fewer
 */
#include "ring.h"
#include "scenario.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { USER = 12345, GROUP = 23456, OTHER = 777, LINE = 200, LINES = 4 };

static const char *const keys[LINES] = { "Uid:", "Gid:", "Groups:", "CapEff:" };

struct holder {
	const char *which;
	int told;
};

static void set_effective(uint64_t effective)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct sets[2];

	scenario_need(syscall(SYS_capget, &header, sets) == 0, "capget");
	sets[0].effective = sets[0].permitted & (uint32_t)effective;
	sets[1].effective = sets[1].permitted & (uint32_t)(effective >> 32);
	scenario_need(syscall(SYS_capset, &header, sets) == 0, "capset");
}

static void give_up_rights(const char *which)
{
	const gid_t groups[] = { 5, GROUP, 100000 };

	if (strcmp(which, "fewer") == 0) {
		set_effective(
			~(UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_DAC_READ_SEARCH));
		return;
	}
	prctl(PR_SET_KEEPCAPS, strcmp(which, "capable") == 0, 0, 0, 0);
	scenario_need(setgroups(3, groups) == 0 && setresgid(GROUP, GROUP, GROUP) == 0 &&
			      setresuid(USER, USER, USER) == 0,
		      "ids");
	if (strcmp(which, "capable") == 0)
		set_effective(UINT64_C(1) << CAP_NET_BIND_SERVICE);
}

static void read_lines(const char *path, char lines[LINES][LINE])
{
	char line[LINE];
	FILE *file = fopen(path, "r");

	for (int i = 0; i < LINES; i++)
		lines[i][0] = '\0';
	while (file && fgets(line, sizeof line, file))
		for (int i = 0; i < LINES; i++)
			if (strncmp(line, keys[i], strlen(keys[i])) == 0)
				strcpy(lines[i], line);
	if (file)
		fclose(file);
}

/* Of the kernel's thread. */
static void read_thread(char lines[LINES][LINE])
{
	DIR *directory = opendir("/proc/self/task");
	const struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		char path[300], name[32] = "";
		snprintf(path, sizeof path, "/proc/self/task/%.100s/comm", entry->d_name);
		FILE *file = fopen(path, "r");
		bool is_it = file && fgets(name, sizeof name, file) &&
			     strncmp(name, "iou-sqp-", strlen("iou-sqp-")) == 0;
		if (file)
			fclose(file);
		snprintf(path, sizeof path, "/proc/self/task/%.100s/status", entry->d_name);
		if (is_it)
			read_lines(path, lines);
	}
	if (directory)
		closedir(directory);
}

static int open_by_ring(struct ring *ring)
{
	struct io_uring_cqe cqe = { .res = -ETIMEDOUT };
	static const char path[] = "secret";

	ring_put(ring, &(struct io_uring_sqe){ .opcode = IORING_OP_OPENAT,
					       .fd = AT_FDCWD,
					       .addr = (uintptr_t)path,
					       .open_flags = O_RDONLY });
	syscall(SYS_io_uring_enter, ring->fd, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
	for (int i = 0; i < 5000 && !ring_take(ring, &cqe); i++)
		usleep(1000);
	return cqe.res;
}

static int hold(void *data)
{
	const struct holder *holder = data;
	static char before[LINES][LINE], after[LINES][LINE], own[LINES][LINE],
		own_after[LINES][LINE];
	struct ring ring;

	give_up_rights(holder->which);
	bool there = ring_make(&ring, 4, IORING_SETUP_SQPOLL);
	scenario_need(!there || open_by_ring(&ring) == -EACCES, "it may open more than we do");
	read_thread(before);
	read_lines("/proc/self/status", own);
	scenario_need(write(holder->told, "x", 1) == 1, "to tell that it is there");
	scenario_wait_restored();
	read_thread(after);
	read_lines("/proc/self/status", own_after);
	for (int i = 0; i < LINES; i++) {
		scenario_check(strcmp(before[i], after[i]) == 0, "of the thread: %s, was %s",
			       after[i], before[i]);
		scenario_check(strcmp(own[i], own_after[i]) == 0, "of the task: %s, was %s",
			       own_after[i], own[i]);
	}
	int result = there ? open_by_ring(&ring) : -EACCES;
	scenario_check(result == -EACCES, "what the task may not open: %d", result);
	scenario_check(!there || ring_polled_nop(&ring, 7), "it does not go on");
	return 0;
}

int main(int argc, char **argv)
{
	int ends[2];
	char byte;

	scenario_begin(argc, argv);
	int secret = open("secret", O_RDWR | O_CREAT, 0600);
	scenario_need(secret >= 0 && fchown(secret, OTHER, OTHER) == 0 && close(secret) == 0 &&
			      chmod("..", 0755) == 0 && pipe(ends) == 0,
		      "a secret");
	struct holder holder = { argv[2], ends[1] };
	pid_t child = scenario_child(hold, &holder);
	scenario_need(read(ends[0], &byte, 1) == 1, "nobody there");

	scenario_ready();

	scenario_reap(child);
	return scenario_end();
}
