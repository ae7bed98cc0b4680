// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * scenario-launch DEPTH PROGRAM [ARGUMENT...]: runs a program below DEPTH nested pid namespaces.
 * Each namespace gets an init that leads a session, forks the next and reaps until its child is
 * gone, then leaves with the child's status; the program itself is an ordinary task (pid 2) of
 * the innermost one. With depth 0 the program takes this process's place. The pid of the first
 * init (or of the program) is written to the file named by SCENARIO_ROOT_FILE: the dump's root.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void write_root(const char *path, pid_t pid)
{
	char temporary[1100];

	snprintf(temporary, sizeof temporary, "%s.new", path);
	FILE *file = fopen(temporary, "we");
	if (!file || fprintf(file, "%d\n", (int)pid) < 0 || fclose(file) ||
	    rename(temporary, path)) {
		fprintf(stderr, "scenario-launch: cannot write %s: %s\n", path, strerror(errno));
		exit(2);
	}
}

/* Inits hold nothing of the runner's: its pipes would be part of the tree. */
static void become_init(void)
{
	setsid();
	int null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	syscall(SYS_close_range, 3, ~0U, 0);
}

static int reap_until(pid_t child)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, 0);
		if (pid == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (pid < 0 && errno != EINTR)
			return 2;
	}
}

static pid_t fork_into(unsigned long long flags)
{
	struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &args, sizeof args);

	if (pid < 0) {
		fprintf(stderr, "scenario-launch: clone3: %s\n", strerror(errno));
		exit(2);
	}
	return (pid_t)pid;
}

int main(int argc, char **argv)
{
	const char *root_file = getenv("SCENARIO_ROOT_FILE");

	if (argc < 3 || !root_file) {
		fprintf(stderr, "usage: SCENARIO_ROOT_FILE=F scenario-launch DEPTH PROGRAM ...\n");
		return 2;
	}
	int depth = atoi(argv[1]);
	for (int level = 0; level < depth; level++) {
		pid_t pid = fork_into(CLONE_NEWPID);
		if (pid > 0) {
			if (level == 0)
				write_root(root_file, pid);
			return reap_until(pid);
		}
		become_init();
	}
	if (depth == 0)
		write_root(root_file, getpid());
	pid_t program = depth ? fork_into(0) : 0;
	if (program > 0)
		return reap_until(program);
	execv(argv[2], argv + 2);
	fprintf(stderr, "scenario-launch: %s: %s\n", argv[2], strerror(errno));
	return 2;
}
