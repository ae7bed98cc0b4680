// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * POSIX message queues, mq_overview(7), of an ipc namespace: files of a file system that each
 * namespace has (mqueue). Name, limits, mode, owner and messages are kept, and mode and owner of
 * the root directory; times are not. Whoever makes a queue pays for it (RLIMIT_MSGQUEUE) and owns
 * it, so the maker is that user when it makes it.
 *
 * What mq_notify(3) has registered cannot be read as a whole (the value that comes with the
 * signal), and a message that is put into an empty queue would use it up: refused.
 *
 * Limits of the namespace may have been lowered since: they are raised where a queue needs it, and
 * set to what they are to be once all are made (namespace.c).
 */
#include "kinds/ipc/posix-queues.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/listing.h"
#include "kernel/deputy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <mqueue.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	/* What no namespace allows more of (HARD_MSGMAX, HARD_MSGSIZEMAX). */
	MOST_MESSAGES = 65536,
	MOST_MESSAGE_BYTES = 16 * 1024 * 1024,
	USUAL_ROOT_MODE = 01777,
	OVERFLOW_ID = 65534, /* kernel.overflowuid, which hardly anybody changes */
};

/* ---- dump ---- */

int posix_queues_mount(void)
{
	autoclose int context = (int)syscall(SYS_fsopen, "mqueue", FSOPEN_CLOEXEC);

	if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -1;
	autoclose int mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
	/* That is one with O_PATH. */
	return mount < 0 ? -1 : openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* "QSIZE:129 NOTIFY:2 SIGNO:0 NOTIFY_PID:8260", padded. */
static int read_state(int fd, uint64_t *ret_bytes, bool *ret_notifies)
{
	char text[128];
	ssize_t length = pread(fd, text, sizeof text - 1, 0);
	int how, number, pid;

	text[length < 0 ? 0 : length] = '\0';
	if (sscanf(text, "QSIZE:%" SCNu64 " NOTIFY:%d SIGNO:%d NOTIFY_PID:%d", ret_bytes, &how,
		   &number, &pid) != 4)
		return -1;
	*ret_notifies = how || number || pid;
	return 0;
}

int posix_queue_refuse_notified(int fd, const char *what, struct error *err)
{
	uint64_t bytes;
	bool notifies = false;

	if (read_state(fd, &bytes, &notifies))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the state of %s", what);
	return notifies ? fail(err, ERR_UNSUPPORTED_FILE,
			       "%s: somebody is to be told of its next message (mq_notify), and "
			       "how cannot be read as a whole",
			       what)
			: 0;
}

int posix_queue_read(int fd, struct ipc_reading *reading, const char *what, PosixQueue *queue,
		     struct error *err)
{
	struct stat stat;
	struct mq_attr limits;
	uint64_t bytes = 0;
	bool notifies = false;

	if (fstat(fd, &stat) || mq_getattr(fd, &limits) || read_state(fd, &bytes, &notifies))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the state of %s", what);
	if (notifies)
		return posix_queue_refuse_notified(fd, what, err);
	queue->uid = stat.st_uid;
	queue->gid = stat.st_gid;
	queue->mode = stat.st_mode & ~(uint32_t)S_IFMT;
	queue->most_messages = (uint32_t)limits.mq_maxmsg;
	queue->most_bytes = (uint32_t)limits.mq_msgsize;
	size_t count = (size_t)limits.mq_curmsgs;
	if (reading->looking)
		return 0;
	if (ipc_count(reading, bytes + count * sizeof(PosixMessage), err))
		return -1;
	return posix_messages_read(fd, count, bytes, reading->arena, queue)
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the messages of %s", what)
		       : 0;
}

static int collect_one(struct ipc_reading *reading, int directory, const char *name,
		       struct error *err)
{
	IpcEntry *entry = reading->entry;
	PosixQueue *queue =
		arena_copy(reading->arena, &(PosixQueue)POSIX_QUEUE__INIT, sizeof *queue);
	autoclose int fd = openat(directory, name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	char what[NAME_MAX + 32];

	snprintf(what, sizeof what, "POSIX message queue %s", name);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", what);
	queue->name = arena_string(reading->arena, name);
	if (posix_queue_read(fd, reading, what, queue, err))
		return -1;
	entry->posix_queues = arena_grow(reading->arena, entry->posix_queues, entry->n_posix_queues,
					 sizeof queue);
	entry->posix_queues[entry->n_posix_queues++] = queue;
	return 0;
}

static int collect_root(struct ipc_reading *reading, int fd, struct error *err)
{
	PosixQueuesRoot *root =
		arena_copy(reading->arena, &(PosixQueuesRoot)POSIX_QUEUES_ROOT__INIT, sizeof *root);
	struct stat stat;

	if (fstat(fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at POSIX message queues");
	root->mode = stat.st_mode & 07777;
	root->uid = stat.st_uid;
	root->gid = stat.st_gid;
	reading->entry->posix_queues_root = root;
	return 0;
}

int posix_queues_collect(struct ipc_reading *reading, struct error *err)
{
	int fd = posix_queues_mount();
	/* A kernel without them. */
	if (fd < 0 && errno == ENODEV)
		return 0;
	if (fd >= 0 && collect_root(reading, fd, err))
		return close(fd), -1;
	autoclosedir DIR *queues = listing_of(fd);
	for (const char *queue; listing_next(queues, &queue);)
		if (collect_one(reading, dirfd(queues), queue, err))
			return -1;
	return errno ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at POSIX message queues")
		     : 0;
}

/* ---- check ---- */

bool posix_queue_is_name(const char *name)
{
	size_t length = strlen(name);

	return length && length <= NAME_MAX && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

/* In the order in which they are received: none has a higher priority than the one before. */
bool posix_queue_is_sound(const PosixQueue *queue)
{
	bool sound = queue->most_messages > 0 && queue->most_messages <= MOST_MESSAGES &&
		     queue->most_bytes > 0 && queue->most_bytes <= MOST_MESSAGE_BYTES &&
		     !(queue->mode & ~07777U) && queue->n_messages <= queue->most_messages;

	for (size_t i = 0; sound && i < queue->n_messages; i++) {
		const PosixMessage *message = queue->messages[i];
		sound = message->priority <= MOST_PRIORITY &&
			message->text.len <= queue->most_bytes &&
			(!i || message->priority <= queue->messages[i - 1]->priority);
	}
	return sound;
}

/* What is nobody's is so from the beginning on, and nobody inside could set its mode. */
static int check_root(const struct namespace *namespace_, struct error *err)
{
	const PosixQueuesRoot *root = namespace_->entry->ipc->posix_queues_root;
	uint32_t inside;

	if (!root || root->mode == USUAL_ROOT_MODE)
		return 0;
	if (root->mode & ~07777U)
		return fail(err, ERR_IMAGE_INVALID,
			    "the directory of POSIX message queues has no such mode");
	if (user_namespace_id_inside(namespace_->owner, false, root->uid, &inside))
		return 0;
	return fail(err, ERR_UNSUPPORTED_NAMESPACE,
		    "ipc namespace %" PRIu32 ": the directory of POSIX message queues has mode "
		    "%04" PRIo32 ", and belongs to somebody who is nobody in the owner of the "
		    "namespace",
		    namespace_->id, root->mode);
}

int posix_queues_check(const struct namespace *namespace_, struct error *err)
{
	const IpcEntry *entry = namespace_->entry->ipc;

	if (check_root(namespace_, err))
		return -1;
	for (size_t i = 0; i < entry->n_posix_queues; i++) {
		const PosixQueue *queue = entry->posix_queues[i];
		if (!queue->name || !posix_queue_is_name(queue->name))
			return fail(err, ERR_IMAGE_INVALID, "a POSIX message queue has no name");
		if (!posix_queue_is_sound(queue))
			return fail(err, ERR_IMAGE_INVALID,
				    "POSIX message queue %s is such as there is none", queue->name);
	}
	return 0;
}

/* ---- restore ---- */

static int fail_to_make(const PosixQueue *queue, const char *name, struct error *err)
{
	if (errno != EMFILE)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make POSIX message queue %s",
				  name);
	fail_errno(err, ERR_LIMIT_TOO_LOW,
		   "uid %" PRIu32 " may have no more bytes in POSIX message queues (%s)",
		   queue->uid, name);
	return fail_hint(err, "raise the limit of nestor (ulimit -q)");
}

static int fill(int fd, const PosixQueue *queue)
{
	for (size_t i = 0; i < queue->n_messages; i++) {
		const PosixMessage *message = queue->messages[i];
		if (syscall(SYS_mq_timedsend, fd, message->text.data, message->text.len,
			    message->priority, NULL))
			return -1;
	}
	return 0;
}

int posix_queue_make(const struct ipc_making *making, const PosixQueue *queue, const char *name,
		     struct error *err)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct mq_attr limits = { .mq_maxmsg = (long)queue->most_messages,
				  .mq_msgsize = (long)queue->most_bytes };

	/* Where that may not be done the limit is what it is. */
	setrlimit(RLIMIT_MSGQUEUE, &unlimited);
	if (ipc_become(making, queue->uid, queue->gid, err))
		return -1;
	autoclose int fd =
		(int)syscall(SYS_mq_open, name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK | O_CLOEXEC,
			     0600, &limits);
	if (fd < 0)
		return fail_to_make(queue, name, err);
	if (fill(fd, queue) || fchmod(fd, queue->mode))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fill POSIX message queue %s",
				  name);
	return take_fd(&fd);
}

int posix_queue_raise_limits(const struct ipc_making *making, const PosixQueue *queue,
			     uint64_t count, struct error *err)
{
	return ipc_raise(making, "fs/mqueue/msg_max", queue->most_messages, err) ||
			       ipc_raise(making, "fs/mqueue/msgsize_max", queue->most_bytes, err) ||
			       ipc_raise(making, "fs/mqueue/queues_max", count, err)
		       ? -1
		       : 0;
}

/* Whom the owner of the namespace has no number for has it from the beginning on, or nobody. */
static bool has_other_owner(const struct ipc_making *making, const struct stat *stat,
			    uid_t *ret_uid, gid_t *ret_gid)
{
	const PosixQueuesRoot *root = making->entry->posix_queues_root;
	uint32_t uid, gid;
	bool has_uid = user_namespace_id_inside(making->owner, false, root->uid, &uid);
	bool has_gid = user_namespace_id_inside(making->owner, true, root->gid, &gid);

	*ret_uid = has_uid && uid != stat->st_uid ? uid : (uid_t)-1;
	*ret_gid = has_gid && gid != stat->st_gid ? gid : (gid_t)-1;
	return *ret_uid != (uid_t)-1 || *ret_gid != (gid_t)-1;
}

bool posix_queues_root_is_as_new(const struct ipc_making *making)
{
	const PosixQueuesRoot *root = making->entry->posix_queues_root;
	const struct stat usual = { .st_uid = 0, .st_gid = 0 };
	uid_t uid;
	gid_t gid;

	return !root ||
	       (root->mode == USUAL_ROOT_MODE && !has_other_owner(making, &usual, &uid, &gid));
}

/*
 * It belongs to who makes the namespace, as whom files are accessed: to root of the owner, who has
 * all rights, or, where nobody is root, to whom it belonged. Whoever makes a user namespace and
 * this one at once, before he has a number in it, is nobody in there, and so is the owner of the
 * directory: that is nobody whom a process in there can become, so it is brought along.
 */
void posix_queues_bring_owner(const struct ipc_making *making)
{
	const PosixQueuesRoot *root = making->entry->posix_queues_root;
	uint32_t inside;

	if (root && !user_namespace_id_inside(making->owner, true, root->gid, &inside))
		setfsgid(root->gid);
	if (root && !user_namespace_id_inside(making->owner, false, root->uid, &inside))
		setfsuid(root->uid);
}

/* A call with a number that is none changes nothing, and tells what was. */
static bool is_nobody(int (*set)(uid_t))
{
	return set((uid_t)-1) == OVERFLOW_ID;
}

void posix_queues_become_owner(const struct ipc_making *making)
{
	const PosixQueuesRoot *root = making->entry->posix_queues_root;
	uint32_t uid, gid;

	if (root && user_namespace_id_inside(making->owner, true, root->gid, &gid))
		setfsgid(gid);
	else if (!root || !is_nobody(setfsgid))
		setfsgid(0);
	bool has_uid = root && user_namespace_id_inside(making->owner, false, root->uid, &uid);
	if (root && !has_uid && is_nobody(setfsuid))
		return;
	setfsuid(0);
	if (has_uid && setfsuid((uid_t)-1) != 0)
		setfsuid(uid);
}

/* Nobody may write settings. */
void posix_queues_become_root(void)
{
	if (is_nobody(setfsgid))
		setfsgid(0);
	if (is_nobody(setfsuid))
		setfsuid(0);
}

/* In a deputy: only who owns his mounts may have one more (may_mount). */
static int set_root(void *data, struct error *err)
{
	const struct ipc_making *making = data;
	struct stat stat;
	uid_t uid;
	gid_t gid;

	autoclose int fd = unshare(CLONE_NEWNS) ? -1 : posix_queues_mount();
	if (fd < 0 || fstat(fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at POSIX message queues");
	const uint32_t mode = making->entry->posix_queues_root->mode;
	if ((has_other_owner(making, &stat, &uid, &gid) && fchown(fd, uid, gid)) ||
	    ((stat.st_mode & 07777) != mode && fchmod(fd, mode)))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot set mode and owner of the directory of POSIX message "
				  "queues");
	return 0;
}

int posix_queues_set_root(const struct ipc_making *making, struct error *err)
{
	return posix_queues_root_is_as_new(making) ? 0 : deputy_run(set_root, (void *)making, err);
}

int posix_queues_make(const struct ipc_making *making, struct error *err)
{
	const IpcEntry *entry = making->entry;

	for (size_t i = 0; i < entry->n_posix_queues; i++) {
		const PosixQueue *queue = entry->posix_queues[i];
		if (posix_queue_raise_limits(making, queue, entry->n_posix_queues, err))
			return -1;
		autoclose int fd = posix_queue_make(making, queue, queue->name, err);
		if (fd < 0)
			return -1;
	}
	return 0;
}
