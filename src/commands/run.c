// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * nestor run: starts a program with exactly the ids of a pid vector, and stays as its parent: it
 * passes signals on, stops when the program stops, and ends with its status.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "commands/command.h"
#include "commands/pid-vectors.h"
#include "pids/fork.h"
#include "pids/last-pids.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* As env(1) and others have it. */
enum { EXIT_CANNOT_EXECUTE = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNALLED = 128 };

struct run_arguments {
	struct common_arguments common;
	const char *pids;
	const char *namespace_file;
	bool by_last_pids;
};

#define ROW(member) offsetof(struct run_arguments, member)

static const struct option_row run_options_table[] = {
	{ 0, "pids", OPTION_TEXT, ROW(pids), "VECTOR",
	  "the program's ids, innermost namespace first, as 7:44:300" },
	{ 0, "ns", OPTION_TEXT, ROW(namespace_file), "FILE",
	  "the pid namespace it runs in (default: nestor's own)" },
	{ 0, "last-pids", OPTION_FLAG, ROW(by_last_pids), NULL,
	  "give the ids through the last pids, also where they may be chosen" },
	{ 0 },
};

/* Signals that are passed on, and SIGCHLD; not those that tell of one's own faults. */
static void fill_signals(sigset_t *signals)
{
	static const int own[] = { SIGILL,  SIGTRAP, SIGABRT, SIGBUS, SIGFPE,
				   SIGSEGV, SIGSYS,  SIGTTIN, SIGTTOU };

	sigfillset(signals);
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		sigdelset(signals, own[i]);
}

/* In the child. Where the program cannot be executed, errno goes through the pipe. */
__attribute__((noreturn)) static void execute(char **words, const sigset_t *mask, int problem_fd)
{
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(words[0], words);
	int problem = errno;
	if (write(problem_fd, &problem, sizeof problem) != sizeof problem)
		_exit(EXIT_NOT_FOUND);
	_exit(problem == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE);
}

/* What a terminal sends, it sends to the program too. */
static void pass_on(pid_t pid, const siginfo_t *info)
{
	if (info->si_code != SI_KERNEL)
		kill(pid, info->si_signo);
}

/* True when it has ended. */
static bool look_at(pid_t pid, int *ret_status)
{
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WSTOPPED | WNOHANG)) {
		*ret_status = EXIT_FAILED;
		return true;
	}
	if (info.si_pid == 0)
		return false;
	if (info.si_code == CLD_STOPPED) {
		/* So that a shell sees its job stopped; it continues us. */
		raise(SIGSTOP);
		kill(pid, SIGCONT);
		return false;
	}
	*ret_status = info.si_code == CLD_EXITED ? info.si_status : EXIT_SIGNALLED + info.si_status;
	return true;
}

static int accompany(pid_t pid, const sigset_t *signals)
{
	siginfo_t info;
	int status;

	while (!look_at(pid, &status))
		if (sigwaitinfo(signals, &info) > 0 && info.si_signo != SIGCHLD)
			pass_on(pid, &info);
	return status;
}

/* Also says why the program could not be executed; its end has a status for that. */
static int tell_problem(const char *program, int problem_fd, struct error *err)
{
	int problem;

	if (read(problem_fd, &problem, sizeof problem) != sizeof problem)
		return 0;
	errno = problem;
	return fail_errno(err, ERR_IO, "cannot execute %s", program);
}

static int start(const struct ids_wanted *wanted, char **words, struct error *err)
{
	int problem[2];
	sigset_t signals, mask;

	if (pipe2(problem, O_CLOEXEC))
		return fail_errno(err, ERR_IO, "cannot make a pipe");
	autoclose int problem_fd = problem[0];
	fill_signals(&signals);
	sigprocmask(SIG_BLOCK, &signals, &mask);
	pid_t pid = fork_with_ids(wanted, err);
	if (pid == 0)
		execute(words, &mask, problem[1]);
	close(problem[1]);
	if (pid < 0)
		return -1;
	if (tell_problem(words[0], problem_fd, err))
		command_print_error(err);
	return accompany(pid, &signals);
}

static int run_program(const struct run_arguments *arguments, char **words, struct error *err)
{
	uint32_t numbers[MAX_LAST_PID_LEVELS];
	struct sigaction by_default = { .sa_handler = SIG_DFL };

	if (!arguments->pids)
		return fail(err, ERR_USAGE, "no ids given: --pids is needed");
	int count = pid_vector_parse(arguments->pids, 2, numbers, MAX_LAST_PID_LEVELS, err);
	if (count < 0)
		return -1;
	autoclose int namespace_fd = open_pid_namespace(arguments->namespace_file, err);
	if (namespace_fd < 0)
		return -1;
	/* Ignored by whoever started us, it would take the program's status away. */
	sigaction(SIGCHLD, &by_default, NULL);
	const struct ids_wanted wanted = { namespace_fd, numbers, (size_t)count,
					   arguments->by_last_pids };
	return start(&wanted, words, err);
}

int command_run(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { run_options_table, common_options, NULL };
	struct run_arguments arguments = { .common.verbosity = LOG_WARNING };
	struct arena arena;
	struct error err = { 0 };
	int first, status;

	arena_init(&arena);
	if (command_begin(command, tables, argc, argv, INT_MAX, &arguments, &arena, &first,
			  &status)) {
		/* Without the dashes options of the program would be taken for ours. */
		if (!argv[first] || strcmp(argv[first - 1], "--") != 0) {
			status = fail(&err, ERR_USAGE, "no program given behind --");
			fail_hint(&err, "usage: nestor run %s", command->synopsis);
		} else {
			status = run_program(&arguments, argv + first, &err);
		}
		if (status < 0)
			status = command_print_error(&err);
	}
	arena_done(&arena);
	return status;
}
