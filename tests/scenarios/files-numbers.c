// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-numbers
 * promise: descriptors come back at their numbers, with gaps, high ones, and O_CLOEXEC each
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

enum { HIGHEST = 1000 };

/* Which of them are open: gaps of all sizes, and neither 3 nor 4. */
static bool is_used(int number)
{
	return number == HIGHEST || (number > 4 && number < 300 && number % 7 < 3);
}

static bool closes_on_exec(int number)
{
	return number % 2;
}

static int check_all(void *data)
{
	(void)data;
	scenario_wait_restored();
	for (int number = 3; number <= HIGHEST + 20; number++) {
		int flags = fcntl(number, F_GETFD);
		int expected = !is_used(number) ? -1 : closes_on_exec(number) ? FD_CLOEXEC : 0;
		scenario_check(flags == expected, "descriptor %d has flags %d, not %d", number,
			       flags, expected);
		if (flags >= 0)
			scenario_check(lseek(number, 0, SEEK_CUR) == number,
				       "descriptor %d is another file", number);
	}
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	for (int number = HIGHEST; number > 4; number--) {
		if (!is_used(number))
			continue;
		char name[16];
		snprintf(name, sizeof name, "file-%d", number);
		int fd = open(name, O_RDWR | O_CREAT, 0600);
		scenario_need(lseek(fd, number, SEEK_SET) == number, "cannot seek");
		int placed = dup3(fd, number, closes_on_exec(number) ? O_CLOEXEC : 0);
		scenario_need(placed == number, "cannot duplicate to %d", number);
		close(fd);
	}
	pid_t child = scenario_child(check_all, NULL);

	scenario_ready();

	check_all(NULL);
	scenario_reap(child);
	return scenario_end();
}
