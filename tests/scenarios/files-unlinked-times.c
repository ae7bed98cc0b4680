// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-unlinked-times
 * promise: a directory in which files and directories that are open were unlinked, or a socket is
 *	bound, has the times of before, on the host's disk, in a tmpfs and in an overlay, and so has
 *	the name of the socket; they go on as soon as somebody makes a name there
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char *const places[] = { "host", "own", "merged" };
enum { PLACES = sizeof places / sizeof *places };

static const struct timespec of_directory[2] = { { 1000000000, 1000 }, { 1100000000, 2000 } };
static const struct timespec of_socket[2] = { { 1200000000, 3000 }, { 1300000000, 4000 } };

/* What is unlinked and open in one of them, and a socket bound there. */
struct open_there {
	int directory, file, removed, deep, pipe, socket;
};

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static void mount_overlay(void)
{
	char here[PATH_MAX], options[3 * PATH_MAX + 128], with_user[3 * PATH_MAX + 160];

	need(getcwd(here, sizeof here) && mkdir("layers", 0755) == 0 && mkdir("merged", 0755) == 0,
	     "directories");
	need(mount("layers", "layers", "tmpfs", 0, "mode=755") == 0 &&
		     mkdir("layers/lower", 0755) == 0 && mkdir("layers/upper", 0755) == 0 &&
		     mkdir("layers/work", 0755) == 0,
	     "layers");
	snprintf(options, sizeof options,
		 "lowerdir=%s/layers/lower,upperdir=%s/layers/upper,workdir=%s/layers/work", here,
		 here, here);
	snprintf(with_user, sizeof with_user, "%s,userxattr", options);
	need(mount("overlay", "merged", "overlay", 0, options) == 0 ||
		     mount("overlay", "merged", "overlay", 0, with_user) == 0,
	     "overlay");
}

static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };

static int bind_at(int directory)
{
	int back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	need(fd >= 0 && back >= 0 && fchdir(directory) == 0 &&
		     bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
		     listen(fd, 1) == 0 && fchdir(back) == 0,
	     "bind");
	close(back);
	return fd;
}

static void check_socket(const char *place, int directory)
{
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	need(client >= 0 && fchdir(directory) == 0, "socket");
	scenario_check(connect(client, (const struct sockaddr *)&address, sizeof address) == 0,
		       "nobody listens in %s: %s", place, strerror(errno));
	close(client);
}

static struct open_there fill(const char *place)
{
	int at = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct open_there there = { .directory = at };

	need(at >= 0, place);
	there.file = openat(at, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	need(mkdirat(at, "removed", 0700) == 0 && mkfifoat(at, "pipe", 0600) == 0, "names");
	there.removed = openat(at, "removed", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	there.deep = openat(at, "removed/deep", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	there.pipe = openat(at, "pipe", O_RDWR | O_CLOEXEC);
	need(there.file >= 0 && there.removed >= 0 && there.deep >= 0 && there.pipe >= 0, "open");
	need(unlinkat(at, "file", 0) == 0 && unlinkat(at, "pipe", 0) == 0 &&
		     unlinkat(at, "removed/deep", 0) == 0 &&
		     unlinkat(at, "removed", AT_REMOVEDIR) == 0,
	     "unlink");
	there.socket = bind_at(at);
	need(utimensat(at, "socket", of_socket, 0) == 0 && futimens(at, of_directory) == 0,
	     "times");
	return there;
}

static void check_times(const char *what, const char *place, const struct stat *found,
			const struct timespec times[2])
{
	scenario_check(memcmp(&found->st_atim, &times[0], sizeof *times) == 0,
		       "%s of %s was accessed at %lld.%09ld", what, place,
		       (long long)found->st_atim.tv_sec, found->st_atim.tv_nsec);
	scenario_check(memcmp(&found->st_mtim, &times[1], sizeof *times) == 0,
		       "%s of %s was changed at %lld.%09ld", what, place,
		       (long long)found->st_mtim.tv_sec, found->st_mtim.tv_nsec);
}

static void check_unlinked(const char *place, int fd)
{
	struct stat found;

	scenario_check(fstat(fd, &found) == 0 && found.st_nlink == 0,
		       "descriptor %d of %s has a name", fd, place);
}

static void check(const char *place, const struct open_there *there)
{
	struct stat found;

	scenario_check(fstat(there->directory, &found) == 0, "%s is gone", place);
	check_times("the directory", place, &found, of_directory);
	scenario_check(fstatat(there->directory, "socket", &found, AT_SYMLINK_NOFOLLOW) == 0,
		       "the socket of %s has no name", place);
	check_times("the socket", place, &found, of_socket);
	check_unlinked(place, there->file);
	check_unlinked(place, there->removed);
	check_unlinked(place, there->deep);
	check_unlinked(place, there->pipe);
	check_socket(place, there->directory);
	scenario_check(mkdirat(there->directory, "more", 0700) == 0 &&
			       fstat(there->directory, &found) == 0 &&
			       found.st_mtim.tv_sec != of_directory[1].tv_sec,
		       "the times of %s stand still", place);
	scenario_check(unlinkat(there->directory, "file", 0) < 0 && errno == ENOENT,
		       "a name is left in %s", place);
}

static int inside(void *unused)
{
	struct open_there there[PLACES];

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("host", 0755) == 0 &&
		     mkdir("own", 0755) == 0 &&
		     mount("own", "own", "tmpfs", 0, "size=1m,mode=755") == 0,
	     "mounts");
	mount_overlay();
	for (int i = 0; i < PLACES; i++)
		there[i] = fill(places[i]);
	scenario_mark("inside");

	scenario_wait_restored();
	for (int i = 0; i < PLACES; i++)
		check(places[i], &there[i]);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
