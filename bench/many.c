// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A tree that has many of one thing, for bench/linear:
 *
 *	bench-many WHAT COUNT	descriptors, tasks, zombies, threads, files (with names), unlinked,
 *				mounts; locks: mounts that a user namespace below has taken over;
 *				routes, with a rule to every fourth; mixed: descriptors, a fifth of
 *				them ends of pipes, the others sockets, files and eventfds alike;
 *				spread: the same, in ten tasks; connections of TCP, with both ends
 *
 * Makes a file "ready" when it stands, and waits.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

/* All of one file system, so that its content does not matter. */
static void make_mount(long i)
{
	char name[32];

	snprintf(name, sizeof name, "m/%ld", i);
	if (i == 0 && (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		       mkdir("m", 0755) || mount("m", "m", "tmpfs", 0, NULL)))
		exit(1);
	if (mkdir(name, 0755) || mount(name, name, NULL, MS_BIND, NULL))
		exit(1);
}

static void write_map(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_WRONLY);
	if (write(fd, "0 0 1", 5) != 5)
		exit(1);
	close(fd);
}

/* Once all mounts are there. */
static void take_over(void)
{
	int done[2];
	char byte;

	if (pipe(done))
		exit(1);
	pid_t pid = fork();
	if (pid == 0) {
		byte = unshare(CLONE_NEWUSER | CLONE_NEWNS) ? 'n' : 'y';
		if (write(done[1], &byte, 1) != 1)
			_exit(1);
		close(done[0]);
		close(done[1]);
		wait_for_ever();
	}
	if (pid < 0 || read(done[0], &byte, 1) != 1 || byte != 'y')
		exit(1);
	write_map(pid, "uid_map");
	write_map(pid, "gid_map");
	close(done[0]);
	close(done[1]);
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

/* ip(8) is told of all of them, and makes them when it is told of no more. */
static FILE *ip;

static void make_route(long i)
{
	if (i == 0) {
		if (unshare(CLONE_NEWNET) || system("ip link set lo up"))
			exit(1);
		ip = popen("ip -batch -", "w");
		if (!ip)
			exit(1);
	}
	fprintf(ip, "route add 10.%ld.%ld.0/24 dev lo table %ld\n", i >> 8 & 255, i & 255,
		100 + i % 7);
	if (i % 4 == 0)
		fprintf(ip, "rule add from 10.%ld.%ld.0/24 table %ld\n", i >> 8 & 255, i & 255,
			100 + i % 7);
}

/* As even as the peer takes it: it gives up at more than 1,024 pipes. */
static void make_mixed(long i)
{
	int ends[2], result = 0;
	long at = i % 30;

	if (at < 3)
		result = pipe(ends);
	else if (at < 7)
		result = socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	else if (at < 15)
		result = (int)lseek(open("/etc/passwd", O_RDONLY), i, SEEK_SET);
	else if (at < 23)
		result = eventfd((unsigned)i, 0);
	if (result < 0)
		exit(1);
}

/* One task after the other. */
static void make_spread(long count)
{
	enum { TASKS = 10 };
	int done[2];
	char byte = 0;

	if (pipe(done))
		exit(1);
	for (int task = 0; task < TASKS; task++) {
		pid_t pid = fork();
		for (long i = 0; pid == 0 && i < count / TASKS; i++)
			make_mixed(i);
		if (pid == 0 && write(done[1], &byte, 1) == 1)
			wait_for_ever();
		if (pid <= 0 || read(done[0], &byte, 1) != 1)
			exit(1);
	}
}

static void make_connection(void)
{
	static struct sockaddr_in at = { .sin_family = AF_INET,
					 .sin_addr = { 0x0100007f /* 127.0.0.1 */ } };
	static int listener = -1;
	socklen_t length = sizeof at;

	if (listener < 0) {
		listener = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(listener, (struct sockaddr *)&at, length) < 0 ||
		    listen(listener, 16) < 0 ||
		    getsockname(listener, (struct sockaddr *)&at, &length) < 0)
			exit(1);
	}
	int client = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(client, (struct sockaddr *)&at, length) < 0 || accept(listener, NULL, NULL) < 0)
		exit(1);
}

static void make(const char *what, long i)
{
	pthread_attr_t small;
	pthread_t unused;

	if (strcmp(what, "descriptors") == 0) {
		if (lseek(open("/etc/passwd", O_RDONLY), i, SEEK_SET) < 0)
			exit(1);
	} else if (strcmp(what, "mixed") == 0) {
		make_mixed(i);
	} else if (strcmp(what, "connections") == 0) {
		make_connection();
	} else if (strcmp(what, "threads") == 0) {
		pthread_attr_init(&small);
		pthread_attr_setstacksize(&small, 65536);
		if (pthread_create(&unused, &small, thread, NULL))
			exit(1);
	} else if (strcmp(what, "files") == 0 || strcmp(what, "unlinked") == 0) {
		make_file(i, what[0] == 'u');
	} else if (strcmp(what, "mounts") == 0 || strcmp(what, "locks") == 0) {
		make_mount(i);
	} else if (strcmp(what, "routes") == 0) {
		make_route(i);
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
	if (strcmp(argv[1], "spread") == 0)
		make_spread(atol(argv[2]));
	else
		for (long i = 0; i < atol(argv[2]); i++)
			make(argv[1], i);
	if (strcmp(argv[1], "locks") == 0)
		take_over();
	if (strcmp(argv[1], "routes") == 0 && pclose(ip))
		return 1;
	close(open("ready", O_WRONLY | O_CREAT, 0600));
	wait_for_ever();
}
