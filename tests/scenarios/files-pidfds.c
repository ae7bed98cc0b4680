// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-pidfds
 * promise: pidfds of the own process, of children and parents, of tasks further in than the holder
 *	sees others, of zombies and of those that are reaped; which tell how they ended
 * flavours: flat fresh one three user user-three unprivileged unprivileged-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct facts {
	uint64_t mask, cgroup;
	uint32_t pid, tgid, ppid, ids[8];
	int32_t exit_code;
};
#define FACTS _IOWR(0xff, 11, struct facts)
enum { FACT_EXIT = 8, OF_MAIN = 70 };

static int open_pidfd(pid_t pid, unsigned flags)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, flags);

	scenario_need(fd >= 0, "pidfd_open");
	return fd;
}

static int send_null(int pidfd)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0);
}

static bool has_ended(int pidfd)
{
	struct pollfd state = { pidfd, POLLIN, 0 };

	return poll(&state, 1, 0) == 1 && (state.revents & POLLIN);
}

static pid_t number_of(int pidfd)
{
	char path[64], text[1024] = "";
	int pid = -2;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
	int fd = open(path, O_RDONLY);
	if (read(fd, text, sizeof text - 1) > 0 && strstr(text, "\nPid:"))
		sscanf(strstr(text, "\nPid:") + 5, "%d", &pid);
	close(fd);
	return pid;
}

/* Another namespace, from which the process of this pidfd is not to be seen. */
static int inner(void *unused)
{
	(void)unused;
	scenario_mark("inner");
	scenario_wait_restored();
	scenario_check(send_null(OF_MAIN) == -1 && errno == EINVAL, "seen from inside");
	scenario_check(!has_ended(OF_MAIN), "the main task has ended");
	scenario_wait_mark("checked");
	return 0;
}

static int leave(void *status)
{
	if (*(int *)status < 0)
		raise(SIGKILL);
	return *(int *)status;
}

static void check_end(int pidfd, int status)
{
	struct facts facts = { .mask = FACT_EXIT };

	scenario_check(has_ended(pidfd), "it has not ended");
	scenario_check(send_null(pidfd) == -1 && errno == ESRCH, "it can be signalled");
	if (ioctl(pidfd, FACTS, &facts) == 0 && facts.mask & FACT_EXIT)
		scenario_check(facts.exit_code == status, "it ended with %#x", facts.exit_code);
}

union control {
	char room[CMSG_SPACE(sizeof(int))];
	struct cmsghdr header;
};

static ino_t inode_of(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) ? 0 : stat.st_ino;
}

/* A pidfd of one that is reaped, which nobody holds; returns a socket that it can be had from. */
static int send_away(int (*body)(void *data), void *data)
{
	pid_t pid = scenario_child(body, data);
	int ends[2], fd = open_pidfd(pid, 0);
	union control control = { 0 };
	struct iovec part = { (void *)"x", 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control };

	control.header = (struct cmsghdr){ CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	scenario_need(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 &&
			      sendmsg(ends[0], &header, 0) == 1,
		      "nothing is sent");
	waitpid(pid, NULL, 0);
	close(fd);
	return ends[1];
}

static int receive(int socket)
{
	char byte;
	int fd = -1;
	union control control = { 0 };
	struct iovec part = { &byte, 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control };

	if (recvmsg(socket, &header, MSG_DONTWAIT) == 1 && CMSG_FIRSTHDR(&header))
		memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
	return fd;
}

int main(int argc, char **argv)
{
	int seven = 7, killed = -1;

	scenario_begin(argc, argv);
	int own = open_pidfd(getpid(), 0);
	scenario_need(dup2(own, OF_MAIN) == OF_MAIN, "dup2");
	pid_t inner_pid = scenario_child_in(CLONE_NEWPID, inner, NULL);
	scenario_wait_mark("inner");
	int of_inner = open_pidfd(inner_pid, O_NONBLOCK);
	pid_t zombie_pid = scenario_child(leave, &seven);
	int of_zombie = open_pidfd(zombie_pid, 0);
	siginfo_t info;
	waitid(P_PID, (id_t)zombie_pid, &info, WEXITED | WNOWAIT);
	pid_t first_pid = scenario_child(leave, &seven),
	      second_pid = scenario_child(leave, &killed);
	int first = open_pidfd(first_pid, 0), first_again = open_pidfd(first_pid, 0);
	int second = open_pidfd(second_pid, 0);
	waitpid(first_pid, NULL, 0);
	waitpid(second_pid, NULL, 0);
	int on_its_way = send_away(leave, &seven);
	bool inodes_tell = inode_of(first) != inode_of(second);

	scenario_ready();

	scenario_check(number_of(own) > 0 && send_null(own) == 0, "own");
	scenario_check(number_of(of_inner) > 0 && send_null(of_inner) == 0, "inner");
	scenario_check(fcntl(of_inner, F_GETFL) & O_NONBLOCK, "O_NONBLOCK is gone");
	scenario_check(!has_ended(of_inner), "the inner one has ended");
	scenario_check(number_of(of_zombie) > 0 && has_ended(of_zombie), "zombie");
	scenario_check(number_of(first) == -1 && number_of(second) == -1, "the dead live");
	check_end(first, 7 << 8);
	check_end(first_again, 7 << 8);
	check_end(second, SIGKILL);
	if (inodes_tell)
		scenario_check(inode_of(first) == inode_of(first_again) &&
				       inode_of(first) != inode_of(second),
			       "the dead are not told apart: %lu %lu %lu", inode_of(first),
			       inode_of(first_again), inode_of(second));
	int arrived = receive(on_its_way);
	scenario_check(number_of(arrived) == -1, "what was on its way lives");
	check_end(arrived, 7 << 8);
	scenario_mark("checked");
	scenario_reap(inner_pid);
	scenario_check(has_ended(of_inner), "the inner one lives");
	waitpid(zombie_pid, NULL, 0);
	return scenario_end();
}
