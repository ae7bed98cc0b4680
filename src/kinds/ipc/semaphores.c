// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sets of semaphores (semget(2)) of an ipc namespace: their values. Who changed one last (GETPID)
 * and when is not set by any call; what a task would undo at its end (SEM_UNDO):
 * task/semaphore-undo.c.
 */
#include "kinds/ipc/ipc.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/sem.h>

enum { MOST_VALUE = 32767 }; /* SEMVMX */

union argument {
	int value;
	struct semid_ds *state;
	unsigned short *values;
	struct seminfo *info;
};

static int collect_one(struct ipc_reading *reading, int index, struct error *err)
{
	IpcSemaphores *set =
		arena_copy(reading->arena, &(IpcSemaphores)IPC_SEMAPHORES__INIT, sizeof *set);
	struct semid_ds state;
	int id = semctl(index, 0, SEM_STAT_ANY, (union argument){ .state = &state });

	if (id < 0)
		return errno == EINVAL || errno == EIDRM
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED, "cannot read semaphores");
	if (ipc_count(reading, state.sem_nsems * sizeof(uint32_t), err))
		return -1;
	unsigned short *values = arena_array(reading->arena, unsigned short, state.sem_nsems);
	if (semctl(id, 0, GETALL, (union argument){ .values = values }))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read semaphores %d", id);
	set->desc = ipc_describe(reading, &state.sem_perm, id);
	set->n_values = state.sem_nsems;
	set->values = arena_array(reading->arena, uint32_t, set->n_values);
	for (size_t i = 0; i < set->n_values; i++)
		set->values[i] = values[i];
	reading->entry->semaphores = arena_grow(reading->arena, reading->entry->semaphores,
						reading->entry->n_semaphores, sizeof set);
	reading->entry->semaphores[reading->entry->n_semaphores++] = set;
	return 0;
}

int semaphores_collect(struct ipc_reading *reading, struct error *err)
{
	struct seminfo info;
	int last = semctl(0, 0, SEM_INFO, (union argument){ .info = &info });

	if (last < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot list semaphores");
	for (int i = 0; i <= last; i++)
		if (collect_one(reading, i, err))
			return -1;
	return 0;
}

int semaphores_check(const IpcEntry *entry, struct error *err)
{
	for (size_t i = 0; i < entry->n_semaphores; i++) {
		const IpcSemaphores *set = entry->semaphores[i];
		bool sound = set->n_values > 0 && set->n_values <= MOST_SEMAPHORES &&
			     !(set->desc->mode & ~(uint32_t)IPC_PERMISSIONS);
		for (size_t k = 0; sound && k < set->n_values; k++)
			sound = set->values[k] <= MOST_VALUE;
		if (!sound)
			return fail(err, ERR_IMAGE_INVALID,
				    "semaphores %" PRIu32 " are such as there are none",
				    set->desc->id);
	}
	return 0;
}

static int make_one(const struct ipc_making *making, const IpcSemaphores *set, struct error *err)
{
	const IpcDescEntry *description = set->desc;
	unsigned short values[MOST_SEMAPHORES];
	struct semid_ds state = { 0 };

	if (ipc_prepare(making, description, "sem_next_id", err))
		return -1;
	int id = semget((key_t)description->key, (int)set->n_values,
			IPC_CREAT | IPC_EXCL | (int)description->mode);
	if (ipc_fail_made("semaphores", description, id, err))
		return -1;
	for (size_t i = 0; i < set->n_values; i++)
		values[i] = (unsigned short)set->values[i];
	state.sem_perm = ipc_permissions(making, description);
	if (semctl(id, 0, SETALL, (union argument){ .values = values }) ||
	    semctl(id, 0, IPC_SET, (union argument){ .state = &state }))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set up semaphores %d", id);
	return 0;
}

int semaphores_make(const struct ipc_making *making, struct error *err)
{
	for (size_t i = 0; i < making->entry->n_semaphores; i++)
		if (make_one(making, making->entry->semaphores[i], err))
			return -1;
	return 0;
}
