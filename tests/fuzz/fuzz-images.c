// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Whatever bytes the images of a directory hold: reading them ends with a snapshot or an error.
 *
 * An input is a row of files: kind (one byte, an enum image_kind, or 255 for the manifest), number
 * (four bytes, little endian), size (four), content. They are parsed in that order into one
 * snapshot, which is then indexed and looked at.
 *
 * Built with clang -fsanitize=fuzzer this is a libFuzzer target. Otherwise it has a main of its
 * own: it damages the images of a sample snapshot at random, `--runs N` times from `--seed S`;
 * files that are named are run as they are.
 */
#include "images/format.h"
#include "images/manifest.h"
#include "images/parse.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MANIFEST_KIND = 255, HEADER_SIZE = 9 };

/* What every user of a snapshot does first. */
static void look_at(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		struct pid_vector groups = task_groups(task), sessions = task_sessions(task);
		if (strlen(task_name(task)) == 0 || strlen(pid_vector_text(&groups)) == 0 ||
		    strlen(pid_vector_text(&sessions)) == 0 || !task->pid_namespace)
			abort();
		for (size_t thread = 0; thread < task->n_threads; thread++)
			if (thread_pids(task, thread).levels == 0 || !task->threads[thread])
				abort();
		if (!task_is_zombie(task) && (!task->mm || !task->fs || !task->table))
			abort();
	}
}

static void parse_one(struct snapshot *snapshot, uint8_t kind, uint32_t number,
		      const uint8_t *bytes, size_t size)
{
	char name[IMAGE_NAME_SIZE];
	struct error err = { 0 };
	struct manifest manifest;
	/* In a place of its own, so that a read too far is a read out of bounds. */
	uint8_t *copy = malloc(size + !size);

	if (!copy)
		abort();
	memcpy(copy, bytes, size);
	int result;
	if (kind == MANIFEST_KIND)
		result = manifest_parse(&manifest, snapshot->arena, (const char *)copy, size, &err);
	else
		result = image_parse(snapshot, image_name(name, kind % IMAGE_KINDS, number), copy,
				     size, &err);
	/* A failure has a name and a text, a success has neither. */
	if ((result != 0) != (err.name != ERR_NONE) || (result != 0) != (err.text[0] != '\0'))
		abort();
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct error err = { 0 };

	arena_init(&arena);
	struct snapshot snapshot = { .arena = &arena };
	while (size >= HEADER_SIZE) {
		uint32_t number, length;
		memcpy(&number, data + 1, sizeof number);
		memcpy(&length, data + 5, sizeof length);
		length = le32toh(length);
		if (length > size - HEADER_SIZE)
			length = (uint32_t)(size - HEADER_SIZE);
		parse_one(&snapshot, data[0], le32toh(number), data + HEADER_SIZE, length);
		data += HEADER_SIZE + length;
		size -= HEADER_SIZE + length;
	}
	if (snapshot_index(&snapshot, &err) == 0)
		look_at(&snapshot);
	arena_done(&arena);
	return 0;
}
