// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * For tests/faults/dumps: waits SECONDS in each call that has a timeout, a thread for each, and in
 * one until a time of the clock. Says "r" when all is there, and in the end by how many
 * microseconds each was later than that one, for how many it was ready to run and had no processor,
 * and its name, a line each.
 */
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct timespec timeout;
static int ends[2], epoll, semaphore;
static uint32_t word, started;

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static int milliseconds(void)
{
	return (int)timeout.tv_sec * 1000;
}

static void in_absolute_sleep(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	time.tv_sec += timeout.tv_sec;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

static void in_nanosleep(void)
{
	nanosleep(&timeout, NULL);
}

static void in_nanosleep_with_rest(void)
{
	struct timespec rest;

	nanosleep(&timeout, &rest);
}

static void in_clock_nanosleep(void)
{
	clock_nanosleep(CLOCK_MONOTONIC, 0, &timeout, NULL);
}

static void in_poll(void)
{
	struct pollfd wanted = { .fd = ends[0], .events = POLLIN };

	poll(&wanted, 1, milliseconds());
}

static void in_ppoll(void)
{
	struct pollfd wanted = { .fd = ends[0], .events = POLLIN };

	ppoll(&wanted, 1, &timeout, NULL);
}

static void in_select(void)
{
	struct timeval time = { .tv_sec = timeout.tv_sec };

	select(0, NULL, NULL, NULL, &time);
}

static void in_futex(void)
{
	syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &timeout, NULL, 0);
}

static void in_epoll_wait(void)
{
	struct epoll_event event;

	epoll_wait(epoll, &event, 1, milliseconds());
}

static void in_semtimedop(void)
{
	struct sembuf wait = { .sem_op = -1 };

	semtimedop(semaphore, &wait, 1, &timeout);
}

static void in_sigtimedwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigtimedwait(&set, NULL, &timeout);
}

static struct {
	const char *name;
	void (*make)(void);
	int64_t late, unserved;
} calls[] = {
	{ "absolute sleep", in_absolute_sleep, 0, 0 },
	{ "nanosleep", in_nanosleep, 0, 0 },
	{ "nanosleep with rest", in_nanosleep_with_rest, 0, 0 },
	{ "clock_nanosleep", in_clock_nanosleep, 0, 0 },
	{ "poll", in_poll, 0, 0 },
	{ "ppoll", in_ppoll, 0, 0 },
	{ "select", in_select, 0, 0 },
	{ "futex", in_futex, 0, 0 },
	{ "epoll_wait", in_epoll_wait, 0, 0 },
	{ "semtimedop", in_semtimedop, 0, 0 },
	{ "sigtimedwait", in_sigtimedwait, 0, 0 },
};

enum { CALLS = sizeof calls / sizeof *calls };

/* The second field of schedstat: nanoseconds on a run queue (sched-stats.rst of the kernel). */
static int64_t unserved(void)
{
	FILE *file = fopen("/proc/thread-self/schedstat", "re");
	long long waited = 0;

	if (!file || fscanf(file, "%*u %lld", &waited) != 1)
		waited = 0;
	if (file)
		fclose(file);
	return waited / 1000;
}

static void *body(void *data)
{
	size_t i = (size_t)data;

	calls[i].unserved = -unserved();
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	int64_t begun = now();
	calls[i].make();
	calls[i].late = now() - begun - (int64_t)timeout.tv_sec * 1000000;
	calls[i].unserved += unserved();
	return NULL;
}

int main(int argc, char **argv)
{
	const struct timespec moment = { .tv_nsec = 50000000 };
	pthread_t threads[CALLS];
	sigset_t set;

	timeout.tv_sec = argc > 1 ? atoi(argv[1]) : 1;
	epoll = epoll_create1(0);
	semaphore = semget(IPC_PRIVATE, 1, 0600);
	if (pipe(ends) || epoll < 0 || semaphore < 0)
		return 1;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < CALLS; i++)
		if (pthread_create(&threads[i], NULL, body, (void *)i))
			return 1;
	while (__atomic_load_n(&started, __ATOMIC_SEQ_CST) < CALLS)
		sched_yield();
	nanosleep(&moment, NULL);
	if (write(STDOUT_FILENO, "r", 1) != 1)
		return 1;
	for (size_t i = 0; i < CALLS; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 1; i < CALLS; i++)
		printf("%ld %ld %s\n", (long)(calls[i].late - calls[0].late),
		       (long)calls[i].unserved, calls[i].name);
	semctl(semaphore, 0, IPC_RMID);
	return 0;
}
