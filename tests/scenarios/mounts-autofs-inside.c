// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-autofs-inside
 * promise: what the daemon of an autofs has made in it is there: directories that somebody may
 *	come to, with something mounted on them, with an autofs of its own on one further down,
 *	and symbolic links, with owners, modes and times; also in one that it has left (catatonic),
 *	and in a mount namespace of a nested user namespace, where these mounts are locked; nobody
 *	but the daemon makes or removes any
 * alone: others take the device numbers of its mounts meanwhile
 * flavours: flat one three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/auto_fs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 20000, OWNER = 4711, MODIFIED = 1234567890, BROWSED = 40 };

/* By whom requests come: the directory of each, and the pipe. */
struct served {
	const char *path, *type;
	int pipe[2];
	char options[256];
};
static struct served misc = { "misc", "indirect", { -1, -1 }, "" };
static struct served left = { "left", "indirect", { -1, -1 }, "" };
static struct served offset = { "misc/host/export", "offset", { -1, -1 }, "" };

static const struct scenario_users root_inside = { "0 0 1\n", "0 0 1\n", true };

static bool find_options(const struct served *served, char text[256])
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[4096], key[64];
	bool found = false;

	snprintf(key, sizeof key, "/%s ", served->path);
	while (file && !found && fgets(line, sizeof line, file)) {
		char *type = strstr(line, " - autofs ");
		found = type && strstr(line, key);
		if (found)
			snprintf(text, 256, "%s", strrchr(type, ' '));
	}
	if (file)
		fclose(file);
	/* The pipe is another one. */
	char *pipe = found ? strstr(text, ",pipe_ino=") : NULL;
	if (pipe && !strstr(pipe, "=-1"))
		*pipe = '\0';
	return found;
}

static void mount_one(struct served *served)
{
	char text[128];

	scenario_need(mkdir(served->path, 0755) == 0 || errno == EEXIST, "%s: %s", served->path,
		      strerror(errno));
	scenario_need(pipe2(served->pipe, O_CLOEXEC | O_NONBLOCK) == 0, "pipe");
	snprintf(text, sizeof text, "fd=%d,pgrp=%d,minproto=5,maxproto=5,%s", served->pipe[1],
		 (int)getpgrp(), served->type);
	scenario_need(mount("auto", served->path, "autofs", 0, text) == 0, "%s: %s", served->path,
		      strerror(errno));
	close(served->pipe[1]);
}

static void leave(const struct served *served)
{
	int fd = open(served->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	scenario_need(ioctl(fd, AUTOFS_IOC_CATATONIC, 0) == 0, "catatonic");
	close(fd);
}

static void make_directories(void)
{
	static const char *const names[] = { "misc/on",	     "misc/browsed",	 "misc/host",
					     "misc/host/up", "misc/host/export", "left/inside" };
	const struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = MODIFIED } };
	char name[64];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		scenario_need(mkdir(names[i], 0755) == 0, "%s: %s", names[i], strerror(errno));
	for (int i = 0; i < BROWSED; i++) {
		snprintf(name, sizeof name, "misc/one of many %d", i);
		scenario_need(mkdir(name, 0555) == 0, "%s: %s", name, strerror(errno));
	}
	scenario_need(symlink("on/here", "misc/link") == 0, "link: %s", strerror(errno));
	scenario_need(lchown("misc/link", OWNER, OWNER) == 0 &&
			      chown("misc/browsed", OWNER, OWNER + 1) == 0 &&
			      chmod("misc/browsed", 01711) == 0 &&
			      utimensat(AT_FDCWD, "misc/browsed", times, 0) == 0 &&
			      chmod("misc", 0711) == 0,
		      "attributes: %s", strerror(errno));
	scenario_need(mount("on", "misc/on", "tmpfs", 0, NULL) == 0 &&
			      mkdir("misc/on/here", 0700) == 0,
		      "tmpfs: %s", strerror(errno));
}

/* Somebody who is not of the daemon's group comes, and sees what is mounted for him. */
static pid_t come_to(const char *path)
{
	pid_t pid = fork();

	if (pid == 0) {
		setpgid(0, 0);
		_exit(access(path, F_OK) == 0 ? 0 : errno);
	}
	scenario_need(pid > 0, "fork");
	return pid;
}

static bool read_request(const struct served *served, struct autofs_v5_packet *packet)
{
	struct pollfd state = { .fd = served->pipe[0], .events = POLLIN };

	return poll(&state, 1, PATIENCE) == 1 &&
	       read(state.fd, packet, sizeof *packet) == (ssize_t)sizeof *packet;
}

static void answer(const struct served *served, const char *path)
{
	struct autofs_v5_packet packet = { .name = "" };
	char within[96];
	int status = -1;

	/* Before there is something on it. */
	int root_fd = open(served->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(within, sizeof within, "%s/within", path);
	pid_t pid = come_to(within);
	bool told = read_request(served, &packet);
	scenario_check(told && (pid_t)packet.tgid == pid, "%s: nobody is told", path);
	if (!told)
		kill(pid, SIGKILL);
	scenario_check(served == &offset || strcmp(packet.name, strrchr(path, '/') + 1) == 0,
		       "%s: told of %s", path, packet.name);
	scenario_check(mount("on", path, "tmpfs", 0, NULL) == 0 && mkdir(within, 0755) == 0,
		       "%s: cannot mount: %s", path, strerror(errno));
	scenario_check(ioctl(root_fd, AUTOFS_IOC_READY, (unsigned long)packet.wait_queue_token) ==
			       0,
		       "%s: cannot answer: %s", path, strerror(errno));
	close(root_fd);
	waitpid(pid, &status, 0);
	scenario_check(status == 0, "%s: who came is not let in: %x", path, status);
}

static void check_served(const struct served *served)
{
	char now[256] = "";

	scenario_check(find_options(served, now) && strcmp(now, served->options) == 0,
		       "%s: %s, not %s", served->path, now, served->options);
}

static void check_attributes(void)
{
	char target[64] = "", name[64];
	struct stat stat = { 0 };

	scenario_check(lstat("misc", &stat) == 0 && (stat.st_mode & 07777) == 0711, "mode: %o",
		       stat.st_mode);
	scenario_check(lstat("misc/browsed", &stat) == 0 && stat.st_uid == OWNER &&
			       stat.st_gid == OWNER + 1 && stat.st_mode == (S_IFDIR | 01711) &&
			       stat.st_mtime == MODIFIED && stat.st_nlink == 2,
		       "browsed: %o of %u:%u", stat.st_mode, stat.st_uid, stat.st_gid);
	scenario_check(lstat("misc/link", &stat) == 0 && stat.st_uid == OWNER &&
			       readlink("misc/link", target, sizeof target - 1) == 7 &&
			       strcmp(target, "on/here") == 0,
		       "link to %s", target);
	scenario_check(access("misc/link", F_OK) == 0, "what was mounted is gone");
	scenario_check(lstat("misc/host/up", &stat) == 0 && stat.st_mode == (S_IFDIR | 0755),
		       "host/up is gone");
	for (int i = 0; i < BROWSED; i++) {
		snprintf(name, sizeof name, "misc/one of many %d", i);
		scenario_check(lstat(name, &stat) == 0 && stat.st_mode == (S_IFDIR | 0555),
			       "%s: %s", name, strerror(errno));
	}
	scenario_check(lstat("misc", &stat) == 0 && stat.st_nlink == BROWSED + 2 + 3,
		       "there are %u in it", (unsigned)stat.st_nlink);
}

/* Who is not of the group makes nothing in it, and removes nothing. */
static int be_nobody(void *unused)
{
	(void)unused;
	setpgid(0, 0);
	scenario_check(mkdir("misc/new", 0700) < 0 && errno == EACCES, "made: %s", strerror(errno));
	scenario_check(rmdir("misc/host/up") < 0 && errno == EACCES, "removed: %s",
		       strerror(errno));
	scenario_check(unlink("misc/link") < 0 && errno == EACCES, "unlinked: %s", strerror(errno));
	scenario_check(access("left/new", F_OK) < 0 && errno == ENOENT, "left: %s",
		       strerror(errno));
	return 0;
}

/* In a user namespace of its own, with copies of the mounts. */
static int be_inside(void *unused)
{
	(void)unused;
	setpgid(0, 0);
	scenario_mark("locked");
	scenario_wait_restored();
	scenario_wait_mark("answered");
	scenario_check(access("misc/on/here", F_OK) == 0 && access("misc/link", F_OK) == 0,
		       "inside: what was mounted is gone: %s", strerror(errno));
	scenario_check(umount2("misc/on", MNT_DETACH) < 0 && errno == EINVAL, "unlocked: %s",
		       strerror(errno));
	scenario_check(mkdir("misc/new", 0755) < 0 && errno == EACCES, "made inside: %s",
		       strerror(errno));
	return 0;
}

static int be_daemon(void *unused)
{
	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	setpgid(0, 0);
	mount_one(&misc);
	mount_one(&left);
	make_directories();
	mount_one(&offset);
	leave(&left);
	scenario_need(find_options(&misc, misc.options) && find_options(&left, left.options) &&
			      find_options(&offset, offset.options),
		      "no options");
	pid_t locked =
		scenario_child_users(CLONE_NEWUSER | CLONE_NEWNS, &root_inside, be_inside, NULL);
	scenario_wait_mark("locked");
	scenario_mark("inside");
	scenario_wait_restored();
	check_served(&misc);
	check_served(&left);
	check_served(&offset);
	check_attributes();
	scenario_reap(scenario_child(be_nobody, NULL));
	answer(&misc, "misc/browsed");
	answer(&misc, "misc/one of many 7");
	answer(&offset, "misc/host/export");
	scenario_check(mkdir("misc/later", 0755) == 0 && rmdir("misc/host/up") == 0 &&
			       unlink("misc/link") == 0 && symlink("on/here", "misc/link") == 0,
		       "the daemon cannot change it: %s", strerror(errno));
	answer(&misc, "misc/later");
	scenario_check(mkdir("left/new", 0755) < 0 && errno == EACCES, "left, and not left: %s",
		       strerror(errno));
	scenario_check(access("left/inside", F_OK) == 0, "what is in what was left is gone");
	scenario_mark("answered");
	scenario_reap(locked);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, be_daemon);
}
