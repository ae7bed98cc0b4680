// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-fuse-locks
 * promise: locks of files of a file system whose driver is in the tree (FUSE), and is told of none,
 *	keep others out as before: POSIX and OFD locks of a range, flock(2); also of a file that
 *	nobody has, as it is on its way to somebody
 * flavours: flat three user user-three
 * needs: kernel_memory device:fuse
 * options: --enable-fs fuse
 * ignore: fd
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <sched.h>
#include <sys/file.h>
#include <sys/socket.h>

static const char *const names[] = { "content", "who", "cached", "pages" };
enum { POSIX, OFD, FLOCK, FLYING, N };

static int open_one(int which)
{
	char path[64];

	snprintf(path, sizeof path, "fs/by-app/one/%s", names[which]);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	scenario_need(fd >= 0, "%s: %s", path, strerror(errno));
	return fd;
}

static int lock(int fd, int which, off_t start)
{
	struct flock range = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = 2
	};

	return which == POSIX ? fcntl(fd, F_SETLK, &range)
	       : which == OFD ? fcntl(fd, F_OFD_SETLK, &range)
			      : flock(fd, LOCK_EX | LOCK_NB);
}

static int try_locks(void *unused)
{
	(void)unused;
	for (int i = 0; i < N; i++) {
		int fd = open_one(i);
		scenario_check(lock(fd, i, 4) < 0 && (errno == EAGAIN || errno == EACCES),
			       "%s can be locked (%s)", names[i], strerror(errno));
		if (i == POSIX || i == OFD)
			scenario_check(lock(fd, i, 6) == 0, "all of %s is locked (%s)", names[i],
				       strerror(errno));
		close(fd);
	}
	return 0;
}

static int try_free(void *data)
{
	for (int i = 0; i < N; i++) {
		int fd = open_one(i);
		scenario_check(lock(fd, i, 4) == 0, "%s stays locked (%s)", names[i],
			       strerror(errno));
		close(fd);
	}
	(void)data;
	return 0;
}

static void send_file(int socket, int fd)
{
	char room[CMSG_SPACE(sizeof fd)] = "", byte = 'x';
	struct iovec piece = { &byte, 1 };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = room,
				  .msg_controllen = sizeof room };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

	*rights = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd),
				    .cmsg_level = SOL_SOCKET,
				    .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(rights), &fd, sizeof fd);
	scenario_need(sendmsg(socket, &message, 0) == 1, "send: %s", strerror(errno));
	close(fd);
}

static int receive_file(int socket)
{
	char room[CMSG_SPACE(sizeof(int))] = "", byte;
	struct iovec piece = { &byte, 1 };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = room,
				  .msg_controllen = sizeof room };
	int fd = -1;

	scenario_check(recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message),
		       "nothing has come (%s)", strerror(errno));
	if (CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

static int use(void *unused)
{
	int fds[N], pair[2];
	unsigned number = 0;

	(void)unused;
	scenario_need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "pair");
	for (int i = 0; i < N; i++) {
		fds[i] = open_one(i);
		scenario_need(lock(fds[i], i, 4) == 0, "lock: %s", strerror(errno));
	}
	send_file(pair[0], fds[FLYING]);
	scenario_reap(scenario_child(try_locks, NULL));
	scenario_mark("uses");
	scenario_wait_restored();
	scenario_reap(scenario_child(try_locks, NULL));
	fds[FLYING] = receive_file(pair[1]);
	scenario_check(pread(fds[FLYING], &number, sizeof number, 4096) == sizeof number &&
			       number == 8,
		       "what has come has %u", number);
	scenario_reap(scenario_child(try_locks, NULL));
	for (int i = 0; i < N; i++)
		close(fds[i]);
	scenario_reap(scenario_child(try_free, NULL));
	return 0;
}

static int inside(void *unused)
{
	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	add_pages(2);
	return serve_user(use);
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
