// SPDX-License-Identifier: LGPL-2.1-or-later
/* See kernel-reader.h. */
#include "kernel/kernel-reader.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

enum file_place { TASK_FILES, FILES_TABLE, TABLE_FILES };

static const struct btf_place of_files[KERNEL_FILE_PLACES] = {
	[TASK_FILES] = { "task_struct", "files", 0, false, 0 },
	[FILES_TABLE] = { "files_struct", "fdt", 0, false, 0 },
	[TABLE_FILES] = { "fdtable", "fd", 0, false, 0 },
};

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
	if (kernel_memory_thread(memory, &reader->thread) < 0)
		reader->failure = errno;
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

uint64_t kernel_file_of(struct kernel_reader *reader, uint64_t thread, int fd)
{
	uint64_t at = thread;

	for (size_t i = 0; i < KERNEL_FILE_PLACES; i++)
		at = pointer_at(reader, at + reader->of_files[i].offset);
	return pointer_at(reader, at + (uint64_t)fd * sizeof at);
}

uint64_t kernel_file(struct kernel_reader *reader, int fd)
{
	return kernel_file_of(reader, reader->thread, fd);
}

void kernel_has_changed(struct kernel_reader *reader)
{
	if (!reader->failure)
		reader->failure = EAGAIN;
}
