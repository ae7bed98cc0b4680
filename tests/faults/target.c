// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A program that notices whatever is done to it. Its threads sleep in calls that a stop
 * interrupts, or hold values in registers, and count in a shared file how often they went round
 * and how often something was not as it must be.
 *
 *	target STATE-FILE [dumpable] [headless] [handles-all]
 *
 * `dumpable`: only with descriptors that can be dumped, so without epoll. `headless`: the first
 * thread exits.
 */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/rseq.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

long hold_registers(long rounds);
long hold_avx(long rounds);
long hold_avx512(long rounds);
long hold_sequence(void *area, void *section, long spins);
extern const char sequence_start[], sequence_end[], sequence_abort[];

enum { MILLISECOND = 1000000, PIPE_EVERY = 8, SIGNAL_EVERY = 64 };

/* Signal handlers and threads share these; there is nowhere else to keep them. */
static struct target_state *state;
static int pipe_ends[2];
static volatile sig_atomic_t usr1_count;
static bool without_epoll;

static void fault(enum activity activity, int64_t what)
{
	state->faults[activity]++;
	state->last_fault[activity] = what;
}

/* The signal mask is looked at on every way round: it is what a thread had at its first. */
static void beat(enum activity activity)
{
	static __thread uint64_t usual;
	static __thread bool known;
	uint64_t current = 0;

	/* Not the C library's type, which is larger than what the kernel fills. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &current, sizeof current);
	if (known && current != usual)
		fault(activity, -3);
	usual = current;
	known = true;
	__atomic_add_fetch(&state->beats[activity], 1, __ATOMIC_RELAXED);
}

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* One timed call went by: its result, and how long it took at least. */
static void expect(enum activity activity, bool as_expected, int64_t started, int64_t at_least)
{
	if (!as_expected)
		fault(activity, errno ? errno : -1);
	if (now() - started < at_least)
		fault(activity, -2);
	beat(activity);
}

/* The same for calls that may be interrupted by a stop. */
static void expect_or_interrupted(enum activity activity, bool as_expected, int64_t started,
				  int64_t at_least)
{
	if (!as_expected && errno == EINTR)
		__atomic_add_fetch(&state->interruptions, 1, __ATOMIC_RELAXED);
	else
		expect(activity, as_expected, started, at_least);
}

static void *sleep_nanosleep(void *unused)
{
	for (;;) {
		struct timespec time = { .tv_nsec = 20 * MILLISECOND };
		int64_t started = now();

		errno = 0;
		expect(ACTIVITY_NANOSLEEP, syscall(SYS_nanosleep, &time, NULL) == 0, started,
		       20 * MILLISECOND);
	}
	return unused;
}

static void *sleep_poll(void *unused)
{
	for (;;) {
		int64_t started = now();

		errno = 0;
		expect(ACTIVITY_POLL, syscall(SYS_poll, NULL, 0, 15) == 0, started,
		       15 * MILLISECOND);
	}
	return unused;
}

static void *sleep_futex(void *unused)
{
	uint32_t word = 0;

	for (;;) {
		struct timespec time = { .tv_nsec = 10 * MILLISECOND };
		int64_t started = now();
		long result;

		errno = 0;
		result = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0);
		expect(ACTIVITY_FUTEX, result == -1 && errno == ETIMEDOUT, started,
		       10 * MILLISECOND);
	}
	return unused;
}

static void *sleep_pipe(void *unused)
{
	for (uint32_t expected = 0;; expected++) {
		uint32_t value = 0;

		errno = 0;
		if (read(pipe_ends[0], &value, sizeof value) != sizeof value || value != expected)
			fault(ACTIVITY_PIPE, errno ? errno : (int64_t)value - expected);
		beat(ACTIVITY_PIPE);
	}
	return unused;
}

static void count_usr1(int signal)
{
	(void)signal;
	usr1_count = usr1_count + 1;
}

static void *sleep_sigsuspend(void *unused)
{
	sigset_t normal, waiting;
	int seen = 0;

	sigemptyset(&normal);
	sigaddset(&normal, SIGUSR1);
	sigaddset(&normal, SIGALRM);
	pthread_sigmask(SIG_SETMASK, &normal, NULL);
	waiting = normal;
	sigdelset(&waiting, SIGUSR1);
	for (;;) {
		while (usr1_count == seen)
			if (sigsuspend(&waiting) != -1 || errno != EINTR)
				fault(ACTIVITY_SIGSUSPEND, errno);
		seen = usr1_count;
		beat(ACTIVITY_SIGSUSPEND);
	}
	return unused;
}

static void *sleep_ppoll(void *unused)
{
	sigset_t all;

	sigfillset(&all);
	for (;;) {
		struct timespec time = { .tv_nsec = 7 * MILLISECOND };
		int64_t started = now();

		errno = 0;
		expect(ACTIVITY_PPOLL, ppoll(NULL, 0, &time, &all) == 0, started, 7 * MILLISECOND);
	}
	return unused;
}

static void *sleep_epoll(void *unused)
{
	int epoll = without_epoll ? -1 : epoll_create1(0);
	struct epoll_event event;

	for (;;) {
		struct timespec time = { .tv_nsec = 9 * MILLISECOND };
		int64_t started = now();
		int result;

		errno = 0;
		if (without_epoll)
			result = pselect(0, NULL, NULL, NULL, &time, NULL);
		else
			result = epoll_wait(epoll, &event, 1, 9);
		expect_or_interrupted(ACTIVITY_EPOLL, result == 0, started, 8 * MILLISECOND);
	}
	return unused;
}

/* With everything blocked, nothing may stay pending: not our trap signal either. */
static void *sleep_sigtimedwait(void *unused)
{
	sigset_t all, wanted, pending;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGUSR2);
	for (;;) {
		struct timespec time = { .tv_nsec = 6 * MILLISECOND };
		int64_t started = now();
		long result;

		/* The C library's function tries again by itself. */
		errno = 0;
		result = syscall(SYS_rt_sigtimedwait, &wanted, NULL, &time, 8L);
		expect_or_interrupted(ACTIVITY_SIGTIMEDWAIT, result == -1 && errno == EAGAIN,
				      started, 6 * MILLISECOND);
		sigpending(&pending);
		for (int signal = 1; signal < SIGRTMIN; signal++)
			if (signal != SIGALRM && sigismember(&pending, signal) == 1)
				fault(ACTIVITY_SIGTIMEDWAIT, -100 - signal);
	}
	return unused;
}

static void *hold_vectors(void *unused)
{
	bool wide = __builtin_cpu_supports("avx512f");

	for (;;) {
		if (__builtin_cpu_supports("avx2") && hold_avx(20000))
			fault(ACTIVITY_VECTORS, -4);
		if (wide && hold_avx512(20000))
			fault(ACTIVITY_VECTORS, -5);
		beat(ACTIVITY_VECTORS);
		usleep(500);
	}
	return unused;
}

static void *hold_sequences(void *unused)
{
	struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
	static struct rseq_cs section; /* aligned, and for as long as the thread lives */

	section.start_ip = (uint64_t)sequence_start;
	section.post_commit_offset = (uint64_t)(sequence_end - sequence_start);
	section.abort_ip = (uint64_t)sequence_abort;
	while (__rseq_size > 0) {
		/* Long enough to be caught in it; aborted at the latest when it is preempted. */
		if (hold_sequence(area, &section, 300000) == 2)
			fault(ACTIVITY_RSEQ, -6);
		beat(ACTIVITY_RSEQ);
		usleep(300);
	}
	for (;;) {
		beat(ACTIVITY_RSEQ);
		usleep(1000);
	}
	return unused;
}

static void count_alarm(int signal)
{
	(void)signal;
	state->alarms++;
}

static void use_library(uint32_t round)
{
	size_t size = 900 + round % 5000;
	unsigned char *bytes = malloc(size);
	char text[64];
	double number;
	unsigned copy;

	memset(bytes, (int)round & 0xff, size);
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != (unsigned char)round)
			fault(ACTIVITY_REGISTERS, -7);
	free(bytes);
	snprintf(text, sizeof text, "%u %.2f", round, round * 0.5);
	if (sscanf(text, "%u %lf", &copy, &number) != 2 || copy != round || number != round * 0.5)
		fault(ACTIVITY_REGISTERS, -8);
}

static void unexpected_signal(int signal)
{
	fault(ACTIVITY_REGISTERS, -100 - signal);
}

/* Then there is no signal that a thread would not notice. */
static void handle_all_signals(void)
{
	struct sigaction action = { .sa_handler = unexpected_signal, .sa_flags = SA_RESTART };

	for (int signal = 1; signal <= 64; signal++)
		if (signal != SIGKILL && signal != SIGSTOP && signal != SIGCONT)
			sigaction(signal, &action, NULL);
}

static void map_state(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof *state) < 0)
		exit(2);
	state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (state == MAP_FAILED)
		exit(2);
	close(fd);
}

static void start_threads(pthread_t threads[ACTIVITIES])
{
	static void *(*const starts[ACTIVITIES])(void *) = {
		[ACTIVITY_NANOSLEEP] = sleep_nanosleep,
		[ACTIVITY_POLL] = sleep_poll,
		[ACTIVITY_FUTEX] = sleep_futex,
		[ACTIVITY_PIPE] = sleep_pipe,
		[ACTIVITY_SIGSUSPEND] = sleep_sigsuspend,
		[ACTIVITY_PPOLL] = sleep_ppoll,
		[ACTIVITY_EPOLL] = sleep_epoll,
		[ACTIVITY_SIGTIMEDWAIT] = sleep_sigtimedwait,
		[ACTIVITY_VECTORS] = hold_vectors,
		[ACTIVITY_RSEQ] = hold_sequences,
	};
	sigset_t ours;

	/* SIGALRM and SIGUSR1 are for those who unblock them. */
	sigemptyset(&ours);
	sigaddset(&ours, SIGALRM);
	sigaddset(&ours, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &ours, NULL);
	for (int i = 0; i < ACTIVITIES; i++)
		if (starts[i] && pthread_create(&threads[i], NULL, starts[i], NULL))
			exit(2);
	sigdelset(&ours, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
}

/* What the first thread does; or, where that exits, another one. */
static void *hold_values(void *data)
{
	const pthread_t *threads = data;

	state->pid = (uint32_t)syscall(SYS_gettid);
	state->ready = 1;
	for (uint32_t round = 0;; round++) {
		uint32_t number = round / PIPE_EVERY;

		if (hold_registers(200))
			fault(ACTIVITY_REGISTERS, -9);
		use_library(round);
		errno = 0;
		if (round % PIPE_EVERY == 0 &&
		    write(pipe_ends[1], &number, sizeof number) != sizeof number)
			fault(ACTIVITY_REGISTERS, errno);
		if (round % SIGNAL_EVERY == 0)
			pthread_kill(threads[ACTIVITY_SIGSUSPEND], SIGUSR1);
		beat(ACTIVITY_REGISTERS);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const struct itimerval interval = { { 0, 3000 }, { 0, 3000 } };
	struct sigaction alarm = { .sa_handler = count_alarm, .sa_flags = SA_RESTART };
	struct sigaction usr1 = { .sa_handler = count_usr1 };
	static pthread_t threads[ACTIVITIES]; /* also when this thread is gone */
	pthread_t successor;
	bool headless = false;

	if (argc < 2 || pipe(pipe_ends) < 0)
		return 2;
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "dumpable"))
			without_epoll = true;
		else if (!strcmp(argv[i], "headless"))
			headless = true;
		else
			handle_all_signals();
	}
	map_state(argv[1]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGALRM, &alarm, NULL);
	sigaction(SIGUSR1, &usr1, NULL);
	start_threads(threads);
	setitimer(ITIMER_REAL, &interval, NULL);
	if (!headless)
		hold_values(threads);
	if (pthread_create(&successor, NULL, hold_values, threads))
		return 2;
	syscall(SYS_exit, 0);
	return 2;
}
