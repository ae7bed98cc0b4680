// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-landlock
 * promise: a task, or one of its threads, that Landlock confines is refused by name, whatever it is
 *   confined to and whoever it is, and goes on confined
 * flavours: flat three user user-three unprivileged
 * arguments: files network signals thread user
 * refused: state-lost
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct landlock_ruleset_attr of 6.12, and what is used of it. */
struct ruleset {
	uint64_t files, network, scoped;
};
enum { READ_FILE = 1 << 2, BIND_TCP = 1 << 0, SCOPE_SIGNAL = 1 << 1 };

static void confine(const char *how)
{
	struct ruleset ruleset = { 0 };

	if (strcmp(how, "network") == 0)
		ruleset.network = BIND_TCP;
	else if (strcmp(how, "signals") == 0)
		ruleset.scoped = SCOPE_SIGNAL;
	else
		ruleset.files = READ_FILE;
	int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
	scenario_need(fd >= 0, "landlock_create_ruleset");
	scenario_need(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	scenario_need(!syscall(SYS_landlock_restrict_self, fd, 0), "landlock_restrict_self");
	close(fd);
}

static uint32_t confined;

static void *body(void *data)
{
	confine("files");
	__atomic_store_n(&confined, 1, __ATOMIC_SEQ_CST);
	scenario_wait_restored();
	return data;
}

/* It can no longer reach the state directory. */
static pid_t as_user(void)
{
	char byte = 0;
	int ready[2];

	scenario_need(!pipe(ready), "pipe");
	pid_t child = fork();
	if (child == 0) {
		if (setresgid(8, 8, 8) == 0 && setresuid(7, 7, 7))
			_exit(1);
		confine("files");
		if (write(ready[1], "r", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	scenario_need(read(ready[0], &byte, 1) == 1, "a child is not confined");
	close(ready[0]);
	close(ready[1]);
	return child;
}

int main(int argc, char **argv)
{
	pid_t child = 0;
	pthread_t thread;

	scenario_begin(argc, argv);
	if (strcmp(argv[2], "user") == 0)
		child = as_user();
	else if (strcmp(argv[2], "thread") == 0) {
		scenario_need(!pthread_create(&thread, NULL, body, NULL), "pthread_create");
		while (!__atomic_load_n(&confined, __ATOMIC_SEQ_CST))
			scenario_sleep_ms(1);
	} else {
		confine(argv[2]);
	}

	scenario_ready();

	if (child)
		kill(child, SIGKILL);
	if (strcmp(argv[2], "thread") == 0)
		pthread_join(thread, NULL);
	else if (strcmp(argv[2], "files") == 0)
		scenario_check(open("/etc/passwd", O_RDONLY) < 0, "it is no longer confined");
	return scenario_end();
}
