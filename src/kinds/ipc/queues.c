// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Message queues (msgget(2)) of an ipc namespace, with their messages in order. MSG_COPY shows the
 * one at an index, and leaves it where it is (CONFIG_CHECKPOINT_RESTORE). Who sent and received
 * last, and when, is not set by any call.
 */
#include "kinds/ipc/ipc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>

#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif

/* As msgsnd takes it. */
struct message {
	long type;
	char text[];
};

static int collect_message(struct ipc_reading *reading, IpcQueue *queue, int id, size_t index,
			   size_t room, struct message *buffer, struct error *err)
{
	IpcMessage *message =
		arena_copy(reading->arena, &(IpcMessage)IPC_MESSAGE__INIT, sizeof *message);
	ssize_t size = msgrcv(id, buffer, room, (long)index, IPC_NOWAIT | MSG_COPY);

	/* prepare_copy: no more than kernel.msgmax, which may have been lowered since. */
	if (size < 0 && errno == EINVAL)
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "message %zu of queue %d is longer than its kernel.msgmax, and cannot "
			    "be read without being taken",
			    index, id);
	if (size < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read message %zu of queue %d",
				  index, id);
	/* Each is a record in memory, too. */
	if (ipc_count(reading, (uint64_t)size + sizeof *message, err))
		return -1;
	message->type = buffer->type;
	message->text.data = arena_copy(reading->arena, buffer->text, (size_t)size);
	message->text.len = (size_t)size;
	queue->messages =
		arena_grow(reading->arena, queue->messages, queue->n_messages, sizeof message);
	queue->messages[queue->n_messages++] = message;
	return 0;
}

static int collect_one(struct ipc_reading *reading, int index, struct error *err)
{
	IpcQueue *queue = arena_copy(reading->arena, &(IpcQueue)IPC_QUEUE__INIT, sizeof *queue);
	struct msqid_ds state;
	int id = msgctl(index, MSG_STAT_ANY, &state), result = 0;

	if (id < 0)
		return errno == EINVAL || errno == EIDRM
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED, "cannot read a message queue");
	queue->desc = ipc_describe(reading, &state.msg_perm, id);
	queue->qbytes = state.msg_qbytes;
	/* None is longer than all of them. */
	size_t room = state.__msg_cbytes + 1;
	struct message *buffer = malloc(sizeof *buffer + room);
	if (!buffer)
		return fail(err, ERR_IO, "out of memory");
	for (size_t i = 0; i < state.msg_qnum && !result; i++)
		result = collect_message(reading, queue, id, i, room, buffer, err);
	free(buffer);
	reading->entry->queues = arena_grow(reading->arena, reading->entry->queues,
					    reading->entry->n_queues, sizeof queue);
	reading->entry->queues[reading->entry->n_queues++] = queue;
	return result;
}

int queues_collect(struct ipc_reading *reading, struct error *err)
{
	struct msginfo info;
	int last = msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&info);

	if (last < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot list message queues");
	for (int i = 0; i <= last; i++)
		if (collect_one(reading, i, err))
			return -1;
	return 0;
}

int queues_check(const IpcEntry *entry, struct error *err)
{
	for (size_t i = 0; i < entry->n_queues; i++) {
		const IpcQueue *queue = entry->queues[i];
		bool sound = !(queue->desc->mode & ~(uint32_t)IPC_PERMISSIONS) &&
			     queue->qbytes <= INT32_MAX;
		for (size_t k = 0; sound && k < queue->n_messages; k++)
			sound = queue->messages[k]->type > 0 &&
				queue->messages[k]->text.len <= MOST_IPC_BYTES;
		if (!sound)
			return fail(err, ERR_IMAGE_INVALID,
				    "message queue %" PRIu32 " is such as there is none",
				    queue->desc->id);
	}
	return 0;
}

static int send(int id, const IpcMessage *message, struct error *err)
{
	struct message *buffer = malloc(sizeof *buffer + message->text.len + 1);

	if (!buffer)
		return fail(err, ERR_IO, "out of memory");
	buffer->type = (long)message->type;
	if (message->text.len)
		memcpy(buffer->text, message->text.data, message->text.len);
	int result = msgsnd(id, buffer, message->text.len, IPC_NOWAIT);
	free(buffer);
	return result ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot put a message into queue %d",
				   id)
		      : 0;
}

/* A queue may hold more than its limit, if that was lowered later. */
static uint64_t room_for(const IpcQueue *queue)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < queue->n_messages; i++)
		bytes += queue->messages[i]->text.len;
	/* Messages without text count, too (msgsnd: msg_qnum + 1 > msg_qbytes). */
	bytes = bytes < queue->n_messages ? queue->n_messages : bytes;
	return bytes > queue->qbytes ? bytes : queue->qbytes;
}

static int make_one(const struct ipc_making *making, const IpcQueue *queue, struct error *err)
{
	const IpcDescEntry *description = queue->desc;
	struct msqid_ds state = { 0 };

	if (ipc_prepare(making, description, "msg_next_id", err))
		return -1;
	int id = msgget((key_t)description->key, IPC_CREAT | IPC_EXCL | (int)description->mode);
	if (ipc_fail_made("message queue", description, id, err))
		return -1;
	state.msg_perm = ipc_permissions(making, description);
	state.msg_qbytes = room_for(queue);
	if (msgctl(id, IPC_SET, &state))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set up message queue %d", id);
	for (size_t i = 0; i < queue->n_messages; i++)
		if (send(id, queue->messages[i], err))
			return -1;
	state.msg_qbytes = queue->qbytes;
	if (msgctl(id, IPC_SET, &state))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set up message queue %d", id);
	return 0;
}

int queues_make(const struct ipc_making *making, struct error *err)
{
	for (size_t i = 0; i < making->entry->n_queues; i++)
		if (make_one(making, making->entry->queues[i], err))
			return -1;
	return 0;
}
