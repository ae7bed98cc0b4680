// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-login
 * promise: tasks have the login uids that they had, and their threads and later children, too: one
 *	that has its own, one that has none, and one that has its parent's
 * flavours: flat fresh one three user user-three
 * needs: file:/proc/self/loginuid
 */
#include "scenario.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whoever has none may set it, to somebody of his user namespace. */
static void set_own(void)
{
	int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);

	scenario_need(fd >= 0, "/proc/self/loginuid");
	/* Elsewhere all have the same one. */
	ssize_t written = write(fd, "0", 1);
	(void)written;
	close(fd);
}

static unsigned login(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	scenario_need(fd >= 0 && read(fd, text, sizeof text - 1) > 0, "reading %s", path);
	close(fd);
	return (unsigned)strtoul(text, NULL, 10);
}

static void *thread(void *data)
{
	unsigned before = login("/proc/thread-self/loginuid");

	(void)data;
	scenario_wait_restored();
	unsigned after = login("/proc/thread-self/loginuid");
	scenario_check(before == after, "a thread has login uid %u, and had %u", after, before);
	return NULL;
}

static void compare(const char *whose, unsigned before)
{
	unsigned after = login("/proc/self/loginuid");

	scenario_check(after == before, "%s has login uid %u, and had %u", whose, after, before);
}

static int grandchild(void *data)
{
	unsigned before = login("/proc/self/loginuid");

	(void)data;
	scenario_mark("grandchild");
	scenario_wait_restored();
	compare("a child of one that has its own", before);
	return 0;
}

static int with_own(void *data)
{
	pthread_t other;

	(void)data;
	set_own();
	unsigned before = login("/proc/self/loginuid");
	scenario_need(pthread_create(&other, NULL, thread, NULL) == 0, "pthread_create");
	pid_t child = scenario_child(grandchild, NULL);
	scenario_mark("with-own");
	scenario_wait_restored();
	compare("one that has its own", before);
	pthread_join(other, NULL);
	scenario_reap(child);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	unsigned before = login("/proc/self/loginuid");
	pid_t child = scenario_child(with_own, NULL);
	scenario_wait_mark("with-own");
	scenario_wait_mark("grandchild");

	scenario_ready();

	compare("the first one", before);
	scenario_reap(child);
	return scenario_end();
}
