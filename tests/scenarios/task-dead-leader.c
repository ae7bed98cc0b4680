// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-dead-leader
 * promise: processes whose first thread has exited come back without it, with its exit code, and
 *          with all that their threads share and whom they have adopted; also a stopped one, and
 *          the init of a namespace
 * flavours: flat fresh one three user user-three
 */
#include "scenario.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_CODE = 37, LEADER_UID = 1234, PATTERN = 0x5a };

struct shape {
	const char *name;
	bool stopped, other_user, filtered;
	unsigned long long clone_flags;
};

static const struct shape *shape;
static char ids[SCENARIO_IDS_ROOM];
static unsigned char *memory;
static int ends[2];
static pid_t child;
static volatile sig_atomic_t deaths;

static char leader_state(void)
{
	char line[512], state = '?';
	FILE *file = fopen("/proc/self/stat", "re");

	if (file && fgets(line, sizeof line, file))
		sscanf(strrchr(line, ')'), ") %c", &state);
	if (file)
		fclose(file);
	return state;
}

static void count_death(int signal)
{
	(void)signal;
	deaths++;
}

/* The child of the first thread, now of another one, wants to know when that ends. */
static int be_child(void *unused)
{
	(void)unused;
	scenario_wait_mark(shape->name);
	signal(SIGUSR1, count_death);
	scenario_need(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0, "no death signal");
	char mark[64];
	snprintf(mark, sizeof mark, "%s-child", shape->name);
	scenario_mark(mark);
	scenario_wait_restored();
	scenario_sleep_ms(20);
	scenario_check(deaths == 0, "%s: its parent is said to have died", shape->name);
	return 0;
}

/* Its own parent, who leads its session, ends; so the process adopts it, which is a subreaper. */
static int be_stopped(void *unused)
{
	(void)unused;
	raise(SIGSTOP);
	return 0;
}

/* It has a stopped child, so at the restore it waits longer than others. */
static int be_orphan(void *unused)
{
	pid_t stopped = scenario_child(be_stopped, unused);
	siginfo_t info;

	char mark[64];

	waitid(P_PID, (id_t)stopped, &info, WSTOPPED | WNOWAIT);
	snprintf(mark, sizeof mark, "%s-orphan", shape->name);
	scenario_mark(mark);
	scenario_wait_restored();
	kill(stopped, SIGCONT);
	scenario_reap(stopped);
	return 0;
}

static int leave_orphan(void *unused)
{
	char mark[64];

	setsid();
	scenario_child(be_orphan, unused);
	snprintf(mark, sizeof mark, "%s-orphan", shape->name);
	scenario_wait_mark(mark);
	return 0;
}

/* What the kernel does when a thread ends. */
struct registered {
	void *robust_list;
	int *exit_word;
};

static struct registered registered(void)
{
	struct registered ret = { 0 };
	size_t length;

	scenario_check(syscall(SYS_get_robust_list, 0, &ret.robust_list, &length) == 0 &&
			       prctl(PR_GET_TID_ADDRESS, &ret.exit_word) == 0,
		       "%s: cannot see what is registered", shape->name);
	return ret;
}

static void *work(void *unused)
{
	struct registered before = registered();

	(void)unused;
	while (leader_state() != 'Z')
		scenario_sleep_ms(1);
	scenario_ids(ids);
	scenario_mark(shape->name);
	scenario_wait_restored();

	struct registered after = registered();
	scenario_check(before.robust_list == after.robust_list &&
			       before.exit_word == after.exit_word,
		       "%s: robust list %p and exit word %p, were %p and %p", shape->name,
		       after.robust_list, (void *)after.exit_word, before.robust_list,
		       (void *)before.exit_word);
	char now[SCENARIO_IDS_ROOM], text[8] = "";
	scenario_ids(now);
	scenario_check(strcmp(ids, now) == 0, "%s: ids were %s, are %s", shape->name, ids, now);
	scenario_check(leader_state() == 'Z', "%s: the first thread is %c", shape->name,
		       leader_state());
	for (int i = 0; i < 8192; i++)
		scenario_check(memory[i] == PATTERN, "%s: byte %d has changed", shape->name, i);
	scenario_check(read(ends[0], text, sizeof text) == 5 && strcmp(text, "hello") == 0,
		       "%s: the pipe has %s", shape->name, text);
	scenario_check(syscall(SYS_getuid) == 0, "%s: uid", shape->name);
	scenario_reap(child);
	int status = -1;
	scenario_check(waitpid(-1, &status, 0) > 0 && status == 0, "%s: the orphan has ended 0x%x",
		       shape->name, (unsigned)status);
	syscall(SYS_exit, EXIT_CODE + 1);
	return NULL;
}

static int leaderless(void *data)
{
	pthread_t thread;

	shape = data;
	memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(memory, PATTERN, 8192);
	scenario_need(pipe(ends) == 0 && write(ends[1], "hello", 5) == 5, "no pipe");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	scenario_reap(scenario_child(leave_orphan, NULL));
	child = scenario_child(be_child, NULL);
	scenario_need(pthread_create(&thread, NULL, work, NULL) == 0, "no thread");
	/* Of this thread alone: as system calls, not as the C library has them. */
	prctl(PR_SET_NAME, "was here", 0, 0, 0);
	/* Then it may not signal its child, which would hide a signal sent at its end. */
	if (shape->other_user)
		scenario_need(syscall(SYS_setresuid, LEADER_UID, LEADER_UID, LEADER_UID) == 0,
			      "no uid");
	if (shape->filtered) {
		/* Kills the thread, with SIGSYS. */
		struct sock_filter kill = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD);
		struct sock_fprog program = { 1, &kill };
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
	}
	syscall(SYS_exit, EXIT_CODE);
	return 1;
}

int main(int argc, char **argv)
{
	static const struct shape shapes[] = {
		{ .name = "plain" },
		{ .name = "user", .other_user = true },
		{ .name = "filtered", .filtered = true },
		{ .name = "stopped", .stopped = true },
		{ .name = "init", .clone_flags = 0x20000000 /* CLONE_NEWPID */ },
	};
	enum { SHAPES = sizeof shapes / sizeof *shapes };
	pid_t pids[SHAPES];
	siginfo_t info;

	scenario_begin(argc, argv);
	for (size_t i = 0; i < SHAPES; i++) {
		char mark[64];
		pids[i] = scenario_child_in(shapes[i].clone_flags, leaderless, (void *)&shapes[i]);
		snprintf(mark, sizeof mark, "%s-child", shapes[i].name);
		scenario_wait_mark(mark);
		if (shapes[i].stopped) {
			kill(pids[i], SIGSTOP);
			waitid(P_PID, (id_t)pids[i], &info, WSTOPPED);
		}
	}

	scenario_ready();

	for (size_t i = 0; i < SHAPES; i++) {
		int status = 0;
		if (shapes[i].stopped)
			kill(pids[i], SIGCONT);
		scenario_check(waitpid(pids[i], &status, 0) == pids[i], "%s is not there",
			       shapes[i].name);
		scenario_check(status == (EXIT_CODE + 1) << 8, "%s ended with status 0x%x",
			       shapes[i].name, (unsigned)status);
	}
	return scenario_end();
}
