/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arguments of system calls as text. */
#ifndef NESTOR_PROGRAM_PRINT_DATA_H
#define NESTOR_PROGRAM_PRINT_DATA_H

#include "program/calls.h"
#include "program/program.h"

#include <stdbool.h>

void print_constant(const struct constant_set *set, uint64_t value, struct text *text);
void print_signal(uint64_t signal, struct text *text);

/*
 * What a pointer argument points to, where that is data of the set; false (and nothing added)
 * where it is not, or where the kind is not one of pointers.
 */
bool print_data(const struct program_set *set, const struct op *op, unsigned argument,
		enum argument_kind kind, struct text *text);

#endif
