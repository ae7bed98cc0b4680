// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From snapshot to files: which record goes where. Every file is packed in memory and written by
 * one call. Framing and names are those of format.h.
 */
#include "images/directory.h"
#include "images/format.h"
#include "images/images.h"

#include "base/cleanup.h"

#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_number(struct images_writer *writer, uint32_t number)
{
	number = htole32(number);
	memcpy(staging_extend(writer, sizeof number), &number, sizeof number);
}

/* Starts the next file in the buffer. */
static void begin(struct images_writer *writer, enum image_kind kind)
{
	writer->length = 0;
	if (kind == IMAGE_STATS)
		add_number(writer, IMAGE_SERVICE_MAGIC);
	else if (kind != IMAGE_INVENTORY)
		add_number(writer, IMAGE_COMMON_MAGIC);
	add_number(writer, image_format(kind)->magic);
}

static void add_record(struct images_writer *writer, const void *record)
{
	const ProtobufCMessage *message = record;
	size_t size = protobuf_c_message_get_packed_size(message);

	add_number(writer, (uint32_t)size);
	protobuf_c_message_pack(message, staging_extend(writer, size));
}

static int end(struct images_writer *writer, enum image_kind kind, uint64_t number,
	       struct error *err)
{
	char name[IMAGE_NAME_SIZE];

	return staging_write_buffer(writer, image_name(name, kind, number), err);
}

static int write_single(struct images_writer *writer, enum image_kind kind, uint64_t number,
			const void *record, struct error *err)
{
	begin(writer, kind);
	add_record(writer, record);
	return end(writer, kind, number, err);
}

/* The fields that say what the format is are the writer's to know. */
static int write_inventory(struct images_writer *writer, const struct snapshot *snapshot,
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
	return write_single(writer, IMAGE_INVENTORY, 0, &inventory, err);
}

static int write_pagemap(struct images_writer *writer, enum image_kind kind, uint64_t number,
			 const struct pagemap *pagemap, struct error *err)
{
	PagemapHead head = PAGEMAP_HEAD__INIT;

	if (!pagemap->present)
		return 0;
	head.pages_id = pagemap->pages_id;
	begin(writer, kind);
	add_record(writer, &head);
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
		add_record(writer, &run);
	}
	return end(writer, kind, number, err);
}

static int write_threads(struct images_writer *writer, const struct task *task, struct error *err)
{
	for (size_t i = 1; i < task->n_threads; i++)
		if (write_single(writer, IMAGE_CORE, task->pstree->threads[i], task->threads[i],
				 err))
			return -1;
	return 0;
}

static int write_task(struct images_writer *writer, const struct task *task, struct error *err)
{
	uint32_t pid = task->pstree->pid;

	if (write_single(writer, IMAGE_CORE, pid, task->core, err))
		return -1;
	if (task_is_zombie(task))
		return 0;
	if (write_threads(writer, task, err) ||
	    (task->ids && write_single(writer, IMAGE_IDS, pid, task->ids, err)) ||
	    (task->mm && write_single(writer, IMAGE_MM, pid, task->mm, err)) ||
	    (task->fs && write_single(writer, IMAGE_FS, pid, task->fs, err)))
		return -1;
	return write_pagemap(writer, IMAGE_PAGEMAP, pid, &task->pages, err);
}

static int write_pstree(struct images_writer *writer, const struct snapshot *snapshot,
			struct error *err)
{
	begin(writer, IMAGE_PSTREE);
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		add_record(writer, snapshot->tasks[i].pstree);
	return end(writer, IMAGE_PSTREE, 0, err);
}

static int write_tables(struct images_writer *writer, const struct snapshot *snapshot,
			struct error *err)
{
	for (size_t i = 0; i < snapshot->n_tables; i++) {
		const struct descriptor_table *table = snapshot->tables[i];
		begin(writer, IMAGE_FDINFO);
		for (size_t k = 0; k < table->n_descriptors; k++)
			add_record(writer, table->descriptors[k]);
		if (end(writer, IMAGE_FDINFO, table->files_id, err))
			return -1;
	}
	return 0;
}

static int write_files(struct images_writer *writer, const struct snapshot *snapshot,
		       struct error *err)
{
	begin(writer, IMAGE_FILES);
	for (size_t i = 0; i < snapshot->n_files; i++)
		add_record(writer, snapshot->files[i]);
	return end(writer, IMAGE_FILES, 0, err);
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
static int write_pipe_contents(struct images_writer *writer, const struct snapshot *snapshot,
			       enum image_kind kind, struct error *err)
{
	size_t count = 0;

	begin(writer, kind);
	for (size_t i = 0; i < snapshot->n_pipes; i++) {
		const struct pipe_content *pipe = &snapshot->pipes[i];
		bool fifo = is_fifo(snapshot, pipe->entry->pipe_id);
		if (fifo != (kind == IMAGE_FIFO_DATA))
			continue;
		add_record(writer, pipe->entry);
		if (pipe->entry->bytes)
			memcpy(staging_extend(writer, pipe->entry->bytes), pipe->bytes,
			       pipe->entry->bytes);
		count++;
	}
	return count ? end(writer, kind, 0, err) : 0;
}

static int write_remaps(struct images_writer *writer, const struct snapshot *snapshot,
			struct error *err)
{
	if (!snapshot->n_remaps)
		return 0;
	begin(writer, IMAGE_REMAP_FPATH);
	for (size_t i = 0; i < snapshot->n_remaps; i++)
		add_record(writer, snapshot->remaps[i]);
	return end(writer, IMAGE_REMAP_FPATH, 0, err);
}

static int write_namespaces(struct images_writer *writer, const struct snapshot *snapshot,
			    struct error *err)
{
	if (!snapshot->n_namespaces)
		return 0;
	begin(writer, IMAGE_NS);
	for (size_t i = 0; i < snapshot->n_namespaces; i++)
		add_record(writer, snapshot->namespaces[i]);
	return end(writer, IMAGE_NS, 0, err);
}

/* CRIU opens this image whether a task has filters or not. */
static int write_seccomp(struct images_writer *writer, const struct snapshot *snapshot,
			 struct error *err)
{
	SeccompEntry none = SECCOMP_ENTRY__INIT;

	return write_single(writer, IMAGE_SECCOMP, 0, snapshot->seccomp ? snapshot->seccomp : &none,
			    err);
}

int images_write_snapshot(struct images_writer *writer, const struct snapshot *snapshot,
			  struct error *err)
{
	if (write_inventory(writer, snapshot, err) || write_pstree(writer, snapshot, err) ||
	    write_namespaces(writer, snapshot, err))
		return -1;
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		if (write_task(writer, &snapshot->tasks[i], err))
			return -1;
	for (size_t i = 0; i < snapshot->n_shared_memory; i++)
		if (write_pagemap(writer, IMAGE_PAGEMAP_SHMEM, snapshot->shared_memory[i].shmid,
				  &snapshot->shared_memory[i].pages, err))
			return -1;
	if (write_tables(writer, snapshot, err) || write_files(writer, snapshot, err) ||
	    write_pipe_contents(writer, snapshot, IMAGE_PIPES_DATA, err) ||
	    write_pipe_contents(writer, snapshot, IMAGE_FIFO_DATA, err) ||
	    write_remaps(writer, snapshot, err))
		return -1;
	return write_seccomp(writer, snapshot, err);
}

int images_create_ghost(struct images_writer *writer, uint32_t id, const GhostFileEntry *entry,
			struct error *err)
{
	char name[IMAGE_NAME_SIZE];
	autoclose int fd = images_create_raw(writer, image_name(name, IMAGE_GHOST_FILE, id), err);

	if (fd < 0)
		return -1;
	begin(writer, IMAGE_GHOST_FILE);
	add_record(writer, entry);
	/* A new file takes a header of some dozen bytes whole or not at all. */
	if (write(fd, writer->buffer, writer->length) != (ssize_t)writer->length)
		return fail_errno(err, ERR_IO, "cannot write %s", name);
	return take_fd(&fd);
}

int images_write_stats(int dir_fd, const char *name, const StatsEntry *stats, struct error *err)
{
	struct images_writer scratch = { 0 };

	begin(&scratch, IMAGE_STATS);
	add_record(&scratch, stats);
	autofree uint8_t *bytes = scratch.buffer;
	autoclose int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, bytes, scratch.length) != (ssize_t)scratch.length)
		return fail_errno(err, ERR_IO, "cannot write %s", name);
	return 0;
}
