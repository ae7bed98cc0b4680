// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-fuse-polled
 * promise: who waits for a file of a file system whose driver is in the tree (FUSE) is woken by the
 *	driver, which has kept the number by which the kernel knew the file when it was polled
 *	first: by poll, by epoll, also by an entry that had fired once, and who polls again later
 * flavours: flat three user user-three
 * needs: kernel_memory device:fuse
 * options: --enable-fs fuse
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <sched.h>
#include <sys/epoll.h>

enum { WAIT_MS = 10000, A_MOMENT_MS = 30, N_FILES = 4 };

static const char content[] = "fs/by-app/one/content", who[] = "fs/by-app/one/who";

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	scenario_need(fd >= 0, "%s: %s", path, strerror(errno));
	return fd;
}

static int poll_for(int fd, int milliseconds)
{
	struct pollfd state = { .fd = fd, .events = POLLIN };

	return poll(&state, 1, milliseconds) == 1 ? state.revents : 0;
}

static int wait_by_poll(void *data)
{
	int fd = *(int *)data;

	scenario_mark("polls");
	scenario_check(poll_for(fd, -1) == POLLIN, "poll");
	return 0;
}

static int wait_by_epoll(void *data)
{
	int epoll = *(int *)data;
	struct epoll_event event = { 0 };
	int n;

	scenario_mark("epolls");
	/* A dump that fails may interrupt it. */
	do
		n = epoll_wait(epoll, &event, 1, -1);
	while (n < 0 && errno == EINTR);
	scenario_check(n == 1 && event.events == EPOLLIN && event.data.u32 == 7, "epoll: %#x",
		       event.events);
	return 0;
}

static int watch(int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u32 = 7 };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	scenario_need(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll: %s",
		      strerror(errno));
	return epoll;
}

static int wait_for(int epoll, int milliseconds)
{
	struct epoll_event event = { 0 };
	int n = epoll_wait(epoll, &event, 1, milliseconds);

	scenario_check(n >= 0 && (n == 0 || event.events == EPOLLIN), "epoll: %#x", event.events);
	return n;
}

static void write_text(const char *text)
{
	int fd = open_file(content, O_WRONLY);

	scenario_check(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "write: %s",
		       strerror(errno));
	close(fd);
}

/* Numbers are left out, and some of what is polled later was opened before. */
static void open_files(int files[N_FILES])
{
	for (int i = 0; i < N_FILES; i++) {
		close(open_file(who, O_RDONLY));
		close(open_file("fs/by-app", O_RDONLY));
		files[i] = open_file(who, O_RDONLY);
	}
}

static int use(void *unused)
{
	int files[N_FILES];

	(void)unused;
	int content_fd = open_file(content, O_RDONLY);
	open_files(files);
	int fired = watch(files[3], EPOLLIN | EPOLLONESHOT);
	write_text("now");
	scenario_check(wait_for(fired, WAIT_MS) == 1 && wait_for(fired, 0) == 0, "fired");
	write_text("before");
	int epoll = watch(files[1], EPOLLIN);
	scenario_check(poll_for(files[2], A_MOMENT_MS) == 0, "something is there");
	pid_t polls = scenario_child(wait_by_poll, &files[0]);
	pid_t epolls = scenario_child(wait_by_epoll, &epoll);
	scenario_wait_mark("polls");
	scenario_wait_mark("epolls");
	scenario_sleep_ms(100);
	scenario_mark("uses");
	scenario_wait_restored();
	scenario_check(poll_for(files[2], A_MOMENT_MS) == 0 && wait_for(fired, 0) == 0,
		       "something is there after the restore");
	write_text("after");
	scenario_reap(polls);
	scenario_reap(epolls);
	scenario_check(poll_for(files[2], WAIT_MS) == POLLIN, "nothing is there");
	scenario_check(wait_for(fired, A_MOMENT_MS) == 0, "what had fired does so again");
	struct epoll_event again = { .events = EPOLLIN };
	scenario_check(epoll_ctl(fired, EPOLL_CTL_MOD, files[3], &again) == 0 &&
			       wait_for(fired, WAIT_MS) == 1,
		       "it does not fire again");
	close(content_fd);
	return 0;
}

static int inside(void *unused)
{
	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	is_polled = true;
	return serve_user(use);
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
