// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A child for what cannot be undone; see visit.h. It tells by a socket: a byte with a descriptor
 * (SCM_RIGHTS, which wants no rights over the child, as pidfd_getfd would), and a last byte when
 * its result stands in the shared memory. The end of the socket without it is the child's death.
 */
#include "kernel/visit.h"

#include "base/cleanup.h"
#include "kernel/aside.h"
#include "kernel/deputy.h"
#include "kernel/end-child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MILLISECONDS = 100, MARK_DESCRIPTOR = 'd', MARK_END = 'e' };

struct visitor {
	int socket; /* -1: a brief one */
	int *fds;   /* of that */
	size_t n_fds, next;
};

struct shared {
	int result;
	struct error err;
	_Alignas(16) uint8_t data[];
};

/* ---- in the child ---- */

static int send_mark(int socket, char mark, int fd)
{
	union {
		char room[CMSG_SPACE(sizeof fd)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { .iov_base = &mark, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(header), &fd, sizeof fd);
	}
	ssize_t sent;
	while ((sent = sendmsg(socket, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR)
		;
	return sent == 1 ? 0 : -1;
}

int visitor_hand_over(struct visitor *visitor, int fd, struct error *err)
{
	if (visitor->socket < 0) {
		assert(visitor->next < visitor->n_fds);
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return fail_errno(err, ERR_LIMIT_TOO_LOW, "no room for a descriptor");
		visitor->fds[visitor->next++] = fd;
		return 0;
	}
	if (send_mark(visitor->socket, MARK_DESCRIPTOR, fd))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot hand over a descriptor");
	return 0;
}

/* Without the C library's setresuid, which would tell other threads, of which there are none. */
static int take_ids(const struct visit *visit, struct error *err)
{
	int bits = prctl(PR_GET_SECUREBITS);

	if (bits < 0 || prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP) ||
	    syscall(SYS_setresgid, visit->gid, visit->gid, visit->gid) ||
	    syscall(SYS_setresuid, visit->uid, visit->uid, visit->uid))
		return fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
				  "cannot take uid %u and gid %u", visit->uid, visit->gid);
	return 0;
}

/*
 * Who made a user namespace has all capabilities in it and none in his own: a namespace that
 * belongs to it is entered after it (user_namespaces(7)).
 */
static int enter_with_owner(int namespace_fd)
{
	autoclose int owner = ioctl(namespace_fd, NS_GET_USERNS);
	int failure = errno;

	if (owner < 0) {
		errno = failure;
		return -1;
	}
	return setns(owner, CLONE_NEWUSER) ? -1 : setns(namespace_fd, 0);
}

static int enter(const struct visit *visit, int namespace_fd)
{
	if (setns(namespace_fd, 0) == 0)
		return 0;
	return errno == EPERM && visit->as_owner ? enter_with_owner(namespace_fd) : -1;
}

static int go_there(const struct visit *visit, struct error *err)
{
	const pid_t caller = getppid();

	if (visit->takes_ids && take_ids(visit, err))
		return -1;
	for (size_t i = 0; i < visit->n_namespaces; i++)
		if (enter(visit, visit->namespaces[i]))
			return fail_errno(err,
					  errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
					  "cannot enter a namespace");
	/* A change of credentials clears it, and makes the files of /proc/self somebody else's. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != caller)
		return fail(err, ERR_INTERRUPTED, "nobody waits for it any more");
	if (!visit->brief)
		prctl(PR_SET_DUMPABLE, 1);
	return 0;
}

/* Waits for the byte that says so; false where nobody is there to say it any more. */
static bool is_let_go(int socket)
{
	ssize_t length;
	char byte;

	while ((length = read(socket, &byte, 1)) < 0 && errno == EINTR)
		;
	return length == 1;
}

/* Of a caller that is in another pid namespace getppid(2) says 0, whether it lives or not. */
static bool is_waited_for(int socket)
{
	struct pollfd end = { .fd = socket };

	return poll(&end, 1, 0) == 0;
}

__attribute__((noreturn)) static void be_visitor(const struct visit *visit, struct shared *shared,
						 int socket)
{
	struct visitor visitor = { .socket = socket };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!is_waited_for(socket))
		_exit(1);
	if (visit->first && !is_let_go(socket))
		_exit(1);
	if (visit->before)
		shared->result = visit->before(shared->data, &shared->err);
	if (shared->result == 0)
		shared->result = go_there(visit, &shared->err);
	if (shared->result == 0)
		shared->result = visit->function(&visitor, shared->data, &shared->err);
	if (send_mark(socket, MARK_END, -1))
		_exit(1);
	if (visit->meanwhile)
		is_let_go(socket);
	_exit(0);
}

/* ---- here ---- */

static uint64_t now_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int wait_mark(const struct visit *visit, int socket, uint64_t start, struct error *err)
{
	struct pollfd from = { .fd = socket, .events = POLLIN };

	while (poll(&from, 1, LOOK_MILLISECONDS) <= 0) {
		if (visit->check && visit->check(err))
			return -1;
		if (visit->timeout_seconds &&
		    now_milliseconds() - start > visit->timeout_seconds * UINT64_C(1000))
			return fail(err, ERR_KERNEL_REFUSED,
				    "the process that %s is not done within %u seconds",
				    visit->what, visit->timeout_seconds);
	}
	return 0;
}

/* 1: there is more to come; 0: that was all. */
static int receive_mark(const struct visit *visit, int socket, int *fds, size_t n_fds, size_t *next,
			struct error *err)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char mark = 0;
	struct iovec part = { .iov_base = &mark, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };
	ssize_t length;
	int fd = -1;

	while ((length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	if (length < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot hear from the process that %s",
				  visit->what);
	if (length != 1)
		return fail(err, ERR_TASK_DIED, "the process that %s died", visit->what);
	if (mark == MARK_END)
		return 0;
	const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof fd);
	if (fd < 0)
		return fail(err, ERR_LIMIT_TOO_LOW,
			    "no room for a descriptor from the process that %s", visit->what);
	assert(*next < n_fds);
	fds[(*next)++] = fd;
	return 1;
}

static int await(const struct visit *visit, const struct shared *shared, int socket, int *fds,
		 size_t n_fds, struct error *err)
{
	uint64_t start = now_milliseconds();
	size_t next = 0;
	int more = 1;

	while (more > 0) {
		if (wait_mark(visit, socket, start, err))
			return -1;
		more = receive_mark(visit, socket, fds, n_fds, &next, err);
	}
	if (more == 0 && shared->result) {
		*err = shared->err;
		return -1;
	}
	return more;
}

/* The whole of it, as long as the process is there. */
static int attend(const struct visit *visit, const struct shared *shared, pid_t pid, int socket,
		  int *fds, size_t n_fds, struct error *err)
{
	if (visit->first && visit->first(visit->data, err))
		return -1;
	if (visit->first && write(socket, "", 1) != 1)
		return fail_errno(err, ERR_TASK_DIED, "the process that %s is not to be told",
				  visit->what);
	if (await(visit, shared, socket, fds, n_fds, err))
		return -1;
	return visit->meanwhile ? visit->meanwhile(pid, visit->data, err) : 0;
}

static int run(const struct visit *visit, struct shared *shared, int *fds, size_t n_fds,
	       struct error *err)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a pair of sockets");
	autoclose int ours = ends[0], theirs = ends[1];
	pid_t pid = fork();
	if (pid == 0) {
		close(ours);
		be_visitor(visit, shared, theirs);
	}
	if (pid < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
	close(take_fd(&theirs));
	int result = attend(visit, shared, pid, ours, fds, n_fds, err);
	/* It has nothing left to do, or is not to go on. */
	end_child(pid);
	return result;
}

/* ---- by a deputy ---- */

struct brief_visit {
	const struct visit *visit;
	struct visitor visitor;
};

static int visit_briefly(void *data, struct error *err)
{
	struct brief_visit *brief = data;
	const struct visit *visit = brief->visit;

	/* Who is privileged there has no rights over our memory then; see deputy.c. */
	if (prctl(PR_SET_DUMPABLE, 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot protect our memory");
	if ((visit->before && visit->before(visit->data, err)) || go_there(visit, err))
		return -1;
	return visit->function(&brief->visitor, visit->data, err);
}

static int run_briefly(const struct visit *visit, int *fds, size_t n_fds, struct error *err)
{
	struct brief_visit brief = { visit, { .socket = -1, .fds = fds, .n_fds = n_fds } };
	char what[128];
	struct deputy_terms terms = { what, visit->timeout_seconds, ERR_TASK_DIED };

	assert(!visit->first && !visit->meanwhile);
	snprintf(what, sizeof what, "the process that %s", visit->what);
	if (deputy_run_under(&terms, visit_briefly, &brief, err))
		return -1;
	return visit->check ? visit->check(err) : 0;
}

/* ---- by ourselves ---- */

struct own_visit {
	const struct visit *visit;
	struct visitor visitor;
	struct error *err;
	bool began;
};

static int visit_ourselves(void *data)
{
	struct own_visit *own = data;

	own->began = true;
	return own->visit->function(&own->visitor, own->visit->data, own->err);
}

/* 1: it takes another process. */
static int run_ourselves(const struct visit *visit, int *fds, size_t n_fds, struct error *err)
{
	struct own_visit own = { visit, { .socket = -1, .fds = fds, .n_fds = n_fds }, err, false };

	if (!visit->brief || visit->before || visit->takes_ids || visit->timeout_seconds ||
	    visit->n_namespaces != 1)
		return 1;
	autoclose int way_back = aside_way_back(ioctl(visit->namespaces[0], NS_GET_NSTYPE));
	if (way_back < 0)
		return 1;
	if (aside_within(visit->namespaces[0], way_back, visit_ourselves, &own)) {
		if (!own.began)
			return 1;
		return err->name ? -1
				 : fail_errno(err, ERR_KERNEL_REFUSED,
					      "cannot come back from a namespace");
	}
	return visit->check ? visit->check(err) : 0;
}

static int visit_apart(const struct visit *visit, int *ret_fds, size_t n_fds, struct error *err)
{
	size_t size = sizeof(struct shared) + visit->size;
	struct shared *shared =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		return fail_errno(err, ERR_IO, "cannot map %zu bytes", size);
	if (visit->size)
		memcpy(shared->data, visit->data, visit->size);
	int result = run(visit, shared, ret_fds, n_fds, err);
	if (result == 0 && visit->size)
		memcpy(visit->data, shared->data, visit->size);
	munmap(shared, size);
	return result;
}

int visit(const struct visit *visit, int *ret_fds, size_t n_fds, struct error *err)
{
	for (size_t i = 0; i < n_fds; i++)
		ret_fds[i] = -1;
	int result = run_ourselves(visit, ret_fds, n_fds, err);
	if (result > 0)
		result = visit->brief ? run_briefly(visit, ret_fds, n_fds, err)
				      : visit_apart(visit, ret_fds, n_fds, err);
	for (size_t i = 0; result && i < n_fds; i++)
		if (ret_fds[i] >= 0)
			close(take_fd(&ret_fds[i]));
	return result;
}
