/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Narration for people: one sink and one level for the whole program, the only global state.
 * An error is never logged and returned: it is returned. A warning says what is done instead.
 * Lines read `0.013204 collect 1:37:4711: 214 areas, 3 shared`.
 */
#ifndef NESTOR_BASE_LOG_H
#define NESTOR_BASE_LOG_H

enum log_level { LOG_ERROR = 1, LOG_WARNING = 2, LOG_INFO = 3, LOG_DEBUG = 4 };

/* fd is borrowed and may be -1 (nothing is written). */
void log_open(int fd, enum log_level level);
int log_enabled(enum log_level level);
void log_line(enum log_level level, const char *phase, const char *subject, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                    \
	do {                                              \
		if (log_enabled(LOG_DEBUG))               \
			log_line(LOG_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
