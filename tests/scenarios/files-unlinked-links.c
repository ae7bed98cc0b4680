// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-unlinked-links
 * promise: symbolic links, and names of sockets that are no more, which are open by path and
 *	unlinked, come back with target, owner, mode and times, also where a mount namespace of the
 *	tree has them, and have no name
 * needs: initial-user-namespace
 * flavours: flat one three user user-three ordinary
 */
#include "own-tmpfs.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct names {
	int link, again, socket;
	char shown[4200];
};

static const struct timespec times[2] = { { 1000000000, 5000 }, { 1100000000, 7000 } };

static void link_of(int fd, char link[4200])
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, link, 4199);
	link[length > 0 ? length : 0] = '\0';
}

static int connect_by(int path_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", path_fd);
	int failed = connect(fd, (const struct sockaddr *)&address, sizeof address);
	int failure = failed ? errno : 0;
	close(fd);
	return failure;
}

static void make(struct names *names)
{
	const struct sockaddr_un address = { AF_UNIX, "bound" };
	char path[64];

	scenario_need(symlink("to-where/../there", "link") == 0, "no link");
	names->link = open("link", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	/* Without O_NOFOLLOW, by what leads to the other one. */
	snprintf(path, sizeof path, "/proc/self/fd/%d", names->link);
	names->again = open(path, O_PATH | O_CLOEXEC);
	scenario_need(names->link >= 0 && names->again >= 0, "cannot open the link");
	scenario_need(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW) == 0, "no times");

	int bound = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	scenario_need(bind(bound, (const struct sockaddr *)&address, sizeof address) == 0 &&
			      chmod("bound", 0640) == 0,
		      "cannot bind");
	names->socket = open("bound", O_PATH | O_CLOEXEC);
	scenario_need(names->socket >= 0 && unlink("bound") == 0 && unlink("link") == 0,
		      "cannot unlink");
	close(bound);
	link_of(names->link, names->shown);
}

static void check(const struct names *names)
{
	struct stat stat = { 0 }, again = { 0 };
	char text[4200] = "";

	scenario_check(fstat(names->link, &stat) == 0 && S_ISLNK(stat.st_mode) &&
			       stat.st_nlink == 0 && stat.st_uid == geteuid(),
		       "the link: mode %o, links %d, uid %d", stat.st_mode, (int)stat.st_nlink,
		       (int)stat.st_uid);
	scenario_check(stat.st_mtim.tv_sec == times[1].tv_sec, "the time of the link: %ld",
		       (long)stat.st_mtim.tv_sec);
	scenario_check(readlinkat(names->link, "", text, sizeof text - 1) == 17 &&
			       strcmp(text, "to-where/../there") == 0,
		       "the link leads to %s", text);
	scenario_check(fstat(names->again, &again) == 0 && again.st_ino == stat.st_ino &&
			       again.st_dev == stat.st_dev,
		       "two links");
	scenario_check(fcntl(names->link, F_GETFL) & O_NOFOLLOW &&
			       !(fcntl(names->again, F_GETFL) & O_NOFOLLOW),
		       "flags of the link");
	link_of(names->link, text);
	scenario_check(strcmp(text, names->shown) == 0, "%s was %s", text, names->shown);
	scenario_check(fstat(names->socket, &stat) == 0 && stat.st_mode == (S_IFSOCK | 0640) &&
			       stat.st_nlink == 0,
		       "the socket: mode %o, links %d", stat.st_mode, (int)stat.st_nlink);
	int failure = connect_by(names->socket);
	scenario_check(failure == ECONNREFUSED, "somebody is bound to it: %s", strerror(failure));
	scenario_check(lstat("link", &stat) < 0 && errno == ENOENT, "the link has a name");
	scenario_check(access("bound", F_OK) < 0 && errno == ENOENT, "the socket has a name");
}

static int apart(void *unused)
{
	struct names names;

	(void)unused;
	own_tmpfs_enter();
	make(&names);
	own_tmpfs_wait_restored();
	check(&names);
	own_tmpfs_leave();
	return 0;
}

int main(int argc, char **argv)
{
	struct names names;
	pid_t child = 0;

	scenario_begin(argc, argv);
	if (geteuid() == 0) {
		child = scenario_child(apart, NULL);
		scenario_wait_mark("made");
	}
	make(&names);

	scenario_ready();

	check(&names);
	if (child)
		scenario_reap(child);
	return scenario_end();
}
