// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-memfd-executed
 * promise: a program that was executed from a memory file comes back, also while who has made the
 *	file has it open for reading and writing; nobody else may open it to write, as before
 * flavours: flat three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int copy_of(const char *path)
{
	int from = open(path, O_RDONLY), to = memfd_create("program", 0);
	struct stat stat;

	scenario_need(from >= 0 && to >= 0 && fstat(from, &stat) == 0, "no %s", path);
	for (off_t left = stat.st_size; left > 0;) {
		ssize_t sent = sendfile(to, from, NULL, (size_t)left);
		scenario_need(sent > 0, "sendfile");
		left -= sent;
	}
	close(from);
	return to;
}

/* The program that is in it: it says that it runs, and in the end whether it still does so. */
static int executed(void)
{
	char text[64] = "";

	/* Without a descriptor, which would be seen for a moment. */
	mkdir("runs", 0700);
	while (access("asked", F_OK) < 0)
		usleep(2000);
	return readlink("/proc/self/exe", text, sizeof text - 1) > 0 &&
			       strstr(text, "memfd:program")
		       ? 0
		       : 1;
}

static void check_file(int fd)
{
	char self[64];
	struct stat stat;

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	scenario_check((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR, "flags %#x", fcntl(fd, F_GETFL));
	scenario_check(lseek(fd, 0, SEEK_CUR) == lseek(fd, 0, SEEK_END), "another position");
	scenario_check(open(self, O_RDWR) < 0 && errno == ETXTBSY, "it can be opened to write");
	scenario_check(fstat(fd, &stat) == 0 && (stat.st_mode & 07777) == 0777, "mode %o",
		       stat.st_mode);
}

int main(int argc, char **argv)
{
	char *const arguments[] = { (char *)"executed", NULL }, *const none[] = { NULL };
	int status = -1;

	if (argc == 1)
		return executed();
	scenario_begin(argc, argv);
	int fd = copy_of("/proc/self/exe");
	pid_t child = fork();
	if (child == 0) {
		fexecve(fd, arguments, none);
		_exit(1);
	}
	while (access("runs", F_OK) < 0)
		scenario_sleep_ms(2);

	scenario_ready();

	check_file(fd);
	close(open("asked", O_CREAT | O_WRONLY, 0600));
	waitpid(child, &status, 0);
	scenario_check(status == 0, "it runs something else (%#x)", status);
	return scenario_end();
}
