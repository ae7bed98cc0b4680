// SPDX-License-Identifier: LGPL-2.1-or-later
/* Formatting with names that come from anybody; see message.h. */
#include "base/message.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { ESCAPED_ROOM = MESSAGE_GROWTH + 1, SPECIFICATION_ROOM = 32 };

/* What the text is made in; always terminated. */
struct output {
	char *text;
	size_t size, length;
	bool full; /* something did not fit: nothing follows it */
};

/* One conversion: "%-8s". */
struct specification {
	char text[SPECIFICATION_ROOM]; /* as it is written, with numbers in place of asterisks */
	size_t length;
	int width, precision; /* -1: none */
	bool left;
	char size; /* 0, 'h', 'l', 'L' (ll), 'z', 'j', 't' */
	char conversion;
};

/* The scalar values of UTF-8 that no control character is: U+0080 to U+009F are some. */
static size_t sequence_length(const unsigned char *at, uint32_t *ret_value)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = at[0] < 0x80   ? 1
			: at[0] < 0xc2 ? 0
			: at[0] < 0xe0 ? 2
			: at[0] < 0xf0 ? 3
				       : 4;

	if (!length || at[0] > 0xf4)
		return 0;
	uint32_t value = length == 1 ? at[0] : at[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (at[i] & 0x3f);
	}
	if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
		return 0;
	*ret_value = value;
	return length;
}

/* Marks of the direction of writing make a name look like another one. */
static bool turns_direction(uint32_t value)
{
	return (value >= 0x202a && value <= 0x202e) || (value >= 0x2066 && value <= 0x2069) ||
	       value == 0x2028 || value == 0x2029;
}

size_t message_printable(const char *at)
{
	uint32_t value = 0;
	size_t length = sequence_length((const unsigned char *)at, &value);

	if (value < 0x20 || (value >= 0x7f && value < 0xa0) || turns_direction(value))
		return 0;
	return length;
}

static size_t escape(char escaped[ESCAPED_ROOM], unsigned char byte)
{
	static const char named[] = "\a\b\t\n\v\f\r", letters[] = "abtnvfr";
	const char *known = byte ? strchr(named, byte) : NULL;

	if (known)
		return (size_t)snprintf(escaped, ESCAPED_ROOM, "\\%c", letters[known - named]);
	return (size_t)snprintf(escaped, ESCAPED_ROOM, "\\x%02x", byte);
}

static void put(struct output *output, const char *bytes, size_t length)
{
	if (output->full || output->length + length >= output->size) {
		output->full = true;
		return;
	}
	memcpy(output->text + output->length, bytes, length);
	output->length += length;
	output->text[output->length] = '\0';
}

static void put_name(struct output *output, const char *name, size_t limit)
{
	for (size_t at = 0; at < limit && name[at];) {
		char escaped[ESCAPED_ROOM], next[5] = "";
		/* What is beyond the limit may not be there. */
		memcpy(next, name + at, strnlen(name + at, limit - at < 4 ? limit - at : 4));
		size_t length = message_printable(next);
		if (length)
			put(output, name + at, length);
		else
			put(output, escaped, escape(escaped, (unsigned char)name[at]));
		at += length ? length : 1;
	}
}

static void pad(struct output *output, int width, size_t length)
{
	for (; width > 0 && (size_t)width > length; width--)
		put(output, " ", 1);
}

static void put_string(struct output *output, const struct specification *specification,
		       const char *string)
{
	size_t limit = specification->precision < 0 ? SIZE_MAX : (size_t)specification->precision;
	size_t length = strnlen(string ? string : "(null)", limit);

	if (!specification->left)
		pad(output, specification->width, length);
	put_name(output, string ? string : "(null)", limit);
	if (specification->left)
		pad(output, specification->width, length);
}

/* ---- Formats ---- */

static void add(struct specification *specification, char letter)
{
	if (specification->length + 1 < sizeof specification->text)
		specification->text[specification->length++] = letter;
}

/* A width or a precision; an asterisk takes it from the arguments. */
static int take_number(const char **format, struct specification *specification, va_list *args)
{
	int number = 0;

	if (**format == '*') {
		char digits[16];
		++*format;
		number = va_arg(*args, int);
		snprintf(digits, sizeof digits, "%d", number);
		for (const char *digit = digits; *digit; digit++)
			add(specification, *digit);
		return number;
	}
	for (; **format >= '0' && **format <= '9'; ++*format) {
		add(specification, **format);
		number = number * 10 + (**format - '0');
	}
	return number;
}

static void take_size(const char **format, struct specification *specification)
{
	while (**format && strchr("hlzjt", **format)) {
		specification->size = specification->size == 'l' ? 'L' : **format;
		add(specification, *(*format)++);
	}
}

/* *format is behind the percent sign, and then behind the conversion. */
static struct specification take_specification(const char **format, va_list *args)
{
	struct specification specification = { .text = "%", .length = 1, .precision = -1 };

	for (; **format && strchr("-+ #0", **format); ++*format) {
		specification.left |= **format == '-';
		add(&specification, **format);
	}
	specification.width = take_number(format, &specification, args);
	if (specification.width < 0) {
		specification.left = true;
		specification.width = -specification.width;
	}
	if (**format == '.') {
		add(&specification, *(*format)++);
		specification.precision = take_number(format, &specification, args);
	}
	take_size(format, &specification);
	specification.conversion = **format;
	if (**format)
		add(&specification, *(*format)++);
	return specification;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static int print_integer(char *text, size_t room, const struct specification *specification,
			 va_list *args)
{
	const char *format = specification->text;

	switch (specification->size) {
	case 'l':
		return snprintf(text, room, format, va_arg(*args, long));
	case 'L':
		return snprintf(text, room, format, va_arg(*args, long long));
	case 'z':
		return snprintf(text, room, format, va_arg(*args, size_t));
	case 'j':
		return snprintf(text, room, format, va_arg(*args, intmax_t));
	case 't':
		return snprintf(text, room, format, va_arg(*args, ptrdiff_t));
	default:
		return snprintf(text, room, format, va_arg(*args, int));
	}
}

static void put_value(struct output *output, const struct specification *specification,
		      va_list *args)
{
	char text[64];
	int length;

	if (specification->conversion == 'p')
		length = snprintf(text, sizeof text, specification->text, va_arg(*args, void *));
	else
		length = print_integer(text, sizeof text, specification, args);
	if (length > 0)
		put(output, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

#pragma GCC diagnostic pop

size_t message_format(char *text, size_t size, const char *format, va_list args)
{
	struct output output = { .text = text, .size = size };
	va_list rest;

	text[0] = '\0';
	va_copy(rest, args);
	while (*format) {
		size_t plain = strcspn(format, "%");
		/* Of a long literal at the end of the room as much as fits. */
		for (size_t i = 0; i < plain; i++)
			put(&output, format + i, 1);
		format += plain;
		if (!*format)
			break;
		format++;
		struct specification specification = take_specification(&format, &rest);
		if (specification.conversion == '%')
			put(&output, "%", 1);
		else if (specification.conversion == 's')
			put_string(&output, &specification, va_arg(rest, const char *));
		else
			put_value(&output, &specification, &rest);
	}
	va_end(rest);
	return output.length;
}

size_t message_name(char *text, size_t size, const char *name)
{
	struct output output = { .text = text, .size = size };

	text[0] = '\0';
	put_name(&output, name, SIZE_MAX);
	return output.length;
}
