// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-leases-broken
 * promise: leases that somebody waits for to be given up are still to be given up, by whoever has
 *	the file; nobody is told twice, who waits gets the file when it is given up, and who was let
 *	in is let in
 * flavours: flat one three user user-three ordinary
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t told;

static void count(int number)
{
	(void)number;
	told++;
}

struct leased {
	const char *name;
	int access, lease, broken_by;
	int becomes;   /* what F_GETLEASE says then */
	bool readable; /* by others, meanwhile */
	int fd;
};

static struct leased leased[] = {
	{ "read", O_RDONLY, F_RDLCK, O_WRONLY, F_UNLCK, true, -1 },
	{ "only-read", O_RDONLY, F_WRLCK, O_WRONLY, F_UNLCK, false, -1 },
	{ "write", O_WRONLY, F_WRLCK, O_RDONLY, F_RDLCK, false, -1 },
	{ "shared", O_RDONLY, F_WRLCK, O_RDONLY, F_RDLCK, false, -1 },
	{ "both", O_RDWR, F_WRLCK, O_WRONLY, F_UNLCK, false, -1 },
};

enum { FILES = sizeof leased / sizeof *leased };

static void lease(struct leased *file)
{
	close(open(file->name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	file->fd = open(file->name, file->access | O_CLOEXEC);
	scenario_need(file->fd >= 0 && fcntl(file->fd, F_SETLEASE, file->lease) == 0 &&
			      fcntl(file->fd, F_SETSIG, SIGUSR1) == 0,
		      "no lease of %s: %s", file->name, strerror(errno));
	scenario_need(open(file->name, file->broken_by | O_NONBLOCK) < 0 && errno == EAGAIN,
		      "%s can be opened", file->name);
	scenario_need(fcntl(file->fd, F_GETLEASE) == file->becomes, "%s does not break",
		      file->name);
}

static void check(const struct leased *file)
{
	int fd = open(file->name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	scenario_check((fd >= 0) == file->readable, "%s: others %s read it", file->name,
		       fd < 0 ? "cannot" : "can");
	close(fd);
	scenario_check(fcntl(file->fd, F_GETLEASE) == file->becomes, "%s: the lease is %d",
		       file->name, fcntl(file->fd, F_GETLEASE));
	scenario_check(fcntl(file->fd, F_GETSIG) == SIGUSR1, "%s: its signal is another",
		       file->name);
	scenario_check(fcntl(file->fd, F_GETOWN) == getpid(), "%s: it tells %d", file->name,
		       fcntl(file->fd, F_GETOWN));
	fd = open(file->name, file->broken_by | O_NONBLOCK | O_CLOEXEC);
	scenario_check(fd < 0 && errno == EAGAIN, "%s: who waited is let in", file->name);
}

static void give_up(const struct leased *file)
{
	/* Who could write cannot keep one for reading. */
	int left = file->access == O_RDONLY ? file->becomes : F_UNLCK;

	scenario_check(fcntl(file->fd, F_SETLEASE, left) == 0, "%s: cannot give it up", file->name);
	int fd = open(file->name, file->broken_by | O_NONBLOCK | O_CLOEXEC);
	scenario_check(fd >= 0, "%s: nobody gets in after that: %s", file->name, strerror(errno));
	close(fd);
}

/* Its lease is a child's only, who has not made it. */
static int only_holder(void *data)
{
	struct leased *file = data;

	scenario_mark("held");
	scenario_wait_restored();
	scenario_check(fcntl(file->fd, F_GETLEASE) == F_UNLCK, "the lease of a child is another");
	scenario_wait_mark("asked");
	scenario_check(fcntl(file->fd, F_SETLEASE, F_UNLCK) == 0, "a child cannot give it up");
	return 0;
}

/* Waits in open(2), before and after. */
static int waits(void *unused)
{
	(void)unused;
	scenario_mark("waits");
	int fd = open("waited-for", O_WRONLY);
	scenario_check(fd >= 0, "who waited did not get in: %s", strerror(errno));
	scenario_check(scenario_is_marked("given-up"), "who waited got in too early");
	return 0;
}

int main(int argc, char **argv)
{
	struct leased passed = { "passed", O_RDWR, F_WRLCK, O_WRONLY, F_UNLCK, false, -1 };

	scenario_begin(argc, argv);
	signal(SIGUSR1, count);
	for (int i = 0; i < FILES; i++)
		lease(&leased[i]);
	lease(&passed);
	pid_t holder = scenario_child(only_holder, &passed);
	scenario_wait_mark("held");
	close(passed.fd);
	close(open("waited-for", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	int waited_for = open("waited-for", O_RDONLY | O_CLOEXEC);
	scenario_need(fcntl(waited_for, F_SETLEASE, F_RDLCK) == 0, "no lease");
	signal(SIGIO, count);
	pid_t waiting = scenario_child(waits, NULL);
	for (int i = 0; i < 5000 && fcntl(waited_for, F_GETLEASE) != F_UNLCK; i++)
		scenario_sleep_ms(2);
	scenario_need(told == FILES + 2, "told of %d", (int)told);

	scenario_ready();

	for (int i = 0; i < FILES; i++)
		check(&leased[i]);
	scenario_check(told == FILES + 2, "told once more: %d", (int)told);
	for (int i = 0; i < FILES; i++)
		give_up(&leased[i]);
	scenario_mark("asked");
	scenario_check(fcntl(waited_for, F_GETLEASE) == F_UNLCK, "the other lease is not broken");
	scenario_mark("given-up");
	scenario_check(fcntl(waited_for, F_SETLEASE, F_UNLCK) == 0, "cannot be given up");
	scenario_reap(waiting);
	scenario_reap(holder);
	return scenario_end();
}
