// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-fuse-mapped
 * promise: what is mapped from a file system whose driver is in the tree (FUSE), and programs that
 *	are executed from it, come back: pages of one's own with what they had, all others from
 *	the driver, which is asked by the handles that it gave, and hears of each that is let go;
 *	what is written to memory that is shared goes to the driver; nobody may write to what is
 *	executed
 * flavours: flat three user user-three
 * needs: kernel_memory device:fuse
 * options: --enable-fs fuse
 * ignore: maps
 * not-shifted: who fills memory asks the driver, which has no number for him
 * arguments: mine theirs shared
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THEIR_ID = 1000, PAGE = 4096, N_PAGES = 40, WAIT_MS = 2000 };
/* Handles: of what is mapped by private, of shared, of written and of the program. */
enum { OF_MAPPED = 4 };

static const char pages[] = "fs/by-app/one/pages", program[] = "fs/by-app/one/program";
static const char *which;
static bool in_user_namespace;

static void become_known(void)
{
	unsigned id = strcmp(which, "theirs") == 0 ? THEIR_ID : 0;

	scenario_need(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) == 0 &&
			      syscall(SYS_setresgid, id, id, id) == 0 &&
			      syscall(SYS_setresuid, id, id, id) == 0,
		      "ids: %s", strerror(errno));
}

static unsigned count_of(int fd)
{
	struct statfs found = { .f_files = 0 };

	scenario_check(fstatfs(fd, &found) == 0, "statfs: %s", strerror(errno));
	return (unsigned)found.f_files;
}

/* The driver hears of one that is closed some time after that. */
static void await_handles(int fd, unsigned wanted)
{
	unsigned count = count_of(fd);

	for (int i = 0; i < WAIT_MS && count != wanted; i++) {
		usleep(1000);
		count = count_of(fd);
	}
	scenario_check(count == wanted, "%u handles, not %u", count, wanted);
}

static unsigned *map(int flags, int prot, int how, int *ret_fd)
{
	int fd = open(pages, flags | O_CLOEXEC);

	scenario_need(fd >= 0, "open: %s", strerror(errno));
	unsigned *memory = mmap(NULL, N_PAGES * PAGE, prot, how, fd, 0);
	scenario_need(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	if (ret_fd)
		*ret_fd = fd;
	else
		close(fd);
	return memory;
}

static volatile unsigned *page(unsigned *memory, unsigned number)
{
	return (volatile unsigned *)((char *)memory + (size_t)number * PAGE);
}

/* Is each what it is in the file, or in the copy? */
static void check_pages(unsigned *memory, unsigned changed, unsigned value, const char *what)
{
	for (unsigned i = 0; i < N_PAGES; i++)
		scenario_check(*page(memory, i) == (i == changed ? value : i + 7) &&
				       page(memory, i)[1] == 0,
			       "%s: page %u has %u", what, i, *page(memory, i));
}

struct mapped {
	unsigned *own, *shared, *written, *inherited;
	int shared_fd, path_fd;
};

static void map_all(struct mapped *mapped)
{
	mapped->path_fd = open("fs/by-app", O_PATH | O_CLOEXEC);
	mapped->own = map(O_RDONLY, PROT_READ | PROT_WRITE, MAP_PRIVATE, NULL);
	mapped->shared = map(O_RDONLY, PROT_READ, MAP_SHARED, &mapped->shared_fd);
	mapped->written = map(O_RDWR, PROT_READ | PROT_WRITE, MAP_SHARED, NULL);
	scenario_need(*page(mapped->own, 1) == 8, "page 1");
	*page(mapped->own, 3) = 1003;
	*page(mapped->written, 5) = 12;
	scenario_need(msync(mapped->written, N_PAGES * PAGE, MS_SYNC) == 0, "msync: %s",
		      strerror(errno));
	scenario_need(lseek(mapped->shared_fd, 77, SEEK_SET) == 77, "lseek");
}

static void check_all(struct mapped *mapped)
{
	unsigned value = 0;
	int fd;

	check_pages(mapped->own, 3, 1003, "own");
	check_pages(mapped->shared, N_PAGES, 0, "shared");
	*page(mapped->written, 6) = 2006;
	scenario_check(msync(mapped->written, N_PAGES * PAGE, MS_SYNC) == 0, "msync: %s",
		       strerror(errno));
	scenario_check(*page(mapped->shared, 6) == 2006, "shared memory is not that of others");
	fd = open(pages, O_RDONLY | O_DIRECT | O_CLOEXEC);
	void *room = aligned_alloc(PAGE, PAGE);
	scenario_check(pread(fd, room, PAGE, 6 * PAGE) == PAGE, "read: %s", strerror(errno));
	memcpy(&value, room, sizeof value);
	scenario_check(value == 2006, "the driver has %u", value);
	close(fd);
	scenario_check(lseek(mapped->shared_fd, 0, SEEK_CUR) == 77, "another position");
	scenario_check(mprotect(mapped->shared, PAGE, PROT_READ | PROT_WRITE) < 0 &&
			       errno == EACCES,
		       "what was opened to read can be written to");
}

static void unmap_all(struct mapped *mapped)
{
	munmap(mapped->own, N_PAGES * PAGE);
	munmap(mapped->shared, N_PAGES * PAGE);
	munmap(mapped->written, N_PAGES * PAGE);
	close(mapped->shared_fd);
	await_handles(mapped->path_fd, 0);
	close(mapped->path_fd);
}

/* In the child's copy, of the same description. */
static int inherit(void *data)
{
	struct mapped *mapped = data;

	*page(mapped->own, 4) = 3004;
	scenario_mark("inherits");
	scenario_wait_restored();
	scenario_check(*page(mapped->own, 4) == 3004 && *page(mapped->own, 3) == 1003 &&
			       *page(mapped->own, 9) == 16,
		       "the child has %u, %u, %u", *page(mapped->own, 4), *page(mapped->own, 3),
		       *page(mapped->own, 9));
	return 0;
}

/* What is executed from there: it says that it runs, and in the end whether it still does so. */
static int executed(void)
{
	char text[256] = "";
	sigset_t wanted;
	int received;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGUSR1);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	close(open("runs", O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
	sigwait(&wanted, &received);
	return readlink("/proc/self/exe", text, sizeof text - 1) > 0 &&
			       strstr(text, "fs/by-app/one/program")
		       ? 0
		       : 1;
}

static pid_t execute(void)
{
	static char *const arguments[] = { (char *)"executed", NULL }, *const none[] = { NULL };
	pid_t pid = fork();

	if (pid == 0) {
		execve(program, arguments, none);
		_exit(2);
	}
	while (access("runs", F_OK) < 0 && kill(pid, 0) == 0)
		scenario_sleep_ms(2);
	return pid;
}

static int use(void *unused)
{
	bool executes = !in_user_namespace || strcmp(which, "shared") != 0;
	struct mapped mapped;
	int status = 0;

	(void)unused;
	become_known();
	map_all(&mapped);
	pid_t runs = executes ? execute() : 0, inherits = scenario_child(inherit, &mapped);
	scenario_wait_mark("inherits");
	await_handles(mapped.path_fd, executes ? OF_MAPPED : OF_MAPPED - 1);
	scenario_mark("uses");
	scenario_wait_restored();
	await_handles(mapped.path_fd, executes ? OF_MAPPED : OF_MAPPED - 1);
	check_all(&mapped);
	scenario_check(!executes || (open(program, O_WRONLY | O_CLOEXEC) < 0 && errno == ETXTBSY),
		       "what is executed can be written to (%s)", strerror(errno));
	if (executes) {
		kill(runs, SIGUSR1);
		waitpid(runs, &status, 0);
	}
	scenario_check(status == 0, "it runs something else (%#x)", status);
	scenario_reap(inherits);
	unmap_all(&mapped);
	return 0;
}

static int inside(void *unused)
{
	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	add_program();
	add_pages(N_PAGES);
	return serve_user(use);
}

int main(int argc, char **argv)
{
	char map_text[64] = "";

	if (argc == 1)
		return executed();
	FILE *file = fopen("/proc/self/uid_map", "re");
	in_user_namespace =
		!file || !fgets(map_text, sizeof map_text, file) || !strstr(map_text, "4294967295");
	if (file)
		fclose(file);
	scenario_begin(argc, argv);
	which = argv[2];
	scenario_need(chmod(".", 01777) == 0, "chmod");
	if (strcmp(which, "theirs") == 0)
		mount_options = "user_id=1000,group_id=1000";
	if (strcmp(which, "shared") == 0)
		mount_options = "user_id=1000,group_id=1000,allow_other";
	pid_t pid = scenario_child_in(CLONE_NEWNS, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
