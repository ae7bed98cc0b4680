// SPDX-License-Identifier: LGPL-2.1-or-later
/* See pid-nest.h. */
#include "pid-nest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 5000, LONGEST = 90 /* seconds */ };

static bool privileged;

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(3);
	close(fd);
}

void nest_map_ids(void)
{
	write_file("/proc/self/setgroups", "deny");
	write_file("/proc/self/uid_map", "0 0 1");
	write_file("/proc/self/gid_map", "0 0 1");
}

/* In the outermost init. /proc/self has the number that the test sees, at whatever depth. */
static void be_inits(size_t levels_below, uint64_t flags, volatile pid_t *ret_innermost)
{
	struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD };
	char number[32] = "";
	long pid = 0;

	for (size_t i = 0; pid == 0; i++) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (flags & CLONE_NEWUSER)
			nest_map_ids();
		if (i == levels_below)
			break;
		pid = syscall(SYS_clone3, &args, sizeof args);
	}
	if (pid < 0)
		_exit(4);
	if (pid == 0 && readlink("/proc/self", number, sizeof number - 1) > 0)
		*ret_innermost = atoi(number);
	for (;;)
		pause();
}

void nest_open(struct nest *nest, size_t depth, uint64_t flags)
{
	volatile pid_t *innermost = mmap(NULL, sizeof *innermost, PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct clone_args args = { .flags = flags | CLONE_NEWPID, .exit_signal = SIGCHLD };
	char path[64];

	assert_ptr_not_equal((void *)innermost, MAP_FAILED);
	long pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0)
		be_inits(depth - 1, flags | CLONE_NEWPID, innermost);
	assert_true(pid > 0);
	for (int i = 0; i < PATIENCE_MS && !*innermost; i++)
		usleep(1000);
	assert_true(*innermost > 0);
	snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)*innermost);
	*nest = (struct nest){ depth, (pid_t)pid, open(path, O_RDONLY | O_CLOEXEC) };
	assert_true(nest->fd >= 0);
	munmap((void *)innermost, sizeof *innermost);
}

void nest_close(struct nest *nest)
{
	close(nest->fd);
	kill(nest->outermost, SIGKILL);
	assert_int_equal(waitpid(nest->outermost, NULL, 0), nest->outermost);
}

/* Ids of a task, from the innermost level outwards; returns how many. */
size_t nest_read_ids(pid_t pid, uint32_t *ids)
{
	uint32_t outwards[64];
	char path[64], line[512];
	size_t count = 0;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof line, file)) {
		char *at = line + strlen("NSpid:"), *end;
		if (strncmp(line, "NSpid:", strlen("NSpid:")))
			continue;
		for (unsigned long id = strtoul(at, &end, 10); end != at;
		     at = end, id = strtoul(at, &end, 10))
			outwards[count++] = (uint32_t)id;
	}
	fclose(file);
	for (size_t i = 0; i < count; i++)
		ids[i] = outwards[count - 1 - i];
	return count;
}

/* Those of a new task of the innermost namespace. */
size_t nest_next_ids(const struct nest *nest, uint32_t *ids)
{
	int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);

	assert_int_equal(setns(nest->fd, CLONE_NEWPID), 0);
	pid_t pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	assert_int_equal(setns(own, CLONE_NEWPID), 0);
	close(own);
	size_t count = nest_read_ids(pid, ids);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return count;
}

struct last_pids *nest_service(int fd)
{
	struct error err = { 0 };
	struct last_pids *pids = last_pids_open(fd, &err);

	if (!pids)
		fail_msg("%s", err.text);
	return pids;
}

void service_set(struct last_pids *pids, const uint32_t *numbers, size_t count)
{
	struct error err = { 0 };

	if (last_pids_set(pids, numbers, count, &err) < 0)
		fail_msg("%s", err.text);
}

void nest_need_privileges(void)
{
	if (!privileged)
		skip();
}

void service_refuses(struct last_pids *pids, const uint32_t *numbers, size_t count,
		     enum error_name name, const char *text)
{
	struct error err = { 0 };

	assert_int_equal(last_pids_set(pids, numbers, count, &err), -1);
	assert_int_equal(err.name, name);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" has no \"%s\"", err.text, text);
}

int nest_run(int (*cases)(void))
{
	int status;

	alarm(LONGEST);
	if (unshare(CLONE_NEWPID | CLONE_NEWNS))
		return cases();
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		privileged = mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			     mount("proc", "/proc", "proc", 0, NULL) == 0;
		exit(cases());
	}
	/* Not exit: a leak sanitizer makes a thread then, which this process cannot any more. */
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		_exit(1);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}
