// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A tree to be measured: `bench-tree READY COUNT KIB DEPTH` makes COUNT children, each with KIB
 * of written memory, below DEPTH pid namespaces, creates the file READY and waits. All end with
 * their parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	_exit(1);
}

/* Not a repeating pattern: no tool may find the pages equal. */
static void fill(size_t size)
{
	uint64_t state = 88172645463325252ULL ^ (uint64_t)getpid();
	uint64_t *words =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (words == MAP_FAILED)
		die("mmap");
	for (size_t i = 0; i < size / sizeof *words; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		words[i] = state;
	}
}

static pid_t make_child(uint64_t flags)
{
	struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);

	if (pid < 0)
		die("clone3");
	if (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL))
		die("prctl");
	return pid;
}

static _Noreturn void wait_for_good(void)
{
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fputs("usage: bench-tree READY COUNT KIB DEPTH\n", stderr);
		return 2;
	}
	int count = atoi(argv[2]), depth = atoi(argv[4]);
	size_t size = strtoul(argv[3], NULL, 10) * 1024;
	int ready[2];

	setsid();
	if (pipe2(ready, O_CLOEXEC))
		die("pipe2");
	for (int level = 0; level < depth; level++)
		if (make_child(CLONE_NEWPID)) {
			close(ready[0]);
			close(ready[1]);
			wait_for_good();
		}
	for (int i = 0; i < count; i++)
		if (make_child(0) == 0) {
			fill(size);
			if (write(ready[1], "", 1) != 1)
				die("write");
			close(ready[0]);
			close(ready[1]);
			wait_for_good();
		}
	char byte;
	for (int i = 0; i < count; i++)
		if (read(ready[0], &byte, 1) != 1)
			die("read");
	close(ready[0]);
	close(ready[1]);
	int fd = open(argv[1], O_CREAT | O_WRONLY, 0600);
	if (fd < 0)
		die(argv[1]);
	close(fd);
	wait_for_good();
}
