// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-places
 * promise: unix sockets are found again where their names are, also if these were relative, of
 *	another root directory, by a descriptor, or changed after they were bound
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Which was bound where, and what became of it. */
static struct place {
	const char *bound, *now;
} places[] = {
	{ "relative", "relative" },
	{ "folder/deeper", "folder/deeper" },
	{ "renamed.new", "renamed" },
	{ "linked.new", "linked" },
	{ "two", "two" },
	{ "taken", "taken.old" },
	{ "taken", "taken" },
	{ "/proc/self/fd/50/short", "folder/short" },
	{ "/proc/self/fd/50/new", "folder/newer" },
	{ "folder/leaves", "left" },
	{ "enters", "folder/deep/entered" },
	{ "folder/same/same", "folder/deep/same" },
	{ "folder/leaves", "folder/leaves" }, /* where another one was */
	{ "folder/gone/lost", "found" },      /* the directory goes */
	{ NULL, "absolute" },		      /* from the root, by another directory */
	{ NULL, "folder/by-link" },	      /* from the root, by a link to the directory */
};
enum {
	PLACES = sizeof places / sizeof *places,
	LINKED = 3,
	TWICE = 4,
	BY_PATH = PLACES - 2,
	BY_LINK = PLACES - 1,
};

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static int bind_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	need(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0, path);
	return fd;
}

static void check(int fd, const char *bound, const char *now)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX }, found = { 0 };
	socklen_t length = sizeof found;
	int client = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char byte = 0;

	strncpy(address.sun_path, now, sizeof address.sun_path - 1);
	scenario_check(getsockname(fd, (struct sockaddr *)&found, &length) == 0 &&
			       strcmp(found.sun_path, bound) == 0,
		       "what was bound to %s is called %s", bound, found.sun_path);
	scenario_check(
		sendto(client, now, 1, 0, (const struct sockaddr *)&address, sizeof address) == 1 &&
			recv(fd, &byte, 1, 0) == 1 && byte == now[0],
		"nothing comes by %s: %s", now, strerror(errno));
	close(client);
}

struct sockets {
	int fds[PLACES];
};

static char by_link[sizeof((struct sockaddr_un *)0)->sun_path], by_path[sizeof by_link];

static struct sockets make(void)
{
	struct sockets sockets;

	need(mkdir("folder", 0755) == 0 && mkdir("folder/deep", 0755) == 0 &&
		     mkdir("folder/same", 0755) == 0 && mkdir("folder/gone", 0755) == 0,
	     "folders");
	int folder = open("folder", O_PATH | O_DIRECTORY | O_CLOEXEC);
	need(dup3(folder, 50, O_CLOEXEC) == 50, "a descriptor");
	need(symlink("folder", "link") == 0 && getcwd(by_link, sizeof by_link) &&
		     strlen(by_link) + sizeof "/link/new" <= sizeof by_link,
	     "link");
	strcpy(by_path, by_link);
	places[BY_PATH].bound = strcat(by_path, "/folder/o");
	places[BY_LINK].bound = strcat(by_link, "/link/new");
	for (int i = 0; i < PLACES; i++) {
		const struct place *place = &places[i];
		sockets.fds[i] = bind_to(place->bound);
		need(i == LINKED ? link(place->bound, place->now) == 0 && unlink(place->bound) == 0
				 : rename(place->bound, place->now) == 0,
		     place->now);
	}
	/* Any that is not the one that was bound is found first, in a file system in memory. */
	need(link(places[TWICE].bound, "two.more") == 0, "another name");
	need(rmdir("folder/gone") == 0, "a directory cannot go");
	close(50);
	close(folder);
	return sockets;
}

static void check_all(const struct sockets *sockets)
{
	for (int i = 0; i < PLACES; i++)
		check(sockets->fds[i], places[i].bound, places[i].now);
	scenario_check(access("renamed.new", F_OK) < 0 && access("linked.new", F_OK) < 0,
		       "a name that was given up is there");
}

static int inside(void *unused)
{
	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("own", 0755) == 0 &&
		     mount("own", "own", "tmpfs", 0, "size=1m,mode=755") == 0 && chdir("own") == 0,
	     "mounts");
	const struct sockets sockets = make();
	scenario_mark("inside");
	scenario_wait_restored();
	check_all(&sockets);
	return 0;
}

/* In another root nothing of the scenario's can be reached but what is open. */
static int chrooted(void *data)
{
	int talk = *(const int *)data;
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/socket" };
	char byte = 0;

	need(mkdir("new-root", 0755) == 0 && chroot("new-root") == 0 && chdir("/") == 0, "chroot");
	int fd = bind_to("/socket"), client = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (write(talk, "r", 1) != 1 || read(talk, &byte, 1) != 1)
		return 1;
	return sendto(client, "x", 1, 0, (const struct sockaddr *)&address, sizeof address) == 1 &&
			       recv(fd, &byte, 1, 0) == 1 && byte == 'x'
		       ? 0
		       : 2;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	const struct sockets sockets = make();
	pid_t pid = scenario_child_in(CLONE_NEWNS, inside, NULL);
	scenario_wait_mark("inside");
	int talk[2];
	char byte;
	need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk) == 0, "socketpair");
	pid_t other = scenario_child(chrooted, &talk[1]);
	need(read(talk[0], &byte, 1) == 1, "the other root");

	scenario_ready();

	check_all(&sockets);
	scenario_check(access("new-root/socket", F_OK) == 0, "nothing is in the other root");
	need(write(talk[0], "g", 1) == 1, "the other root");
	scenario_reap(pid);
	scenario_reap(other);
	return scenario_end();
}
