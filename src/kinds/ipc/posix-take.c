// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Messages of a POSIX queue. They can be read only by being taken, highest priority first, so all
 * are taken and put back in the same order: that is how they were. Meanwhile they are nowhere else,
 * so this is done by a process that goes on should nestor be killed, and that no signal of a
 * terminal reaches; it makes no call that could wait.
 *
 * The tree is stopped, and nobody of it waits in a queue: who is stopped in mq_send(3) or
 * mq_receive(3) has left its list of waiters, and will make the call again.
 */
#include "kinds/ipc/posix-queues.h"

#include "base/arena.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How often a call is made that fails for want of memory. */
enum { TRIES = 100 };

struct taken_message {
	uint32_t priority;
	uint32_t size;
	uint8_t text[];
};

/* Shared with the process. */
struct taken {
	int failure; /* errno; 0: all went well */
	size_t count;
	size_t used, room; /* bytes of messages */
	uint8_t messages[];
};

static size_t record_size(size_t text)
{
	return (sizeof(struct taken_message) + text + 7) & ~(size_t)7;
}

static bool take_one(int fd, struct taken *taken, uint32_t most_bytes)
{
	struct taken_message *next = (void *)(taken->messages + taken->used);
	long size = -1;

	if (taken->used + record_size(most_bytes) > taken->room) {
		errno = EOVERFLOW;
		return false;
	}
	for (int i = 0; size < 0 && i < TRIES; i++) {
		size = syscall(SYS_mq_timedreceive, fd, next->text, (size_t)most_bytes,
			       &next->priority, NULL);
		if (size < 0 && errno == EAGAIN)
			return false;
	}
	if (size < 0)
		return false;
	next->size = (uint32_t)size;
	taken->used += record_size(next->size);
	taken->count++;
	return true;
}

static void put_back(int fd, struct taken *taken)
{
	size_t at = 0;

	for (size_t i = 0; i < taken->count; i++) {
		const struct taken_message *message = (void *)(taken->messages + at);
		long result = -1;
		for (int k = 0; result < 0 && k < TRIES; k++)
			result = syscall(SYS_mq_timedsend, fd, message->text, (size_t)message->size,
					 message->priority, NULL);
		if (result < 0)
			taken->failure = errno;
		at += record_size(message->size);
	}
}

static void take_and_put_back(int fd, struct taken *taken, size_t count, uint32_t most_bytes)
{
	for (size_t i = 0; i < count; i++)
		if (!take_one(fd, taken, most_bytes)) {
			taken->failure = errno;
			break;
		}
	put_back(fd, taken);
}

static int run(int fd, struct taken *taken, size_t count, uint32_t most_bytes)
{
	sigset_t all, before;
	int status;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	/* By a deputy too, one thread of many: no lock is asked for that another held (fork(3)). */
	pid_t pid = _Fork();
	if (pid == 0) {
		take_and_put_back(fd, taken, count, most_bytes);
		_exit(0);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	errno = taken->failure ? taken->failure : EIO;
	return status == 0 && !taken->failure ? 0 : -1;
}

static void add_all(struct arena *arena, PosixQueue *queue, const struct taken *taken)
{
	size_t at = 0;

	queue->messages = arena_array(arena, PosixMessage *, taken->count + 1);
	for (size_t i = 0; i < taken->count; i++) {
		const struct taken_message *from = (const void *)(taken->messages + at);
		PosixMessage *message =
			arena_copy(arena, &(PosixMessage)POSIX_MESSAGE__INIT, sizeof *message);
		message->priority = from->priority;
		message->text.data = arena_copy(arena, from->text, from->size);
		message->text.len = from->size;
		queue->messages[queue->n_messages++] = message;
		at += record_size(from->size);
	}
}

int posix_messages_read(int fd, size_t count, uint64_t bytes, struct arena *arena,
			PosixQueue *queue)
{
	size_t room = count * record_size(0) + bytes + 8 * count + record_size(queue->most_bytes);
	size_t size = sizeof(struct taken) + room;

	if (!count)
		return 0;
	struct taken *taken =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (taken == MAP_FAILED)
		return -1;
	taken->room = room;
	int result = run(fd, taken, count, queue->most_bytes);
	if (result == 0)
		add_all(arena, queue, taken);
	int failure = errno;
	munmap(taken, size);
	errno = failure;
	return result;
}
