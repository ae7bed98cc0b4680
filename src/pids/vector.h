/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pid vectors as people write them, innermost level first: 7:44:300. */
#ifndef NESTOR_PIDS_VECTOR_H
#define NESTOR_PIDS_VECTOR_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Reads a vector of at most `room` numbers from `least` to the largest pid_t; returns how many,
 * or -1 with ERR_USAGE.
 */
int pid_vector_parse(const char *text, uint32_t least, uint32_t *numbers, size_t room,
		     struct error *err);

#endif
