/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Objects of an ipc namespace: segments.c, semaphores.c, queues.c (System V), posix-queues.c. They
 * are collected and made by a process inside of it, with all capabilities.
 */
#ifndef NESTOR_KINDS_IPC_IPC_H
#define NESTOR_KINDS_IPC_IPC_H

#include "kinds/kind.h"

#include <stdbool.h>
#include <sys/ipc.h>

/* What a namespace may hold in all: its record has to be read as a whole. */
enum { MOST_IPC_BYTES = 32 * 1024 * 1024, IPC_PERMISSIONS = 0777, MOST_SEMAPHORES = 32000 };

extern const struct namespace_kind ipc_namespace_kind;
extern const struct tree_kind ipc_tree_kind; /* adopt.c */

/* In the visitor: messages in its copy of the arena. */
struct ipc_reading {
	struct arena *arena;
	IpcEntry *entry;
	uint64_t bytes; /* so far */
	bool looking;	/* nothing is to be touched */
};

int segments_collect(struct ipc_reading *reading, struct error *err);
int semaphores_collect(struct ipc_reading *reading, struct error *err);
int queues_collect(struct ipc_reading *reading, struct error *err);
int posix_queues_collect(struct ipc_reading *reading, struct error *err);
/* Counts what is kept; fails if it is too much. */
int ipc_count(struct ipc_reading *reading, uint64_t bytes, struct error *err);

int segments_check(const struct snapshot *snapshot, const struct namespace *namespace_,
		   struct error *err);
int semaphores_check(const IpcEntry *entry, struct error *err);
int queues_check(const IpcEntry *entry, struct error *err);
int posix_queues_check(const struct namespace *namespace_, struct error *err);

/* In the maker, which has the owner's user namespace around it. */
struct ipc_making {
	const IpcEntry *entry;
	const struct user_namespace *owner;
};

int segments_make(const struct ipc_making *making, struct error *err);
int semaphores_make(const struct ipc_making *making, struct error *err);
int queues_make(const struct ipc_making *making, struct error *err);
int posix_queues_make(const struct ipc_making *making, struct error *err);
/* The root directory of them, when all else has been made. */
void posix_queues_bring_owner(const struct ipc_making *making);
void posix_queues_become_owner(const struct ipc_making *making);
void posix_queues_become_root(void);
bool posix_queues_root_is_as_new(const struct ipc_making *making);
int posix_queues_set_root(const struct ipc_making *making, struct error *err);

/* namespace.c, for these: */
IpcDescEntry *ipc_describe(struct ipc_reading *reading, const struct ipc_perm *permissions, int id);
/*
 * Before an object is made: who is to have made it, and the id that it gets (`next_id` is a file
 * of /proc/sys/kernel).
 */
int ipc_prepare(const struct ipc_making *making, const IpcDescEntry *description,
		const char *next_id, struct error *err);
/* Takes the ids, of depth 0, as the owner of the namespace has them; keeps all capabilities. */
int ipc_become(const struct ipc_making *making, uint32_t uid, uint32_t gid, struct error *err);
/* A setting (below /proc/sys) that is lower than that. */
int ipc_raise(const struct ipc_making *making, const char *setting, uint64_t value,
	      struct error *err);
/* All of them, as they are recorded. */
int ipc_write_settings(const struct ipc_making *making, struct error *err);
/* Permissions for IPC_SET. */
struct ipc_perm ipc_permissions(const struct ipc_making *making, const IpcDescEntry *description);
int ipc_fail_made(const char *what, const IpcDescEntry *description, int made, struct error *err);

#endif
