// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * All files of a snapshot. There are half a dozen for each task, so of many tasks another thread
 * writes them, from when it is begun; who needs them to be there takes part.
 */
#include "images/images.h"
#include "images/packing.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

/* From which on another thread is worth it. */
enum { MANY_TASKS = 32, MANY_FILES = 1024 };

/* What one thread has written. */
struct share {
	struct packing packing;
	int result;
	struct error err;
};

struct writing {
	const struct snapshot *snapshot;
	atomic_size_t next; /* of tasks, then tables, then the rest: nobody has begun it */
	struct share own, other;
	pthread_t thread;
	bool has_thread;
};

/* What is neither a task's nor a table's. */
static int write_whole_tree(struct packing *packing, const struct snapshot *snapshot,
			    struct error *err)
{
	for (enum image_kind kind = 0; kind < IMAGE_STATS; kind++) {
		const struct image_format *format = image_format(kind);
		/* Those with content are there already (images_create_content). */
		bool listed = format->magic && !format->load && !format->load_file && !format->rest;
		if (listed ? packing_write_list(packing, kind, snapshot, err)
			   : format->save && format->save(packing, snapshot, err))
			return -1;
	}
	return 0;
}

static int write_task(struct packing *packing, const struct task *task, struct error *err)
{
	for (enum image_kind kind = 0; kind < IMAGE_STATS; kind++) {
		const struct image_format *format = image_format(kind);
		if (format->save_task && format->save_task(packing, task, err))
			return -1;
	}
	return 0;
}

static int write_table(struct packing *packing, const struct descriptor_table *table,
		       struct error *err)
{
	for (enum image_kind kind = 0; kind < IMAGE_STATS; kind++) {
		const struct image_format *format = image_format(kind);
		if (format->save_table && format->save_table(packing, table, err))
			return -1;
	}
	return 0;
}

static int write_one(struct share *share, const struct snapshot *snapshot, size_t index)
{
	if (index < snapshot->n_tasks)
		return write_task(&share->packing, &snapshot->tasks[index], &share->err);
	index -= snapshot->n_tasks;
	if (index < snapshot->n_tables)
		return write_table(&share->packing, snapshot->tables[index], &share->err);
	return write_whole_tree(&share->packing, snapshot, &share->err);
}

static size_t end_of(const struct snapshot *snapshot)
{
	return snapshot->n_tasks + snapshot->n_tables + 1;
}

/* Nobody begins another one. */
static void stop(struct writing *writing)
{
	atomic_store(&writing->next, end_of(writing->snapshot));
}

static void write_share(struct writing *writing, struct share *share)
{
	size_t end = end_of(writing->snapshot), index;

	while (!share->result && (index = atomic_fetch_add(&writing->next, 1)) < end)
		share->result = write_one(share, writing->snapshot, index);
	if (share->result)
		stop(writing);
}

static void *write_other_share(void *data)
{
	struct writing *writing = data;

	write_share(writing, &writing->other);
	return NULL;
}

static bool is_large(const struct snapshot *snapshot)
{
	return snapshot->n_tasks >= MANY_TASKS || snapshot->n_files >= MANY_FILES;
}

/* It takes no signals, which are for who began it. */
static bool start_thread(struct writing *writing)
{
	sigset_t all, saved;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	int failed = pthread_create(&writing->thread, NULL, write_other_share, writing);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return !failed;
}

void images_begin_snapshot(struct images_writer *writer, const struct snapshot *snapshot)
{
	struct writing *writing = calloc(1, sizeof *writing);

	if (!writing)
		out_of_memory();
	writing->snapshot = snapshot;
	writing->own.packing.writer = writing->other.packing.writer = writer;
	writer->writing = writing;
	writing->has_thread = is_large(snapshot) && start_thread(writing);
}

/* Only once nobody writes any more. */
static void release(struct images_writer *writer)
{
	struct writing *writing = writer->writing;

	free(writing->own.packing.buffer);
	free(writing->other.packing.buffer);
	free(writing);
	writer->writing = NULL;
}

static void wait_for_thread(struct writing *writing)
{
	if (writing->has_thread)
		pthread_join(writing->thread, NULL);
}

void writing_give_up(struct images_writer *writer)
{
	if (!writer->writing)
		return;
	stop(writer->writing);
	wait_for_thread(writer->writing);
	release(writer);
}

int images_write_snapshot(struct images_writer *writer, const struct snapshot *snapshot,
			  struct error *err)
{
	if (!writer->writing)
		images_begin_snapshot(writer, snapshot);
	struct writing *writing = writer->writing;
	write_share(writing, &writing->own);
	wait_for_thread(writing);

	const struct share *failed = writing->own.result     ? &writing->own
				     : writing->other.result ? &writing->other
							     : NULL;
	if (failed)
		*err = failed->err;
	release(writer);
	return failed ? -1 : 0;
}

int images_write_pages(struct images_writer *writer, const struct snapshot *snapshot,
		       struct error *err)
{
	struct packing packing = { .writer = writer };
	int result = save_inventory(&packing, snapshot, err);

	for (size_t i = 0; i < snapshot->n_tasks && result == 0; i++)
		result = save_task_pages(&packing, &snapshot->tasks[i], err);
	free(packing.buffer);
	return result;
}
