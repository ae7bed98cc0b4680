// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Ipc namespaces as CRIU writes them: limits, and a file for each type of System V object, whose
 * records are followed by what is in it. Segments that the tree has attached may be in pages.
 */
#include "kinds/ipc/ipc.h"

#include "base/cleanup.h"
#include "base/whole.h"
#include "images/images.h"
#include "model/namespaces.h"
#include "model/unpack.h"

#include <inttypes.h>
#include <string.h>

enum { MAGICS = 8, SEGMENT_PADDING = 4, PADDING = 8, SETTING_ROOM = 64 };

struct adopting {
	struct snapshot *snapshot;
	const struct images *images;
	uint32_t id; /* of the namespace */
	IpcEntry *entry;
	uint64_t *bytes; /* of segments, so far */
	struct error *err;
};

/* ---- limits ---- */

static void add_setting(const struct adopting *adopting, const char *name, char *value)
{
	IpcEntry *entry = adopting->entry;
	IpcSetting *setting = snapshot_new(adopting->snapshot, IPC_SETTING, IpcSetting);

	setting->name = arena_string(adopting->snapshot->arena, name);
	setting->value = value;
	entry->settings = arena_grow(adopting->snapshot->arena, entry->settings, entry->n_settings,
				     sizeof setting);
	entry->settings[entry->n_settings++] = setting;
}

static void add_number(const struct adopting *adopting, const char *name, uint64_t value)
{
	add_setting(adopting, name, arena_printf(adopting->snapshot->arena, "%" PRIu64, value));
}

static void add_optional(const struct adopting *adopting, const char *name,
			 protobuf_c_boolean is_told, uint32_t value)
{
	/* The next id of no object: none was asked for. */
	if (is_told && value <= INT32_MAX)
		add_number(adopting, name, value);
}

static int adopt_limits(const struct adopting *adopting, const IpcVarEntry *limits)
{
	const uint32_t *sem = limits->sem_ctls;

	if (limits->n_sem_ctls != 4)
		return fail(adopting->err, ERR_IMAGE_INVALID,
			    "ipc namespace %" PRIu32 " has %zu limits of semaphores", adopting->id,
			    limits->n_sem_ctls);
	add_setting(adopting, "kernel/sem",
		    arena_printf(adopting->snapshot->arena,
				 "%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32, sem[0], sem[1],
				 sem[2], sem[3]));
	add_number(adopting, "kernel/msgmax", limits->msg_ctlmax);
	add_number(adopting, "kernel/msgmnb", limits->msg_ctlmnb);
	add_number(adopting, "kernel/msgmni", limits->msg_ctlmni);
	add_number(adopting, "kernel/shmmax", limits->shm_ctlmax);
	add_number(adopting, "kernel/shmall", limits->shm_ctlall);
	add_number(adopting, "kernel/shmmni", limits->shm_ctlmni);
	add_number(adopting, "kernel/shm_rmid_forced", limits->shm_rmid_forced);
	add_number(adopting, "fs/mqueue/queues_max", limits->mq_queues_max);
	add_number(adopting, "fs/mqueue/msg_max", limits->mq_msg_max);
	add_number(adopting, "fs/mqueue/msgsize_max", limits->mq_msgsize_max);
	add_optional(adopting, "fs/mqueue/msg_default", limits->has_mq_msg_default,
		     limits->mq_msg_default);
	add_optional(adopting, "fs/mqueue/msgsize_default", limits->has_mq_msgsize_default,
		     limits->mq_msgsize_default);
	add_optional(adopting, "kernel/sem_next_id", limits->has_sem_next_id, limits->sem_next_id);
	add_optional(adopting, "kernel/msg_next_id", limits->has_msg_next_id, limits->msg_next_id);
	add_optional(adopting, "kernel/shm_next_id", limits->has_shm_next_id, limits->shm_next_id);
	return 0;
}

/* ---- objects ---- */

/* A file that is gone through. */
struct walk {
	const struct adopting *adopting;
	const uint8_t *bytes;
	size_t size, at;
};

static int fail_walk(const struct walk *walk)
{
	return fail(walk->adopting->err, ERR_IMAGE_INVALID,
		    "an image of System V objects of ipc namespace %" PRIu32 " is none",
		    walk->adopting->id);
}

/* NULL with err: there are not so many. */
static const uint8_t *take(struct walk *walk, uint64_t size)
{
	const uint8_t *taken = walk->bytes + walk->at;

	if (size > walk->size - walk->at) {
		fail_walk(walk);
		return NULL;
	}
	walk->at += (size_t)size;
	return taken;
}

/* A record with its size in front; NULL with err. */
static void *take_record(struct walk *walk, const ProtobufCMessageDescriptor *descriptor)
{
	const uint8_t *at = take(walk, sizeof(uint32_t));
	uint32_t size = 0;

	if (at)
		memcpy(&size, at, sizeof size);
	const uint8_t *packed = at ? take(walk, size) : NULL;
	void *message =
		packed ? unpack_message(walk->adopting->snapshot->arena, descriptor, packed, size)
		       : NULL;
	if (packed && !message)
		fail_walk(walk);
	return message;
}

static uint64_t padded(uint64_t size, uint64_t to)
{
	return (size + to - 1) / to * to;
}

/* What several tasks share is in pages, by the number that their areas have. */
static int read_pages(const struct adopting *adopting, const struct pagemap *pages,
		      IpcSegment *segment)
{
	for (size_t i = 0; i < pages->n_runs; i++) {
		const struct memory_run *run = &pages->runs[i];
		if (run->address >= segment->size ||
		    memory_run_end(run) > padded(segment->size, 4096))
			return fail(adopting->err, ERR_IMAGE_INVALID,
				    "segment %" PRIu32 " has pages behind its end",
				    segment->desc->id);
		autoclose int fd = images_open_pages(adopting->images, run->source, adopting->err);
		if (fd < 0)
			return -1;
		uint64_t left = segment->size - run->address, bytes = memory_run_bytes(run);
		if (pread_whole(fd, segment->content.data + run->address,
				(size_t)(bytes < left ? bytes : left), run->offset))
			return fail_errno(adopting->err, ERR_IO, "cannot read segment %" PRIu32,
					  segment->desc->id);
	}
	return 0;
}

static int read_segment(struct walk *walk, const IpcShmEntry *told, IpcSegment *segment)
{
	const struct adopting *adopting = walk->adopting;
	const struct snapshot *snapshot = adopting->snapshot;

	if (!told->in_pagemaps) {
		const uint8_t *content = take(walk, padded(told->size, SEGMENT_PADDING));
		if (!content)
			return -1;
		segment->content.data = (uint8_t *)(uintptr_t)content;
		segment->content.len = (size_t)told->size;
		return 0;
	}
	segment->content.data = arena_alloc(snapshot->arena, (size_t)told->size);
	segment->content.len = (size_t)told->size;
	memset(segment->content.data, 0, segment->content.len);
	for (size_t i = 0; i < snapshot->n_shared_memory; i++)
		if (snapshot->shared_memory[i]->shmid == told->desc->id)
			return read_pages(adopting, &snapshot->shared_memory[i]->pages, segment);
	return 0;
}

/* How many areas of the tree show it is not told. */
static uint64_t count_attached(const struct snapshot *snapshot, uint32_t id)
{
	uint64_t count = 0;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const MmEntry *mm = snapshot->tasks[i].mm;
		for (size_t k = 0; mm && k < mm->n_vmas; k++)
			count += (mm->vmas[k]->status & VMA_SYSV_IPC) && mm->vmas[k]->shmid == id;
	}
	return count;
}

static int adopt_segment(struct walk *walk)
{
	const struct adopting *adopting = walk->adopting;
	IpcEntry *entry = adopting->entry;
	IpcShmEntry *told = take_record(walk, &ipc_shm_entry__descriptor);

	if (!told)
		return -1;
	if (told->hugetlb_flag || told->size > MOST_IPC_BYTES - *adopting->bytes)
		return fail(adopting->err, ERR_IMAGE_UNSUPPORTED,
			    "segment %" PRIu32 " is of huge pages, or segments are more than %d "
			    "bytes in all, which is read from images of nestor only",
			    told->desc->id, MOST_IPC_BYTES);
	*adopting->bytes += told->size;
	IpcSegment *segment = snapshot_new(adopting->snapshot, IPC_SEGMENT, IpcSegment);
	segment->desc = told->desc;
	segment->size = told->size;
	segment->attached = count_attached(adopting->snapshot, told->desc->id);
	entry->segments = arena_grow(adopting->snapshot->arena, entry->segments, entry->n_segments,
				     sizeof segment);
	entry->segments[entry->n_segments++] = segment;
	return read_segment(walk, told, segment);
}

static int adopt_semaphores(struct walk *walk)
{
	struct arena *arena = walk->adopting->snapshot->arena;
	IpcEntry *entry = walk->adopting->entry;
	IpcSemEntry *told = take_record(walk, &ipc_sem_entry__descriptor);
	const uint8_t *values =
		told ? take(walk, padded((uint64_t)told->nsems * sizeof(uint16_t), PADDING)) : NULL;

	if (!values)
		return -1;
	IpcSemaphores *set = snapshot_new(walk->adopting->snapshot, IPC_SEMAPHORES, IpcSemaphores);
	set->desc = told->desc;
	set->values = arena_array(arena, uint32_t, told->nsems + 1);
	for (; set->n_values < told->nsems; set->n_values++) {
		uint16_t value;
		memcpy(&value, values + set->n_values * sizeof value, sizeof value);
		set->values[set->n_values] = value;
	}
	entry->semaphores = arena_grow(arena, entry->semaphores, entry->n_semaphores, sizeof set);
	entry->semaphores[entry->n_semaphores++] = set;
	return 0;
}

static int adopt_message(struct walk *walk, IpcQueue *queue)
{
	struct snapshot *snapshot = walk->adopting->snapshot;
	const IpcMsg *told = take_record(walk, &ipc_msg__descriptor);
	const uint8_t *text = told ? take(walk, padded(told->msize, PADDING)) : NULL;

	if (!text)
		return -1;
	IpcMessage *message = snapshot_new(snapshot, IPC_MESSAGE, IpcMessage);
	message->type = (int64_t)told->mtype;
	message->text.data = (uint8_t *)(uintptr_t)text;
	message->text.len = told->msize;
	queue->messages =
		arena_grow(snapshot->arena, queue->messages, queue->n_messages, sizeof message);
	queue->messages[queue->n_messages++] = message;
	return 0;
}

static int adopt_queue(struct walk *walk)
{
	struct snapshot *snapshot = walk->adopting->snapshot;
	IpcEntry *entry = walk->adopting->entry;
	const IpcMsgEntry *told = take_record(walk, &ipc_msg_entry__descriptor);

	if (!told)
		return -1;
	IpcQueue *queue = snapshot_new(snapshot, IPC_QUEUE, IpcQueue);
	queue->desc = told->desc;
	queue->qbytes = told->qbytes;
	for (uint32_t i = 0; i < told->qnum; i++)
		if (adopt_message(walk, queue))
			return -1;
	entry->queues = arena_grow(snapshot->arena, entry->queues, entry->n_queues, sizeof queue);
	entry->queues[entry->n_queues++] = queue;
	return 0;
}

/* A file that is not there holds none. */
static int adopt_file(const struct adopting *adopting, enum image_kind kind,
		      int (*adopt_object)(struct walk *walk))
{
	char *bytes;
	ssize_t size = images_read_content(adopting->images, kind, adopting->id, 2 * MOST_IPC_BYTES,
					   adopting->snapshot->arena, &bytes, adopting->err);
	struct walk walk = { .adopting = adopting, .bytes = (const uint8_t *)bytes };

	if (size < 0 || !bytes)
		return size < 0 ? -1 : 0;
	walk.size = (size_t)size;
	if (walk.size < MAGICS)
		return fail_walk(&walk);
	for (walk.at = MAGICS; walk.at < walk.size;)
		if (adopt_object(&walk))
			return -1;
	return 0;
}

static int adopt_one(const struct adopting *adopting)
{
	const struct record *limits =
		snapshot_record(adopting->snapshot, IMAGE_IPCNS_VAR, adopting->id);

	if (!limits)
		return fail(adopting->err, ERR_IMAGE_MISSING,
			    "the images do not tell the limits of ipc namespace %" PRIu32,
			    adopting->id);
	return adopt_limits(adopting, limits->message) ||
			       adopt_file(adopting, IMAGE_IPCNS_SHM, adopt_segment) ||
			       adopt_file(adopting, IMAGE_IPCNS_SEM, adopt_semaphores) ||
			       adopt_file(adopting, IMAGE_IPCNS_MSG, adopt_queue)
		       ? -1
		       : 0;
}

static int adopt(struct snapshot *snapshot, const struct images *images, struct error *err)
{
	for (size_t i = 0; i < snapshot->n_plain_namespaces; i++) {
		const struct namespace *plain = snapshot->plain_namespaces[i];
		if (plain->type != NAMESPACE_IPC)
			continue;
		uint64_t bytes = 0;
		plain->entry->ipc = snapshot_new(snapshot, IPC_ENTRY, IpcEntry);
		const struct adopting adopting = { .snapshot = snapshot,
						   .images = images,
						   .id = plain->id,
						   .entry = plain->entry->ipc,
						   .bytes = &bytes,
						   .err = err };
		if (adopt_one(&adopting))
			return -1;
	}
	return 0;
}

const struct tree_kind ipc_tree_kind = { .name = "ipc", .adopt = adopt };
