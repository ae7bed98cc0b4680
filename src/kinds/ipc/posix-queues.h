/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* POSIX message queues: those of an ipc namespace, and those that only descriptors keep. */
#ifndef NESTOR_KINDS_IPC_POSIX_QUEUES_H
#define NESTOR_KINDS_IPC_POSIX_QUEUES_H

#include "kinds/ipc/ipc.h"

#include <limits.h>

enum { MOST_PRIORITY = 32767 }; /* MQ_PRIO_MAX - 1 */

extern const struct file_kind posix_queue_kind;

/* The file system of queues of the ipc namespace that the caller is in; the file
 * system is attached nowhere. */
int posix_queues_mount(void); /* -1 with errno; ENODEV: this kernel has none */

/*
 * Size, owner, mode and messages of a queue, by a descriptor with O_RDWR and O_NONBLOCK. Where the
 * tree is only looked at, without the messages.
 */
int posix_queue_read(int fd, struct ipc_reading *reading, const char *what, PosixQueue *queue,
		     struct error *err);
int posix_messages_read(int fd, size_t count, uint64_t bytes, struct arena *arena,
			PosixQueue *queue);
/* Is somebody to be told of the next message? `fd` is of any queue. */
int posix_queue_refuse_notified(int fd, const char *what, struct error *err);

bool posix_queue_is_sound(const PosixQueue *queue);
bool posix_queue_is_name(const char *name);

/* For one of so many, in the ipc namespace that the caller is in. */
int posix_queue_raise_limits(const struct ipc_making *making, const PosixQueue *queue,
			     uint64_t count, struct error *err);

/* Makes it under a name, in the ipc namespace that the caller is in; a descriptor, -1. */
int posix_queue_make(const struct ipc_making *making, const PosixQueue *queue, const char *name,
		     struct error *err);

#endif
