/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text for people in which names come from anybody: paths, names of processes, words of a command
 * line. Nothing of them may steer a terminal, or look like a line of a log of its own. What is
 * printable stays as it is, in UTF-8; control characters, and bytes that are no UTF-8, are shown
 * as in C.
 */
#ifndef NESTOR_BASE_MESSAGE_H
#define NESTOR_BASE_MESSAGE_H

#include <stdarg.h>
#include <stddef.h>

/*
 * As vsnprintf, but what %s inserts is made printable; newlines of the format itself stay.
 * Returns the length of what is there. A text that does not fit ends with a whole character.
 */
size_t message_format(char *text, size_t size, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

/* Bytes of the printable character of UTF-8 at `at`; 0 if there is none. */
size_t message_printable(const char *at);

/* One name, made printable; the longest it can become is MESSAGE_GROWTH times as long. */
enum { MESSAGE_GROWTH = 4 };
size_t message_name(char *text, size_t size, const char *name);

#endif
