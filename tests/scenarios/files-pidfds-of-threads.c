// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-pidfds-of-threads
 * promise: pidfds of threads (PIDFD_THREAD) are of the same threads, whether of the own process or
 *	of a task further in, with their flags and copies; one of a thread that is gone tells that
 * flavours: flat fresh one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OF_THREAD = O_EXCL, HIGH = 77, SHARED = 78 };

struct worker {
	pthread_t thread;
	pid_t tid;
	volatile bool leaves;
};

static void *work(void *data)
{
	struct worker *worker = data;

	__atomic_store_n(&worker->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	while (!worker->leaves)
		usleep(1000);
	return NULL;
}

static void start(struct worker *worker)
{
	scenario_need(pthread_create(&worker->thread, NULL, work, worker) == 0, "no thread");
	while (!__atomic_load_n(&worker->tid, __ATOMIC_SEQ_CST))
		usleep(1000);
}

static void end(struct worker *worker)
{
	worker->leaves = true;
	pthread_join(worker->thread, NULL);
}

static int open_pidfd(pid_t pid, unsigned flags)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, OF_THREAD | flags);

	scenario_need(fd >= 0, "pidfd_open of %d: %s", pid, strerror(errno));
	return fd;
}

/* As the thread itself sees it; /proc may be that of somebody further out. */
static pid_t number_of(int pidfd)
{
	char path[64], text[1024] = "";
	int pid = -2;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
	int fd = open(path, O_RDONLY);
	const char *line = read(fd, text, sizeof text - 1) > 0 ? strstr(text, "\nNSpid:") : NULL;
	close(fd);
	if (!line)
		return strstr(text, "\nPid:\t-1") ? -1 : -2;
	text[strcspn(line + 1, "\n") + (size_t)(line + 1 - text)] = '\0';
	sscanf(strrchr(line, '\t'), "%d", &pid);
	return pid;
}

static bool has_ended(int pidfd)
{
	struct pollfd state = { pidfd, POLLIN, 0 };

	return poll(&state, 1, 0) == 1 && state.revents & POLLIN;
}

static bool is_there(int pidfd)
{
	return syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0;
}

static void check_of(int pidfd, pid_t number, const char *what)
{
	scenario_check(number_of(pidfd) == number && is_there(pidfd) && !has_ended(pidfd),
		       "%s: %d instead of %d", what, number_of(pidfd), number);
	scenario_check(fcntl(pidfd, F_GETFL) & OF_THREAD, "%s: it is of a process", what);
}

static void check_ends(struct worker *worker, int pidfd)
{
	end(worker);
	for (int i = 0; i < 1000 && !has_ended(pidfd); i++)
		usleep(1000);
	scenario_check(has_ended(pidfd) && !is_there(pidfd), "its end is not told");
}

static int further_in(void *unused)
{
	struct worker worker = { 0 };

	(void)unused;
	start(&worker);
	int own = open_pidfd(worker.tid, O_NONBLOCK);
	pid_t number = number_of(own);
	scenario_mark("started");
	scenario_wait_restored();
	check_of(own, number, "further in");
	scenario_check(fcntl(own, F_GETFL) & O_NONBLOCK, "O_NONBLOCK is gone");
	scenario_wait_mark("checked");
	check_ends(&worker, own);
	scenario_mark("ended");
	return 0;
}

/* Made after the process, by numbers as we see them: nobody else counts here. */
static pid_t second_thread_of(pid_t pid)
{
	for (pid_t tid = pid + 1; tid < pid + 50; tid++) {
		int of_process = (int)syscall(SYS_pidfd_open, tid, 0);
		int of_thread = (int)syscall(SYS_pidfd_open, tid, OF_THREAD);
		if (of_process >= 0)
			close(of_process);
		if (of_thread >= 0)
			close(of_thread);
		if (of_process < 0 && of_thread >= 0)
			return tid;
	}
	scenario_need(false, "no second thread");
	return 0;
}

int main(int argc, char **argv)
{
	struct worker first = { 0 }, second = { 0 };

	scenario_begin(argc, argv);
	pid_t child = scenario_child_in(CLONE_NEWPID, further_in, NULL);
	scenario_wait_mark("started");
	start(&first);
	start(&second);
	int of_gone = open_pidfd(second.tid, 0);
	end(&second);
	int of_first = open_pidfd(first.tid, 0), of_leader = open_pidfd(getpid(), 0);
	pid_t inner = second_thread_of(child);
	int of_inner = open_pidfd(inner, 0);
	scenario_need(dup2(of_first, SHARED) == SHARED && dup2(of_inner, HIGH) == HIGH, "dup2");
	close(of_inner);
	const pid_t numbers[] = { number_of(of_first), number_of(of_leader), number_of(HIGH) };
	scenario_need(numbers[0] == first.tid && numbers[2] > 0 && numbers[0] != numbers[1],
		      "numbers");

	scenario_ready();

	check_of(of_first, numbers[0], "own");
	check_of(SHARED, numbers[0], "its copy");
	check_of(of_leader, numbers[1], "first thread");
	check_of(HIGH, numbers[2], "inner");
	scenario_mark("checked");
	scenario_check(number_of(of_gone) == -1 && !is_there(of_gone), "the dead live");
	scenario_check(fcntl(of_first, F_GETFD) == FD_CLOEXEC && fcntl(SHARED, F_GETFD) == 0 &&
			       fcntl(HIGH, F_GETFD) == 0,
		       "close-on-exec");
	scenario_check(syscall(SYS_kcmp, getpid(), getpid(), 0, of_first, SHARED) == 0,
		       "the copy is none");
	scenario_wait_mark("ended");
	for (int i = 0; i < 1000 && !has_ended(HIGH); i++)
		usleep(1000);
	scenario_check(has_ended(HIGH), "the end of the inner one is not told");
	check_ends(&first, of_first);
	scenario_reap(child);
	return scenario_end();
}
