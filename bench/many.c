// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A tree that has many of one thing, for bench/linear:
 *
 *	bench-many WHAT COUNT	descriptors, tasks, zombies, threads, files (with names), unlinked
 *
 * Makes a file "ready" when it stands, and waits.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void __attribute__((noreturn)) wait_for_ever(void)
{
	for (;;)
		pause();
}

static void *thread(void *unused)
{
	(void)unused;
	wait_for_ever();
}

static void make_file(long i, int remove)
{
	char name[32];
	int fd;

	snprintf(name, sizeof name, "file-%ld", i);
	fd = open(name, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || write(fd, name, sizeof name) != sizeof name || (remove && unlink(name) < 0))
		exit(1);
}

static void make_child(int lives)
{
	siginfo_t info;
	pid_t pid = fork();

	if (pid < 0)
		exit(1);
	if (pid == 0 && !lives)
		_exit(0);
	if (pid == 0)
		wait_for_ever();
	if (!lives)
		waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
}

static void make(const char *what, long i)
{
	pthread_attr_t small;
	pthread_t unused;

	if (strcmp(what, "descriptors") == 0) {
		if (lseek(open("/etc/passwd", O_RDONLY), i, SEEK_SET) < 0)
			exit(1);
	} else if (strcmp(what, "threads") == 0) {
		pthread_attr_init(&small);
		pthread_attr_setstacksize(&small, 65536);
		if (pthread_create(&unused, &small, thread, NULL))
			exit(1);
	} else if (strcmp(what, "files") == 0 || strcmp(what, "unlinked") == 0) {
		make_file(i, what[0] == 'u');
	} else {
		make_child(strcmp(what, "tasks") == 0);
	}
}

int main(int argc, char **argv)
{
	struct rlimit limit;

	if (argc != 3 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 2;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (long i = 0; i < atol(argv[2]); i++)
		make(argv[1], i);
	close(open("ready", O_WRONLY | O_CREAT, 0600));
	wait_for_ever();
}
