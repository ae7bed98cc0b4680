// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-getters
 * promise: with everything set that a task can set, all that it can ask of itself has the same
 *   answer as before, in its first thread and in another
 * flavours: flat three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Lines "getter: answer"; docs/state.md says what becomes of each. */
enum { ROOM = 16384, LINE = 512, LAST_PRCTL = 100 };
struct answers {
	char text[ROOM];
	size_t length;
};

static struct answers before[2], after[2];

static void add(struct answers *answers, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void add(struct answers *answers, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	int length =
		vsnprintf(answers->text + answers->length, ROOM - answers->length, format, list);
	va_end(list);
	scenario_need(length >= 0 && answers->length + (size_t)length < ROOM, "room for answers");
	answers->length += (size_t)length;
}

/* Those that only answer, with a number or in a word. */
static void ask_prctl(struct answers *answers)
{
	static const int returns[] = { PR_GET_DUMPABLE,	       PR_GET_KEEPCAPS,
				       PR_GET_TIMING,	       PR_GET_SECCOMP,
				       PR_GET_SECUREBITS,      PR_GET_TIMERSLACK,
				       PR_MCE_KILL_GET,	       PR_GET_NO_NEW_PRIVS,
				       PR_GET_THP_DISABLE,     PR_GET_IO_FLUSHER,
				       66 /* PR_GET_MDWE */,   68 /* MEMORY_MERGE */,
				       PR_GET_SPECULATION_CTRL };
	static const int writes[] = { PR_GET_PDEATHSIG, PR_GET_TSC, PR_GET_CHILD_SUBREAPER };
	char name[32] = "";

	for (size_t i = 0; i < sizeof returns / sizeof *returns; i++) {
		long result = prctl(returns[i], 0, 0, 0, 0);
		add(answers, "prctl %d: %ld %d\n", returns[i], result, result < 0 ? errno : 0);
	}
	for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
		int value = -1;
		long result = prctl(writes[i], &value, 0, 0, 0);
		add(answers, "prctl %d: %ld %d\n", writes[i], result, value);
	}
	for (int capability = 0; capability < 64; capability++)
		add(answers, "bounding %d: %d ambient %d\n", capability,
		    prctl(PR_CAPBSET_READ, capability, 0, 0, 0),
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0));
	prctl(PR_GET_NAME, name, 0, 0, 0);
	add(answers, "name: %s\n", name);
}

static void ask_calls(struct answers *answers)
{
	unsigned long address = 0, nodes[16] = { 0 };
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attributes = { .size = sizeof attributes };
	cpu_set_t processors;
	stack_t stack;
	int mode = -1;

	syscall(SYS_arch_prctl, 0x1004 /* ARCH_GET_GS */, &address);
	add(answers, "gs: %lx\n", address);
	add(answers, "cpuid: %ld\n", syscall(SYS_arch_prctl, 0x1011, 0));
	syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0);
	add(answers, "scheduling: %u %lx %d %u\n", attributes.policy, attributes.flags,
	    attributes.nice, attributes.priority);
	CPU_ZERO(&processors);
	sched_getaffinity(0, sizeof processors, &processors);
	add(answers, "processors: %d %d\n", CPU_COUNT(&processors), CPU_ISSET(0, &processors));
	add(answers, "io priority: %ld\n", syscall(SYS_ioprio_get, 1, 0));
	syscall(SYS_get_mempolicy, &mode, nodes, 1024, NULL, 0);
	add(answers, "memory policy: %d %lx\n", mode, nodes[0]);
	sigaltstack(NULL, &stack);
	add(answers, "alternate stack: %p %zu %d\n", stack.ss_sp, stack.ss_size, stack.ss_flags);
	add(answers, "barriers: %ld\n", syscall(SYS_membarrier, 1 << 9, 0, 0));
	for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
		struct rlimit limit;
		getrlimit((unsigned)resource, &limit);
		add(answers, "limit %d: %lu %lu\n", resource, limit.rlim_cur, limit.rlim_max);
	}
	for (int signal = 1; signal < 65; signal++) {
		struct sigaction action = { 0 };
		if (sigaction(signal, NULL, &action) == 0)
			add(answers, "signal %d: %p %x\n", signal, (void *)action.sa_handler,
			    (unsigned)action.sa_flags);
	}
}

static void add_lines(struct answers *answers, const char *name, const char *const *keys)
{
	char path[64], line[LINE];

	snprintf(path, sizeof path, "/proc/thread-self/%s", name);
	FILE *file = fopen(path, "r");
	if (!file) {
		snprintf(path, sizeof path, "/proc/self/%s", name);
		file = fopen(path, "r");
	}
	while (file && fgets(line, sizeof line, file)) {
		bool wanted = !keys;
		for (size_t i = 0; keys && keys[i]; i++)
			wanted = wanted || strncmp(line, keys[i], strlen(keys[i])) == 0;
		if (wanted)
			add(answers, "%s: %s", name, line);
	}
	if (file)
		fclose(file);
}

static void ask_files(struct answers *answers)
{
	static const char *const status[] = {
		"Name",	       "Umask",	       "Uid",	      "Gid",	    "Groups",	  "Threads",
		"SigBlk",      "SigIgn",       "SigCgt",      "Cap",	    "NoNewPrivs", "Seccomp",
		"Speculation", "Cpus_allowed", "THP_enabled", "untag_mask", NULL,
	};
	static const char *const files[] = { "oom_score_adj", "coredump_filter", "personality",
					     "timerslack_ns", "limits",		 "comm",
					     "cmdline",	      "setgroups" };

	add_lines(answers, "status", status);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		add_lines(answers, files[i], NULL);
}

static void ask(struct answers *answers)
{
	ask_prctl(answers);
	ask_calls(answers);
	ask_files(answers);
}

static void write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY);

	scenario_need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s",
		      name);
	close(fd);
}

static void handle(int signal)
{
	(void)signal;
}

static char stacks[2][65536];

/* Of a thread: different in each. What this kernel or these rights do not allow stays as it is. */
static void set_thread(int which)
{
	const stack_t stack = { .ss_sp = stacks[which], .ss_size = sizeof stacks[which] };
	unsigned long node = 1;
	cpu_set_t processors;

	CPU_ZERO(&processors);
	CPU_SET(0, &processors);
	prctl(PR_SET_NAME, which ? "two\xff )" : "o) ne", 0, 0, 0);
	prctl(PR_SET_TIMERSLACK, 12345 + which, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, which ? SIGUSR2 : 0, 0, 0, 0);
	prctl(PR_MCE_KILL, PR_MCE_KILL_SET, which, 0, 0);
	prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0);
	syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, 0x123450 + which * 0x1000);
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 3 + which);
	if (which)
		sched_setaffinity(0, sizeof processors, &processors);
	syscall(SYS_ioprio_set, 1, 0, 2 << 13 | (4 + which));
	syscall(SYS_set_mempolicy, which ? MPOL_PREFERRED : MPOL_BIND, &node, 64);
	sigaltstack(&stack, NULL);
}

static void set_process(void)
{
	const struct sigaction action = { .sa_handler = handle,
					  .sa_flags = SA_ONSTACK | SA_NODEFER };
	struct rlimit limit = { 100, 200 };

	write_file("/proc/self/oom_score_adj", "321");
	write_file("/proc/self/coredump_filter", "0x7f");
	sigaction(SIGUSR1, &action, NULL);
	signal(SIGUSR2, SIG_IGN);
	signal(SIGRTMIN + 5, SIG_IGN);
	umask(0117);
	setrlimit(RLIMIT_NPROC, &limit);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	prctl(67 /* PR_SET_MEMORY_MERGE */, 1, 0, 0, 0);
	prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0);
	syscall(SYS_membarrier, 1 << 4, 0, 0);
	prctl(PR_CAPBSET_DROP, 5, 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static uint32_t set, asked;

static void *body(void *data)
{
	set_thread(1);
	/* /proc/self shows the first thread, too. */
	while (!__atomic_load_n(&set, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(1);
	ask(&before[1]);
	__atomic_store_n(&asked, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&asked, __ATOMIC_SEQ_CST) == 1)
		scenario_sleep_ms(2);
	ask(&after[1]);
	return data;
}

static void compare(const char *who, const struct answers *one, const struct answers *other)
{
	const char *left = one->text, *right = other->text;

	while (*left || *right) {
		size_t l = strcspn(left, "\n"), r = strcspn(right, "\n");
		scenario_check(l == r && strncmp(left, right, l) == 0, "%s: %.*s -> %.*s", who,
			       (int)l, left, (int)r, right);
		left += l + (left[l] == '\n');
		right += r + (right[r] == '\n');
	}
}

int main(int argc, char **argv)
{
	pthread_t thread;

	scenario_begin(argc, argv);
	set_process();
	scenario_need(!pthread_create(&thread, NULL, body, NULL), "pthread_create");
	set_thread(0);
	__atomic_store_n(&set, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&asked, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(1);
	ask(&before[0]);

	scenario_ready();

	ask(&after[0]);
	__atomic_store_n(&asked, 2, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	compare("first thread", &before[0], &after[0]);
	compare("thread", &before[1], &after[1]);
	return scenario_end();
}
