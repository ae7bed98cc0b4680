// SPDX-License-Identifier: LGPL-2.1-or-later
/* The log sink; see log.h. */
#include "base/log.h"

#include "base/message.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

static struct {
	int fd;
	enum log_level level;
	struct timespec start;
} sink = { .fd = -1, .level = LOG_WARNING };

void log_open(int fd, enum log_level level)
{
	sink.fd = fd;
	sink.level = level;
	clock_gettime(CLOCK_MONOTONIC, &sink.start);
}

int log_enabled(enum log_level level)
{
	return sink.fd >= 0 && level <= sink.level;
}

__attribute__((format(printf, 3, 4))) static size_t add(char *line, size_t room, const char *format,
							...)
{
	va_list args;

	va_start(args, format);
	size_t length = message_format(line, room, format, args);
	va_end(args);
	return length;
}

void log_line(enum log_level level, const char *phase, const char *subject, const char *format, ...)
{
	static const char *const prefix[] = { "", "Error ", "Warning ", "", "" };
	int saved = errno;
	struct timespec now;
	char line[2 * PATH_MAX];
	va_list args;

	if (!log_enabled(level))
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	long micro = (now.tv_sec - sink.start.tv_sec) * 1000000L +
		     (now.tv_nsec - sink.start.tv_nsec) / 1000;
	size_t length = add(line, sizeof line - 1, "%ld.%06ld %s%s %s: ", micro / 1000000,
			    micro % 1000000, prefix[level], phase, subject);
	va_start(args, format);
	length += message_format(line + length, sizeof line - 1 - length, format, args);
	va_end(args);
	line[length] = '\n';
	ssize_t written = write(sink.fd, line, length + 1);
	(void)written; /* a log that cannot be written must not stop the work */
	errno = saved;
}
