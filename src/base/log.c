// SPDX-License-Identifier: LGPL-2.1-or-later
/* The log sink; see log.h. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
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

void log_line(enum log_level level, const char *phase, const char *subject, const char *format, ...)
{
	static const char *const prefix[] = { "", "Error ", "Warning ", "", "" };
	int saved = errno;
	struct timespec now;
	char line[1024];
	va_list args;

	if (!log_enabled(level))
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	long micro = (now.tv_sec - sink.start.tv_sec) * 1000000L +
		     (now.tv_nsec - sink.start.tv_nsec) / 1000;
	int used = snprintf(line, sizeof line - 1, "%ld.%06ld %s%s %s: ", micro / 1000000,
			    micro % 1000000, prefix[level], phase, subject);
	va_start(args, format);
	vsnprintf(line + used, sizeof line - 1 - (size_t)used, format, args);
	va_end(args);
	size_t length = strlen(line);
	line[length] = '\n';
	ssize_t written = write(sink.fd, line, length + 1);
	(void)written; /* a log that cannot be written must not stop the work */
	errno = saved;
}
