// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-memfds
 * promise: memory files keep name, content, holes, size, mode, seals, positions and flags of each
 *	open description, and what maps them, shared, privately and without a descriptor
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

enum { PAGE = 4096, ALL_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static volatile char *common;

static int other(void *unused)
{
	(void)unused;
	scenario_mark("other");
	scenario_wait_restored();
	for (int i = 0; i < 5000 && common[1] != 'p'; i++)
		usleep(1000);
	scenario_check(common[1] == 'p', "what the parent writes is not seen");
	common[2] = 'c';
	return 0;
}

static int reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, flags);
}

static int make(const char *name, unsigned flags, const char *content)
{
	int fd = memfd_create(name, flags);
	ssize_t size = (ssize_t)strlen(content);

	scenario_need(fd >= 0 && write(fd, content, (size_t)size) == size, "no memfd %s", name);
	return fd;
}

static char *map(int fd, int prot, int flags)
{
	char *bytes = mmap(NULL, PAGE, prot, flags, fd, 0);

	scenario_need(bytes != MAP_FAILED, "cannot map");
	return bytes;
}

static void check_plain(int fd, int reader, int appender, int path)
{
	char text[8] = "";
	struct stat state;

	scenario_check(lseek(fd, 0, SEEK_CUR) == 5 && lseek(reader, 0, SEEK_CUR) == 2, "positions");
	scenario_check(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(reader, F_GETFD) == 0,
		       "close-on-exec");
	scenario_check((fcntl(reader, F_GETFL) & O_ACCMODE) == O_RDONLY &&
			       fcntl(path, F_GETFL) & O_PATH && fcntl(appender, F_GETFL) & O_APPEND,
		       "flags");
	scenario_check(read(reader, text, 3) == 3 && !strcmp(text, "ain"), "content %s", text);
	scenario_check(fstat(fd, &state) == 0 && state.st_size == 3 * PAGE + 7 &&
			       (state.st_mode & 07777) == 0640,
		       "size %jd, mode %o", (intmax_t)state.st_size, state.st_mode);
	scenario_check(lseek(fd, PAGE, SEEK_DATA) == 3 * PAGE, "the hole is filled");
	scenario_check(pread(fd, text, 8, 3 * PAGE + 4) == 3 && !memcmp(text, "end", 3), "end");
	scenario_check(write(appender, "x", 1) == 1 && fstat(fd, &state) == 0 &&
			       state.st_size == 3 * PAGE + 8,
		       "descriptions are of several files");
	scenario_check(fcntl(fd, F_GET_SEALS) == F_SEAL_SEAL, "what could not be sealed can");
}

static void check_sealed(int fd, char *mapped, char *private)
{
	scenario_check(fcntl(fd, F_GET_SEALS) == ALL_SEALS, "seals are %#x",
		       fcntl(fd, F_GET_SEALS));
	scenario_check(pwrite(fd, "x", 1, 0) == -1 && errno == EPERM, "a sealed file is written");
	scenario_check(mprotect(mapped, PAGE, PROT_READ | PROT_WRITE) == -1 && errno == EACCES,
		       "what is mapped of a sealed file can be written");
	scenario_check(!strcmp(mapped, "sealed") && !strcmp(private, "Xealed"), "content");
	private[1] = 'Y';
	scenario_check(mapped[1] == 'e', "a private page is shared");
}

static void check_future(int fd, char *mapped)
{
	scenario_check(fcntl(fd, F_GET_SEALS) == F_SEAL_FUTURE_WRITE, "seals are %#x",
		       fcntl(fd, F_GET_SEALS));
	mapped[0] = 'F';
	scenario_check(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED,
		       "a new mapping can be written");
	scenario_check(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == 0, "no more seals can be added");
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int plain = make("plain", MFD_CLOEXEC, "plain");
	int reader = reopen(plain, O_RDONLY), appender = reopen(plain, O_WRONLY | O_APPEND);
	int path = reopen(plain, O_PATH);
	scenario_need(reader >= 0 && path >= 0 && lseek(reader, 2, SEEK_SET) == 2, "cannot reopen");
	scenario_need(pwrite(plain, "the end", 7, 3 * PAGE) == 7 && fchmod(plain, 0640) == 0,
		      "cannot write");
	int same = dup(reader);
	int sealed = make("sealed (deleted)", MFD_ALLOW_SEALING, "sealed");
	char *private = map(sealed, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	private[0] = 'X';
	scenario_need(fcntl(sealed, F_ADD_SEALS, ALL_SEALS) == 0, "cannot seal");
	int sealed_reader = reopen(sealed, O_RDONLY);
	char *sealed_bytes = map(sealed_reader, PROT_READ, MAP_SHARED);
	int future = make("future", MFD_ALLOW_SEALING, "future");
	char *future_bytes = map(future, PROT_READ | PROT_WRITE, MAP_SHARED);
	scenario_need(fcntl(future, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0, "cannot seal");
	int rewound = make("rewound", MFD_CLOEXEC, "rewound");
	scenario_need(lseek(rewound, 0, SEEK_SET) == 0, "cannot rewind");
	int inert = memfd_create("inert", MFD_NOEXEC_SEAL);
	int unnamed = make("", MFD_CLOEXEC, "-");
	common = map(unnamed, PROT_READ | PROT_WRITE, MAP_SHARED);
	pid_t child = scenario_child(other, NULL);
	scenario_wait_mark("other");

	scenario_ready();

	check_plain(plain, reader, appender, path);
	scenario_check(syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, reader, same) == 0,
		       "a duplicate is another open file");
	check_sealed(sealed, sealed_bytes, private);
	check_future(future, future_bytes);
	scenario_check(read(rewound, (char[8]){ 0 }, 8) == 7, "it does not begin at its beginning");
	scenario_check(inert < 0 || (fcntl(inert, F_GET_SEALS) == F_SEAL_EXEC &&
				     fchmod(inert, 0777) == -1 && errno == EPERM),
		       "what was never to be executed can be");
	common[1] = 'p';
	for (int i = 0; i < 5000 && common[2] != 'c'; i++)
		usleep(1000);
	scenario_check(common[2] == 'c', "what the child writes is not seen");
	scenario_check(pread(unnamed, (char[4]){ 0 }, 4, 0) == 1, "size of a file that is mapped");
	scenario_reap(child);
	return scenario_end();
}
