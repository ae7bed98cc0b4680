// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Exact ids: `bench-pid-vectors LEVELS TURNS` nests LEVELS pid namespaces and makes 20 tasks a turn
 * in the innermost one in each of three ways: all ids by set_tid, all by last pids with resident
 * helpers, and with helpers that are made for each task. Prints the median cost of a task, which
 * exits at once and is waited for, in microseconds for each. Every id in our own namespace is
 * checked.
 */
#include "pids/last-pids.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_LEVELS = 31, FIRST_NUMBER = 2000, N_NUMBERS = 1000, TURN = 20 };

enum way { SET_TID, RESIDENT, ONE_SHOT, WAYS };

struct bench {
	size_t levels;
	int innermost_fd;
	struct last_pids *service;
};

static double microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

__attribute__((noreturn)) static void give_up(const char *what)
{
	perror(what);
	_exit(1);
}

/* In the outermost init: the nest below it; /proc/self has the number outside. */
static void be_inits(size_t levels, volatile pid_t *ret_innermost)
{
	struct clone_args args = { .flags = CLONE_NEWPID, .exit_signal = SIGCHLD };
	char number[32] = "";
	long pid = 0;

	for (size_t i = 1; i < levels && pid == 0; i++) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pid = syscall(SYS_clone3, &args, sizeof args);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pid == 0 && readlink("/proc/self", number, sizeof number - 1) > 0)
		*ret_innermost = atoi(number);
	for (;;)
		pause();
}

static pid_t open_nest(struct bench *bench)
{
	struct clone_args args = { .flags = CLONE_NEWPID, .exit_signal = SIGCHLD };
	volatile pid_t *innermost = mmap(NULL, sizeof *innermost, PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char path[64];

	if (innermost == MAP_FAILED)
		give_up("mmap");
	long pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0)
		be_inits(bench->levels, innermost);
	if (pid < 0)
		give_up("clone3");
	for (int i = 0; i < 5000 && !*innermost; i++)
		usleep(1000);
	snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)*innermost);
	bench->innermost_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (bench->innermost_fd < 0)
		give_up(path);
	return (pid_t)pid;
}

static void set_last(struct last_pids *service, const uint32_t *last, size_t count)
{
	struct error err = { 0 };

	if (!service || last_pids_set(service, last, count, &err) < 0) {
		fprintf(stderr, "bench-pid-vectors: %s\n", err.text);
		_exit(1);
	}
}

/* All levels get one number; false if the task got another in our own namespace. */
static bool make_task(const struct bench *bench, int way, pid_t number)
{
	pid_t tids[MAX_LEVELS + 1];
	uint32_t last[MAX_LEVELS + 1];
	size_t count = bench->levels + 1;
	struct error err = { 0 };
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = way == SET_TID ? (uintptr_t)tids : 0,
				   .set_tid_size = way == SET_TID ? count : 0 };

	for (size_t i = 0; i < count; i++) {
		tids[i] = number;
		last[i] = (uint32_t)number - 1;
	}
	if (way == RESIDENT)
		set_last(bench->service, last, count);
	if (way == ONE_SHOT) {
		struct last_pids *service = last_pids_open(bench->innermost_fd, &err);
		set_last(service, last, count);
		last_pids_close(service);
	}
	long pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0)
		_exit(0);
	if (pid < 0 || waitpid((pid_t)pid, NULL, 0) != pid)
		give_up("clone3");
	return pid == number;
}

static int compare(const void *one, const void *other)
{
	double difference = *(const double *)one - *(const double *)other;

	return difference < 0 ? -1 : difference > 0;
}

/* A turn of one way; the resident helpers are there only while it is theirs. */
static size_t take_turn(struct bench *bench, int way, pid_t first, double *costs)
{
	struct error err = { 0 };
	size_t wrong = 0;

	if (way == RESIDENT)
		bench->service = last_pids_open(bench->innermost_fd, &err);
	for (pid_t i = 0; i < TURN; i++) {
		double start = microseconds();
		wrong += !make_task(bench, way, first + i);
		costs[i] = microseconds() - start;
	}
	if (way == RESIDENT)
		last_pids_close(bench->service);
	return wrong;
}

static int measure(struct bench *bench, size_t turns)
{
	double *costs[WAYS];
	size_t wrong = 0, count = turns * TURN;

	for (int way = 0; way < WAYS; way++)
		costs[way] = calloc(count, sizeof *costs[way]);
	for (size_t i = 0; i < turns * WAYS; i++)
		wrong += take_turn(bench, (int)(i % WAYS),
				   FIRST_NUMBER + (pid_t)(i % N_NUMBERS) * TURN,
				   costs[i % WAYS] + i / WAYS * TURN);
	for (int way = 0; way < WAYS; way++) {
		qsort(costs[way], count, sizeof *costs[way], compare);
		printf("%.2f%c", costs[way][count / 2], way + 1 < WAYS ? ' ' : '\n');
		free(costs[way]);
	}
	if (wrong)
		fprintf(stderr, "bench-pid-vectors: %zu tasks have other ids\n", wrong);
	return wrong ? 1 : 0;
}

/* In a pid namespace of our own, where nobody else takes numbers. */
static int run(size_t levels, size_t turns)
{
	struct bench bench = { .levels = levels };
	pid_t nest = open_nest(&bench);

	if (setns(bench.innermost_fd, CLONE_NEWPID))
		give_up("cannot enter the innermost namespace");
	int status = measure(&bench, turns);
	kill(nest, SIGKILL);
	return status;
}

int main(int argc, char **argv)
{
	size_t levels = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
	size_t turns = argc > 2 ? strtoul(argv[2], NULL, 10) : 20;
	int status;

	if (levels < 1 || levels > MAX_LEVELS || turns < 1 || turns > 10000)
		return 2;
	if (unshare(CLONE_NEWPID))
		give_up("unshare");
	pid_t pid = fork();
	if (pid == 0) {
		status = run(levels, turns);
		fflush(stdout);
		_exit(status);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
