// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-bound
 * promise: terminals of the outer devpts in a mount namespace where that is bound elsewhere, too:
 *	masters made by its ptmx at either place and by /dev/ptmx, slaves opened by their names at
 *	either place and by way of the master, show the paths and are on the mounts that they were,
 *	and end with the master
 * flavours: flat one three
 * alone: terminal numbers are one for all
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

enum { WAYS = 3, SLAVES = 3 };

static const char *const makers[WAYS] = { "/dev/ptmx", "elsewhere/ptmx", "/dev/pts/ptmx" };

struct end {
	int fd;
	char link[256], place[256];
};
static struct end ends[WAYS][1 + SLAVES];

/* Where the mount is that it is on. */
static void find_place(int fd, char place[256])
{
	char path[64], line[4096], mountpoint[256];
	int wanted = -1, id;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file))
		sscanf(line, "mnt_id: %d", &wanted);
	if (file)
		fclose(file);
	place[0] = '\0';
	file = fopen("/proc/self/mountinfo", "re");
	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "%d %*d %*s %*s %255s", &id, mountpoint) == 2 && id == wanted)
			snprintf(place, 256, "%s", mountpoint);
	if (file)
		fclose(file);
}

static void look(int fd, char link[256], char place[256])
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, link, 255);
	link[length < 0 ? 0 : length] = '\0';
	find_place(fd, place);
}

static void open_all(int way)
{
	int unlocked = 0, master = open(makers[way], O_RDWR | O_NOCTTY | O_CLOEXEC);
	unsigned index = 0;
	char name[64];

	scenario_need(master >= 0 && ioctl(master, TIOCSPTLCK, &unlocked) == 0 &&
			      ioctl(master, TIOCGPTN, &index) == 0,
		      "%s: %s", makers[way], strerror(errno));
	ends[way][0].fd = master;
	snprintf(name, sizeof name, "/dev/pts/%u", index);
	ends[way][1].fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	snprintf(name, sizeof name, "elsewhere/%u", index);
	ends[way][2].fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	ends[way][3].fd = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	for (int i = 0; i <= SLAVES; i++) {
		scenario_need(ends[way][i].fd >= 0, "%s: %s", name, strerror(errno));
		look(ends[way][i].fd, ends[way][i].link, ends[way][i].place);
	}
}

static void check_all(int way)
{
	char link[256], place[256], got[8] = "", name[64];
	unsigned index = 0;

	ioctl(ends[way][0].fd, TIOCGPTN, &index);
	for (int i = 0; i <= SLAVES; i++) {
		look(ends[way][i].fd, link, place);
		scenario_check(strcmp(link, ends[way][i].link) == 0 &&
				       strcmp(place, ends[way][i].place) == 0,
			       "%s, %d: %s on %s, not %s on %s", makers[way], i, link, place,
			       ends[way][i].link, ends[way][i].place);
	}
	for (int i = 1; i <= SLAVES; i++) {
		ssize_t written = write(ends[way][i].fd, "here\n", 5), length = 0, more = 1;
		/* It may come in parts. */
		for (; more > 0 && length<6; length += more> 0 ? more : 0)
			more = read(ends[way][0].fd, got + length, 6 - (size_t)length);
		scenario_check(written == 5 && length == 6 && strncmp(got, "here\r\n", 6) == 0,
			       "%s, %d: %s", makers[way], i, got);
	}
	/* Nobody else holds it. */
	close(ends[way][0].fd);
	snprintf(name, sizeof name, "elsewhere/%u", index);
	scenario_check(access(name, F_OK) < 0 && errno == ENOENT, "%s is there", name);
	scenario_check(read(ends[way][1].fd, got, 1) == 0, "%s is not hung up", name);
}

static int inside(void *unused)
{
	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("elsewhere", 0755) == 0 &&
			      mount("/dev/pts", "elsewhere", NULL, MS_BIND, NULL) == 0,
		      "bind: %s", strerror(errno));
	for (int i = 0; i < WAYS; i++)
		open_all(i);
	scenario_mark("inside");
	scenario_wait_restored();
	for (int i = 0; i < WAYS; i++)
		check_all(i);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
