// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * clone3(CLONE_FILES) without CLONE_VM and CLONE_FS: setns and unshare of mount and user namespaces
 * want a process whose fs is its own, and an address space that is shared would take on the
 * dumpability of one that has changed its credentials.
 */
#include "kernel/deputy.h"

#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* As for a restore's own waits: what takes longer hangs, on a file system that does not answer. */
enum { LONGEST_SECONDS = 120 };

struct outcome {
	int result;
	struct error error;
};

static pthread_mutex_t beginning = PTHREAD_MUTEX_INITIALIZER;

void deputies_wait(void)
{
	pthread_mutex_lock(&beginning);
}

void deputies_go_on(void)
{
	pthread_mutex_unlock(&beginning);
}

/* The child has a copy of the lock, held by it as by the caller: it may have deputies, too. */
static pid_t clone_deputy(void)
{
	struct clone_args args = { .flags = CLONE_FILES, .exit_signal = SIGCHLD };

	deputies_wait();
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	int failure = errno;
	deputies_go_on();
	errno = failure;
	return pid;
}

void *deputy_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void deputy_memory_free(void *memory, size_t size)
{
	if (memory)
		munmap(memory, size);
}

static int wait_for(pid_t pid, const struct outcome *outcome, struct error *err)
{
	int status = 0;

	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot wait for a deputy");
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return fail(err, ERR_KERNEL_REFUSED, "a deputy was not done within %d seconds",
			    LONGEST_SECONDS);
	if (!WIFEXITED(status))
		return fail(err, ERR_KERNEL_REFUSED, "a deputy was killed by SIG%s",
			    sigabbrev_np(WTERMSIG(status)));
	if (outcome->result < 0)
		*err = outcome->error;
	return outcome->result;
}

int deputy_run(int (*work)(void *data, struct error *err), void *data, struct error *err)
{
	struct outcome *outcome = deputy_memory(sizeof *outcome);
	pid_t caller = getpid();
	sigset_t alarmed;

	if (!outcome)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot map shared memory");
	outcome->result = -1;
	fail(&outcome->error, ERR_KERNEL_REFUSED, "a deputy ended too early");
	pid_t pid = clone_deputy();
	if (pid == 0) {
		struct error error = { 0 };
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != caller)
			_exit(1);
		signal(SIGALRM, SIG_DFL);
		sigemptyset(&alarmed);
		sigaddset(&alarmed, SIGALRM);
		sigprocmask(SIG_UNBLOCK, &alarmed, NULL);
		alarm(LONGEST_SECONDS);
		outcome->result = work(data, &error);
		outcome->error = error;
		_exit(0);
	}
	int result = pid < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork")
			     : wait_for(pid, outcome, err);
	deputy_memory_free(outcome, sizeof *outcome);
	return result;
}
