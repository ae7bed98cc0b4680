// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-eventfds
 * promise: eventfds keep their count, to the highest, and what reading takes (EFD_SEMAPHORE);
 *	flags, duplicates and sharing with a child; who waits for one is woken
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SHARED = 40, ANSWER = 41 };

static int waiter(void *unused)
{
	eventfd_t value = 0;

	(void)unused;
	scenario_mark("waiting");
	scenario_check(eventfd_read(SHARED, &value) == 0 && value == 7, "the waiter got %llu",
		       (unsigned long long)value);
	scenario_check(eventfd_write(ANSWER, 3) == 0, "cannot answer");
	return 0;
}

int main(int argc, char **argv)
{
	eventfd_t value = 0;

	scenario_begin(argc, argv);
	int empty = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int counting = eventfd(5, 0);
	int semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
	int full = eventfd(0, EFD_NONBLOCK);
	scenario_need(eventfd_write(full, UINT64_MAX - 1) == 0, "cannot fill an eventfd");
	int copy = dup(counting);
	dup2(eventfd(0, 0), SHARED);
	dup2(eventfd(0, 0), ANSWER);
	pid_t child = scenario_child(waiter, NULL);
	scenario_wait_mark("waiting");

	scenario_ready();

	scenario_check(fcntl(empty, F_GETFL) == (O_RDWR | O_NONBLOCK) &&
			       fcntl(empty, F_GETFD) == FD_CLOEXEC,
		       "flags");
	scenario_check(eventfd_read(empty, &value) == -1 && errno == EAGAIN, "empty");
	scenario_check(syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, counting, copy) == 0,
		       "a duplicate is another open file");
	scenario_check(eventfd_read(copy, &value) == 0 && value == 5, "count");
	for (int i = 0; i < 2; i++)
		scenario_check(eventfd_read(semaphore, &value) == 0 && value == 1, "semaphore");
	scenario_check(eventfd_read(semaphore, &value) == -1 && errno == EAGAIN, "semaphore's end");
	scenario_check(eventfd_write(full, 1) == -1 && errno == EAGAIN, "full");
	scenario_check(eventfd_read(full, &value) == 0 && value == UINT64_MAX - 1, "highest");
	scenario_check(eventfd_write(SHARED, 7) == 0, "cannot wake the child");
	scenario_check(eventfd_read(ANSWER, &value) == 0 && value == 3, "the child's answer");
	scenario_reap(child);
	return scenario_end();
}
