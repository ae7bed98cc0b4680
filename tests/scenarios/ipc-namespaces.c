// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: ipc-namespaces
 * promise: System V objects of an ipc namespace keep ids, keys, owners, modes and content, queues
 *the order of their messages; settings are kept; also further in, with users of another user
 *	namespace, and in one that a descriptor keeps
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

enum { KEPT = 60, BYTES = 20000, SEMAPHORES = 5, MESSAGES = 4 };

union argument {
	int value;
	struct semid_ds *state;
	unsigned short *values;
};

struct message {
	long type;
	char text[64];
};

struct objects {
	int key;
	uid_t uid, cuid;
	int segment, locked, set, queue;
};

static const char *setting;

static void write_setting(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	scenario_need(fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value),
		      "cannot write %s: %s", path, strerror(errno));
	close(fd);
}

static void check_setting(const char *who, const char *path, const char *value)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY);

	scenario_check(fd >= 0 && read(fd, text, sizeof text - 1) > 0 &&
			       strncmp(text, value, strlen(value)) == 0,
		       "%s: %s is %s instead of %s", who, path, text, value);
	close(fd);
}

/* One segment before it is gone again, so that ids are not those of a new namespace. */
static void make_segments(struct objects *objects)
{
	int gone = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	objects->locked = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	shmctl(gone, IPC_RMID, NULL);
	objects->segment = shmget(objects->key, BYTES, IPC_CREAT | IPC_EXCL | 0640);
	char *bytes = shmat(objects->segment, NULL, 0);
	scenario_need(bytes != (void *)-1, "cannot make a segment");
	for (int i = 0; i < BYTES / 2; i++)
		bytes[i] = (char)(i * 7);
	shmdt(bytes);
}

static void make_others(struct objects *objects)
{
	unsigned short values[SEMAPHORES] = { 0, 7, 32767, 1, 2 };
	struct message message;

	objects->set = semget(objects->key, SEMAPHORES, IPC_CREAT | IPC_EXCL | 0604);
	scenario_need(semctl(objects->set, 0, SETALL, (union argument){ .values = values }) == 0,
		      "cannot make semaphores");
	objects->queue = msgget(objects->key, IPC_CREAT | IPC_EXCL | 0620);
	for (int i = 0; i < MESSAGES; i++) {
		message.type = MESSAGES - i;
		int length = snprintf(message.text, sizeof message.text, "message %d", i);
		scenario_need(msgsnd(objects->queue, &message, i ? (size_t)length : 0, 0) == 0,
			      "cannot send");
	}
}

static void make(struct objects *objects, uid_t creator, uid_t owner)
{
	struct shmid_ds segment;
	struct msqid_ds queue;

	objects->cuid = creator;
	objects->uid = owner;
	scenario_need(seteuid(creator) == 0, "cannot become %d", (int)creator);
	make_segments(objects);
	make_others(objects);
	scenario_need(seteuid(0) == 0, "cannot come back");
	shmctl(objects->segment, IPC_STAT, &segment);
	segment.shm_perm.uid = owner;
	msgctl(objects->queue, IPC_STAT, &queue);
	queue.msg_perm.uid = owner;
	queue.msg_qbytes = 5000;
	scenario_need(shmctl(objects->segment, IPC_SET, &segment) == 0 &&
			      msgctl(objects->queue, IPC_SET, &queue) == 0,
		      "cannot give away");
}

static void check_permissions(const char *what, const struct objects *objects,
			      const struct ipc_perm *is, unsigned mode)
{
	scenario_check(is->__key == objects->key && is->uid == objects->uid &&
			       is->cuid == objects->cuid && (is->mode & 0777) == mode,
		       "%s: key %d, of uid %d, by uid %d, mode %o", what, (int)is->__key,
		       (int)is->uid, (int)is->cuid, (unsigned)is->mode);
}

static void check_segment(const struct objects *objects)
{
	struct shmid_ds state = { 0 };
	const char *bytes = shmat(objects->segment, NULL, SHM_RDONLY);
	bool same = bytes != (void *)-1;

	scenario_check(shmget(objects->key, 0, 0) == objects->segment, "a segment has another id");
	for (int i = 0; same && i < BYTES; i++)
		same = bytes[i] == (i < BYTES / 2 ? (char)(i * 7) : 0);
	scenario_check(same, "a segment has other content");
	scenario_check(shmctl(objects->segment, IPC_STAT, &state) == 0 && state.shm_segsz == BYTES,
		       "a segment has another size");
	check_permissions("segment", objects, &state.shm_perm, 0640);
	scenario_check(shmctl(objects->locked, IPC_STAT, &state) == 0, "a private segment is gone");
}

static void check_set(const struct objects *objects)
{
	const unsigned short wanted[SEMAPHORES] = { 0, 7, 32767, 1, 2 };
	unsigned short values[SEMAPHORES] = { 0 };

	scenario_check(semget(objects->key, 0, 0) == objects->set &&
			       semctl(objects->set, 0, GETALL,
				      (union argument){ .values = values }) == 0 &&
			       memcmp(values, wanted, sizeof values) == 0,
		       "semaphores have other values, or another id");
}

static void check_queue(const struct objects *objects)
{
	struct msqid_ds state = { 0 };
	struct message message;
	char wanted[64];

	scenario_check(msgget(objects->key, 0) == objects->queue &&
			       msgctl(objects->queue, IPC_STAT, &state) == 0 &&
			       state.msg_qbytes == 5000 && state.msg_qnum == MESSAGES,
		       "a queue has another id, limit or number of messages");
	check_permissions("queue", objects, &state.msg_perm, 0620);
	for (int i = 0; i < MESSAGES; i++) {
		ssize_t length =
			msgrcv(objects->queue, &message, sizeof message.text, 0, IPC_NOWAIT);
		snprintf(wanted, sizeof wanted, "message %d", i);
		scenario_check(message.type == MESSAGES - i &&
				       length == (i ? (ssize_t)strlen(wanted) : 0) &&
				       memcmp(message.text, wanted, (size_t)length) == 0,
			       "message %d is another one", i);
	}
}

static void check(const struct objects *objects)
{
	check_segment(objects);
	check_set(objects);
	check_queue(objects);
}

static int inner(void *unused)
{
	struct objects objects = { .key = 4711 };

	(void)unused;
	scenario_need(unshare(CLONE_NEWIPC) == 0, "cannot unshare");
	make(&objects, 3, 5);
	scenario_mark("inner");
	scenario_wait_restored();
	check(&objects);
	scenario_check(setting && shmctl(objects.segment, IPC_RMID, NULL) == 0,
		       "it may not be removed from inside");
	return 0;
}

int main(int argc, char **argv)
{
	const struct scenario_users users = { "0 0 1\n1 1 9", "0 0 1\n1 1 9", false };
	struct objects kept = { .key = 815 }, own = { .key = 4711 };

	scenario_begin(argc, argv);
	setting = "/proc/sys/kernel/msgmax";
	scenario_need(unshare(CLONE_NEWIPC) == 0, "cannot unshare");
	make(&kept, 1, 2);
	int fd = open("/proc/self/ns/ipc", O_RDONLY);
	scenario_need(dup2(fd, KEPT) == KEPT && close(fd) == 0, "cannot keep it");
	scenario_need(unshare(CLONE_NEWIPC) == 0, "cannot unshare");
	make(&own, 4, 0);
	write_setting(setting, "100");
	write_setting("/proc/sys/kernel/shmmni", "4100");
	write_setting("/proc/sys/kernel/sem_next_id", "4242");
	pid_t pid = scenario_child_users(CLONE_NEWUSER, &users, inner, NULL);
	scenario_wait_mark("inner");

	scenario_ready();

	check_setting("own", setting, "100");
	check_setting("own", "/proc/sys/kernel/shmmni", "4100");
	check_setting("own", "/proc/sys/kernel/sem_next_id", "4242");
	check_setting("own", "/proc/sys/kernel/shm_next_id", "-1");
	check_setting("own", "/proc/sys/kernel/msg_next_id", "-1");
	scenario_check(semget(IPC_PRIVATE, 1, 0600) == 4242,
		       "the next set of semaphores is called something else");
	check(&own);
	scenario_reap(pid);
	scenario_check(setns(KEPT, CLONE_NEWIPC) == 0, "cannot enter what was kept");
	check_setting("kept", "/proc/sys/kernel/shmmni", "4096");
	check(&kept);
	return scenario_end();
}
