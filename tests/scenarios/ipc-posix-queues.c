// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: ipc-posix-queues
 * promise: POSIX message queues keep messages in their order, priorities, limits, modes and owners,
 *	with names and without, in the tree's own ipc namespaces and in nestor's, whose named
 *	ones stay where they are; descriptors keep their flags; there may be more and larger ones
 *	than could be made by now; the directory of a namespace keeps mode and owner
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 200, MESSAGES = 6, READER = 50, SECOND, HELD, HELD_READER, OUTSIDE, OUTSIDE_HELD };

static const unsigned priorities[MESSAGES] = { 3, 0, 32767, 3, 7, 0 };
/* As they are to be received. */
static const int order[MESSAGES] = { 2, 4, 0, 3, 1, 5 };

static void move(mqd_t queue, int number)
{
	scenario_need(queue >= 0 && dup2(queue, number) == number, "no queue: %s", strerror(errno));
	close(queue);
}

static void fill(int number, bool with_text)
{
	char text[SIZE];

	for (int i = 0; i < MESSAGES; i++) {
		int length = snprintf(text, sizeof text, "message %d", i);
		scenario_need(mq_send(number, text, with_text || i ? (size_t)length : 0,
				      priorities[i]) == 0,
			      "cannot send: %s", strerror(errno));
	}
}

static void check(int number, bool with_text)
{
	struct mq_attr limits = { 0 };
	char text[SIZE], wanted[SIZE];

	scenario_check(mq_getattr(number, &limits) == 0 && limits.mq_maxmsg == MESSAGES + 1 &&
			       limits.mq_msgsize == SIZE && limits.mq_curmsgs == MESSAGES,
		       "%d: %ld of %ld messages of %ld bytes", number, limits.mq_curmsgs,
		       limits.mq_maxmsg, limits.mq_msgsize);
	for (int i = 0; i < MESSAGES && limits.mq_curmsgs == MESSAGES; i++) {
		unsigned priority = 0;
		ssize_t length = mq_receive(number, text, sizeof text, &priority);
		snprintf(wanted, sizeof wanted, "message %d", order[i]);
		scenario_check(length == (with_text || order[i] ? (ssize_t)strlen(wanted) : 0) &&
				       memcmp(text, wanted, (size_t)length) == 0 &&
				       priority == priorities[order[i]],
			       "%d: message %d is another one", number, i);
	}
}

/* So little that none of ours could be made, and what a new namespace has. */
static const struct limit {
	const char *path, *less, *usual;
} limits_of_all[] = {
	{ "/proc/sys/fs/mqueue/msg_max", "5", "10" },
	{ "/proc/sys/fs/mqueue/msgsize_max", "150", "8192" },
	{ "/proc/sys/fs/mqueue/queues_max", "1", "256" },
};
enum { N_LIMITS = sizeof limits_of_all / sizeof *limits_of_all };

static void set_limit(const struct limit *limit, const char *value)
{
	int fd = open(limit->path, O_WRONLY);

	scenario_need(fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value),
		      "cannot write %s: %s", limit->path, strerror(errno));
	close(fd);
}

static void check_limit(const struct limit *limit)
{
	char value[32] = "";
	int fd = open(limit->path, O_RDONLY);

	scenario_check(fd >= 0 && read(fd, value, sizeof value - 1) > 0 &&
			       strncmp(value, limit->less, strlen(limit->less)) == 0 &&
			       value[strlen(limit->less)] == '\n',
		       "%s is %s", limit->path, value);
	close(fd);
}

static mqd_t make(const char *name, int flags, mode_t mode)
{
	struct mq_attr limits = { .mq_maxmsg = MESSAGES + 1, .mq_msgsize = SIZE };

	return mq_open(name, O_CREAT | O_EXCL | flags, mode, &limits);
}

static void check_owner(const char *name, uid_t uid, mode_t mode)
{
	struct stat stat = { 0 };
	mqd_t queue = mq_open(name, O_RDONLY);

	scenario_check(fstat(queue, &stat) == 0 && stat.st_uid == uid &&
			       (stat.st_mode & 07777) == mode,
		       "%s is of uid %d, mode %o", name, (int)stat.st_uid, (unsigned)stat.st_mode);
	mq_close(queue);
}

/* What the directory of a namespace is to have. */
struct directory {
	uid_t uid;
	gid_t gid;
	mode_t mode;
};
static const struct directory changed = { 2, 3, 01751 }, private = { 0, 0, 0700 };

/* Nobody else has it mounted. */
static int open_directory(void)
{
	scenario_need(unshare(CLONE_NEWNS) == 0, "no mount namespace: %s", strerror(errno));
	int context = fsopen("mqueue", FSOPEN_CLOEXEC);
	scenario_need(context >= 0 && fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0,
		      "no mqueue: %s", strerror(errno));
	int fd = openat(fsmount(context, FSMOUNT_CLOEXEC, 0), ".", O_RDONLY | O_DIRECTORY);
	scenario_need(fd >= 0, "no mqueue: %s", strerror(errno));
	return fd;
}

static int change(void *data)
{
	const struct directory *wanted = data;
	int fd = open_directory();

	scenario_need(fchown(fd, wanted->uid, wanted->gid) == 0 && fchmod(fd, wanted->mode) == 0,
		      "cannot change the directory: %s", strerror(errno));
	return 0;
}

static int look(void *data)
{
	const struct directory *wanted = data;
	struct stat stat = { 0 };

	int failure = fstat(open_directory(), &stat);

	scenario_check(failure == 0 && stat.st_uid == wanted->uid && stat.st_gid == wanted->gid &&
			       (stat.st_mode & 07777) == wanted->mode,
		       "the directory is of %d:%d, mode %o", (int)stat.st_uid, (int)stat.st_gid,
		       (unsigned)stat.st_mode);
	return 0;
}

static void in_child(int (*work)(void *data), const struct directory *wanted)
{
	scenario_reap(scenario_child(work, (void *)wanted));
}

/* One without any queues. */
static int bare(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_NEWIPC) == 0, "cannot unshare");
	in_child(change, &private);
	scenario_mark("bare");
	scenario_wait_restored();
	in_child(look, &private);
	return 0;
}

/* All in a namespace of the caller's own, which has the same names as others. */
static void make_own(void)
{
	umask(0);
	move(make("/first", O_RDWR, 0640), READER);
	fill(READER, true);
	close(READER);
	move(mq_open("/first", O_RDONLY | O_NONBLOCK), READER);
	move(mq_open("/first", O_WRONLY), SECOND);
	move(make("/gone", O_RDWR, 0600), HELD);
	move(mq_open("/gone", O_RDONLY), HELD_READER);
	scenario_need(mq_unlink("/gone") == 0, "cannot unlink");
	fill(HELD, false);
	scenario_need(seteuid(1) == 0, "no other user");
	mq_close(make("/other", O_RDWR, 0604));
	scenario_need(seteuid(0) == 0, "cannot come back");
	umask(022);
	in_child(change, &changed);
	for (size_t i = 0; i < N_LIMITS; i++)
		set_limit(&limits_of_all[i], limits_of_all[i].less);
}

static void check_own(void)
{
	for (size_t i = 0; i < N_LIMITS; i++) {
		check_limit(&limits_of_all[i]);
		set_limit(&limits_of_all[i], limits_of_all[i].usual);
	}
	in_child(look, &changed);
	check_owner("/first", 0, 0640);
	check_owner("/other", 1, 0604);
	check(READER, true);
	check(HELD_READER, false);
	scenario_check(mq_send(SECOND, "x", 1, 0) == 0 && mq_send(HELD, "x", 1, 0) == 0,
		       "cannot send");
	scenario_check((fcntl(READER, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) ==
				       (O_RDONLY | O_NONBLOCK) &&
			       (fcntl(SECOND, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == O_WRONLY,
		       "flags are others");
	scenario_check(mq_unlink("/first") == 0 && mq_unlink("/other") == 0, "cannot unlink");
	scenario_check(make("/gone", O_RDWR, 0600) >= 0, "what was removed has a name");
}

static int inner(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_NEWIPC) == 0, "cannot unshare");
	make_own();
	scenario_mark("inner");
	scenario_wait_restored();
	check_own();
	return 0;
}

int main(int argc, char **argv)
{
	const struct scenario_users users = { "0 0 1\n1 1 9", "0 0 1\n1 1 9", false };
	struct timespec now;
	char name[64];

	scenario_begin(argc, argv);
	/* Where we came from is shared with others that run at the same time. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(name, sizeof name, "/nestor-%d-%lx-%lx", (int)getpid(), (unsigned long)now.tv_sec,
		 (unsigned long)now.tv_nsec);
	move(make(name, O_RDWR, 0600), OUTSIDE_HELD);
	scenario_need(mq_unlink(name) == 0, "cannot unlink");
	fill(OUTSIDE_HELD, true);
	move(make(name, O_RDWR | O_NONBLOCK, 0600), OUTSIDE);
	fill(OUTSIDE, true);
	pid_t same = fork();
	if (same == 0) {
		/* Somebody has to be there, or nobody knows where the queues are. */
		scenario_wait_restored();
		scenario_check(mq_unlink(name) == 0, "%s is gone", name);
		_exit(scenario_end());
	}
	scenario_need(unshare(CLONE_NEWIPC) == 0, "cannot unshare");
	make_own();
	pid_t pid = scenario_child_users(CLONE_NEWUSER, &users, inner, NULL);
	pid_t alone = scenario_child(bare, NULL);
	scenario_wait_mark("inner");
	scenario_wait_mark("bare");

	scenario_ready();

	check(OUTSIDE, true);
	check(OUTSIDE_HELD, true);
	check_own();
	scenario_reap(pid);
	scenario_reap(alone);
	scenario_reap(same);
	return scenario_end();
}
