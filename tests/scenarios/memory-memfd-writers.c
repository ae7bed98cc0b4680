// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-memfd-writers
 * promise: a memory file that is open and mapped for reading and writing by nothing but what
 *	memfd_create returned can be executed, also from a mapping when that is closed; one that was
 *	opened once more to write cannot before that is closed; positions and flags are apart
 * flavours: flat three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROOM = 4096 };

static const char script[] = "#!/bin/true\n";

static int make(const char *name)
{
	int fd = memfd_create(name, MFD_ALLOW_SEALING);

	scenario_need(fd >= 0 && write(fd, script, strlen(script)) == (ssize_t)strlen(script),
		      "no memory file");
	return fd;
}

static int open_again(int fd, int flags)
{
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	int again = open(self, flags);
	scenario_need(again >= 0, "cannot open it again");
	return again;
}

static char *map(int fd)
{
	char *mapped = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	scenario_need(mapped != MAP_FAILED, "mmap");
	return mapped;
}

/* 0, or why it cannot be executed. */
static int execute(int fd)
{
	char *const arguments[] = { (char *)"true", NULL }, *const none[] = { NULL };
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		fexecve(fd, arguments, none);
		_exit(errno);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(int fd, int wanted, const char *what)
{
	int got = execute(fd);

	scenario_check(got == wanted, "%s: %s", what, strerror(got));
}

struct files {
	int plain, mapped, reader, left, twice, again, reopened;
	char *shared, *of_left;
};

static void expect_all(const struct files *files)
{
	expect(files->plain, 0, "open");
	expect(files->mapped, 0, "open and mapped");
	expect(files->left, 0, "mapped");
	expect(files->twice, ETXTBSY, "opened once more to write");
	expect(files->reopened, ETXTBSY, "opened once more, and the first closed");
}

static void check_apart(const struct files *files)
{
	scenario_check(lseek(files->plain, 0, SEEK_CUR) == (off_t)strlen(script) &&
			       lseek(files->twice, 0, SEEK_CUR) == 3 &&
			       lseek(files->again, 0, SEEK_CUR) == 0,
		       "a position is another");
	scenario_check((fcntl(files->mapped, F_GETFL) & (O_ACCMODE | O_APPEND)) ==
			       (O_RDWR | O_APPEND),
		       "flags %#x", fcntl(files->mapped, F_GETFL));
	scenario_check((fcntl(files->again, F_GETFL) & (O_ACCMODE | O_APPEND)) == O_RDWR,
		       "flags %#x", fcntl(files->again, F_GETFL));
	files->shared[ROOM - 1] = 'x';
	files->of_left[ROOM - 1] = 'x';
	scenario_check(write(files->reader, "x", 1) < 0 && errno == EBADF, "it can be written");
}

int main(int argc, char **argv)
{
	struct files files;

	scenario_begin(argc, argv);
	files.plain = make("plain");
	files.mapped = make("mapped");
	files.shared = map(files.mapped);
	files.reader = open_again(files.mapped, O_RDONLY);
	scenario_need(fcntl(files.mapped, F_SETFL, O_APPEND) == 0 &&
			      ftruncate(files.mapped, ROOM) == 0,
		      "flags");
	int left = make("left");
	scenario_need(ftruncate(left, ROOM) == 0, "size");
	files.of_left = map(left);
	files.left = open_again(left, O_RDONLY);
	close(left);
	files.twice = make("twice");
	files.again = open_again(files.twice, O_RDWR);
	scenario_need(lseek(files.twice, 3, SEEK_SET) == 3, "lseek");
	int first = make("reopened");
	files.reopened = open_again(first, O_RDWR);
	close(first);
	expect_all(&files);

	scenario_ready();

	expect_all(&files);
	check_apart(&files);
	close(files.again);
	expect(files.twice, 0, "after the other one was closed");
	close(files.mapped);
	expect(files.reader, 0, "mapped, and the first closed");
	munmap(files.shared, ROOM);
	int writer = open_again(files.reader, O_RDWR);
	expect(files.reader, ETXTBSY, "opened to write");
	scenario_check(fcntl(writer, F_ADD_SEALS, F_SEAL_WRITE) == 0, "it is mapped still");
	return scenario_end();
}
