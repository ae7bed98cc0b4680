// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-locks
 * promise: POSIX locks, OFD locks, flock and leases are there again, with ranges, owners and
 *	sharing
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { SHARED = 60, FORMER = 61 };

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CREAT, 0600);

	scenario_need(fd >= 0, "cannot open %s", path);
	return fd;
}

static int lock(int fd, int command, int type, off_t start, off_t length)
{
	struct flock range = { .l_type = (short)type, .l_start = start, .l_len = length };

	return fcntl(fd, command, &range);
}

/* Takes the flock of a description that its parent has, too. */
static int sharer(void *unused)
{
	(void)unused;
	scenario_need(flock(SHARED, LOCK_EX) == 0, "flock");
	scenario_mark("shared");
	scenario_wait_restored();
	scenario_check(flock(SHARED, LOCK_EX | LOCK_NB) == 0, "its own lock is somebody else's");
	scenario_wait_mark("checked");
	return 0;
}

static int former(void *unused)
{
	(void)unused;
	return flock(FORMER, LOCK_SH);
}

static void check_range(const char *path, off_t start, int type, off_t first, off_t length,
			pid_t owner)
{
	struct flock range = { .l_type = F_WRLCK, .l_start = start, .l_len = 1 };
	int fd = open(path, O_RDWR);

	scenario_check(fcntl(fd, F_GETLK, &range) == 0, "F_GETLK");
	scenario_check(range.l_type == type && (type == F_UNLCK ||
						(range.l_start == first && range.l_len == length)),
		       "%s at %d: type %d, %d to %d", path, (int)start, range.l_type,
		       (int)range.l_start, (int)range.l_len);
	if (type != F_UNLCK && owner)
		scenario_check(range.l_pid == owner, "%s at %d: owner %d", path, (int)start,
			       range.l_pid);
	close(fd);
}

static int look(void *main_pid)
{
	pid_t owner = *(pid_t *)main_pid;

	check_range("posix", 5, F_WRLCK, 5, 10, owner);
	check_range("posix", 3, F_UNLCK, 0, 0, 0);
	check_range("posix", 100, F_RDLCK, 100, 0, owner);
	check_range("ofd", 50, F_WRLCK, 50, 7, -1);
	int shared = open("shared", O_RDWR), once = open("former", O_RDWR);
	scenario_check(flock(shared, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK,
		       "flock is gone");
	scenario_check(flock(once, LOCK_EX | LOCK_NB) == -1 && flock(once, LOCK_SH | LOCK_NB) == 0,
		       "a shared flock is gone, or another");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int reading = open_file("posix", O_RDONLY), writing = open_file("posix", O_WRONLY);
	scenario_need(!lock(writing, F_SETLK, F_WRLCK, 5, 10) &&
			      !lock(reading, F_SETLK, F_RDLCK, 100, 0),
		      "cannot lock");
	int ofd = open_file("ofd", O_RDWR);
	scenario_need(!lock(ofd, F_OFD_SETLK, F_WRLCK, 50, 7), "cannot lock");
	scenario_need(dup2(open_file("shared", O_RDONLY), SHARED) == SHARED, "dup2");
	scenario_need(dup2(open_file("former", O_RDONLY), FORMER) == FORMER, "dup2");
	scenario_reap(scenario_child(former, NULL));
	int leased = open_file("leased", O_RDWR);
	scenario_need(fcntl(leased, F_SETLEASE, F_WRLCK) == 0, "no lease");
	pid_t child = scenario_child(sharer, NULL);
	scenario_wait_mark("shared");

	scenario_ready();

	pid_t own = getpid();
	scenario_reap(scenario_child(look, &own));
	scenario_check(fcntl(leased, F_GETLEASE) == F_WRLCK, "the lease is gone");
	scenario_check(!lock(ofd, F_OFD_SETLK, F_UNLCK, 50, 7), "unlock");
	check_range("ofd", 50, F_UNLCK, 0, 0, 0);
	scenario_mark("checked");
	scenario_reap(child);
	return scenario_end();
}
