// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading kernel text files; see procfs.h. */
#include "base/procfs.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <fcntl.h>
#include <string.h>

ssize_t procfs_read_into(int dir_fd, const char *name, char *buffer, size_t size)
{
	autoclose int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	size_t length = 0;

	if (fd < 0)
		return -1;
	for (;;) {
		ssize_t got = read(fd, buffer + length, size - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		length += (size_t)got;
		if (length == size) {
			errno = E2BIG;
			return -1;
		}
	}
	buffer[length] = '\0';
	return (ssize_t)length;
}

ssize_t procfs_read(struct arena *arena, int dir_fd, const char *name, char **ret_text)
{
	char first[16384];
	autofree char *large = NULL;

	ssize_t length = procfs_read_into(dir_fd, name, first, sizeof first);
	for (size_t room = 4 * sizeof first; length < 0 && errno == E2BIG; room *= 4) {
		free(large);
		large = malloc(room);
		if (!large)
			return -1;
		length = procfs_read_into(dir_fd, name, large, room);
	}
	if (length < 0)
		return -1;
	*ret_text = arena_copy(arena, large ? large : first, (size_t)length + 1);
	return length;
}

const char *procfs_field(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (strncmp(line, key, length) == 0) {
			line += length;
			return line + strspn(line, " \t");
		}
	}
	return NULL;
}

size_t procfs_numbers(const char *text, int base, uint64_t *numbers, size_t room)
{
	size_t count = 0;

	while (count < room) {
		text += strspn(text, " \t");
		if (*text == '\n' || *text == '\0')
			break;
		char *end;
		uint64_t number = strtoull(text, &end, base);
		if (end == text)
			break;
		numbers[count++] = number;
		text = end;
	}
	return count;
}
