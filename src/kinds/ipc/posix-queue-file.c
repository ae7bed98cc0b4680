// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Open POSIX message queues, mq_open(3). Which ipc namespace a queue is of is told by the device of
 * its file system, and need not be that of the task. A queue that still has its name comes back
 * with its namespace, or is found again in nestor's own, as a file of the host is; what has been
 * removed and only descriptors keep is carried with its messages, and made under a name of its own
 * that goes again at once.
 *
 * mq_open(2) takes the flags as they are, so all descriptions are made by it. What was opened by a
 * path of a mounted mqueue is a regular file to us.
 *
 * Refused: queues of a namespace that is neither nestor's nor one of the tree's, and those of whose
 * next message somebody is to be told (mq_notify).
 */
#include "kinds/ipc/posix-queues.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/undo.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/deputy.h"
#include "kernel/visit.h"
#include "kinds/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202
#endif

/* As many as one message over a socket takes (SCM_MAX_FD), and some fewer. */
enum { MOST_DESCRIPTIONS = 250, VISIT_SECONDS = 60, NAME_ROOM = 64 };

/* ---- dump ---- */

static bool recognise(const struct open_file *file)
{
	char below[PATH_MAX];
	struct stat named;

	if (!S_ISREG(file->stat.st_mode) || (file->flags & O_PATH) ||
	    file->file_system != MQUEUE_MAGIC)
		return false;
	/* No name of mq_open(2) has two parts: a mounted one, maybe in a namespace of others. */
	if (strchr(file->link + 1, '/'))
		return false;
	snprintf(below, sizeof below, "%s%s", BELOW_ROOT, file->link + 1);
	return target_look(file->target, below, &named) || named.st_dev != file->stat.st_dev ||
	       named.st_ino != file->stat.st_ino;
}

/* Namespaces by the devices of their queues, and queues that have no name. */
struct known_namespace {
	struct known_namespace *next;
	uint32_t id;
	dev_t device;
};

struct known_queue {
	struct known_queue *next;
	dev_t device;
	ino_t inode;
	uint32_t id;
};

struct known {
	struct known_namespace *namespaces;
	struct known_queue *queues;
};

static struct known *known_of(struct collect *collect)
{
	void **state = collect_state(collect, &posix_queue_kind);

	if (!*state)
		*state = arena_new(collect->arena, struct known);
	return *state;
}

struct looking_inside {
	int namespace_fd; /* -1: our own */
	dev_t device;
};

static int look_inside(void *data, struct error *err)
{
	struct looking_inside *looking = data;
	struct stat stat;

	if (looking->namespace_fd >= 0 && setns(looking->namespace_fd, CLONE_NEWIPC))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter an ipc namespace");
	autoclose int fd = posix_queues_mount();
	/* Our own may be that of a user namespace in which we are nobody: no device is 0. */
	if (fd < 0 && errno == EPERM && looking->namespace_fd < 0)
		return 0;
	if (fd < 0 || fstat(fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at POSIX message queues");
	looking->device = stat.st_dev;
	return 0;
}

static int learn(struct collect *collect, struct known *known,
		 const struct surveyed_namespace *namespace_, struct error *err)
{
	for (const struct known_namespace *old = known->namespaces; old; old = old->next)
		if (old->id == namespace_->id)
			return 0;
	struct looking_inside looking = { .namespace_fd = namespace_->own ? -1 : namespace_->fd };
	if (deputy_run(look_inside, &looking, err))
		return -1;
	struct known_namespace *more = arena_new(collect->arena, struct known_namespace);
	*more = (struct known_namespace){ known->namespaces, namespace_->id, looking.device };
	known->namespaces = more;
	return 0;
}

static const struct known_namespace *find_device(const struct known *known, dev_t device)
{
	const struct known_namespace *found = known->namespaces;

	while (found && found->device != device)
		found = found->next;
	return found;
}

/* Does its name lead to it in our own namespace? 1, 0, or -1 with errno. */
static int is_own_by_name(const struct open_file *file)
{
	struct stat named;

	autoclose int fd =
		(int)syscall(SYS_mq_open, file->link + 1, O_RDONLY | O_NONBLOCK, 0, NULL);
	if (fd < 0 || fstat(fd, &named))
		return errno_tells_nothing(errno) ? -1 : 0;
	return named.st_dev == file->stat.st_dev && named.st_ino == file->stat.st_ino;
}

static int find_namespace(const struct open_file *file, uint32_t *ret_id, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct known *known = known_of(collect);
	const struct survey *survey = survey_of(collect, err);

	if (!survey)
		return -1;
	for (size_t i = 0; i < collect->n_targets && !find_device(known, file->stat.st_dev); i++)
		if (!collect->targets[i].zombie &&
		    !survey_add_task(&collect->targets[i], NAMESPACE_IPC, err))
			return -1;
	for (size_t i = 0; i < survey->count; i++)
		if (survey->list[i]->type == NAMESPACE_IPC &&
		    learn(collect, known, survey->list[i], err))
			return -1;
	const struct known_namespace *found = find_device(known, file->stat.st_dev);
	int own = found ? 0 : is_own_by_name(file);
	if (own < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look for its queue",
				  file->what);
	if (own) {
		*ret_id = survey->own[NAMESPACE_IPC]->id;
		return 0;
	}
	if (!found)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: its queue is of an ipc namespace that is neither nestor's nor one "
			    "of the tree's",
			    file->what);
	*ret_id = found->id;
	return 0;
}

/* Once for each queue; its id is that of the first description. */
static int collect_held(const struct open_file *file, uint32_t namespace_id, int fd,
			uint32_t *ret_queue, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct known *known = known_of(collect);
	struct ipc_reading reading = { .arena = collect->arena, .looking = collect->looking };

	for (const struct known_queue *old = known->queues; old; old = old->next)
		if (old->device == file->stat.st_dev && old->inode == file->stat.st_ino) {
			*ret_queue = old->id;
			return 0;
		}
	HeldQueue *record = snapshot_new(collect->snapshot, HELD_QUEUE, HeldQueue);
	record->id = file->id;
	record->ipcns_id = namespace_id;
	record->queue = snapshot_new(collect->snapshot, POSIX_QUEUE, PosixQueue);
	if (posix_queue_read(fd, &reading, file->what, record->queue, err))
		return -1;
	struct known_queue *more = arena_new(collect->arena, struct known_queue);
	*more = (struct known_queue){ known->queues, file->stat.st_dev, file->stat.st_ino,
				      record->id };
	known->queues = more;
	snapshot_add_record(collect->snapshot, IMAGE_QUEUES, record->id, record);
	*ret_queue = record->id;
	return 0;
}

static int collect(const struct open_file *file, FileEntry *file_entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	PosixQueueEntry *entry =
		snapshot_new(collect->snapshot, POSIX_QUEUE_ENTRY, PosixQueueEntry);

	file_entry->posix_queue = entry;
	entry->id = file->id;
	entry->flags = file->flags;
	autoclose int fd = target_open(file->target, file->proc_name, O_RDWR | O_NONBLOCK);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", file->what);
	if (posix_queue_refuse_notified(fd, file->what, err) ||
	    find_namespace(file, &entry->ipcns_id, err))
		return -1;
	if (file->stat.st_nlink) {
		entry->name = arena_string(collect->arena, file->link + 1);
		return 0;
	}
	entry->has_queue = true;
	return collect_held(file, entry->ipcns_id, fd, &entry->queue, err);
}

/* ---- check ---- */

static const struct namespace *namespace_of(const struct snapshot *snapshot, uint32_t id)
{
	const struct namespace *found = snapshot_plain_namespace(snapshot, id);

	return found && found->type == NAMESPACE_IPC ? found : NULL;
}

static const HeldQueue *held_of(const struct snapshot *snapshot, const PosixQueueEntry *entry)
{
	const struct record *record =
		entry->has_queue ? snapshot_record(snapshot, IMAGE_QUEUES, entry->queue) : NULL;

	return record ? record->message : NULL;
}

/* At a dump files come before what is in namespaces. */
static bool has_queue(const struct namespace *namespace_, const char *name)
{
	const IpcEntry *ipc = namespace_->entry->ipc;

	for (size_t i = 0; ipc && i < ipc->n_posix_queues; i++)
		if (ipc->posix_queues[i]->name && strcmp(ipc->posix_queues[i]->name, name) == 0)
			return true;
	return !ipc;
}

static size_t count_descriptions(const struct snapshot *snapshot, uint32_t queue)
{
	size_t count = 0;

	for (size_t i = 0; i < snapshot->n_files; i++) {
		const PosixQueueEntry *other = snapshot->files[i]->posix_queue;
		count += other && other->has_queue && other->queue == queue;
	}
	return count;
}

static const struct user_namespace *owner_of(const struct snapshot *snapshot, uint32_t id)
{
	const struct namespace *namespace_ = namespace_of(snapshot, id);

	return namespace_ ? namespace_->owner : snapshot->user_namespaces[0];
}

static int check_held(const struct snapshot *snapshot, const PosixQueueEntry *entry,
		      struct error *err)
{
	const HeldQueue *held = held_of(snapshot, entry);
	const struct user_namespace *owner = owner_of(snapshot, entry->ipcns_id);
	uint32_t inside;

	if (!held || held->ipcns_id != entry->ipcns_id || !posix_queue_is_sound(held->queue))
		return fail(err, ERR_IMAGE_INVALID,
			    "file %" PRIu32 " is of a POSIX message queue such as there is none",
			    entry->id);
	if (!user_namespace_id_inside(owner, false, held->queue->uid, &inside) ||
	    !user_namespace_id_inside(owner, true, held->queue->gid, &inside))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "file %" PRIu32 ": its POSIX message queue belongs to somebody who is "
			    "nobody in the owner of the ipc namespace",
			    entry->id);
	if (count_descriptions(snapshot, entry->queue) > MOST_DESCRIPTIONS)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "file %" PRIu32 ": a POSIX message queue without a name is open more "
			    "than %d times",
			    entry->id, MOST_DESCRIPTIONS);
	return 0;
}

static int check(const struct snapshot *snapshot, const FileEntry *file_entry, struct error *err)
{
	const PosixQueueEntry *entry = file_entry->posix_queue;

	if (!entry || entry->id != file_entry->id)
		return fail(err, ERR_IMAGE_INVALID,
			    "file %" PRIu32 " has no record of a POSIX message queue",
			    file_entry->id);
	const struct namespace *namespace_ = namespace_of(snapshot, entry->ipcns_id);
	if (!namespace_ && !namespace_is_dumpers(snapshot, NAMESPACE_IPC, entry->ipcns_id))
		return fail(err, ERR_IMAGE_INVALID,
			    "file %" PRIu32 ": its ipc namespace, %" PRIu32 ", is not described",
			    entry->id, entry->ipcns_id);
	if (!entry->name)
		return check_held(snapshot, entry, err);
	if (!posix_queue_is_name(entry->name) || entry->has_queue ||
	    (namespace_ && !has_queue(namespace_, entry->name)))
		return fail(err, ERR_IMAGE_INVALID,
			    "file %" PRIu32 ": there is no POSIX message queue %s", entry->id,
			    entry->name);
	return 0;
}

/* ---- restore ---- */

static int open_queue(const PosixQueueEntry *entry, const char *name)
{
	static const uint32_t making = O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC;

	return (int)syscall(SYS_mq_open, name, (int)(entry->flags & ~making), 0, NULL);
}

static int fail_to_open(const char *name, struct error *err)
{
	if (errno != ENOENT)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open POSIX message queue %s",
				  name);
	fail_errno(err, ERR_FILE_MISSING, "POSIX message queue %s, which the tree has open", name);
	return fail_hint(err, "make it again, as it was when the tree was dumped");
}

static int verify(struct file_opener *opener, const FileEntry *file_entry, struct error *err)
{
	const PosixQueueEntry *entry = file_entry->posix_queue;

	if (!entry->name || namespace_of(opener->snapshot, entry->ipcns_id))
		return 0;
	autoclose int fd = open_queue(entry, entry->name);
	return fd < 0 ? fail_to_open(entry->name, err) : 0;
}

/* In the namespace of the queue: all descriptions that are wanted, in the order of files. */
struct opening {
	const struct snapshot *snapshot;
	const struct namespace *namespace_; /* NULL: nestor's own */
	const PosixQueueEntry *entry;	    /* the only one, where the queue has a name */
	const HeldQueue *held;
	const char *name;
};

static int hand_over(struct visitor *visitor, const PosixQueueEntry *entry, const char *name,
		     struct error *err)
{
	autoclose int fd = open_queue(entry, name);

	return fd < 0 ? fail_to_open(name, err) : visitor_hand_over(visitor, fd, err);
}

static int hand_over_all(struct visitor *visitor, const struct opening *opening, struct error *err)
{
	const struct snapshot *snapshot = opening->snapshot;

	for (size_t i = 0; i < snapshot->n_files; i++) {
		const PosixQueueEntry *entry = snapshot->files[i]->posix_queue;
		if (entry && entry->has_queue && entry->queue == opening->held->id &&
		    hand_over(visitor, entry, opening->name, err))
			return -1;
	}
	return 0;
}

static int open_there(struct visitor *visitor, void *data, struct error *err)
{
	const struct opening *opening = data;
	const struct namespace *namespace_ = opening->namespace_;
	struct ipc_making making = { .owner = opening->snapshot->user_namespaces[0] };

	/* One that was joined at the restore has limits of its own. */
	if (namespace_ && namespace_->entry->ipc)
		making = (struct ipc_making){ namespace_->entry->ipc, namespace_->owner };
	if (!opening->held)
		return hand_over(visitor, opening->entry, opening->name, err);
	if (making.entry &&
	    posix_queue_raise_limits(
		    &making, opening->held->queue,
		    making.entry->n_posix_queues +
			    snapshot_records(opening->snapshot, IMAGE_QUEUES)->count,
		    err))
		return -1;
	autoclose int fd = posix_queue_make(&making, opening->held->queue, opening->name, err);
	int result = fd < 0 ? -1 : hand_over_all(visitor, opening, err);
	if (fd >= 0 && syscall(SYS_mq_unlink, opening->name) < 0 && !result)
		result = fail_errno(err, ERR_KERNEL_REFUSED, "cannot unlink %s again",
				    opening->name);
	return result || (namespace_ && ipc_write_settings(&making, err)) ? -1 : 0;
}

static int visit_queue(struct file_opener *opener, struct opening *opening, int *ret_fds,
		       size_t n_fds, struct error *err)
{
	const struct namespace *namespace_ = opening->namespace_;
	int entered[2];
	size_t n_entered = 0;

	for (size_t i = 1; namespace_ && i < opener->snapshot->n_user_namespaces; i++)
		if (opener->snapshot->user_namespaces[i] == namespace_->owner)
			entered[n_entered++] = opener->user_namespaces[i];
	if (namespace_)
		entered[n_entered++] = opener->plain_namespaces[namespace_->index];
	const struct visit there = {
		.what = "opens a POSIX message queue",
		.namespaces = entered,
		.n_namespaces = n_entered,
		.function = open_there,
		.data = opening,
		.size = sizeof *opening,
		.timeout_seconds = VISIT_SECONDS,
	};
	return visit(&there, ret_fds, n_fds, err);
}

/* Of a queue without a name, in nestor's own namespace: the one that it has for a moment. */
struct passing_queue {
	struct undo_entry undo;
	char name[NAME_ROOM];
};

static void remove_queue(const struct undo_entry *entry)
{
	syscall(SYS_mq_unlink, ((const struct passing_queue *)(const void *)entry)->name);
}

/* Descriptions that were opened with the first of their queue. */
struct opened {
	struct opened *next;
	const PosixQueueEntry *entry;
	size_t place;
};

static int open_held(struct file_opener *opener, const PosixQueueEntry *wanted, struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;
	void **state = opener_state(opener, &posix_queue_kind);
	struct passing_queue *passing = arena_new(opener->arena, struct passing_queue);
	struct opening opening = { .snapshot = snapshot,
				   .namespace_ = namespace_of(snapshot, wanted->ipcns_id),
				   .held = held_of(snapshot, wanted),
				   .name = passing->name };
	int fds[MOST_DESCRIPTIONS];
	size_t n = 0;

	snprintf(passing->name, sizeof passing->name, ".nestor-%d-%" PRIu32, (int)getpid(),
		 wanted->queue);
	passing->undo.undo = remove_queue;
	if (!opening.namespace_)
		undo_add(opener->undo, &passing->undo);
	int result = visit_queue(opener, &opening, fds, count_descriptions(snapshot, wanted->queue),
				 err);
	if (result)
		return -1;
	undo_drop(&passing->undo);
	for (size_t i = 0; i < snapshot->n_files; i++) {
		const PosixQueueEntry *entry = snapshot->files[i]->posix_queue;
		if (!entry || !entry->has_queue || entry->queue != wanted->queue)
			continue;
		struct opened *more = arena_new(opener->arena, struct opened);
		*more = (struct opened){ *state, entry, opener_keep(opener, fds[n++]) };
		*state = more;
	}
	return 0;
}

static int take_opened(struct file_opener *opener, const PosixQueueEntry *entry)
{
	for (const struct opened *one = *opener_state(opener, &posix_queue_kind); one;
	     one = one->next)
		if (one->entry == entry)
			return opener_take(opener, one->place);
	return -1;
}

static int open_file(struct file_opener *opener, const FileEntry *file_entry, struct error *err)
{
	const PosixQueueEntry *entry = file_entry->posix_queue;
	struct opening opening = { .snapshot = opener->snapshot,
				   .namespace_ = namespace_of(opener->snapshot, entry->ipcns_id),
				   .entry = entry,
				   .name = entry->name };
	int fd;

	if (entry->name && !opening.namespace_) {
		fd = open_queue(entry, entry->name);
		return fd < 0 ? fail_to_open(entry->name, err) : fd;
	}
	if (entry->name)
		return visit_queue(opener, &opening, &fd, 1, err) ? -1 : fd;
	fd = take_opened(opener, entry);
	if (fd >= 0)
		return fd;
	return open_held(opener, entry, err) ? -1 : take_opened(opener, entry);
}

static void describe(const FileEntry *entry, char *text, size_t room)
{
	const char *name = entry->posix_queue->name;

	snprintf(text, room, "POSIX message queue %s", name ? name : "without a name");
}

static struct file_fields fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->posix_queue->fown, &entry->posix_queue->flags };
}

static struct file_cost cost(const struct snapshot *snapshot, const FileEntry *file_entry)
{
	const PosixQueueEntry *entry = file_entry->posix_queue;

	(void)snapshot;
	return (struct file_cost){ .together = entry->has_queue, .object = entry->queue };
}

const struct file_kind posix_queue_kind = {
	.name = "POSIX message queue",
	.type = FD_TYPES__POSIXQUEUE,
	.recognise = recognise,
	.collect = collect,
	.check = check,
	.verify = verify,
	.cost = cost,
	.open = open_file,
	.describe = describe,
	.fields = fields,
};
