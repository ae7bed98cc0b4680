// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-zombies-looks
 * promise: zombies come back with their credentials, name and signals that they ignored, those that
 *	dumped core with the mark of it, and dead inits of pid namespaces among them; no core file
 *	is left
 * needs: initial-user-namespace
 * flavours: flat fresh one three user user-three
 */
#include "scenario.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ZOMBIE_ID = 7 };

struct death {
	const char *name;
	int signal; /* 0: exits with `code` */
	int code;
	bool other_user, core, init;
};

static const struct death deaths[] = {
	{ .name = "plain", .code = 3 },
	{ .name = "of user", .code = 4, .other_user = true },
	{ .name = "killed", .signal = SIGTERM, .other_user = true },
	{ .name = "aborted", .signal = SIGABRT },
	{ .name = "core", .signal = SIGABRT, .core = true },
	{ .name = "core of user", .signal = SIGQUIT, .core = true, .other_user = true },
	{ .name = "init", .code = 5, .init = true },
	{ .name = "init of user", .code = 6, .init = true, .other_user = true },
	{ .name = "init killed", .signal = SIGKILL, .init = true },
	{ .name = "init fault", .signal = SIGSEGV, .init = true },
	{ .name = "init core", .signal = SIGSEGV, .init = true, .core = true },
	{ .name = "init illegal", .signal = SIGILL, .init = true },
	{ .name = "init trap", .signal = SIGTRAP, .init = true, .other_user = true },
	{ .name = "init divides", .signal = SIGFPE, .init = true, .core = true },
	{ .name = "init bus", .signal = SIGBUS, .init = true },
	{ .name = "init call", .signal = SIGSYS, .init = true, .core = true },
};
enum { DEATHS = sizeof deaths / sizeof *deaths };

static volatile uintptr_t nowhere = 8;

/* What an init dies of by itself is a fault. */
static void make_fault(int signal)
{
	if (signal == SIGSEGV) {
		*(volatile int *)nowhere = 1;
	} else if (signal == SIGILL) {
		__asm__ volatile("ud2");
	} else if (signal == SIGTRAP) {
		__asm__ volatile("int3");
	} else if (signal == SIGFPE) {
		__asm__ volatile("xorl %%ecx, %%ecx; divl %%ecx" : : "a"(1), "d"(0) : "ecx");
	} else if (signal == SIGSYS) {
		struct sock_filter kill = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
		struct sock_fprog program = { 1, &kill };
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
		getppid();
	} else if (signal == SIGBUS) {
		int fd = memfd_create("empty", MFD_CLOEXEC);
		volatile int *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
		(void)*page;
	}
}

static void handle(int signal)
{
	(void)signal;
}

static int die(void *data)
{
	const struct death *death = data;
	struct rlimit limit = { death->core ? RLIM_INFINITY : 0, RLIM_INFINITY };
	sigset_t set;

	/* The runner compares what /proc shows of these. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR2, handle);

	/* Only the soft limit: others have to dump core after this. */
	if (!death->core)
		prctl(PR_SET_DUMPABLE, 0);
	scenario_need(setrlimit(RLIMIT_CORE, &limit) == 0, "no limit");
	prctl(PR_SET_NAME, death->name);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (death->other_user) {
		gid_t groups[] = { ZOMBIE_ID + 1, ZOMBIE_ID + 2 };
		scenario_need(syscall(SYS_setgroups, 2, groups) == 0 &&
				      setresgid(ZOMBIE_ID, ZOMBIE_ID, ZOMBIE_ID) == 0 &&
				      setresuid(ZOMBIE_ID, ZOMBIE_ID, ZOMBIE_ID) == 0,
			      "no ids");
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		/* Changing ids forbids cores. */
		prctl(PR_SET_DUMPABLE, death->core);
	}
	if (death->init)
		make_fault(death->signal);
	if (death->signal && !death->init)
		kill(getpid(), death->signal);
	while (death->signal)
		pause();
	_exit(death->code);
}

static bool core_is_here(void)
{
	DIR *here = opendir(".");
	bool found = false;

	for (struct dirent *entry; here && (entry = readdir(here));)
		found = found || strncmp(entry->d_name, "core", 4) == 0;
	closedir(here);
	return found;
}

static void remove_cores(void)
{
	DIR *here = opendir(".");

	for (struct dirent *entry; here && (entry = readdir(here));)
		if (strncmp(entry->d_name, "core", 4) == 0)
			unlink(entry->d_name);
	closedir(here);
}

static void check_zombie(const struct death *death, pid_t pid, int before)
{
	siginfo_t info = { 0 };
	int status = 0;

	scenario_check(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
			       info.si_pid == pid,
		       "%s cannot be waited for", death->name);
	scenario_check(info.si_uid == (death->other_user ? ZOMBIE_ID : 0), "%s was of user %u",
		       death->name, info.si_uid);
	scenario_check(waitpid(pid, &status, 0) == pid, "%s is gone", death->name);
	scenario_check(status == before, "%s: status 0x%x, was 0x%x", death->name, (unsigned)status,
		       (unsigned)before);
}

int main(int argc, char **argv)
{
	pid_t pids[DEATHS];
	int before[DEATHS];

	scenario_begin(argc, argv);
	mkdir("cores", 0777);
	chmod("cores", 0777);
	scenario_need(chdir("cores") == 0, "no directory");
	for (size_t i = 0; i < DEATHS; i++) {
		siginfo_t info;
		pids[i] = scenario_child_in(deaths[i].init ? CLONE_NEWPID : 0, die,
					    (void *)&deaths[i]);
		if (deaths[i].init && deaths[i].signal == SIGKILL)
			kill(pids[i], SIGKILL);
		waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOWAIT);
		before[i] = info.si_code == CLD_EXITED	 ? info.si_status << 8
			    : info.si_code == CLD_DUMPED ? info.si_status | 0x80
							 : info.si_status;
		scenario_need(before[i] == (deaths[i].signal
						    ? deaths[i].signal | (deaths[i].core ? 0x80 : 0)
						    : deaths[i].code << 8),
			      "%s died with 0x%x", deaths[i].name, (unsigned)before[i]);
	}
	remove_cores();
	scenario_need(chdir("..") == 0 && rmdir("cores") == 0, "core files are left");

	scenario_ready();

	for (size_t i = 0; i < DEATHS; i++)
		check_zombie(&deaths[i], pids[i], before[i]);
	scenario_check(!core_is_here(), "there is a core file");
	return scenario_end();
}
