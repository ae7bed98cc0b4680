// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The harness inside a scenario program. Everything goes through files in the state directory,
 * because a pipe or a socket to the runner would be part of the state that is dumped: "ready" is
 * made by the program, "go" by the runner, "result" by the program; "mark-NAME" are marks.
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Absolute, so that a scenario may change its directory or root while it is not waiting. */
static char state_directory[1024];
static char go_path[1100];
static int failures;
/* Levels above the dump's root: its namespace is that of the runner, or a child of that. */
static unsigned levels_outside;

static void state_path(char *path, size_t room, const char *prefix, const char *name)
{
	snprintf(path, room, "%s/%s%s", state_directory, prefix, name);
}

/* Closed before it gets its name: who waits for it finds no descriptor of the harness then. */
static void write_state_file(const char *prefix, const char *name, const char *content)
{
	char path[1200], temporary[1216];

	state_path(path, sizeof path, prefix, name);
	snprintf(temporary, sizeof temporary, "%s.new", path);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, content, strlen(content)) < 0 || close(fd) < 0 ||
	    rename(temporary, path) < 0) {
		dprintf(STDERR_FILENO, "FAIL: cannot write %s: %s\n", path, strerror(errno));
		_exit(1);
	}
}

static void replace_descriptor(int number, const char *path, int flags)
{
	int fd = open(path, flags, 0644);

	if (fd < 0 || (fd != number && dup2(fd, number) < 0)) {
		fprintf(stderr, "FAIL: cannot open %s: %s\n", path, strerror(errno));
		_exit(1);
	}
	if (fd != number)
		close(fd);
}

void scenario_begin(int argc, char **argv)
{
	if (argc < 2 || !realpath(argv[1], state_directory)) {
		fprintf(stderr, "usage: %s STATE-DIRECTORY (run by tests/run-scenarios)\n",
			argv[0]);
		_exit(2);
	}
	state_path(go_path, sizeof go_path, "", "go");
	if (getsid(0) != getpid())
		setsid();
	umask(022);
	/* Whoever starts the tests in the background may have some ignored (sh, for SIGINT). */
	for (int signal = 1; signal < NSIG; signal++)
		sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
	char log[1200];
	state_path(log, sizeof log, "", "log");
	replace_descriptor(STDIN_FILENO, "/dev/null", O_RDONLY);
	replace_descriptor(STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND);
	dup2(STDOUT_FILENO, STDERR_FILENO);
	setvbuf(stdout, NULL, _IONBF, 0);
	syscall(SYS_close_range, 3, ~0U, 0);
	levels_outside = scenario_levels() > 1;
	if (chdir(state_directory) < 0)
		_exit(2);
}

void scenario_own_name(char *name, size_t size)
{
	unsigned hash = 0;

	for (const char *c = state_directory; *c; c++)
		hash = hash * 31 + (unsigned char)*c;
	snprintf(name, size, "nestor-test-%x", hash);
}

void scenario_sleep_ms(unsigned milliseconds)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += (long)(milliseconds % 1000) * 1000000;
	end.tv_sec += milliseconds / 1000 + end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
		;
}

bool scenario_is_restored(void)
{
	int saved = errno;
	bool there = access(go_path, F_OK) == 0;

	errno = saved;
	return there;
}

void scenario_wait_restored(void)
{
	while (!scenario_is_restored())
		scenario_sleep_ms(2);
}

void scenario_ready(void)
{
	write_state_file("", "ready", "");
	scenario_wait_restored();
}

/* One write(2) per line, so that lines of several tasks do not mix (the log is O_APPEND). */
static void write_log(const char *prefix, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));
static void write_log(const char *prefix, const char *format, va_list arguments)
{
	char text[900], line[1024];

	vsnprintf(text, sizeof text, format, arguments);
	int length = snprintf(line, sizeof line, "%s[%d] %s\n", prefix, (int)getpid(), text);
	if (write(STDERR_FILENO, line, (size_t)length) < 0)
		__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
}

void scenario_check(bool holds, const char *format, ...)
{
	va_list arguments;

	if (holds)
		return;
	int saved = errno;
	__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
	va_start(arguments, format);
	write_log("FAIL: ", format, arguments);
	va_end(arguments);
	errno = saved;
}

void scenario_need(bool holds, const char *format, ...)
{
	va_list arguments;

	if (holds)
		return;
	int saved = errno;
	va_start(arguments, format);
	write_log("FAIL: setting up: ", format, arguments);
	va_end(arguments);
	dprintf(STDERR_FILENO, "      errno was: %s\n", strerror(saved));
	write_state_file("", "result", "not ok\n");
	_exit(1);
}

void scenario_note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_log("note: ", format, arguments);
	va_end(arguments);
}

unsigned scenario_patience(void)
{
	const char *patience = getenv("SCENARIO_PATIENCE");

	return patience ? (unsigned)atoi(patience) : 1;
}

void scenario_time_is_over(void)
{
	if (!scenario_is_restored() && !scenario_is_marked("time-is-over"))
		scenario_mark("time-is-over");
}

int scenario_end(void)
{
	bool failed = __atomic_load_n(&failures, __ATOMIC_RELAXED) > 0;

	write_state_file("", "result", failed ? "not ok\n" : "ok\n");
	return failed;
}

pid_t scenario_child_in(unsigned long long clone_flags, int (*body)(void *data), void *data)
{
	struct clone_args args = { .flags = clone_flags, .exit_signal = SIGCHLD };
	long pid;

	if (clone_flags)
		pid = syscall(SYS_clone3, &args, sizeof args);
	else
		pid = fork(); /* keeps libc's idea of thread and process ids right */
	scenario_need(pid >= 0, "cannot fork");
	if (pid > 0)
		return (pid_t)pid;
	failures = 0;
	int status = body(data);
	_exit(failures ? 1 : status);
}

pid_t scenario_child(int (*body)(void *data), void *data)
{
	return scenario_child_in(0, body, data);
}

void scenario_write_map(const char *pid, const char *name, const char *text)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	scenario_need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text),
		      "cannot write %s", path);
	close(fd);
}

static void write_maps(const char *pid, const struct scenario_users *users)
{
	if (users->deny_setgroups)
		scenario_write_map(pid, "setgroups", "deny");
	if (users->uids)
		scenario_write_map(pid, "uid_map", users->uids);
	if (users->gids)
		scenario_write_map(pid, "gid_map", users->gids);
}

/*
 * /proc may be that of an outer pid namespace, so the child tells what it is called there. The
 * sockets of both are gone before the body runs and before this returns.
 */
pid_t scenario_child_users(unsigned long long clone_flags, const struct scenario_users *users,
			   int (*body)(void *data), void *data)
{
	struct clone_args args = { .flags = clone_flags | CLONE_NEWUSER, .exit_signal = SIGCHLD };
	char name[32] = "";
	int ends[2];

	scenario_need(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0, "no socket pair");
	long pid = syscall(SYS_clone3, &args, sizeof args);
	scenario_need(pid >= 0, "cannot fork into a user namespace");
	close(ends[pid == 0]);
	int own = ends[pid != 0];
	if (pid == 0) {
		scenario_need(readlink("/proc/self", name, sizeof name - 1) > 0 &&
				      write(own, name, sizeof name) > 0 &&
				      read(own, name, sizeof name) > 0 &&
				      read(own, name, sizeof name) == 0,
			      "nobody writes the maps");
		close(own);
		failures = 0;
		int status = body(data);
		_exit(failures ? 1 : status);
	}
	scenario_need(read(own, name, sizeof name) > 0, "the child does not speak");
	write_maps(name, users);
	scenario_need(write(own, name, sizeof name) > 0, "the child does not listen");
	close(own);
	return (pid_t)pid;
}

void scenario_reap(pid_t pid)
{
	int status = 0;
	pid_t reaped;

	do
		reaped = waitpid(pid, &status, 0);
	while (reaped < 0 && errno == EINTR);
	scenario_check(reaped == pid, "waiting for child %d: %s", (int)pid, strerror(errno));
	scenario_check(reaped != pid || status == 0, "child %d left with status 0x%x", (int)pid,
		       (unsigned)status);
}

/* Copies the numbers of a line of /proc/thread-self/status but the first few; returns how many. */
static unsigned read_ids(const char *status, const char *field, unsigned skipped, char *text,
			 size_t room)
{
	const char *at = strstr(status, field);
	unsigned count = 0;
	size_t used = 0;

	scenario_need(at != NULL, "no %s in /proc/thread-self/status", field);
	for (at += strlen(field); *at != '\n' && *at; count++) {
		char *end;
		long id = strtol(at, &end, 10);
		if (end == at)
			break;
		if (count >= skipped)
			used += (size_t)snprintf(text + used, room - used, " %ld", id);
		at = end;
	}
	return count;
}

static void read_status(char *status, size_t room)
{
	int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, status, room - 1);

	scenario_need(length > 0, "cannot read /proc/thread-self/status");
	status[length] = 0;
	close(fd);
}

unsigned scenario_levels(void)
{
	char status[8192], text[SCENARIO_IDS_ROOM];

	read_status(status, sizeof status);
	return read_ids(status, "NSpid:", 0, text, sizeof text);
}

void scenario_ids(char text[SCENARIO_IDS_ROOM])
{
	static const char *const fields[] = { "NSpid:", "NStgid:", "NSpgid:", "NSsid:" };
	char status[8192];
	size_t used = 0;

	read_status(status, sizeof status);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		used += (size_t)snprintf(text + used, SCENARIO_IDS_ROOM - used, "%s%s",
					 i ? " " : "", fields[i]);
		read_ids(status, fields[i], levels_outside, text + used, SCENARIO_IDS_ROOM - used);
		used += strlen(text + used);
	}
}

void scenario_mark(const char *name)
{
	write_state_file("mark-", name, "");
}

bool scenario_is_marked(const char *name)
{
	char path[1200];

	state_path(path, sizeof path, "mark-", name);
	return access(path, F_OK) == 0;
}

void scenario_wait_mark(const char *name)
{
	while (!scenario_is_marked(name))
		scenario_sleep_ms(2);
}

int scenario_all_inside(int argc, char **argv, unsigned long long clone_flags,
			int (*body)(void *data))
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child_in(clone_flags, body, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
