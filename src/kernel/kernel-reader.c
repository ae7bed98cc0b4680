// SPDX-License-Identifier: LGPL-2.1-or-later
/* See kernel-reader.h. */
#include "kernel/kernel-reader.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

/* What leads from a directory of /proc to its thread, and from there to what it has open. */
#define FILE_PLACES(X)                            \
	X(FILE_INODE, "file", "f_inode")          \
	X(PROC_INODE, "proc_inode", "vfs_inode")  \
	X(PROC_PID, "proc_inode", "pid")          \
	X(PID_TASKS, "pid", "tasks")              \
	X(TASK_LINKS, "task_struct", "pid_links") \
	X(TASK_PID, "task_struct", "thread_pid")  \
	X(TASK_FILES, "task_struct", "files")     \
	X(FILES_TABLE, "files_struct", "fdt")     \
	X(TABLE_SIZE, "fdtable", "max_fds")       \
	X(TABLE_FILES, "fdtable", "fd")

enum file_place { FILE_PLACES(BTF_NUMBER) };
enum { AT_ONCE = 512 };

static const struct btf_place of_files[KERNEL_FILE_PLACES] = { FILE_PLACES(BTF_PLACE) };

static bool all_found(const struct btf_place *places, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!places[i].found)
			return false;
	return true;
}

/* Both in one go: all that the kernel tells is looked through. 1: not all of it is there. */
static int find_places(struct kernel_reader *reader, const struct kernel_places *wanted,
		       struct arena *arena)
{
	struct btf_place *all =
		arena_array(arena, struct btf_place, wanted->count + KERNEL_FILE_PLACES);

	memcpy(all, wanted->all, wanted->count * sizeof *all);
	memcpy(all + wanted->count, of_files, sizeof of_files);
	if (btf_find(all, wanted->count + KERNEL_FILE_PLACES))
		return -1;
	memcpy(reader->of_files, all + wanted->count, sizeof of_files);
	if (!all_found(all, wanted->needed) || !all_found(reader->of_files, KERNEL_FILE_PLACES))
		return 1;
	reader->places = all;
	return 0;
}

int kernel_reader_begin(struct kernel_reader *reader, struct kernel_memory *memory,
			const struct kernel_places *wanted, struct arena *arena)
{
	int result = reader->cannot ? 1 : 0;

	if (!result && !reader->places)
		result = find_places(reader, wanted, arena);
	if (!result && !memory->request)
		result = kernel_memory_open(memory);
	if (result < 0 && errno_tells_nothing(errno))
		return -1;
	reader->cannot = result != 0;
	if (result)
		return 1;
	reader->memory = memory;
	reader->arena = arena;
	reader->failure = 0;
	reader->thread = 0;
	return 0;
}

int kernel_reader_end(const struct kernel_reader *reader)
{
	errno = reader->failure;
	return reader->failure ? -1 : 0;
}

void kernel_bytes(struct kernel_reader *reader, uint64_t address, void *room, size_t size)
{
	if (!reader->failure && kernel_memory_read(reader->memory, address, room, size) < 0)
		reader->failure = errno;
	if (reader->failure)
		memset(room, 0, size);
}

static uint64_t pointer_at(struct kernel_reader *reader, uint64_t address)
{
	uint64_t value;

	kernel_bytes(reader, address, &value, sizeof value);
	return value;
}

uint64_t kernel_inside(const struct kernel_reader *reader, uint64_t object, size_t place)
{
	return object + reader->places[place].offset;
}

uint64_t kernel_pointer(struct kernel_reader *reader, uint64_t object, size_t place)
{
	return pointer_at(reader, kernel_inside(reader, object, place));
}

uint32_t kernel_number(struct kernel_reader *reader, uint64_t object, size_t place)
{
	uint32_t value;

	kernel_bytes(reader, kernel_inside(reader, object, place), &value, sizeof value);
	return value;
}

bool kernel_bit(struct kernel_reader *reader, uint64_t object, size_t place)
{
	uint8_t byte;

	if (!reader->places[place].found)
		return false;
	kernel_bytes(reader, kernel_inside(reader, object, place), &byte, sizeof byte);
	return byte >> reader->places[place].bit & 1;
}

static uint64_t file_pointer(struct kernel_reader *reader, uint64_t object, enum file_place place)
{
	return pointer_at(reader, object + reader->of_files[place].offset);
}

uint64_t kernel_thread_of(struct kernel_reader *reader, int proc_fd)
{
	uint64_t inode = file_pointer(reader, kernel_file(reader, proc_fd), FILE_INODE);
	uint64_t pid = file_pointer(reader, inode - reader->of_files[PROC_INODE].offset, PROC_PID);
	/* Of its four lists (enum pid_type) the first is that of the thread itself. */
	uint64_t link = file_pointer(reader, pid, PID_TASKS);
	uint64_t thread = link - reader->of_files[TASK_LINKS].offset;

	if (!link || file_pointer(reader, thread, TASK_PID) != pid)
		kernel_has_changed(reader);
	return thread;
}

/* Where the pointers are, and how many. */
static uint64_t find_table(struct kernel_reader *reader, uint64_t thread, uint32_t *ret_size)
{
	uint64_t table =
		file_pointer(reader, file_pointer(reader, thread, TASK_FILES), FILES_TABLE);

	kernel_bytes(reader, table + reader->of_files[TABLE_SIZE].offset, ret_size,
		     sizeof *ret_size);
	return file_pointer(reader, table, TABLE_FILES);
}

void kernel_files_of(struct kernel_reader *reader, uint64_t thread, const uint32_t *fds,
		     size_t count, uint64_t *ret_files)
{
	uint64_t window[AT_ONCE], table;
	uint32_t first = 0, n = 0, size;

	table = find_table(reader, thread, &size);
	for (size_t i = 0; i < count; i++) {
		ret_files[i] = 0;
		if (fds[i] >= size)
			continue;
		if (fds[i] - first >= n) {
			first = fds[i];
			n = size - first < AT_ONCE ? size - first : AT_ONCE;
			kernel_bytes(reader, table + first * sizeof *window, window,
				     n * sizeof *window);
		}
		ret_files[i] = window[fds[i] - first];
	}
}

uint64_t kernel_file_of(struct kernel_reader *reader, uint64_t thread, int fd)
{
	uint64_t table = find_table(reader, thread, &(uint32_t){ 0 });

	return pointer_at(reader, table + (uint64_t)fd * sizeof table);
}

uint64_t kernel_file(struct kernel_reader *reader, int fd)
{
	if (!reader->failure && !reader->thread &&
	    kernel_memory_thread(reader->memory, &reader->thread) < 0)
		reader->failure = errno;
	return kernel_file_of(reader, reader->thread, fd);
}

void kernel_has_changed(struct kernel_reader *reader)
{
	if (!reader->failure)
		reader->failure = EAGAIN;
}
