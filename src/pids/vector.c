// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading pid vectors; see vector.h. */
#include "pids/vector.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

int pid_vector_parse(const char *text, uint32_t least, uint32_t *numbers, size_t room,
		     struct error *err)
{
	const char *at = text;

	for (size_t count = 0; count < room; at++) {
		char *end;

		errno = 0;
		unsigned long number = strtoul(at, &end, 10);
		/* strtoul would take blanks and signs. */
		if (!isdigit((unsigned char)*at) || (*end && *end != ':'))
			return fail(err, ERR_USAGE,
				    "\"%s\" is no pid vector: numbers with colons between them, "
				    "innermost namespace first",
				    text);
		if (errno || number < least || number > INT32_MAX)
			return fail(err, ERR_USAGE, "number %zu of %s is no process id", count + 1,
				    text);
		numbers[count++] = (uint32_t)number;
		at = end;
		if (!*at)
			return (int)count;
	}
	return fail(err, ERR_USAGE, "%s has more than %zu numbers", text, room);
}
