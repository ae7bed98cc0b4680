// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-autofs
 * promise: directories on which a daemon of the tree mounts something when somebody comes (autofs)
 *	go on doing so: direct and indirect ones, with something mounted by now, with the end of
 *	the pipe that the kernel has alone and with one that the daemon has too, with requests that
 *	it has not read, with a leader of its process group that has gone, or left by it
 *	(catatonic); with their options, timeouts and device numbers
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
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 6, MOST = 900, PATIENCE = 20000, TIMEOUT = 270 };
enum { ALONE, TWO_ENDS, INDIRECT, ACTIVE, CATATONIC, UNREAD };

static const char *const names[MANY] = { "alone",  "two-ends",	"indirect",
					 "active", "catatonic", "unread" };

static int pipes[MANY][2];
static struct stat before[MANY];
static char options[MANY][256];
static int below[MOST], n_below;

static bool find_options(const char *name, char text[256])
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[4096], key[64];
	bool found = false;

	snprintf(key, sizeof key, "/%s ", name);
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

/* At the root of the mount, whatever is mounted on it. */
static int open_root(const char *name)
{
	int copy = open_tree(AT_FDCWD, name, OPEN_TREE_CLOEXEC | OPEN_TREE_CLONE);
	int fd = openat(copy, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	close(copy);
	return fd;
}

/* Low device numbers are soon taken by whatever others mount. */
static void mount_above(const char *name, const char *text)
{
	static unsigned floor;
	struct timespec now;
	struct stat stat;

	clock_gettime(CLOCK_MONOTONIC, &now);
	floor = floor ? floor : 100 + (unsigned)(now.tv_nsec / 1000 % 500);
	for (; n_below < MOST; n_below++) {
		scenario_need(mount("auto", name, "autofs", 0, text) == 0, "autofs: %s",
			      strerror(errno));
		int fd = open(name, O_PATH | O_CLOEXEC);
		scenario_need(fstat(fd, &stat) == 0, "stat: %s", strerror(errno));
		close(fd);
		if (minor(stat.st_dev) > floor)
			return;
		umount(name);
		below[n_below] = fsopen("tmpfs", FSOPEN_CLOEXEC);
		scenario_need(fsconfig(below[n_below], FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0,
			      "tmpfs: %s", strerror(errno));
	}
	scenario_need(false, "no number above %u", floor);
}

static void mount_one(int which)
{
	char text[128];
	unsigned long timeout = TIMEOUT + which;

	scenario_need(mkdir(names[which], 0755) == 0 &&
			      pipe2(pipes[which], O_CLOEXEC | O_NONBLOCK) == 0,
		      "pipe: %s", strerror(errno));
	snprintf(text, sizeof text, "fd=%d,pgrp=%d,minproto=5,maxproto=5,%s", pipes[which][1],
		 (int)getpgrp(), which == INDIRECT ? "indirect" : "direct");
	mount_above(names[which], text);
	if (which != TWO_ENDS)
		close(pipes[which][1]);
	int fd = open(names[which], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scenario_need(fd >= 0 && ioctl(fd, AUTOFS_IOC_SETTIMEOUT, &timeout) == 0 &&
			      fstat(fd, &before[which]) == 0,
		      "timeout: %s", strerror(errno));
	if (which == CATATONIC)
		scenario_need(ioctl(fd, AUTOFS_IOC_CATATONIC, 0) == 0, "catatonic");
	close(fd);
	if (which == ACTIVE)
		scenario_need(mount("on", names[which], "tmpfs", 0, NULL) == 0 &&
				      mkdir("active/here", 0700) == 0,
			      "tmpfs: %s", strerror(errno));
	scenario_need(find_options(names[which], options[which]), "no options");
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

static bool read_request(int which, struct autofs_v5_packet *packet)
{
	struct pollfd state = { .fd = pipes[which][0], .events = POLLIN };

	return poll(&state, 1, PATIENCE) == 1 &&
	       read(state.fd, packet, sizeof *packet) == (ssize_t)sizeof *packet;
}

static void answer(int which)
{
	struct autofs_v5_packet packet;
	char path[64], within[96];
	int status = -1;

	snprintf(path, sizeof path, which == INDIRECT ? "%s/key" : "%s", names[which]);
	snprintf(within, sizeof within, "%s/within", path);
	pid_t pid = come_to(within);
	bool told = read_request(which, &packet);
	scenario_check(told, "%s: nobody is told", names[which]);
	if (!told)
		kill(pid, SIGKILL);
	scenario_check(packet.dev == (uint32_t)before[which].st_dev && (pid_t)packet.tgid == pid,
		       "%s: told of %u and of pid %u", names[which], packet.dev, packet.tgid);
	scenario_check(which != INDIRECT || strcmp(packet.name, "key") == 0, "told of %s",
		       packet.name);
	int root_fd = open_root(names[which]);
	scenario_check((which != INDIRECT || mkdir(path, 0755) == 0) &&
			       mount("on", path, "tmpfs", 0, NULL) == 0 && mkdir(within, 0755) == 0,
		       "%s: cannot mount: %s", names[which], strerror(errno));
	scenario_check(ioctl(root_fd, AUTOFS_IOC_READY, (unsigned long)packet.wait_queue_token) ==
			       0,
		       "%s: cannot answer: %s", names[which], strerror(errno));
	close(root_fd);
	waitpid(pid, &status, 0);
	scenario_check(status == 0, "%s: who came is not let in: %x", names[which], status);
}

static void check_one(int which)
{
	char now[256] = "";
	int fd = open_root(names[which]);
	struct stat stat;

	scenario_check(fd >= 0 && fstat(fd, &stat) == 0 &&
			       stat.st_dev ==
				       (which == ACTIVE ? stat.st_dev : before[which].st_dev),
		       "%s: another device", names[which]);
	close(fd);
	scenario_check(find_options(names[which], now) && strcmp(now, options[which]) == 0,
		       "%s: %s, not %s", names[which], now, options[which]);
}

/* Somebody came, and was killed before the daemon has read of him. */
static void leave_unread(void)
{
	struct pollfd state = { .fd = pipes[UNREAD][0], .events = POLLIN };
	pid_t pid = come_to("unread/within");

	scenario_need(poll(&state, 1, PATIENCE) == 1, "no request");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int be_daemon(void *unused)
{
	struct autofs_v5_packet packet;

	(void)unused;
	/* The leader of the group goes. */
	pid_t leader = fork();
	if (leader == 0) {
		setpgid(0, 0);
		for (;;)
			pause();
	}
	scenario_need(setpgid(leader, leader) == 0 && setpgid(0, leader) == 0, "group: %s",
		      strerror(errno));
	for (int i = 0; i < MANY; i++)
		mount_one(i);
	while (n_below)
		close(below[--n_below]);
	kill(leader, SIGKILL);
	waitpid(leader, NULL, 0);
	leave_unread();
	scenario_mark("inside");
	scenario_wait_restored();
	for (int i = 0; i < MANY; i++)
		check_one(i);
	scenario_check(read_request(UNREAD, &packet) &&
			       packet.dev == (uint32_t)before[UNREAD].st_dev,
		       "what was not read is gone");
	answer(ALONE);
	answer(TWO_ENDS);
	answer(INDIRECT);
	scenario_check(access("active/here", F_OK) == 0, "what was mounted is gone");
	scenario_check(umount("active") == 0, "cannot unmount: %s", strerror(errno));
	answer(ACTIVE);
	scenario_check(access("catatonic/any", F_OK) < 0 && errno == ENOENT, "not catatonic");
	return 0;
}

static int inside(void *unused)
{
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	return be_daemon(unused);
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
