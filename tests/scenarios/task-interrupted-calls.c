// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-interrupted-calls
 * promise: calls that the dump interrupted (nanosleep, futex, poll, read) go on as if nothing had
 *   been
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint32_t started, word, timed_word;
static int read_pipe[2], poll_pipe[2];

static void *in_nanosleep(void *data)
{
	const struct timespec time = { .tv_sec = 2 * scenario_patience() };

	(void)data;
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	int result = nanosleep(&time, NULL);
	scenario_time_is_over();
	scenario_check(result == 0, "nanosleep: errno %d", errno);
	return NULL;
}

static void *in_absolute_sleep(void *data)
{
	struct timespec time;

	(void)data;
	clock_gettime(CLOCK_REALTIME, &time);
	time.tv_sec += 2 * scenario_patience();
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	int result = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &time, NULL);
	scenario_time_is_over();
	scenario_check(result == 0, "clock_nanosleep: error %d", result);
	return NULL;
}

static void *in_futex(void *data)
{
	(void)data;
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	long result = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	/* Woken, or the word had changed when the call was made again. */
	scenario_check(result == 0 || errno == EAGAIN, "futex: errno %d", errno);
	return NULL;
}

static void *in_timed_futex(void *data)
{
	const struct timespec time = { .tv_sec = 2 * scenario_patience() };

	(void)data;
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	long result = syscall(SYS_futex, &timed_word, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0);
	int error = errno;
	scenario_time_is_over();
	scenario_check(result < 0 && error == ETIMEDOUT, "futex with timeout: %ld, errno %d",
		       result, error);
	return NULL;
}

static void *in_poll(void *data)
{
	struct pollfd wanted = { .fd = poll_pipe[0], .events = POLLIN };

	(void)data;
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	int result = poll(&wanted, 1, 60000);
	scenario_check(result == 1 && wanted.revents == POLLIN, "poll: %d, errno %d", result,
		       errno);
	return NULL;
}

static void *in_read(void *data)
{
	char byte = 0;

	(void)data;
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	ssize_t result = read(read_pipe[0], &byte, 1);
	scenario_check(result == 1 && byte == 'r', "read: %zd, errno %d", result, errno);
	return NULL;
}

int main(int argc, char **argv)
{
	void *(*const bodies[])(void *) = { in_nanosleep,   in_absolute_sleep, in_futex,
					    in_timed_futex, in_poll,	       in_read };
	enum { THREADS = sizeof bodies / sizeof *bodies };
	pthread_t threads[THREADS];

	scenario_begin(argc, argv);
	scenario_need(!pipe(read_pipe) && !pipe(poll_pipe), "pipe");
	for (size_t i = 0; i < THREADS; i++)
		scenario_need(!pthread_create(&threads[i], NULL, bodies[i], NULL),
			      "pthread_create");
	while (__atomic_load_n(&started, __ATOMIC_SEQ_CST) < THREADS)
		scenario_sleep_ms(1);
	scenario_sleep_ms(50);

	scenario_ready();

	__atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	scenario_check(write(poll_pipe[1], "p", 1) == 1, "write");
	scenario_check(write(read_pipe[1], "r", 1) == 1, "write");
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return scenario_end();
}
