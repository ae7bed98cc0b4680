// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Numbers in headers of archives: octal digits, or, as GNU tar has what is too large for these,
 * bytes behind a first one whose highest bit is set, the highest first, as a complement of two.
 * Extended headers have decimal ones. What is none of these is never taken for 0, which is root.
 */
#include "kinds/mounts/tar.h"

#include <errno.h>
#include <stdlib.h>

static bool is_end(char character)
{
	return character == ' ' || character == '\0';
}

static bool read_bytes(const unsigned char *field, size_t size, uint64_t *ret)
{
	bool negative = field[0] & 0x40;
	uint64_t value = negative ? UINT64_MAX : 0;

	for (size_t i = 0; i < size; i++) {
		uint8_t byte = i ? field[i] : negative ? field[i] : field[i] & 0x7f;
		if (value >> 56 != (negative ? 0xff : 0))
			return false;
		value = value << 8 | byte;
	}
	*ret = value;
	return true;
}

bool tar_field(const char *field, size_t size, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i = 0;

	if (field[0] & 0x80)
		return read_bytes((const unsigned char *)field, size, ret);
	while (i < size && field[i] == ' ')
		i++;
	for (; i < size && field[i] >= '0' && field[i] <= '7'; i++)
		value = value << 3 | (uint64_t)(field[i] - '0');
	if (i < size && !is_end(field[i]))
		return false;
	*ret = value;
	return true;
}

bool tar_decimal(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	uint64_t value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno)
		return false;
	*ret = value;
	return true;
}

bool tar_time(const char *text, struct timespec *ret_time)
{
	char *end;
	long long seconds = strtoll(text, &end, 10);
	long nanoseconds = 0, unit = 100000000;

	if (*end == '.')
		for (const char *at = end + 1; *at >= '0' && *at <= '9'; at++, unit /= 10)
			nanoseconds += (*at - '0') * unit;
	*ret_time = (struct timespec){ .tv_sec = (time_t)seconds, .tv_nsec = nanoseconds };
	return end != text && nanoseconds < 1000000000;
}
