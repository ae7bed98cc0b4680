// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Operations as text, in the manner of strace:
 *
 *   mmap(0x7f0000000000, 8192, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) == 0x7f0000000000
 *   dup3(*0x7c0000002010, 3, O_CLOEXEC)
 *   clone3({flags=0, exit_signal=SIGCHLD, set_tid=[37, 4711]}, 88) -> child runs "task 37:4711"
 *
 * `*address` is an argument taken from a slot, `== value` the only accepted result, `== any` no
 * check at all; without either the call must not fail.
 */
#include "program/calls.h"
#include "program/print-data.h"
#include "program/program.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>

static void print_value(enum argument_kind kind, uint64_t value, struct text *text)
{
	const struct constant_set *constants = argument_constants(kind);

	if (kind == ARG_PROT && !value) {
		text_add(text, "PROT_NONE");
		return;
	}
	if (constants) {
		/* The C type is int or unsigned int: what was sign-extended reads as 32 bits. */
		if (kind != ARG_CLONE_FLAGS)
			value = (uint32_t)value;
		print_constant(constants, value, text);
		return;
	}
	switch (kind) {
	case ARG_UNSIGNED:
		text_add(text, "%" PRIu64, value);
		break;
	case ARG_FD:
	case ARG_SIGNED:
	case ARG_ID:
		text_add(text, "%" PRId32, (int32_t)value);
		break;
	case ARG_DIRECTORY:
		if ((int32_t)value == AT_FDCWD)
			text_add(text, "AT_FDCWD");
		else
			text_add(text, "%" PRId32, (int32_t)value);
		break;
	case ARG_LONG:
	case ARG_SIZE:
		text_add(text, "%" PRId64, (int64_t)value);
		break;
	case ARG_OCTAL:
		text_add(text, "0%" PRIo64, value);
		break;
	case ARG_SIGNAL:
		print_signal(value, text);
		break;
	case ARG_HEX:
	case ARG_REQUEST:
		text_add(text, value ? "0x%" PRIx64 : "%" PRIx64, value);
		break;
	default: /* an address */
		if (value)
			text_add(text, "0x%" PRIx64, value);
		else
			text_add(text, "NULL");
	}
}

static void print_argument(const struct program_set *set, const struct op *op, unsigned argument,
			   enum argument_kind kind, struct text *text)
{
	if (op->indirect >> argument & 1)
		text_add(text, "*0x%" PRIx64, op->args[argument]);
	else if (kind == ARG_PRCTL) {
		const struct call_format *format = prctl_format_find(op->args[argument]);

		if (format)
			text_add(text, "%s", format->name);
		else
			text_add(text, "0x%" PRIx64, op->args[argument]);
	} else if (!print_data(set, op, argument, kind, text))
		print_value(kind, op->args[argument], text);
}

/* Kinds of all six arguments; those beyond the format are shown only if they are not zero. */
static unsigned argument_kinds(const struct op *op, uint8_t kinds[6], const char **ret_name)
{
	const struct call_format *format = call_format_find(op->nr), *prctl;
	unsigned shown = 0;

	memset(kinds, ARG_NONE, 6);
	*ret_name = NULL;
	if (format) {
		memcpy(kinds, format->arguments, 6);
		*ret_name = format->name;
	}
	if (kinds[0] == ARG_PRCTL && !(op->indirect & 1)) {
		prctl = prctl_format_find(op->args[0]);
		if (prctl)
			memcpy(kinds + 1, prctl->arguments, 5);
	}
	for (unsigned i = 0; i < 6; i++) {
		bool used = op->args[i] || op->indirect >> i & 1;

		if (kinds[i] != ARG_NONE || used)
			shown = i + 1;
		if (kinds[i] == ARG_NONE)
			kinds[i] = ARG_HEX;
	}
	return shown;
}

static void print_call(const struct program_set *set, const struct op *op, struct text *text)
{
	uint8_t kinds[6];
	const char *name;
	unsigned shown = argument_kinds(op, kinds, &name);

	if (name)
		text_add(text, "%s(", name);
	else
		text_add(text, "syscall_%" PRIu32 "(", op->nr);
	for (unsigned i = 0; i < shown; i++) {
		text_add(text, i ? ", " : "");
		print_argument(set, op, i, kinds[i], text);
	}
	text_add(text, ")");
}

static bool gives_address(const struct op *op)
{
	return op->nr == SYS_mmap || op->nr == SYS_mremap || op->nr == SYS_shmat ||
	       op->nr == SYS_brk || op->nr == SYS_shmat;
}

static void print_number(const struct op *op, int64_t value, struct text *text)
{
	const char *name = value < 0 && value >= -4095 ? strerrorname_np((int)-value) : NULL;

	if (name)
		text_add(text, "%s", name);
	else if (gives_address(op))
		text_add(text, "0x%" PRIx64, (uint64_t)value);
	else
		text_add(text, "%" PRId64, value);
}

static const char *target_name(const struct program_set *set, const struct op *op)
{
	const struct program *program = NULL;
	size_t index;

	if (!set->linked)
		program = (const struct program *)(uintptr_t)op->target;
	else if (!program_set_find(set, op->target, &program, &index))
		program = NULL;
	return program ? program->name : "nothing";
}

static void print_result(const struct op *op, int64_t result, struct text *text)
{
	const char *meaning = result < 0 && result >= -4095 ? strerrordesc_np((int)-result) : NULL;

	text_add(text, " = ");
	print_number(op, result, text);
	if (meaning)
		text_add(text, " (%s)", meaning);
	if (op->check == CHECK_EQUALS && op->expected != result && !meaning) {
		text_add(text, " instead of ");
		print_number(op, op->expected, text);
	}
}

static void print_expectation(const struct op *op, struct text *text)
{
	if (op->check == CHECK_EQUALS) {
		text_add(text, " == ");
		print_number(op, op->expected, text);
	} else if (op->check == CHECK_NONE) {
		text_add(text, " == any");
	}
	if (op->result)
		text_add(text, ", kept at 0x%" PRIx64, op->result);
}

void op_print(const struct program_set *set, const struct op *op, const int64_t *result,
	      struct text *text)
{
	switch (op->kind) {
	case OP_CALL:
	case OP_CLONE:
		print_call(set, op, text);
		if (result)
			print_result(op, *result, text);
		else
			print_expectation(op, text);
		if (op->kind == OP_CLONE && !result)
			text_add(text, " -> child runs \"%s\"", target_name(set, op));
		break;
	case OP_WAIT:
		if (op->indirect)
			text_add(text, "wait(0x%" PRIx64 " >= *0x%" PRIx64 ")", op->args[0],
				 op->args[1]);
		else
			text_add(text, "wait(0x%" PRIx64 " >= %" PRIu32 ")", op->args[0],
				 (uint32_t)op->args[1]);
		break;
	case OP_WAKE:
		text_add(text, "wake(0x%" PRIx64 " += 1, at %" PRIu32 ")", op->args[0],
			 (uint32_t)op->args[1]);
		break;
	case OP_JUMP:
		if (op->args[0])
			text_add(text, "if (0x%" PRIx64 " >= %" PRIu32 ") ", op->args[0],
				 (uint32_t)op->args[1]);
		text_add(text, "jump(\"%s\")", target_name(set, op));
		break;
	case OP_PARK:
		text_add(text, "park()");
		break;
	case OP_LEAVE:
		text_add(text, "leave(0x%" PRIx64 ")", op->args[0]);
		break;
	default:
		text_add(text, "operation_%u()", op->kind);
	}
}

void program_print(const struct program *program, struct text *text)
{
	text_add(text, "%s:\n", program->name);
	for (size_t i = 0; i < program->n_ops; i++) {
		text_add(text, "%6zu  ", i);
		op_print(program->set, &program->ops[i], NULL, text);
		text_add(text, "\n");
	}
}

static void print_op_json(const struct program *program, size_t index, struct text *text)
{
	static const char *const kinds[] = {
		[OP_CALL] = "call",   [OP_CLONE] = "clone", [OP_WAIT] = "wait",
		[OP_WAKE] = "wake",   [OP_JUMP] = "jump",   [OP_PARK] = "park",
		[OP_LEAVE] = "leave", [OP_LOCAL] = "local",
	};
	const struct op *op = &program->ops[index];
	bool is_call = op->kind == OP_CALL || op->kind == OP_CLONE;
	struct text line;

	text_init(&line, program->set->arena);
	op_print(program->set, op, NULL, &line);
	text_add(text, "{\"index\": %zu, \"kind\": \"%s\"", index,
		 op->kind < sizeof kinds / sizeof *kinds ? kinds[op->kind] : "unknown");
	if (is_call) {
		const struct call_format *format = call_format_find(op->nr);

		text_add(text, ", \"nr\": %" PRIu32, op->nr);
		if (format)
			text_add(text, ", \"call\": \"%s\"", format->name);
		/* Strings: JSON numbers do not hold 64 bits everywhere. */
		text_add(text, ", \"arguments\": [");
		for (unsigned i = 0; i < 6; i++)
			text_add(text, "%s\"%s0x%" PRIx64 "\"", i ? ", " : "",
				 op->indirect >> i & 1 ? "*" : "", op->args[i]);
		text_add(text, "]");
	}
	if (is_call && op->check == CHECK_EQUALS)
		text_add(text, ", \"expected\": \"%" PRId64 "\"", op->expected);
	if (op->kind == OP_CLONE || op->kind == OP_JUMP) {
		text_add(text, ", \"target\": ");
		text_add_json_string(text, target_name(program->set, op));
	}
	text_add(text, ", \"text\": ");
	text_add_json_string(text, line.string);
	text_add(text, "}");
}

void program_print_json(const struct program *program, struct text *text)
{
	text_add(text, "{\"name\": ");
	text_add_json_string(text, program->name);
	text_add(text, ", \"operations\": [");
	for (size_t i = 0; i < program->n_ops; i++) {
		text_add(text, i ? ",\n  " : "\n  ");
		print_op_json(program, i, text);
	}
	text_add(text, "]}");
}
