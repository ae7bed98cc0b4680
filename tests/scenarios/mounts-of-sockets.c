// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-of-sockets
 * promise: a mount that shows just the file of a unix socket leads to that socket: one whose name
 *	is in a file system of the tree or outside of it, seen from mount namespaces that are made
 *	of others, by their makers or in user namespaces of their own, or were there before that in
 *	which the socket has its name
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* In the scenario's directory, and in a file system that the tree has mounted. */
static const char *const names[] = { "stream", "datagram", "new/stream", "new/datagram",
				     "new/late" };
static const char *const shown[] = { "shown-0", "shown-1", "shown-2", "shown-3", "shown-4" };
enum { SOCKETS = 4, LATE = SOCKETS, ALL };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static struct sockaddr_un address_of(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t room = sizeof address.sun_path;

	need(getcwd(address.sun_path, room - 20) != NULL, "getcwd");
	strcat(strcat(address.sun_path, "/"), name);
	return address;
}

static int type_of(int which)
{
	return which % 2 ? SOCK_DGRAM : SOCK_STREAM;
}

static void make(int which)
{
	const struct sockaddr_un address = address_of(names[which]);
	int fd = socket(AF_UNIX, type_of(which) | SOCK_CLOEXEC, 0);

	need(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
		     (which % 2 || listen(fd, 8) == 0),
	     names[which]);
}

static void check(const char *who, int first, int end)
{
	for (int i = first; i < end; i++) {
		const struct sockaddr_un address = address_of(shown[i]);
		struct stat one = { 0 };
		int client = socket(AF_UNIX, type_of(i) | SOCK_CLOEXEC, 0);
		scenario_check(lstat(shown[i], &one) == 0 && S_ISSOCK(one.st_mode),
			       "%s: %s is no socket", who, shown[i]);
		scenario_check(connect(client, (const struct sockaddr *)&address, sizeof address) ==
				       0,
			       "%s: cannot connect to %s: %s", who, shown[i], strerror(errno));
		close(client);
	}
}

/* A copy of the namespace of the other, of whose mounts none can be taken away. */
static int copies(void *unused)
{
	(void)unused;
	scenario_mark("copied");
	scenario_wait_restored();
	check("copy", 0, SOCKETS);
	return 0;
}

static int shows(void *unused)
{
	(void)unused;
	for (int i = 0; i < SOCKETS; i++)
		need(mount(names[i], shown[i], NULL, MS_BIND, NULL) == 0, shown[i]);
	const struct scenario_users users = { "0 0 1", "0 0 1", false };
	pid_t pid = scenario_child_users(CLONE_NEWNS, &users, copies, NULL);
	scenario_wait_mark("copied");
	scenario_mark("shown");
	scenario_wait_restored();
	check("maker", 0, SOCKETS);
	scenario_reap(pid);
	return 0;
}

/* In its own namespace, which is younger than that of who shows it. */
static int binds(void *unused)
{
	(void)unused;
	make(LATE);
	scenario_mark("bound");
	scenario_wait_restored();
	scenario_wait_mark("connected");
	return 0;
}

static int shows_early(void *unused)
{
	(void)unused;
	scenario_mark("early");
	scenario_wait_mark("bound");
	need(mount(names[LATE], shown[LATE], NULL, MS_BIND, NULL) == 0, shown[LATE]);
	scenario_mark("shown-early");
	scenario_wait_restored();
	check("early", LATE, ALL);
	scenario_mark("connected");
	return 0;
}

static int inside(void *unused)
{
	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("new", 0755) == 0 &&
		     mount("new", "new", "tmpfs", 0, "size=1m,mode=755") == 0,
	     "mounts");
	for (int i = 2; i < SOCKETS; i++)
		make(i);
	pid_t pid = scenario_child_in(CLONE_NEWNS, shows, NULL);
	scenario_wait_mark("shown");
	pid_t early = scenario_child_in(CLONE_NEWNS, shows_early, NULL);
	scenario_wait_mark("early");
	pid_t late = scenario_child_in(CLONE_NEWNS, binds, NULL);
	scenario_wait_mark("shown-early");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_reap(pid);
	scenario_reap(early);
	scenario_reap(late);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	for (int i = 0; i < ALL; i++)
		need(mknod(shown[i], S_IFREG | 0600, 0) == 0, shown[i]);
	for (int i = 0; i < 2; i++)
		make(i);
	pid_t pid = scenario_child_in(CLONE_NEWNS, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
