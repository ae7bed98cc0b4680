// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading kernel text files; see procfs.h. */
#include "base/procfs.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

bool procfs_is_gone(int error)
{
	return error == ENOENT || error == ESRCH;
}

enum error_name procfs_error(int error)
{
	return procfs_is_gone(error) ? ERR_TREE_CHANGED : ERR_KERNEL_REFUSED;
}

/* Reads on until the end, or until nothing more fits; returns how much is there. */
static ssize_t read_on(int fd, char *buffer, size_t length, size_t size)
{
	while (length < size) {
		ssize_t got = read(fd, buffer + length, size - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		length += (size_t)got;
	}
	return (ssize_t)length;
}

ssize_t procfs_read_into(int dir_fd, const char *name, char *buffer, size_t size)
{
	autoclose int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read_on(fd, buffer, 0, size);

	if (length < 0)
		return -1;
	if ((size_t)length == size) {
		errno = E2BIG;
		return -1;
	}
	buffer[length] = '\0';
	return length;
}

/* What does not fit goes on in a larger buffer: the kernel makes these texts anew for each read. */
ssize_t procfs_read_new(int dir_fd, const char *name, char **ret_text)
{
	char first[16384];
	autofree char *text = NULL;
	autoclose int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read_on(fd, first, 0, sizeof first);

	if (length < 0)
		return -1;
	text = malloc((size_t)length + 1);
	if (!text)
		return -1;
	memcpy(text, first, (size_t)length);
	for (size_t room = sizeof first; length == (ssize_t)room;) {
		room *= 4;
		char *larger = realloc(text, room + 1);
		if (!larger)
			return -1;
		text = larger;
		length = read_on(fd, text, (size_t)length, room);
		if (length < 0)
			return -1;
	}
	text[length] = '\0';
	*ret_text = take_ptr(text);
	return length;
}

ssize_t procfs_read(struct arena *arena, int dir_fd, const char *name, char **ret_text)
{
	autofree char *text = NULL;
	ssize_t length = procfs_read_new(dir_fd, name, &text);

	if (length >= 0)
		*ret_text = arena_copy(arena, text, (size_t)length + 1);
	return length;
}

int procfs_check(struct error *err)
{
	char status[4096];
	uint64_t numbers[2];
	bool read = procfs_read_into(AT_FDCWD, "/proc/self/status", status, sizeof status) != -1;
	const char *pids = read ? procfs_field(status, "NSpid:") : NULL;

	if (!pids) {
		fail_errno(err, ERR_NO_PROC, "cannot read pids from /proc/self/status");
		return fail_hint(err, "mount a proc file system on /proc");
	}
	/* That of a namespace further out shows a number for each level from there on. */
	if (procfs_numbers(pids, 10, numbers, 2) == 1 && numbers[0] == (uint64_t)getpid())
		return 0;
	fail(err, ERR_NO_PROC, "/proc is that of another pid namespace than nestor's own");
	return fail_hint(err, "mount its own one on /proc (unshare --mount-proc)");
}

const char *procfs_field(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		/* Most lines differ in their first letter. */
		if (*line == *key && strncmp(line, key, length) == 0) {
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

bool procfs_number(const char *text, const char *key, int base, uint64_t *ret_number)
{
	const char *field = procfs_field(text, key);

	return field && procfs_numbers(field, base, ret_number, 1) == 1;
}

uint64_t procfs_value(const char *text, const char *key, int base)
{
	uint64_t value = 0;

	procfs_number(text, key, base, &value);
	return value;
}

bool procfs_is_exiting(const char *path)
{
	enum { FLAGS = 5, PF_EXITING = 0x4 };
	uint64_t fields[FLAGS + 1];
	char stat[1024];

	if (procfs_read_into(AT_FDCWD, path, stat, sizeof stat) < 0)
		return procfs_is_gone(errno);
	const char *rest = strrchr(stat, ')');
	/* After the name and the letter of the state come fields 4 to 9. */
	return rest && strlen(rest) >= 4 &&
	       procfs_numbers(rest + 4, 10, fields, FLAGS + 1) == FLAGS + 1 &&
	       fields[FLAGS] & PF_EXITING;
}
