// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A deputy is cloned without CLONE_FS: setns and unshare of mount and user namespaces want a
 * process whose fs is its own. With CLONE_VM nothing of our memory is copied, neither at once nor
 * page by page afterwards; with CLONE_VFORK the thread that calls stands still meanwhile, whose
 * thread-local variables (errno) are the deputy's too.
 *
 * Who is privileged in the user namespace that a deputy enters may trace it there (ptrace(2)), and
 * would have what it shares with us. Not so if the address space is not dumpable: then it takes
 * rights over the user namespace in which nestor was executed (ptrace_may_access).
 */
#include "kernel/deputy.h"

#include "kernel/end-child.h"

#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* As for a restore's own waits: what takes longer hangs, on a file system that does not answer. */
static const struct deputy_terms usual = { "a deputy", 120, ERR_KERNEL_REFUSED };

/* As much as a first thread mostly has; what is not used is not there. */
enum { STACK_BYTES = 8 << 20, GUARD_BYTES = 64 << 10 };

struct outcome {
	bool is_done;
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

int deputy_enter_user(int fd, int others)
{
	if (prctl(PR_SET_DUMPABLE, 0) || setns(fd, CLONE_NEWUSER | others))
		return -1;
	/* A change of credentials has cleared it. */
	return prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* ---- in the deputy ---- */

struct mission {
	int (*work)(void *data, struct error *err);
	void *data;
	pid_t caller;
	unsigned seconds;
	struct outcome *outcome;
};

/* All signals are blocked; nobody but the alarm is to end it in between. */
static int be_deputy(void *data)
{
	const struct mission *mission = data;
	struct error error = { 0 };
	sigset_t alarmed;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != mission->caller)
		return 1;
	signal(SIGALRM, SIG_DFL);
	sigemptyset(&alarmed);
	sigaddset(&alarmed, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarmed, NULL);
	alarm(mission->seconds);
	mission->outcome->result = mission->work(mission->data, &error);
	mission->outcome->error = error;
	mission->outcome->is_done = true;
	return 0;
}

/* ---- here ---- */

/*
 * A change of credentials of a deputy makes all of the memory not dumpable (commit_creds). It is
 * what it was once no deputy of any thread is there any more.
 */
static struct {
	pthread_mutex_t lock;
	unsigned n;
	int dumpable;
} sharing = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void begin_sharing(void)
{
	pthread_mutex_lock(&sharing.lock);
	if (sharing.n++ == 0)
		sharing.dumpable = prctl(PR_GET_DUMPABLE);
	pthread_mutex_unlock(&sharing.lock);
}

static void end_sharing(void)
{
	pthread_mutex_lock(&sharing.lock);
	if (--sharing.n == 0 && prctl(PR_GET_DUMPABLE) != sharing.dumpable)
		prctl(PR_SET_DUMPABLE, sharing.dumpable);
	pthread_mutex_unlock(&sharing.lock);
}

static int tell(const struct outcome *outcome, struct error *err)
{
	if (outcome->result < 0)
		*err = outcome->error;
	return outcome->result;
}

static int wait_for(pid_t pid, const struct deputy_terms *terms, const struct outcome *outcome,
		    struct error *err)
{
	int status = 0;

	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot wait for %s",
					  terms->what);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return fail(err, ERR_KERNEL_REFUSED, "%s was not done within %u seconds",
			    terms->what, terms->seconds);
	if (!WIFEXITED(status))
		return fail(err, terms->killed, "%s was killed by SIG%s", terms->what,
			    sigabbrev_np(WTERMSIG(status)));
	return tell(outcome, err);
}

/*
 * Stacks that nobody is on. To map one and to take it away again is waited for by all threads that
 * share the memory. Taken without a lock, which a deputy that is killed would keep.
 */
static void *_Atomic spare_stacks[2];

static uint8_t *take_stack(void)
{
	for (size_t i = 0; i < sizeof spare_stacks / sizeof *spare_stacks; i++) {
		uint8_t *spare = atomic_exchange(&spare_stacks[i], NULL);
		if (spare)
			return spare;
	}
	uint8_t *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	if (stack == MAP_FAILED)
		return NULL;
	mprotect(stack, GUARD_BYTES, PROT_NONE);
	return stack;
}

static void give_stack_back(uint8_t *stack)
{
	for (size_t i = 0; i < sizeof spare_stacks / sizeof *spare_stacks; i++) {
		void *none = NULL;
		if (atomic_compare_exchange_strong(&spare_stacks[i], &none, stack))
			return;
	}
	munmap(stack, STACK_BYTES);
}

/* With its own stack, and with all signals blocked: no handler of ours runs there. */
static pid_t clone_with_memory(struct mission *mission)
{
	uint8_t *stack = take_stack();
	sigset_t all, before;

	if (!stack)
		return -1;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	begin_sharing();
	pid_t pid = clone(be_deputy, stack + STACK_BYTES,
			  CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, mission);
	int failure = errno;
	/* It has ended by now. */
	end_sharing();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	give_stack_back(stack);
	errno = failure;
	return pid;
}

/* `caller` is what getppid(2) says in the deputy. */
static int run(const struct deputy_terms *terms, pid_t caller,
	       int (*work)(void *data, struct error *err), void *data, struct error *err)
{
	struct outcome outcome = { .result = -1 };
	struct mission mission = { work, data, caller, terms->seconds, &outcome };

	fail(&outcome.error, terms->killed, "%s ended too early", terms->what);
	pid_t pid = clone_with_memory(&mission);
	return pid < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork")
		       : wait_for(pid, terms, &outcome, err);
}

int deputy_run_under(const struct deputy_terms *terms, int (*work)(void *data, struct error *err),
		     void *data, struct error *err)
{
	return run(terms, getpid(), work, data, err);
}

int deputy_run(int (*work)(void *data, struct error *err), void *data, struct error *err)
{
	return deputy_run_under(&usual, work, data, err);
}

int deputy_run_ending(int (*work)(void *data, struct error *err), void *data, pid_t *ending,
		      struct error *err)
{
	struct outcome outcome = { .result = -1 };
	struct mission mission = { work, data, getpid(), usual.seconds, &outcome };

	deputy_end(ending);
	fail(&outcome.error, usual.killed, "%s ended too early", usual.what);
	pid_t pid = clone_with_memory(&mission);
	if (pid < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
	if (!outcome.is_done)
		return wait_for(pid, &usual, &outcome, err);
	*ending = pid;
	return tell(&outcome, err);
}

void deputy_end(pid_t *ending)
{
	if (*ending)
		while (waitpid(*ending, NULL, __WALL) < 0 && errno == EINTR)
			;
	*ending = 0;
}

struct going {
	int pid_namespace_fd;
	int (*work)(void *data, struct error *err);
	void *data;
};

/* Only children come to be there (pid_namespaces(7)); who is their parent has no number there. */
static int send_there(void *data, struct error *err)
{
	const struct going *going = data;
	struct stat own, other;

	if (fstat(going->pid_namespace_fd, &other) || stat("/proc/self/ns/pid", &own) ||
	    setns(going->pid_namespace_fd, CLONE_NEWPID))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter a pid namespace");
	return run(&usual, own.st_ino == other.st_ino ? getpid() : 0, going->work, going->data,
		   err);
}

int deputy_run_among(int pid_namespace_fd, int (*work)(void *data, struct error *err), void *data,
		     struct error *err)
{
	struct going going = { pid_namespace_fd, work, data };

	return deputy_run(send_there, &going, err);
}

/* The child has a copy of the lock, held by it as by the caller: it may have deputies, too. */
static pid_t clone_apart(struct mission *mission)
{
	struct clone_args args = { .flags = CLONE_FILES, .exit_signal = SIGCHLD };
	sigset_t all, before;

	sigfillset(&all);
	deputies_wait();
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	int failure = errno;
	deputies_go_on();
	if (pid == 0)
		_exit(be_deputy(mission));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = failure;
	return pid;
}

static struct outcome *new_outcome(struct error *err)
{
	struct outcome *outcome = deputy_memory(sizeof *outcome);

	if (!outcome) {
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot map shared memory");
		return NULL;
	}
	outcome->result = -1;
	fail(&outcome->error, ERR_KERNEL_REFUSED, "%s ended too early", usual.what);
	return outcome;
}

int deputy_run_apart(int (*work)(void *data, struct error *err), void *data, struct error *err)
{
	struct outcome *outcome = new_outcome(err);
	struct mission mission = { work, data, getpid(), usual.seconds, outcome };

	if (!outcome)
		return -1;
	pid_t pid = clone_apart(&mission);
	int result = pid < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork")
			     : wait_for(pid, &usual, outcome, err);
	deputy_memory_free(outcome, sizeof *outcome);
	return result;
}

/* ---- while the caller goes on ---- */

/* Deputies of other threads share the caller's memory, not this copy. */
static void share_with_nobody(void)
{
	if (sharing.n)
		prctl(PR_SET_DUMPABLE, sharing.dumpable);
	sharing.n = 0;
	pthread_mutex_unlock(&sharing.lock);
}

/* By fork(3), which has the allocator's locks in order: other threads are not waited for. */
static pid_t fork_away(const struct mission *mission)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_mutex_lock(&sharing.lock);
	pid_t pid = fork();
	int failure = errno;
	if (pid == 0) {
		share_with_nobody();
		_exit(be_deputy((void *)(uintptr_t)mission));
	}
	pthread_mutex_unlock(&sharing.lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = failure;
	return pid;
}

void *deputy_away_memory(struct deputy_away *away, size_t size, struct error *err)
{
	*away = (struct deputy_away){ .memory = deputy_memory(size), .size = size };
	if (!away->memory)
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot map shared memory");
	return away->memory;
}

int deputy_send(struct deputy_away *away, int (*work)(void *data, struct error *err),
		struct error *err)
{
	struct outcome *outcome = new_outcome(err);
	const struct mission mission = { work, away->memory, getpid(), usual.seconds, outcome };

	if (!outcome)
		return -1;
	pid_t pid = fork_away(&mission);
	if (pid < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
		deputy_memory_free(outcome, sizeof *outcome);
		return -1;
	}
	away->pid = pid;
	away->outcome = outcome;
	return 0;
}

static void forget(struct deputy_away *away)
{
	deputy_memory_free(away->outcome, sizeof *away->outcome);
	away->outcome = NULL;
	away->pid = 0;
}

int deputy_await(struct deputy_away *away, struct error *err)
{
	int result = away->pid ? wait_for(away->pid, &usual, away->outcome, err) : 0;

	forget(away);
	return result;
}

void deputy_recall(struct deputy_away *away)
{
	if (away->pid)
		end_child(away->pid);
	forget(away);
	deputy_memory_free(away->memory, away->size);
	*away = (struct deputy_away){ 0 };
}
