// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-positions
 * promise: regular files, directories and O_PATH descriptors keep path, flags and position
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_new(const char *name, int flags)
{
	int fd = open(name, flags | O_CREAT, 0640);

	scenario_need(fd >= 0, "cannot make %s: %s", name, strerror(errno));
	return fd;
}

/* Entries of a directory that are left to read. */
static unsigned count_entries(DIR *dir)
{
	unsigned count = 0;

	while (readdir(dir))
		count++;
	return count;
}

int main(int argc, char **argv)
{
	char text[32] = "";
	struct stat before, after;

	scenario_begin(argc, argv);
	int file = open_new("positions", O_RDWR);
	scenario_need(write(file, "0123456789", 10) == 10, "cannot write");
	scenario_need(lseek(file, 4, SEEK_SET) == 4, "cannot seek");
	int append = open_new("positions", O_WRONLY | O_APPEND | O_NONBLOCK);
	int beyond = open_new("positions", O_RDONLY | O_NOATIME);
	scenario_need(lseek(beyond, 1LL << 40, SEEK_SET) == 1LL << 40, "cannot seek");
	int unread = open_new("read-only", O_RDONLY | O_EXCL | O_TRUNC | O_SYNC);
	int path = open("positions", O_PATH);
	scenario_need(symlink("nowhere", "link") == 0, "cannot make a link");
	int link = open("link", O_PATH | O_NOFOLLOW);
	scenario_need(mkdir("directory", 0700) == 0 && chdir("directory") == 0, "no directory");
	for (char name[2] = "a"; name[0] < 'k'; name[0]++)
		close(open_new(name, O_RDWR));
	scenario_need(chdir("..") == 0, "cannot go back");
	/* The C library reads a directory in one go: what it has read is memory, not position. */
	DIR *dir = opendir("directory");
	DIR *read_dir = opendir("directory");
	scenario_need(dir && read_dir, "cannot open the directory");
	scenario_need(count_entries(read_dir) == 12, "the directory has another size");
	int flags[] = { fcntl(file, F_GETFL),	fcntl(append, F_GETFL), fcntl(beyond, F_GETFL),
			fcntl(unread, F_GETFL), fcntl(path, F_GETFL),	fcntl(link, F_GETFL) };
	int fds[] = { file, append, beyond, unread, path, link };
	fstat(path, &before);

	scenario_ready();

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		scenario_check(fcntl(fds[i], F_GETFL) == flags[i],
			       "flags of descriptor %d are %o, were %o", fds[i],
			       fcntl(fds[i], F_GETFL), flags[i]);
	scenario_check(read(file, text, 3) == 3 && !strcmp(text, "456"), "read \"%s\"", text);
	scenario_check(write(append, "+", 1) == 1, "cannot append");
	scenario_check(pread(file, text, 2, 9) == 2 && text[1] == '+', "appended elsewhere");
	scenario_check(lseek(beyond, 0, SEEK_CUR) == 1LL << 40, "position far out is lost");
	scenario_check(write(unread, "x", 1) == -1 && errno == EBADF,
		       "a read-only file is writable");
	scenario_check(read(path, text, 1) == -1 && errno == EBADF, "an O_PATH file is readable");
	scenario_check(fstat(path, &after) == 0 && after.st_ino == before.st_ino, "another inode");
	scenario_check(fstat(link, &after) == 0 && S_ISLNK(after.st_mode), "the link is none");
	scenario_check(count_entries(dir) == 12, "the directory does not start at its begin");
	scenario_check(count_entries(read_dir) == 0, "the directory is not at its end");
	return scenario_end();
}
