// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-many
 * promise: of more than a thousand descriptions of one inode, each is found again by all of its
 *	descriptors, and has what is its own; also by those of others, who have few
 * flavours: flat three user user-three
 */
#include "scenario.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { COUNT = 1300, STEP = 7, FILES = 600, ABOVE = 3000, FEW = 4 };

static int made[COUNT], twice[COUNT];
static int few[FEW], files[FILES];

static long compare(pid_t who, int one, int other)
{
	return syscall(SYS_kcmp, getpid(), who, KCMP_FILE, one, other);
}

static int open_at(off_t position)
{
	int fd = open("files-many", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	scenario_need(fd >= 0 && lseek(fd, position, SEEK_SET) == position, "a file at %jd",
		      (intmax_t)position);
	return fd;
}

/* Has few of what its parent has, at other numbers. */
static int has_few(void *unused)
{
	(void)unused;
	for (int i = 0; i < FEW; i++)
		scenario_need(dup2(files[i * 100], ABOVE + i) == ABOVE + i, "a file of many");
	for (int i = 0; i < FILES; i++)
		close(files[i]);
	for (int i = 0; i < FEW; i++)
		close(few[i]);
	scenario_mark("few");
	scenario_wait_restored();
	for (int i = 0; i < FEW; i++) {
		scenario_check(compare(getppid(), ABOVE + i, files[i * 100]) == 0,
			       "file %d of many is another", i);
		scenario_check(lseek(ABOVE + i, 0, SEEK_CUR) == i * 100, "file %d: position", i);
	}
	return 0;
}

/* Many files of its own of an inode, and some of its parent's among them. */
static int has_many(void *unused)
{
	(void)unused;
	for (int i = 0; i < FILES; i++)
		files[i] = open_at(i);
	for (int i = 0; i < FEW; i++)
		scenario_need(dup2(few[i], ABOVE + i) == ABOVE + i, "a file of few");
	pid_t pid = scenario_child(has_few, NULL);
	scenario_wait_mark("few");
	scenario_mark("many");
	scenario_wait_restored();
	for (int i = 0; i < FEW; i++) {
		scenario_check(compare(getppid(), ABOVE + i, few[i]) == 0, "file %d is another", i);
		scenario_check(compare(getpid(), ABOVE + i, few[i]) == 0, "file %d is two", i);
	}
	for (int i = 0; i < FILES; i++) {
		scenario_check(lseek(files[i], 0, SEEK_CUR) == i, "file %d of many: position", i);
		scenario_check(compare(getpid(), files[i], files[(i + 1) % FILES]) > 0,
			       "%d and the next: one description", i);
	}
	scenario_reap(pid);
	return 0;
}

static void make_eventfds(void)
{
	for (int i = 0; i < COUNT; i++) {
		made[i] = eventfd((unsigned)i + 1, EFD_NONBLOCK);
		scenario_need(made[i] >= 0, "eventfd %d", i);
	}
	/* In another order. */
	for (int i = 0; i < COUNT; i++) {
		int k = i * STEP % COUNT;
		twice[k] = dup(made[k]);
		scenario_need(twice[k] >= 0, "a second descriptor of %d", k);
	}
}

static int has_eventfds(void *unused)
{
	(void)unused;
	make_eventfds();
	scenario_mark("eventfds");
	scenario_wait_restored();
	for (int i = 0; i < COUNT; i++) {
		uint64_t count = 0;
		scenario_check(compare(getpid(), made[i], twice[i]) == 0,
			       "%d and %d: two descriptions", made[i], twice[i]);
		scenario_check(compare(getpid(), made[i], made[(i + 1) % COUNT]) > 0,
			       "%d: one description", made[i]);
		scenario_check(read(twice[i], &count, sizeof count) == sizeof count &&
				       count == (uint64_t)i + 1,
			       "eventfd %d counts to %ju", i, (uintmax_t)count);
	}
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	for (int i = 0; i < FEW; i++)
		few[i] = open_at(i);
	pid_t pid = scenario_child(has_many, NULL);
	pid_t second = scenario_child(has_eventfds, NULL);
	scenario_wait_mark("many");
	scenario_wait_mark("eventfds");

	scenario_ready();

	scenario_reap(pid);
	scenario_reap(second);
	return scenario_end();
}
