// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Kills dumping processes with SIGKILL at random moments, and looks at the target: it must go
 * on in every activity, have seen nothing, and look the same from outside.
 *
 *	kill-dump [-n ROUNDS] [-x NESTOR] [-s] [-d] [-a] [-l] TARGET
 *
 * Every other kill comes at any moment of a dump; the others shortly after it began to work
 * inside the target.
 *
 * By default the dumping process is a child that stops the target, asks it what the probe asks,
 * and lets it go; with -x it is `NESTOR dump -R`. -s stops the target (SIGSTOP) before every
 * round: it must be stopped afterwards, and a second dump, while it is, must succeed. -d lets every
 * round come to its end (nothing is killed). -a lets the target handle every signal. -l: its first
 * thread has exited. The target is a child of ours; nothing else is ever signalled.
 */
#include "arch/stub.h"
#include "arch/vdso.h"
#include "base/error.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/facts.h"
#include "collect/probe.h"
#include "kinds/kind.h"
#include "target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	DEFAULT_ROUNDS = 100,
	PATIENCE_MS = 20000,
	SETTLED_MS = 500,
	CHECK_ALL_EVERY = 10,
	WARM_UP = 9,
	PATH_ROOM = 300,
	KEPT_LEAKS_PER_THOUSAND = 10,
};

struct trial {
	const char *target_path, *nestor_path;
	char directory[64];
	unsigned rounds;
	bool stopped, complete, handling, headless;
	pid_t pid;
	pid_t tid; /* of a thread that lives */
	struct target_state *state;
	int areas;
	/* Counted: */
	unsigned killed, at_work, finished, failed, leaks;
	uint64_t owner_address; /* in the target, of the word with the pid of who injects */
	int64_t span_us;	/* in which the moment to kill lies */
};

static int64_t now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * INT64_C(1000000) + time.tv_nsec / 1000;
}

static void sleep_us(int64_t us)
{
	struct timespec time = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&time, NULL);
}

/* A table of questions as the kinds ask them. */
static void *ask_process(const struct asking *asking)
{
	for (uint64_t signal = 1; signal <= 64; signal++)
		probe_ask(asking->probe, SYS_rt_sigaction, signal, 0,
			  probe_buffer(asking->probe, 32), 8);
	for (uint64_t timer = 0; timer < 3; timer++)
		probe_ask(asking->probe, SYS_getitimer, timer, probe_buffer(asking->probe, 32));
	probe_ask(asking->probe, SYS_prctl, PR_GET_DUMPABLE);
	probe_ask(asking->probe, SYS_prctl, PR_GET_CHILD_SUBREAPER, probe_buffer(asking->probe, 8));
	probe_ask(asking->probe, SYS_getpgid, 0);
	return NULL;
}

static int answer_process(const struct asking *asking, void *asked, struct error *err)
{
	(void)asked;
	if (probe_result(asking->probe, 67) < 0) /* PR_GET_DUMPABLE */
		return fail(err, ERR_PROBE_FAILED, "pid %d gave no answer", asking->target->pid);
	return 0;
}

static void *ask_thread(const struct asking *asking)
{
	uint64_t stack = probe_buffer(asking->probe, 24);

	probe_ask(asking->probe, SYS_sigaltstack, 0, stack);
	probe_ask(asking->probe, SYS_prctl, PR_GET_PDEATHSIG, probe_buffer(asking->probe, 8));
	probe_ask(asking->probe, SYS_prctl, PR_GET_TIMERSLACK);
	probe_ask(asking->probe, SYS_get_robust_list, 0, probe_buffer(asking->probe, 8),
		  probe_buffer(asking->probe, 8));
	return arena_copy(asking->target->collect->arena,
			  &(size_t){ probe_ask(asking->probe, SYS_gettid) }, sizeof(size_t));
}

static int answer_thread(const struct asking *asking, void *asked, struct error *err)
{
	if (probe_result(asking->probe, *(size_t *)asked) !=
	    asking->target->threads[asking->thread].tid)
		return fail(err, ERR_PROBE_FAILED, "thread %d of pid %d gave the wrong answer",
			    asking->target->threads[asking->thread].tid, asking->target->pid);
	return 0;
}

static const struct task_kind process_questions = {
	.name = "process",
	.ask = ask_process,
	.answer = answer_process,
};
static const struct task_kind thread_questions = {
	.name = "thread",
	.per_thread = true,
	.ask = ask_thread,
	.answer = answer_thread,
};
static const struct task_kind *const process_stage[] = { &process_questions, NULL };
static const struct task_kind *const thread_stage[] = { &thread_questions, NULL };
static const struct kind_table questions = {
	.tasks = { [STAGE_PROCESS] = process_stage, [STAGE_THREAD] = thread_stage },
};

/* The child: what a dump does to its target, without the writing. */
static void __attribute__((noreturn)) dump_in_child(pid_t pid)
{
	struct arena arena;
	struct snapshot snapshot = { .arena = &arena };
	struct dump_options options = { .pid = pid, .timeout_seconds = 10 };
	struct facts facts = { 0 };
	struct collect collect = {
		.arena = &arena,
		.snapshot = &snapshot,
		.options = &options,
		.facts = &facts,
	};
	struct error err = { 0 };
	int failed;

	arena_init(&arena);
	failed = collect_stop_tree(&collect, &err) < 0 ||
		 collect_probe_kinds(&collect, &questions, &err) < 0;
	collect_release(&collect);
	if (failed)
		fprintf(stderr, "dump: %s: %s\n", error_name(err.name), err.text);
	_exit(failed ? 1 : 0);
}

static void __attribute__((noreturn)) exec_nestor(const struct trial *trial)
{
	char pid[16];
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	snprintf(pid, sizeof pid, "%d", trial->pid);
	dup2(null, STDOUT_FILENO);
	execl(trial->nestor_path, "nestor", "dump", "-R", "-t", pid, "-D", trial->directory,
	      "--shell-job", (char *)NULL);
	_exit(127);
}

static pid_t start_dump(const struct trial *trial)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (trial->nestor_path)
			exec_nestor(trial);
		dump_in_child(trial->pid);
	}
	return pid;
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *where)
{
	(void)stat;
	(void)type;
	return where->level == 0 ? 0 : remove(path);
}

static int count_areas(pid_t pid)
{
	char path[PATH_ROOM];
	FILE *maps;
	int lines = 0;

	snprintf(path, sizeof path, "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	for (int c; maps && (c = getc(maps)) != EOF;)
		lines += c == '\n';
	if (maps)
		fclose(maps);
	return lines;
}

static bool all_threads_stopped(pid_t pid)
{
	char path[PATH_ROOM], text[8192];
	bool all = true;
	DIR *directory;

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	directory = opendir(path);
	for (const struct dirent *entry; directory && (entry = readdir(directory));) {
		const char *field = NULL;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%s/status", pid, entry->d_name);
		if (procfs_read_into(AT_FDCWD, path, text, sizeof text) > 0)
			field = procfs_field(text, "State:");
		if (!field || *field != 'T')
			all = false;
	}
	if (directory)
		closedir(directory);
	return all;
}

static bool wait_until_stopped(pid_t pid)
{
	int64_t until = now_us() + PATIENCE_MS * 1000;

	while (!all_threads_stopped(pid)) {
		if (now_us() >= until)
			return false;
		sleep_us(100);
	}
	return true;
}

/* Has every activity gone round since `before`? */
static bool all_beat(const struct trial *trial, const uint64_t *before)
{
	for (int i = 0; i < ACTIVITIES; i++)
		if (__atomic_load_n(&trial->state->beats[i], __ATOMIC_RELAXED) <= before[i])
			return false;
	return true;
}

static int complain(const struct trial *trial, unsigned round, const char *what)
{
	fprintf(stderr, "round %u: %s\n", round, what);
	for (int i = 0; i < ACTIVITIES; i++)
		fprintf(stderr, "  activity %d: %lu beats, %lu faults, last %ld\n", i,
			trial->state->beats[i], trial->state->faults[i],
			trial->state->last_fault[i]);
	return -1;
}

/* Those that stay: the target has some of its own for a moment, or is on its way home still. */
static int count_lasting_areas(const struct trial *trial)
{
	int64_t until = now_us() + SETTLED_MS * 1000;
	int areas;

	while ((areas = count_areas(trial->tid)) > trial->areas && now_us() < until)
		sleep_us(2000);
	return areas;
}

static int check_target(struct trial *trial, unsigned round)
{
	uint64_t before[ACTIVITIES];
	int64_t until = now_us() + PATIENCE_MS * 1000;
	int areas;

	memcpy(before, trial->state->beats, sizeof before);
	while (!all_beat(trial, before) && now_us() < until) {
		if (waitpid(trial->pid, NULL, WNOHANG) == trial->pid) {
			trial->pid = -1;
			return complain(trial, round, "the target is dead");
		}
		sleep_us(500);
	}
	if (!all_beat(trial, before))
		return complain(trial, round, "the target does not go on");
	for (int i = 0; i < ACTIVITIES; i++)
		if (trial->state->faults[i])
			return complain(trial, round, "the target was damaged");
	if (trial->complete && !trial->stopped && trial->state->interruptions)
		return complain(trial, round, "calls of the target were interrupted");
	areas = count_lasting_areas(trial);
	if (areas > trial->areas)
		trial->leaks++;
	trial->areas = areas;
	return 0;
}

static bool stop_target(const struct trial *trial)
{
	kill(trial->pid, SIGSTOP);
	return wait_until_stopped(trial->pid);
}

/* While it is stopped the target cannot get over what the first dump, killed, was about. */
static int dump_again(struct trial *trial, unsigned round)
{
	pid_t pid = start_dump(trial);
	int status;

	waitpid(pid, &status, 0);
	if (trial->nestor_path)
		nftw(trial->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return complain(trial, round, "the stopped target cannot be dumped again");
	return 0;
}

static int check_still_stopped(const struct trial *trial, unsigned round)
{
	bool stopped = wait_until_stopped(trial->pid);

	kill(trial->pid, SIGCONT);
	return stopped ? 0 : complain(trial, round, "the target is no longer stopped");
}

static int compare_times(const void *left, const void *right)
{
	const int64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* Times a few whole dumps, so that the moments to kill spread over all of a usual one. */
static int warm_up(struct trial *trial)
{
	int64_t times[WARM_UP];

	for (int i = 0; i < WARM_UP; i++) {
		int64_t started = now_us();
		pid_t pid = start_dump(trial);
		int status;

		waitpid(pid, &status, 0);
		if (!WIFEXITED(status) || WEXITSTATUS(status)) {
			fprintf(stderr, "a whole dump fails (status 0x%x)\n", status);
			return -1;
		}
		times[i] = now_us() - started;
		if (trial->nestor_path)
			nftw(trial->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	}
	qsort(times, WARM_UP, sizeof times[0], compare_times);
	trial->span_us = times[WARM_UP / 2] * 6 / 5;
	return 0;
}

/* Is code of the dumping process in the target? It cleans up at the end. */
static bool is_at_work(const struct trial *trial, pid_t dump)
{
	uint64_t owner = 0;
	struct iovec local = { &owner, sizeof owner };
	struct iovec remote = { (void *)trial->owner_address, sizeof owner };

	return process_vm_readv(trial->tid, &local, 1, &remote, 1, 0) == sizeof owner &&
	       owner == (uint64_t)dump;
}

/* Waits, without sleeping, which is not exact enough, until the dumping process is to die. */
static void wait_to_kill(const struct trial *trial, unsigned round, pid_t dump)
{
	int64_t delay = random() % (trial->span_us + 1), started = now_us();
	siginfo_t ended = { 0 };

	if (round % 2) {
		/* From a microsecond to some milliseconds, short ones as often as long ones. */
		delay = random() % (INT64_C(1) << random() % 13);
		while (!is_at_work(trial, dump) && now_us() - started < 4 * trial->span_us &&
		       waitid(P_PID, (id_t)dump, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		       ended.si_pid == 0)
			;
		started = now_us();
	}
	while (now_us() - started < delay)
		;
}

static int make_round(struct trial *trial, unsigned round)
{
	int status;
	pid_t pid;

	if (trial->stopped && !stop_target(trial))
		return complain(trial, round, "the target does not stop");
	pid = start_dump(trial);
	if (!trial->complete) {
		wait_to_kill(trial, round, pid);
		kill(pid, SIGKILL);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status)) {
		trial->killed++;
		trial->at_work += is_at_work(trial, pid);
	} else if (WEXITSTATUS(status) == 0)
		trial->finished++;
	else
		trial->failed++;
	if (trial->nestor_path)
		nftw(trial->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	if (trial->stopped &&
	    (dump_again(trial, round) < 0 || check_still_stopped(trial, round) < 0))
		return -1;
	if (round % CHECK_ALL_EVERY == CHECK_ALL_EVERY - 1 || round + 1 == trial->rounds)
		return check_target(trial, round);
	sleep_us(random() % 3000);
	return 0;
}

static uint64_t find_vdso(pid_t pid)
{
	char path[PATH_ROOM], line[512];
	uint64_t start = 0;
	FILE *maps;

	snprintf(path, sizeof path, "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	while (maps && fgets(line, sizeof line, maps))
		if (strstr(line, "[vdso]"))
			start = strtoull(line, NULL, 16);
	if (maps)
		fclose(maps);
	return start;
}

static int start_target(struct trial *trial)
{
	char path[PATH_ROOM];
	int fd;

	snprintf(path, sizeof path, "%s.state", trial->directory);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof *trial->state) < 0)
		return -1;
	trial->state = mmap(NULL, sizeof *trial->state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	trial->pid = fork();
	if (trial->pid == 0) {
		int null = open("/dev/null", O_RDWR);

		for (int i = 0; i < 3; i++)
			dup2(null, i);
		close_range(3, ~0u, 0);
		setsid();
		const char *arguments[6] = { "target", path };
		size_t n = 2;
		if (trial->nestor_path)
			arguments[n++] = "dumpable";
		if (trial->handling)
			arguments[n++] = "handles-all";
		if (trial->headless)
			arguments[n++] = "headless";
		execv(trial->target_path, (char **)arguments);
		_exit(127);
	}
	for (int i = 0; i < 1000 && !trial->state->ready; i++)
		sleep_us(5000);
	if (!trial->nestor_path) /* a mapped file that is unlinked is harder to dump */
		unlink(path);
	if (!trial->state->ready)
		return -1;
	/* Where the first thread is to exit, it has done so in a moment. */
	trial->tid = (pid_t)trial->state->pid;
	sleep_us(trial->headless ? 20000 : 0);
	trial->areas = count_areas(trial->tid);
	trial->owner_address =
		((find_vdso(trial->tid) + vdso_needed_size(vdso_own()) + 15) & ~15ul) +
		stub_offset(stub_owner);
	return 0;
}

static int run_trial(struct trial *trial)
{
	if (start_target(trial) < 0) {
		fprintf(stderr, "cannot start %s\n", trial->target_path);
		return -1;
	}
	if (warm_up(trial) < 0)
		return -1;
	for (unsigned round = 0; round < trial->rounds; round++)
		if (make_round(trial, round) < 0)
			return -1;
	printf("%u rounds of up to %ld us: %u killed (%u of them at work in the target), %u came "
	       "to their end, %u failed;"
	       " %u left a mapping behind\n",
	       trial->rounds, trial->span_us, trial->killed, trial->at_work, trial->finished,
	       trial->failed, trial->leaks);
	if (trial->failed)
		return -1;
	return trial->leaks * 1000 > trial->rounds * KEPT_LEAKS_PER_THOUSAND + 1000 ? -1 : 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: kill-dump [-n ROUNDS] [-x NESTOR] [-s] [-d] [-a] [-l] TARGET\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct trial trial = { .rounds = DEFAULT_ROUNDS, .pid = -1 };
	int option, failed;

	while ((option = getopt(argc, argv, "n:x:sdal")) != -1) {
		if (option == 'n')
			trial.rounds = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'x')
			trial.nestor_path = optarg;
		else if (option == 's')
			trial.stopped = true;
		else if (option == 'd')
			trial.complete = true;
		else if (option == 'a')
			trial.handling = true;
		else if (option == 'l')
			trial.headless = true;
		else
			return usage();
	}
	if (optind + 1 != argc)
		return usage();
	if (geteuid() != 0)
		return 77; /* needs to trace, and to write into, other processes */
	trial.target_path = argv[optind];
	strcpy(trial.directory, "/tmp/nestor-faults-XXXXXX");
	if (!mkdtemp(trial.directory))
		return 2;
	srandom((unsigned)getpid());
	failed = run_trial(&trial);
	if (trial.pid > 0) {
		kill(trial.pid, SIGKILL);
		waitpid(trial.pid, NULL, 0);
	}
	nftw(trial.directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	rmdir(trial.directory);
	strcat(trial.directory, ".state");
	unlink(trial.directory);
	return failed ? 1 : 0;
}
