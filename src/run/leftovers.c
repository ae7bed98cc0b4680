// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a restore makes outside of the tree, and what outlives it: directories of cgroups. A keeper,
 * a process of ours, is told of each before it is made (a name, and a descriptor of the directory
 * above). If the restore succeeds it is dismissed, by the executor where nestor was killed while
 * the tree was let go. If not, or if nestor is killed earlier, the socket ends, and the keeper
 * removes what was made, the last first, as soon as the tasks that were in there have ended (see
 * life.c).
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_NAMES = 256, MOST_LEFTOVERS = 512, LONGEST_SECONDS = 20 };

struct leftover {
	int parent_fd;
	char name[MOST_NAMES];
};

/* ---- the keeper ---- */

/* The length of the name; 0: dismissed; -1: the socket has ended. */
static ssize_t receive(int socket, struct leftover *leftover)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { leftover->name, sizeof leftover->name - 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };
	ssize_t length;

	while ((length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	const struct cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (length <= 0)
		return -1;
	leftover->name[length] = '\0';
	if (!header)
		return 0;
	memcpy(&leftover->parent_fd, CMSG_DATA(header), sizeof(int));
	return length;
}

static void remove_all(struct leftover *leftovers, size_t count)
{
	const struct timespec pause = { .tv_nsec = 2 * 1000 * 1000 };
	uint64_t end = monotonic_microseconds() + LONGEST_SECONDS * UINT64_C(1000000);

	while (count > 0 && monotonic_microseconds() < end) {
		const struct leftover *last = &leftovers[count - 1];
		if (unlinkat(last->parent_fd, last->name, AT_REMOVEDIR) == 0 || errno != EBUSY)
			count--;
		else
			nanosleep(&pause, NULL);
	}
}

__attribute__((noreturn)) static void be_keeper(int socket)
{
	static struct leftover leftovers[MOST_LEFTOVERS];
	size_t count = 0;
	ssize_t length = 1;

	/* Nothing but its socket: it outlives the coordinator for a moment, and holds nothing. */
	if (dup3(socket, 0, O_CLOEXEC) != 0 || syscall(SYS_close_range, 1u, ~0u, 0))
		_exit(1);
	while ((length = receive(0, &leftovers[count])) > 0)
		/* One that is not answered fails the restore. */
		if (++count == MOST_LEFTOVERS || write(0, "", 1) != 1)
			break;
	if (length != 0)
		remove_all(leftovers, count);
	_exit(0);
}

/* ---- here ---- */

static int start_keeper(struct run *run, struct error *err)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a pair of sockets");
	pid_t pid = fork();
	if (pid == 0)
		be_keeper(ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
	}
	run->keeper = pid;
	run->keeper_fd = ends[0];
	/* It is not ended with what was made. */
	run->children_before = arena_grow(run->arena, run->children_before, run->n_children_before,
					  sizeof *run->children_before);
	run->children_before[run->n_children_before++] = pid;
	return 0;
}

int run_expect_leftover(struct file_opener *opener, int parent_fd, const char *name,
			struct error *err)
{
	struct run *run = opener->leftovers;
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { (char *)name, strlen(name) };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };
	char answer;

	if (!run->keeper && start_keeper(run, err))
		return -1;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &parent_fd, sizeof(int));
	if (sendmsg(run->keeper_fd, &message, MSG_NOSIGNAL) < 0 ||
	    read(run->keeper_fd, &answer, 1) != 1)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell of what is to be removed");
	return 0;
}

int run_tell_keeper(const struct run *run)
{
	return !run->keeper || send(run->keeper_fd, "", 1, MSG_NOSIGNAL) >= 0 ? 0 : -1;
}

void run_dismiss_keeper(struct run *run, bool restored)
{
	if (!run->keeper)
		return;
	if (restored && run_tell_keeper(run))
		log_warning("restore", "cgroups", "cannot dismiss the keeper of new cgroups");
	close(run->keeper_fd);
	while (waitpid(run->keeper, NULL, __WALL) < 0 && errno == EINTR)
		;
	run->keeper = 0;
}
