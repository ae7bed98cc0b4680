// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-timeouts
 * promise: a call that waits with a timeout waits for what is left of it, however often it is
 *   dumped, let go on and restored; none returns EINTR for that
 * flavours: flat three user user-three unprivileged
 * arguments: undisturbed continued
 * rounds: 2
 * ignore: stat
 */
#include "scenario.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * Each call is to last 4 s (with patience, more) of the time in which the process was there. A
 * pause of more than GAP_MS in a thread that looks every millisecond is one in which it was not.
 */
enum { GAP_MS = 20, TOO_LONG_MS = 350 };

static bool continued; /* it was stopped and continued before: no more is asked than no EINTR */
static int seconds = 4;
static uint32_t started, ended, word;
static double away;
static int pipe_ends[2];

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Nobody may write there. */
static union {
	struct timespec time;
	char page[4096];
} constant __attribute__((aligned(4096)));

static long in_nanosleep(void)
{
	return nanosleep(&constant.time, NULL);
}

static long in_nanosleep_with_rest(void)
{
	struct timespec rest;

	return nanosleep(&constant.time, &rest);
}

static long in_nanosleep_onto_itself(void)
{
	struct timespec time = constant.time;

	return nanosleep(&time, &time);
}

static long in_clock_nanosleep(void)
{
	return clock_nanosleep(CLOCK_MONOTONIC, 0, &constant.time, NULL);
}

static long in_poll(void)
{
	struct pollfd wanted = { .fd = pipe_ends[0], .events = POLLIN };

	return poll(&wanted, 1, seconds * 1000);
}

/* By way of a function that loads the number from an argument. */
static long in_raw_poll(void)
{
	struct pollfd wanted = { .fd = pipe_ends[0], .events = POLLIN };

	return syscall(SYS_poll, &wanted, 1, seconds * 1000);
}

static long in_select(void)
{
	struct timeval time = { .tv_sec = seconds };
	fd_set wanted;

	FD_ZERO(&wanted);
	FD_SET(pipe_ends[0], &wanted);
	return select(pipe_ends[0] + 1, &wanted, NULL, NULL, &time);
}

static long in_ppoll(void)
{
	struct pollfd wanted = { .fd = pipe_ends[0], .events = POLLIN };

	return ppoll(&wanted, 1, &constant.time, NULL);
}

static long in_futex(void)
{
	return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &constant.time, NULL, 0);
}

static long in_sigtimedwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return sigtimedwait(&set, NULL, &constant.time);
}

static const struct call {
	const char *name;
	long (*make)(void);
	int error;  /* with which it ends in time; 0: it returns 0 */
	bool stops; /* SIGSTOP and SIGCONT give EINTR, with nobody's doing */
} calls[] = {
	{ "nanosleep", in_nanosleep, 0, false },
	{ "nanosleep with rest", in_nanosleep_with_rest, 0, false },
	{ "nanosleep onto itself", in_nanosleep_onto_itself, 0, false },
	{ "clock_nanosleep", in_clock_nanosleep, 0, false },
	{ "poll", in_poll, 0, false },
	{ "poll by syscall()", in_raw_poll, 0, false },
	{ "select", in_select, 0, false },
	{ "ppoll", in_ppoll, 0, false },
	{ "futex", in_futex, ETIMEDOUT, false },
	{ "sigtimedwait", in_sigtimedwait, EAGAIN, true },
};

enum { CALLS = sizeof calls / sizeof *calls };

static void *body(void *data)
{
	const struct call *call = data;
	double begun = now();
	long result;
	int error;

	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	result = call->make();
	error = result ? errno : 0;
	scenario_time_is_over();
	double lasted = now() - begun, there = lasted - away;
	__atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
	scenario_check(error == call->error && (result == 0 || result == -1),
		       "%s: %ld, %s after %.2f s", call->name, result, strerror(error), lasted);
	scenario_check(lasted > seconds - 0.01, "%s: %.3f s are too short", call->name, lasted);
	scenario_check(continued || there < seconds + TOO_LONG_MS / 1000.0,
		       "%s: %.3f s of %.3f s are too long", call->name, there, lasted);
	return NULL;
}

/* The time in which nothing of the process ran. */
static void *watch(void *data)
{
	double last = now();

	while (__atomic_load_n(&ended, __ATOMIC_SEQ_CST) < *(const uint32_t *)data) {
		scenario_sleep_ms(1);
		double present = now();
		if (present - last > GAP_MS / 1000.0)
			away += present - last;
		last = present;
	}
	return NULL;
}

static void stop_and_continue(void)
{
	pid_t child = fork();

	if (child == 0) {
		kill(getppid(), SIGSTOP);
		scenario_sleep_ms(50);
		kill(getppid(), SIGCONT);
		_exit(0);
	}
	scenario_reap(child);
}

int main(int argc, char **argv)
{
	pthread_t threads[CALLS], watcher;
	uint32_t n = 0;
	sigset_t set;

	scenario_begin(argc, argv);
	seconds *= (int)scenario_patience();
	constant.time.tv_sec = seconds;
	scenario_need(!mprotect(&constant, sizeof constant, PROT_READ), "mprotect");
	continued = argc > 2 && strcmp(argv[2], "continued") == 0;
	scenario_need(!pipe(pipe_ends), "pipe");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < CALLS; i++)
		if (!continued || !calls[i].stops)
			scenario_need(!pthread_create(&threads[n++], NULL, body, (void *)&calls[i]),
				      "pthread_create");
	while (__atomic_load_n(&started, __ATOMIC_SEQ_CST) < n)
		scenario_sleep_ms(1);
	scenario_need(!pthread_create(&watcher, NULL, watch, &n), "pthread_create");
	scenario_sleep_ms(50);
	if (continued)
		stop_and_continue();

	scenario_ready();

	for (uint32_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	pthread_join(watcher, NULL);
	return scenario_end();
}
