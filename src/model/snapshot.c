// SPDX-License-Identifier: LGPL-2.1-or-later
/* Building a snapshot record by record, and looking things up in it; see snapshot.h. */
#include "model/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PAGE_BYTES = 4096 };

/* Appends `element` to an array of the snapshot that grows in its arena. */
#define APPEND(snapshot, array, count, ...)                                                 \
	do {                                                                                \
		(array) = arena_grow((snapshot)->arena, (array), (count), sizeof *(array)); \
		(array)[(count)++] = (__VA_ARGS__);                                         \
	} while (0)

struct task *snapshot_add_task(struct snapshot *snapshot)
{
	size_t index = snapshot->n_tasks;

	APPEND(snapshot, snapshot->tasks, snapshot->n_tasks, (struct task){ .index = index });
	return &snapshot->tasks[snapshot->n_tasks - 1];
}

void snapshot_add_file(struct snapshot *snapshot, FileEntry *file)
{
	APPEND(snapshot, snapshot->files, snapshot->n_files, file);
	table_add(&snapshot->files_by_id, snapshot->arena, file->id, file);
}

void snapshot_keep_files(struct snapshot *snapshot,
			 bool (*keep)(const FileEntry *file, const void *data), const void *data)
{
	FileEntry **files = snapshot->files;
	size_t count = snapshot->n_files;

	snapshot->files = NULL;
	snapshot->n_files = 0;
	snapshot->files_by_id = (struct table){ 0 };
	for (size_t i = 0; i < count; i++)
		if (keep(files[i], data))
			snapshot_add_file(snapshot, files[i]);
}

struct descriptor_table *snapshot_add_table(struct snapshot *snapshot, uint32_t files_id)
{
	struct descriptor_table *table = arena_new(snapshot->arena, struct descriptor_table);

	table->files_id = files_id;
	APPEND(snapshot, snapshot->tables, snapshot->n_tables, table);
	table_add(&snapshot->tables_by_id, snapshot->arena, files_id, table);
	return table;
}

void snapshot_add_descriptor(struct snapshot *snapshot, struct descriptor_table *table,
			     FdinfoEntry *descriptor)
{
	APPEND(snapshot, table->descriptors, table->n_descriptors, descriptor);
}

struct shared_memory *snapshot_add_shared_memory(struct snapshot *snapshot, uint64_t shmid)
{
	struct shared_memory *memory = arena_new(snapshot->arena, struct shared_memory);

	memory->shmid = shmid;
	APPEND(snapshot, snapshot->shared_memory, snapshot->n_shared_memory, memory);
	table_add(&snapshot->shared_memory_by_id, snapshot->arena, shmid, memory);
	return memory;
}

void snapshot_add_namespace(struct snapshot *snapshot, NsEntry *entry)
{
	APPEND(snapshot, snapshot->namespaces, snapshot->n_namespaces, entry);
}

void pagemap_add_run(struct snapshot *snapshot, struct pagemap *pagemap, struct memory_run run)
{
	APPEND(snapshot, pagemap->runs, pagemap->n_runs, run);
}

void pagemap_add_own(struct snapshot *snapshot, struct pagemap *pagemap, uint64_t address,
		     uint64_t pages)
{
	pagemap_add_run(snapshot, pagemap,
			(struct memory_run){ .address = address,
					     .pages = pages,
					     .source = page_source(0, pagemap->pages_id),
					     .offset = pagemap->own_size });
	pagemap->own_size += pages * PAGE_BYTES;
}

FileEntry *snapshot_file(const struct snapshot *snapshot, uint32_t id)
{
	return table_find(&snapshot->files_by_id, id);
}

struct descriptor_table *snapshot_table(const struct snapshot *snapshot, uint32_t files_id)
{
	return table_find(&snapshot->tables_by_id, files_id);
}

struct shared_memory *snapshot_shared_memory(const struct snapshot *snapshot, uint64_t shmid)
{
	return table_find(&snapshot->shared_memory_by_id, shmid);
}

NsEntry *snapshot_namespace(const struct snapshot *snapshot, uint32_t id)
{
	for (size_t i = 0; i < snapshot->n_namespaces; i++)
		if (snapshot->namespaces[i]->id == id)
			return snapshot->namespaces[i];
	return NULL;
}

static struct pid_vector vector_of(const uint32_t *numbers, size_t n_numbers, uint32_t flat)
{
	struct pid_vector vector = { .levels = 1, .pid = { flat } };

	if (n_numbers == 0)
		return vector;
	vector.levels = n_numbers < MAX_PID_LEVELS ? n_numbers : MAX_PID_LEVELS;
	memcpy(vector.pid, numbers, vector.levels * sizeof *numbers);
	return vector;
}

struct pid_vector task_pids(const struct task *task)
{
	return vector_of(task->pstree->ns_pid, task->pstree->n_ns_pid, task->pstree->pid);
}

struct pid_vector task_groups(const struct task *task)
{
	return vector_of(task->pstree->ns_pgid, task->pstree->n_ns_pgid, task->pstree->pgid);
}

struct pid_vector task_sessions(const struct task *task)
{
	return vector_of(task->pstree->ns_sid, task->pstree->n_ns_sid, task->pstree->sid);
}

struct pid_vector thread_pids(const struct task *task, size_t thread)
{
	const PstreeEntry *pstree = task->pstree;

	if (thread < pstree->n_ns_tids)
		return vector_of(pstree->ns_tids[thread]->tid, pstree->ns_tids[thread]->n_tid,
				 pstree->threads[thread]);
	if (thread < pstree->n_threads)
		return vector_of(NULL, 0, pstree->threads[thread]);
	return task_pids(task);
}

CoreEntry *task_thread(const struct task *task, size_t thread)
{
	return thread ? task->threads[thread] : task->core;
}

const char *pid_vector_text(const struct pid_vector *vector)
{
	static _Thread_local char ring[8][MAX_PID_LEVELS * 11 + 1];
	static _Thread_local unsigned next;
	char *text = ring[next++ % 8];
	size_t used = 0;

	text[0] = '\0';
	for (size_t level = vector->levels; level-- > 0;)
		used += (size_t)snprintf(text + used, sizeof ring[0] - used, "%" PRIu32 "%s",
					 vector->pid[level], level ? ":" : "");
	return text;
}

const char *task_name(const struct task *task)
{
	struct pid_vector pids = task_pids(task);

	return pid_vector_text(&pids);
}

static uint32_t task_state(const struct task *task)
{
	return task->core && task->core->tc ? task->core->tc->task_state : TASK_ALIVE;
}

bool task_is_zombie(const struct task *task)
{
	return task_state(task) == TASK_DEAD;
}

bool task_is_stopped(const struct task *task)
{
	return task_state(task) == TASK_STOPPED;
}

bool task_leader_is_dead(const struct task *task)
{
	return task->core && task->core->tc && task->core->tc->has_leader_exit_code;
}

static bool same_vector(struct pid_vector one, struct pid_vector other)
{
	return one.levels == other.levels &&
	       memcmp(one.pid, other.pid, one.levels * sizeof one.pid[0]) == 0;
}

bool task_leads_session(const struct task *task)
{
	return same_vector(task_pids(task), task_sessions(task));
}

bool task_leads_group(const struct task *task)
{
	return same_vector(task_pids(task), task_groups(task));
}
