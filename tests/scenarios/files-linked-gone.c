// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-linked-gone
 * promise: a file whose name is gone with its directories, while it has another one above them,
 *	comes back by the first name, is one with the other, and nothing of these directories stays
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "own-tmpfs.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
	int fd;
	char shown[4200];
};

static void link_of(int fd, char link[4200])
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, link, 4199);
	link[length > 0 ? length : 0] = '\0';
}

static void make(struct file *file)
{
	scenario_need(mkdir("outer", 0700) == 0 && mkdir("outer/inner", 0700) == 0 &&
			      mkdir("kept", 0700) == 0,
		      "no directories");
	file->fd = open("outer/inner/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	scenario_need(file->fd >= 0 && link("outer/inner/file", "kept/other") == 0 &&
			      unlink("outer/inner/file") == 0 && rmdir("outer/inner") == 0 &&
			      rmdir("outer") == 0 && write(file->fd, "content", 7) == 7,
		      "cannot make the file: %s", strerror(errno));
	link_of(file->fd, file->shown);
}

static void check(const struct file *file)
{
	struct stat held = { 0 }, other = { 0 };
	char link[4200], text[8] = "";

	scenario_check(fstat(file->fd, &held) == 0 && stat("kept/other", &other) == 0 &&
			       held.st_ino == other.st_ino && held.st_dev == other.st_dev,
		       "it is another file");
	scenario_check(held.st_nlink == 1, "it has %d names", (int)held.st_nlink);
	scenario_check(pread(file->fd, text, 7, 0) == 7 && strcmp(text, "content") == 0, "content");
	link_of(file->fd, link);
	scenario_check(strcmp(link, file->shown) == 0, "%s was %s", link, file->shown);
	scenario_check(access("outer", F_OK) < 0 && errno == ENOENT, "a directory stays");
}

static int apart(void *unused)
{
	struct file file;

	(void)unused;
	own_tmpfs_enter();
	make(&file);
	own_tmpfs_wait_restored();
	check(&file);
	own_tmpfs_leave();
	return 0;
}

int main(int argc, char **argv)
{
	struct file file;

	scenario_begin(argc, argv);
	pid_t child = scenario_child(apart, NULL);
	scenario_wait_mark("made");
	make(&file);

	scenario_ready();

	check(&file);
	scenario_reap(child);
	return scenario_end();
}
