// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-io-uring-waits
 * promise: who waits for completions of an io_uring goes on waiting, whether the tree goes on or is
 *	restored, and is woken by the next one, or by its timeout; nobody is told of an interruption
 * flavours: flat one three user user-three
 * rounds: 2
 */
#include "ring.h"
#include "scenario.h"

#include <errno.h>
#include <linux/time_types.h>
#include <pthread.h>
#include <signal.h>

enum { ENTRIES = 8, LONG_S = 60, SHORT_S = 2 };

static uint32_t started;
static struct ring rings[3];

static long wait_for(const struct ring *ring, int seconds)
{
	const struct __kernel_timespec time = { .tv_sec = seconds };
	const struct io_uring_getevents_arg argument = { .ts = (uint64_t)(uintptr_t)&time };

	if (!seconds)
		return syscall(SYS_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	return syscall(SYS_io_uring_enter, ring->fd, 0, 1,
		       IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof argument);
}

static void *in_wait(void *data)
{
	struct ring *ring = data;
	struct io_uring_cqe cqe;

	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	long result = wait_for(ring, ring == &rings[1] ? LONG_S : 0);
	scenario_check(result == 0, "a wait: %ld, errno %d", result, errno);
	scenario_check(ring_take(ring, &cqe) && cqe.user_data == 7, "no completion of ours");
	return NULL;
}

static void *in_vain(void *data)
{
	(void)data;
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	long result = wait_for(&rings[2], SHORT_S);
	scenario_check(result < 0 && errno == ETIME, "a wait in vain: %ld, errno %d", result,
		       errno);
	return NULL;
}

static void handle(int signal)
{
	(void)signal;
}

/* A signal that somebody handles does end it. */
static void *in_interrupted(void *data)
{
	(void)data;
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	long result = wait_for(&rings[2], LONG_S);
	scenario_check(result < 0 && errno == EINTR, "a wait that is interrupted: %ld, errno %d",
		       result, errno);
	return NULL;
}

int main(int argc, char **argv)
{
	void *(*const bodies[])(void *) = { in_wait, in_wait, in_vain, in_interrupted };
	enum { THREADS = sizeof bodies / sizeof bodies[0] };
	pthread_t threads[THREADS];

	scenario_begin(argc, argv);
	scenario_need(ring_make(&rings[0], ENTRIES, 0) && ring_make(&rings[1], ENTRIES, 0) &&
			      ring_make(&rings[2], ENTRIES, 0),
		      "no ring: errno %d", errno);
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = handle, .sa_flags = SA_RESTART },
		  NULL);
	for (size_t i = 0; i < THREADS; i++)
		scenario_need(!pthread_create(&threads[i], NULL, bodies[i], &rings[i % 3]),
			      "pthread_create");
	while (__atomic_load_n(&started, __ATOMIC_SEQ_CST) < THREADS)
		scenario_sleep_ms(1);
	scenario_sleep_ms(50);

	scenario_ready();

	for (size_t i = 0; i < 2; i++) {
		ring_put(&rings[i],
			 &(struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = 7 });
		scenario_check(syscall(SYS_io_uring_enter, rings[i].fd, 1, 0, 0, NULL, 0) == 1,
			       "no submission: errno %d", errno);
	}
	pthread_kill(threads[3], SIGUSR1);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return scenario_end();
}
