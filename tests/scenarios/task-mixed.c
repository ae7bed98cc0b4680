// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-mixed
 * promise: processes with threads that have set anything of themselves with any values, as drawn
 *	from a seed (signals and their actions, timers, limits, scheduling, prctl, credentials), in
 *	any order, so that some of it forbids more, have the same afterwards
 * flavours: flat three user-three
 * needs: initial-user-namespace
 * arguments: 1 2 3 4 5 6 7 8
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 4, THREADS = 3, STEPS = 40, TIMERS = 4, ROOM = 16384, FAR = 1000000 };

struct thread {
	int number;
	uint64_t state;
	timer_t timers[TIMERS];
	int n_timers;
	sigset_t blocked;
	size_t length;
	char before[ROOM], after[ROOM];
};

static int process; /* number of this one */

static unsigned draw(struct thread *thread, unsigned below)
{
	thread->state ^= thread->state << 13;
	thread->state ^= thread->state >> 7;
	thread->state ^= thread->state << 17;
	return (unsigned)(thread->state >> 33) % below;
}

/* ---- What a thread sets ---- */

static void handler(int number)
{
	(void)number;
}

/* Without those that end or stop whoever they are sent to before it waits. */
static int any_signal(struct thread *thread)
{
	int number = 1 + (int)draw(thread, 64);

	return number == SIGKILL || number == SIGSTOP || number == SIGCONT || number == SIGCHLD ||
			       (number > 31 && number < SIGRTMIN)
		       ? SIGUSR1
		       : number;
}

static void set_action(struct thread *thread)
{
	static const int flags[] = { SA_RESTART,   SA_NODEFER,	 SA_SIGINFO,
				     SA_NOCLDWAIT, SA_RESETHAND, SA_ONSTACK };
	struct sigaction action = { .sa_flags = flags[draw(thread, 6)] };

	action.sa_handler = draw(thread, 3) == 0 ? SIG_IGN : handler;
	for (unsigned i = draw(thread, 4); i > 0; i--)
		sigaddset(&action.sa_mask, any_signal(thread));
	sigaction(any_signal(thread), &action, NULL);
}

/* Blocked first, by this thread; others of the process have all blocked. */
static void send(struct thread *thread)
{
	siginfo_t info = { .si_code = SI_QUEUE };
	int number = any_signal(thread);

	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_int = (int)draw(thread, FAR);
	if (!sigismember(&thread->blocked, number))
		return;
	if (draw(thread, 2))
		syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), number, &info);
	else
		syscall(SYS_rt_sigqueueinfo, getpid(), number, &info);
}

static void set_stack(struct thread *thread)
{
	stack_t stack = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };

	if (draw(thread, 3) == 0)
		stack.ss_flags = SS_DISABLE;
	sigaltstack(&stack, NULL);
}

static void set_timer(struct thread *thread)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME,	     CLOCK_MONOTONIC,
					    CLOCK_BOOTTIME,	     CLOCK_PROCESS_CPUTIME_ID,
					    CLOCK_THREAD_CPUTIME_ID, CLOCK_TAI };
	struct itimerspec when = { .it_value.tv_sec = 10000 + (time_t)draw(thread, FAR) };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = any_signal(thread),
				  .sigev_value.sival_int = (int)draw(thread, FAR) };

	if (draw(thread, 3) == 0)
		event.sigev_notify = SIGEV_NONE;
	if (draw(thread, 3) == 0) {
		event.sigev_notify = SIGEV_THREAD_ID;
		event._sigev_un._tid = gettid();
	}
	if (draw(thread, 2))
		when.it_interval.tv_sec = (time_t)draw(thread, FAR);
	if (thread->n_timers == TIMERS ||
	    timer_create(clocks[draw(thread, 6)], &event, &thread->timers[thread->n_timers]))
		return;
	timer_t timer = thread->timers[thread->n_timers++];
	if (draw(thread, 4))
		timer_settime(timer, 0, &when, NULL);
	if (draw(thread, 6) == 0) {
		timer_delete(timer);
		thread->n_timers--;
	}
}

static void set_interval(struct thread *thread)
{
	struct itimerval when = { .it_value.tv_sec = 10000 + (time_t)draw(thread, FAR),
				  .it_interval.tv_sec = (time_t)draw(thread, 2) };

	setitimer((int)draw(thread, 3), &when, NULL);
}

/* What the harness itself needs stays: files, descriptors, memory as it is. */
static void set_limit(struct thread *thread)
{
	static const int all[] = { RLIMIT_CORE,	  RLIMIT_MEMLOCK,    RLIMIT_NICE,     RLIMIT_RTPRIO,
				   RLIMIT_RTTIME, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_LOCKS,
				   RLIMIT_NPROC,  RLIMIT_DATA,	     RLIMIT_STACK,    RLIMIT_AS,
				   RLIMIT_NOFILE, RLIMIT_FSIZE,	     RLIMIT_CPU,      RLIMIT_RSS };
	int which = all[draw(thread, sizeof all / sizeof *all)];
	struct rlimit limit;

	getrlimit(which, &limit);
	rlim_t least = which == RLIMIT_NOFILE			    ? 16
		       : which == RLIMIT_AS || which == RLIMIT_DATA ? 1U << 30
		       : which == RLIMIT_FSIZE || which == RLIMIT_CPU || which == RLIMIT_RTTIME ||
				       which == RLIMIT_STACK
			       ? FAR
			       : 0;
	limit.rlim_cur = least + draw(thread, 64);
	if (draw(thread, 2))
		limit.rlim_max = limit.rlim_cur + draw(thread, 64);
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	setrlimit(which, &limit);
}

static void set_scheduling(struct thread *thread)
{
	/* None that keeps others from running: who exits may wait for them. */
	static const int policies[] = { SCHED_OTHER, SCHED_BATCH, SCHED_IDLE };
	const struct sched_param priority = { 0 };
	int policy = policies[draw(thread, 3)];
	cpu_set_t cpus;

	if (draw(thread, 4) == 0)
		policy |= SCHED_RESET_ON_FORK;
	if (draw(thread, 2))
		sched_setscheduler(0, policy, &priority);
	if (draw(thread, 2))
		setpriority(PRIO_PROCESS, 0, (int)draw(thread, 40) - 20);
	if (draw(thread, 2))
		syscall(SYS_ioprio_set, 1, 0, (1 + draw(thread, 3)) << 13 | draw(thread, 8));
	sched_getaffinity(0, sizeof cpus, &cpus);
	if (draw(thread, 2) && CPU_ISSET(0, &cpus)) {
		CPU_ZERO(&cpus);
		CPU_SET(0, &cpus);
		sched_setaffinity(0, sizeof cpus, &cpus);
	}
}

static void set_prctl(struct thread *thread)
{
	static const struct {
		int option;
		unsigned long most;
	} all[] = {
		{ PR_SET_PDEATHSIG, 31 },
		{ PR_SET_DUMPABLE, 1 },
		{ PR_SET_KEEPCAPS, 1 },
		{ PR_SET_TIMERSLACK, FAR },
		{ PR_SET_NO_NEW_PRIVS, 1 },
		{ PR_SET_THP_DISABLE, 1 },
		{ PR_SET_CHILD_SUBREAPER, 1 },
		{ PR_SET_SECUREBITS, 15 },
		{ 67 /* PR_SET_MEMORY_MERGE */, 1 },
		{ 65 /* PR_SET_MDWE */, 1 },
	};
	size_t i = draw(thread, sizeof all / sizeof *all);
	char name[16];

	snprintf(name, sizeof name, "name %u", draw(thread, 1000));
	if (draw(thread, 6) == 0)
		prctl(PR_SET_NAME, name);
	prctl(all[i].option, (unsigned long)draw(thread, (unsigned)all[i].most + 1), 0, 0, 0);
	if (draw(thread, 12) == 0)
		prctl(PR_SET_SPECULATION_CTRL, draw(thread, 2), PR_SPEC_DISABLE, 0, 0);
}

/* A filter that forbids one call, with an error that nobody else gives. */
static void set_filter(struct thread *thread)
{
	static const unsigned calls[] = {
		SYS_swapon,  SYS_reboot,      SYS_mlockall,	     SYS_setns,
		SYS_unshare, SYS_prlimit64,   SYS_sched_setaffinity, SYS_setpriority,
		SYS_madvise, SYS_timer_create
	};
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[draw(thread, 10)], 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof code / sizeof *code, code };

	if (draw(thread, 3))
		return;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, draw(thread, 2) ? SECCOMP_FILTER_FLAG_LOG : 0,
		&filter);
}

/* Of this thread alone, by the bare calls. */
static void set_credentials(struct thread *thread)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct sets[2];
	gid_t groups[3] = { 0, 0, 0 };

	switch (draw(thread, 6)) {
	case 0:
		prctl(PR_CAPBSET_DROP, draw(thread, 40), 0, 0, 0);
		break;
	case 1:
		syscall(SYS_capget, &header, sets);
		sets[0].inheritable |= sets[0].permitted & draw(thread, UINT32_MAX);
		syscall(SYS_capset, &header, sets);
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, draw(thread, 32), 0, 0);
		break;
	case 2:
		syscall(SYS_capget, &header, sets);
		sets[0].effective &= ~draw(thread, UINT32_MAX);
		if (draw(thread, 2))
			sets[0].permitted = sets[0].effective;
		syscall(SYS_capset, &header, sets);
		break;
	case 3:
		syscall(SYS_setgroups, draw(thread, 4), groups);
		break;
	case 4:
		umask(draw(thread, 0777));
		break;
	default:
		syscall(SYS_unshare, CLONE_FS);
	}
}

static void write_own(const char *name, int value)
{
	FILE *file = fopen(name, "we");

	if (!file)
		return;
	fprintf(file, "%d", value);
	fclose(file);
}

static void set_files(struct thread *thread)
{
	write_own("/proc/thread-self/oom_score_adj", (int)draw(thread, 1000));
	if (draw(thread, 2))
		write_own("/proc/thread-self/coredump_filter", (int)draw(thread, 512));
	if (draw(thread, 2))
		write_own("/proc/thread-self/timerslack_ns", (int)draw(thread, FAR));
}

static void block(struct thread *thread)
{
	sigset_t some;

	sigemptyset(&some);
	for (unsigned i = draw(thread, 20); i > 0; i--)
		sigaddset(&some, any_signal(thread));
	pthread_sigmask(SIG_BLOCK, &some, NULL);
	pthread_sigmask(SIG_BLOCK, NULL, &thread->blocked);
}

static void step(struct thread *thread)
{
	static void (*const all[])(struct thread *) = {
		set_action,	set_action, send,	  send,	      set_stack,
		set_timer,	set_timer,  set_interval, set_limit,  set_limit,
		set_scheduling, set_prctl,  set_prctl,	  set_filter, set_credentials,
		set_files,	block,
	};

	all[draw(thread, sizeof all / sizeof *all)](thread);
}

/* ---- What it is told ---- */

static void add(struct thread *thread, char *text, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void add(struct thread *thread, char *text, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	int length = vsnprintf(text + thread->length, ROOM - thread->length, format, list);
	va_end(list);
	if (length > 0 && thread->length + (size_t)length < ROOM)
		thread->length += (size_t)length;
}

static void ask_prctl(struct thread *thread, char *text)
{
	static const int options[] = { PR_GET_DUMPABLE,
				       PR_GET_KEEPCAPS,
				       PR_GET_SECCOMP,
				       PR_GET_SECUREBITS,
				       PR_GET_TIMERSLACK,
				       PR_GET_NO_NEW_PRIVS,
				       PR_GET_THP_DISABLE,
				       66 /* PR_GET_MDWE */,
				       68 /* PR_GET_MEMORY_MERGE */ };
	int value = -1;

	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		add(thread, text, "prctl %d: %d\n", options[i], prctl(options[i], 0, 0, 0, 0));
	prctl(PR_GET_PDEATHSIG, &value);
	add(thread, text, "death %d", value);
	prctl(PR_GET_CHILD_SUBREAPER, &value);
	add(thread, text, " subreaper %d\n", value);
	for (int i = 0; i < 41; i++)
		add(thread, text, "%d%d ", prctl(PR_CAPBSET_READ, i, 0, 0, 0),
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0));
	for (unsigned long i = 0; i < 2; i++)
		add(thread, text, "speculation %d\n", prctl(PR_GET_SPECULATION_CTRL, i, 0, 0, 0));
}

static void ask_scheduling(struct thread *thread, char *text)
{
	struct sched_param priority;
	unsigned char cpus[128] = { 0 };

	sched_getparam(0, &priority);
	long size = syscall(SYS_sched_getaffinity, 0, sizeof cpus, cpus);
	add(thread, text, "\npolicy %d %d nice %d io %ld cpus %ld %x\n", sched_getscheduler(0),
	    priority.sched_priority, getpriority(PRIO_PROCESS, 0), syscall(SYS_ioprio_get, 1, 0),
	    size, cpus[0]);
}

static void ask_signals(struct thread *thread, char *text)
{
	struct sigaction action;
	sigset_t pending;
	stack_t stack;

	sigpending(&pending);
	sigaltstack(NULL, &stack);
	add(thread, text, "stack %p %zu %d\n", stack.ss_sp, stack.ss_size, stack.ss_flags);
	for (int i = 1; i < 65; i++)
		if (sigaction(i, NULL, &action) == 0)
			add(thread, text, "signal %d: %p %x %lx pending %d\n", i,
			    (void *)action.sa_handler, (unsigned)action.sa_flags,
			    action.sa_mask.__val[0], sigismember(&pending, i));
}

static void ask_timers(struct thread *thread, char *text)
{
	struct itimerspec when;

	for (int i = 0; i < thread->n_timers; i++)
		if (timer_gettime(thread->timers[i], &when) == 0)
			add(thread, text, "timer %d: armed %d every %ld\n", i,
			    when.it_value.tv_sec > 5000, when.it_interval.tv_sec);
	for (int i = 0; i < 3; i++) {
		struct itimerval interval;
		getitimer(i, &interval);
		add(thread, text, "interval %d: armed %d every %ld\n", i,
		    interval.it_value.tv_sec > 5000, interval.it_interval.tv_sec);
	}
}

static void ask_limits(struct thread *thread, char *text)
{
	struct rlimit limit;

	for (int i = 0; i < 16; i++)
		if (getrlimit(i, &limit) == 0)
			add(thread, text, "limit %d: %lu %lu\n", i, limit.rlim_cur, limit.rlim_max);
}

/* Nothing that is asked for can be forbidden by a filter of ours. */
static void ask(struct thread *thread, char *text)
{
	thread->length = 0;
	ask_prctl(thread, text);
	ask_scheduling(thread, text);
	ask_signals(thread, text);
	ask_timers(thread, text);
	ask_limits(thread, text);
}

/* What is pending comes with what it was sent with, in its order. */
static void take_pending(struct thread *thread, char *text)
{
	struct timespec now = { 0 };
	siginfo_t info;

	while (sigtimedwait(&thread->blocked, &info, &now) > 0)
		add(thread, text, "took %d %d %d\n", info.si_signo, info.si_code,
		    info.si_value.sival_int);
}

static void compare(struct thread *thread)
{
	char *a = thread->before, *b = thread->after, *rest_a = NULL, *rest_b = NULL;

	for (a = strtok_r(a, "\n", &rest_a), b = strtok_r(b, "\n", &rest_b); a && b;
	     a = strtok_r(NULL, "\n", &rest_a), b = strtok_r(NULL, "\n", &rest_b))
		scenario_check(strcmp(a, b) == 0, "%d.%d: %s is %s", process, thread->number, a, b);
	scenario_check(!a && !b, "%d.%d: %s against %s", process, thread->number, a ? a : "nothing",
		       b ? b : "nothing");
}

static void say(const char *what, const struct thread *thread)
{
	char mark[48];

	snprintf(mark, sizeof mark, "%s-%d-%d", what, process, thread->number);
	scenario_mark(mark);
}

static void wait_for(const char *what, int of)
{
	char mark[48];

	for (int i = 0; i < THREADS; i++) {
		snprintf(mark, sizeof mark, "%s-%d-%d", what, of, i);
		scenario_wait_mark(mark);
	}
}

static void *live(void *data)
{
	struct thread *thread = data;

	pthread_sigmask(SIG_BLOCK, NULL, &thread->blocked);
	for (int i = 0; i < STEPS; i++)
		step(thread);
	say("set", thread);
	wait_for("set", process);
	ask(thread, thread->before);
	say("asked", thread);
	if (process || thread->number) {
		scenario_wait_restored();
	} else {
		for (int i = 0; i < PROCESSES; i++)
			wait_for("asked", i);
		scenario_ready();
	}
	ask(thread, thread->after);
	compare(thread);
	say("compared", thread);
	/* Nobody ends before: others would be told. */
	for (int i = 0; i < PROCESSES; i++)
		wait_for("compared", i);
	thread->length = 0;
	take_pending(thread, thread->after);
	return NULL;
}

static int live_all(void *data)
{
	static struct thread threads[THREADS];
	pthread_t others[THREADS];
	sigset_t all;
	uint64_t seed = *(const uint64_t *)data;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	for (int i = 0; i < THREADS; i++) {
		threads[i].number = i;
		threads[i].state = (seed + (uint64_t)(process * THREADS + i) + 1) *
				   UINT64_C(0x9e3779b97f4a7c15);
	}
	for (int i = 1; i < THREADS; i++)
		scenario_need(pthread_create(&others[i], NULL, live, &threads[i]) == 0, "thread");
	live(&threads[0]);
	for (int i = 1; i < THREADS; i++)
		pthread_join(others[i], NULL);
	return 0;
}

int main(int argc, char **argv)
{
	pid_t children[PROCESSES];

	scenario_begin(argc, argv);
	scenario_need(argc > 2, "which seed?");
	uint64_t seed = strtoull(argv[2], NULL, 10) * 1000;
	for (int i = 1; i < PROCESSES; i++) {
		process = i;
		children[i] = scenario_child(live_all, &seed);
	}
	process = 0;
	live_all(&seed);
	for (int i = 1; i < PROCESSES; i++)
		scenario_reap(children[i]);
	return scenario_end();
}
