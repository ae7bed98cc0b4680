// SPDX-License-Identifier: LGPL-2.1-or-later
/* Errors as values; see error.h. */
#include "base/error.h"

#include "base/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	const char *meaning;
} names[ERR_COUNT] = {
	[ERR_NONE] = { "none", "no error" },
#define ERROR(symbol, name, meaning) [ERR_##symbol] = { name, meaning },
#include "base/errors.def"
#undef ERROR
};

const char *error_name(enum error_name name)
{
	return names[name].name;
}

const char *error_meaning(enum error_name name)
{
	return names[name].meaning;
}

static void __attribute__((format(printf, 4, 0)))
record(struct error *err, enum error_name name, int os_errno, const char *format, va_list args)
{
	if (err->name != ERR_NONE)
		return;
	err->name = name;
	err->os_errno = os_errno;
	err->passing = false;
	err->hint[0] = err->option[0] = '\0';
	size_t used = message_format(err->text, sizeof err->text, format, args);
	if (os_errno)
		snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(os_errno));
}

int fail(struct error *err, enum error_name name, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	record(err, name, 0, format, args);
	va_end(args);
	return -1;
}

bool errno_tells_nothing(int os_errno)
{
	return os_errno == EMFILE || os_errno == ENFILE || os_errno == ENOMEM ||
	       os_errno == EINTR || os_errno == EAGAIN || os_errno == EIO || os_errno == ENOSPC;
}

static bool is_shortage(int os_errno)
{
	return os_errno == EMFILE || os_errno == ENFILE || os_errno == ENOMEM ||
	       os_errno == EINTR || os_errno == EIO;
}

/* These say no more than that something could not be done. */
static bool leaves_open(enum error_name name)
{
	return name == ERR_KERNEL_REFUSED || name == ERR_IO || name == ERR_OUT_OF_MEMORY ||
	       name == ERR_LIMIT_TOO_LOW || name == ERR_PROBE_FAILED || name == ERR_PROGRAM_FAILED;
}

/* Descriptors that ran out have one name, and a hint, wherever it happens. */
static int name_limit(struct error *err, int os_errno)
{
	if (err->os_errno == os_errno && is_shortage(os_errno) && !leaves_open(err->name))
		err->name = ERR_KERNEL_REFUSED;
	if (err->os_errno == EMFILE && os_errno == EMFILE && err->name == ERR_KERNEL_REFUSED)
		err->name = ERR_LIMIT_TOO_LOW;
	if (err->hint[0] || err->os_errno != os_errno)
		return -1;
	if (os_errno == EMFILE)
		return fail_hint(err, "raise the limit of open files (ulimit -Hn)");
	if (os_errno == ENFILE)
		return fail_hint(err, "raise the system's limit of open files (fs.file-max)");
	return -1;
}

int fail_errno(struct error *err, enum error_name name, const char *format, ...)
{
	int os_errno = errno;
	va_list args;

	va_start(args, format);
	record(err, name, os_errno, format, args);
	va_end(args);
	return name_limit(err, os_errno);
}

int fail_text(struct error *err, enum error_name name, const char *text)
{
	if (err->name != ERR_NONE)
		return -1;
	*err = (struct error){ .name = name };
	snprintf(err->text, sizeof err->text, "%s", text);
	return -1;
}

int fail_while(struct error *err, const char *format, ...)
{
	char inner[sizeof err->text];
	va_list args;

	memcpy(inner, err->text, sizeof inner);
	va_start(args, format);
	size_t used = message_format(err->text, sizeof err->text, format, args);
	va_end(args);
	snprintf(err->text + used, sizeof err->text - used, ": %s", inner);
	return -1;
}

int fail_hint(struct error *err, const char *format, ...)
{
	va_list args;

	/* What would help where that is missing which was looked for does not help. */
	if (err->hint[0] && is_shortage(err->os_errno))
		return -1;
	va_start(args, format);
	message_format(err->hint, sizeof err->hint, format, args);
	va_end(args);
	return -1;
}

int fail_passing(struct error *err)
{
	err->passing = true;
	return -1;
}

/* What a shell leaves as it is. */
static bool is_plain_word(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-./:,=+@%";

	return *text && text[strspn(text, plain)] == '\0';
}

int fail_option(struct error *err, const char *option, const char *format, ...)
{
	char value[sizeof err->option], quoted[sizeof err->option * 4 + 3], *to = quoted;
	va_list args;

	snprintf(err->option, sizeof err->option, "%s", option);
	if (!format)
		return -1;
	va_start(args, format);
	vsnprintf(value, sizeof value, format, args);
	va_end(args);
	bool plain = is_plain_word(value);
	*to++ = '\'';
	for (const char *at = value; *at; at++)
		to += sprintf(to, *at == '\'' ? "'\\''" : "%c", *at);
	strcpy(to, "'");
	/* One that is cut off is none. */
	if (snprintf(err->option, sizeof err->option, "%s %s", option, plain ? value : quoted) >=
	    (int)sizeof err->option)
		err->option[0] = '\0';
	return -1;
}
