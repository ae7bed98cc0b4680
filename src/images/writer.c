// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From snapshot to files: which record goes where. Every file is packed in memory and written by
 * one call; there are half a dozen for each task, so two threads write those. Framing and names are
 * those of format.h.
 */
#include "images/directory.h"
#include "images/format.h"
#include "images/images.h"

#include "base/cleanup.h"

#include <endian.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Tasks from which on another thread is worth it. */
enum { THREADED_FROM = 32 };

/* Room in which the records of one file are packed, used again and again. */
struct packing {
	struct images_writer *writer;
	uint8_t *buffer;
	size_t length, room;
};

/* The next `size` bytes. Running out of memory ends the program, as in arenas. */
static uint8_t *packing_extend(struct packing *packing, size_t size)
{
	if (size > packing->room - packing->length) {
		size_t room = packing->room ? packing->room : 64 * 1024;
		while (size > room - packing->length)
			room *= 2;
		uint8_t *larger = realloc(packing->buffer, room);
		if (!larger)
			abort();
		packing->buffer = larger;
		packing->room = room;
	}
	uint8_t *place = packing->buffer + packing->length;
	packing->length += size;
	return place;
}

static void add_number(struct packing *packing, uint32_t number)
{
	number = htole32(number);
	memcpy(packing_extend(packing, sizeof number), &number, sizeof number);
}

/* Starts the next file in the buffer. */
static void begin(struct packing *packing, enum image_kind kind)
{
	packing->length = 0;
	if (kind == IMAGE_STATS)
		add_number(packing, IMAGE_SERVICE_MAGIC);
	else if (kind != IMAGE_INVENTORY)
		add_number(packing, IMAGE_COMMON_MAGIC);
	add_number(packing, image_format(kind)->magic);
}

static void add_record(struct packing *packing, const void *record)
{
	const ProtobufCMessage *message = record;
	size_t size = protobuf_c_message_get_packed_size(message);

	add_number(packing, (uint32_t)size);
	protobuf_c_message_pack(message, packing_extend(packing, size));
}

static int end(struct packing *packing, enum image_kind kind, uint64_t number, struct error *err)
{
	char name[IMAGE_NAME_SIZE];

	return staging_write(packing->writer, image_name(name, kind, number), packing->buffer,
			     packing->length, err);
}

static int write_single(struct packing *packing, enum image_kind kind, uint64_t number,
			const void *record, struct error *err)
{
	begin(packing, kind);
	add_record(packing, record);
	return end(packing, kind, number, err);
}

/* The fields that say what the format is are the packing's to know. */
static int write_inventory(struct packing *packing, const struct snapshot *snapshot,
			   struct error *err)
{
	InventoryEntry inventory = INVENTORY_ENTRY__INIT;
	char version[] = NESTOR_VERSION;

	if (snapshot->inventory)
		inventory = *snapshot->inventory;
	inventory.img_version = IMAGE_VERSION;
	inventory.has_fdinfo_per_id = true;
	inventory.fdinfo_per_id = true;
	inventory.has_ns_per_id = true;
	inventory.ns_per_id = true;
	inventory.nestor_version = version;
	return write_single(packing, IMAGE_INVENTORY, 0, &inventory, err);
}

static int write_pagemap(struct packing *packing, enum image_kind kind, uint64_t number,
			 const struct pagemap *pagemap, struct error *err)
{
	PagemapHead head = PAGEMAP_HEAD__INIT;

	if (!pagemap->present)
		return 0;
	head.pages_id = pagemap->pages_id;
	begin(packing, kind);
	add_record(packing, &head);
	for (size_t i = 0; i < pagemap->n_runs; i++) {
		PagemapEntry run = *pagemap->runs[i];
		/* Readers of either count and of either way to say "present" are served. */
		uint64_t pages = run.has_nr_pages ? run.nr_pages : run.compat_nr_pages;
		run.has_nr_pages = true;
		run.nr_pages = pages;
		run.compat_nr_pages = pages < UINT32_MAX ? (uint32_t)pages : UINT32_MAX;
		if (!run.has_flags) {
			run.has_flags = true;
			run.flags = PAGEMAP_PRESENT;
		}
		add_record(packing, &run);
	}
	return end(packing, kind, number, err);
}

static int write_threads(struct packing *packing, const struct task *task, struct error *err)
{
	for (size_t i = 1; i < task->n_threads; i++)
		if (write_single(packing, IMAGE_CORE, task->pstree->threads[i], task->threads[i],
				 err))
			return -1;
	return 0;
}

static int write_task(struct packing *packing, const struct task *task, struct error *err)
{
	uint32_t pid = task->pstree->pid;

	if (write_single(packing, IMAGE_CORE, pid, task->core, err))
		return -1;
	if (task_is_zombie(task))
		return 0;
	if (write_threads(packing, task, err) ||
	    (task->ids && write_single(packing, IMAGE_IDS, pid, task->ids, err)) ||
	    (task->mm && write_single(packing, IMAGE_MM, pid, task->mm, err)) ||
	    (task->fs && write_single(packing, IMAGE_FS, pid, task->fs, err)))
		return -1;
	return write_pagemap(packing, IMAGE_PAGEMAP, pid, &task->pages, err);
}

static int write_pstree(struct packing *packing, const struct snapshot *snapshot, struct error *err)
{
	begin(packing, IMAGE_PSTREE);
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		add_record(packing, snapshot->tasks[i].pstree);
	return end(packing, IMAGE_PSTREE, 0, err);
}

static int write_tables(struct packing *packing, const struct snapshot *snapshot, size_t first,
			size_t end_of_tables, struct error *err)
{
	for (size_t i = first; i < end_of_tables; i++) {
		const struct descriptor_table *table = snapshot->tables[i];
		begin(packing, IMAGE_FDINFO);
		for (size_t k = 0; k < table->n_descriptors; k++)
			add_record(packing, table->descriptors[k]);
		if (end(packing, IMAGE_FDINFO, table->files_id, err))
			return -1;
	}
	return 0;
}

static int write_files(struct packing *packing, const struct snapshot *snapshot, struct error *err)
{
	begin(packing, IMAGE_FILES);
	for (size_t i = 0; i < snapshot->n_files; i++)
		add_record(packing, snapshot->files[i]);
	return end(packing, IMAGE_FILES, 0, err);
}

static bool is_fifo(const struct snapshot *snapshot, uint32_t pipe_id)
{
	for (size_t i = 0; i < snapshot->n_files; i++)
		if (snapshot->files[i]->type == FD_TYPES__FIFO && snapshot->files[i]->fifo &&
		    snapshot->files[i]->fifo->pipe_id == pipe_id)
			return true;
	return false;
}

/* Named pipes have an image of their own. */
static int write_pipe_contents(struct packing *packing, const struct snapshot *snapshot,
			       enum image_kind kind, struct error *err)
{
	size_t count = 0;

	begin(packing, kind);
	for (size_t i = 0; i < snapshot->n_pipes; i++) {
		const struct pipe_content *pipe = &snapshot->pipes[i];
		bool fifo = is_fifo(snapshot, pipe->entry->pipe_id);
		if (fifo != (kind == IMAGE_FIFO_DATA))
			continue;
		add_record(packing, pipe->entry);
		if (pipe->entry->bytes)
			memcpy(packing_extend(packing, pipe->entry->bytes), pipe->bytes,
			       pipe->entry->bytes);
		count++;
	}
	return count ? end(packing, kind, 0, err) : 0;
}

static int write_remaps(struct packing *packing, const struct snapshot *snapshot, struct error *err)
{
	if (!snapshot->n_remaps)
		return 0;
	begin(packing, IMAGE_REMAP_FPATH);
	for (size_t i = 0; i < snapshot->n_remaps; i++)
		add_record(packing, snapshot->remaps[i]);
	return end(packing, IMAGE_REMAP_FPATH, 0, err);
}

static int write_namespaces(struct packing *packing, const struct snapshot *snapshot,
			    struct error *err)
{
	if (!snapshot->n_namespaces)
		return 0;
	begin(packing, IMAGE_NS);
	for (size_t i = 0; i < snapshot->n_namespaces; i++)
		add_record(packing, snapshot->namespaces[i]);
	return end(packing, IMAGE_NS, 0, err);
}

/* CRIU opens this image whether a task has filters or not. */
static int write_seccomp(struct packing *packing, const struct snapshot *snapshot,
			 struct error *err)
{
	SeccompEntry none = SECCOMP_ENTRY__INIT;

	return write_single(packing, IMAGE_SECCOMP, 0,
			    snapshot->seccomp ? snapshot->seccomp : &none, err);
}

/* Everything that there is one file of. */
static int write_whole_tree(struct packing *packing, const struct snapshot *snapshot,
			    struct error *err)
{
	if (write_inventory(packing, snapshot, err) || write_pstree(packing, snapshot, err) ||
	    write_namespaces(packing, snapshot, err))
		return -1;
	for (size_t i = 0; i < snapshot->n_shared_memory; i++)
		if (write_pagemap(packing, IMAGE_PAGEMAP_SHMEM, snapshot->shared_memory[i].shmid,
				  &snapshot->shared_memory[i].pages, err))
			return -1;
	if (write_files(packing, snapshot, err) ||
	    write_pipe_contents(packing, snapshot, IMAGE_PIPES_DATA, err) ||
	    write_pipe_contents(packing, snapshot, IMAGE_FIFO_DATA, err) ||
	    write_remaps(packing, snapshot, err))
		return -1;
	return write_seccomp(packing, snapshot, err);
}

/* The tasks and tables that one thread writes. */
struct share {
	struct packing packing;
	const struct snapshot *snapshot;
	size_t first_task, end_of_tasks;
	size_t first_table, end_of_tables;
	int result;
	struct error err;
};

static void *write_share(void *data)
{
	struct share *share = data;

	for (size_t i = share->first_task; i < share->end_of_tasks && !share->result; i++)
		share->result =
			write_task(&share->packing, &share->snapshot->tasks[i], &share->err);
	if (!share->result)
		share->result = write_tables(&share->packing, share->snapshot, share->first_table,
					     share->end_of_tables, &share->err);
	return NULL;
}

/* Of many tasks another thread writes half. */
static int write_tasks(struct share *own, struct share *other, struct error *err)
{
	const struct snapshot *snapshot = own->snapshot;
	pthread_t thread;
	bool threaded = false;

	own->end_of_tasks = other->end_of_tasks = snapshot->n_tasks;
	own->end_of_tables = other->end_of_tables = snapshot->n_tables;
	other->first_task = snapshot->n_tasks / 2;
	other->first_table = snapshot->n_tables / 2;
	if (snapshot->n_tasks >= THREADED_FROM)
		threaded = pthread_create(&thread, NULL, write_share, other) == 0;
	if (threaded) {
		own->end_of_tasks = other->first_task;
		own->end_of_tables = other->first_table;
	}
	write_share(own);
	if (threaded)
		pthread_join(thread, NULL);
	if (!own->result && !other->result)
		return 0;
	*err = own->result ? own->err : other->err;
	return -1;
}

int images_write_snapshot(struct images_writer *writer, const struct snapshot *snapshot,
			  struct error *err)
{
	struct share own = { .packing.writer = writer, .snapshot = snapshot };
	struct share other = own;
	int result = write_tasks(&own, &other, err) || write_whole_tree(&own.packing, snapshot, err)
			     ? -1
			     : 0;

	free(own.packing.buffer);
	free(other.packing.buffer);
	return result;
}

int images_create_ghost(struct images_writer *writer, uint32_t id, const GhostFileEntry *entry,
			struct error *err)
{
	char name[IMAGE_NAME_SIZE];
	struct packing packing = { 0 };
	autoclose int fd = images_create_raw(writer, image_name(name, IMAGE_GHOST_FILE, id), err);

	if (fd < 0)
		return -1;
	begin(&packing, IMAGE_GHOST_FILE);
	add_record(&packing, entry);
	autofree uint8_t *bytes = packing.buffer;
	/* A new file takes a header of some dozen bytes whole or not at all. */
	if (write(fd, bytes, packing.length) != (ssize_t)packing.length)
		return fail_errno(err, ERR_IO, "cannot write %s", name);
	return take_fd(&fd);
}

int images_write_stats(int dir_fd, const char *name, const StatsEntry *stats, struct error *err)
{
	struct packing packing = { 0 };

	begin(&packing, IMAGE_STATS);
	add_record(&packing, stats);
	autofree uint8_t *bytes = packing.buffer;
	autoclose int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, bytes, packing.length) != (ssize_t)packing.length)
		return fail_errno(err, ERR_IO, "cannot write %s", name);
	return 0;
}
