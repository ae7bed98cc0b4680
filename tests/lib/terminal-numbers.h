/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lowest numbers of terminals, which are what others take while ours are free: a scenario whose
 * terminals have to come back under their numbers holds the low ones while it makes its own.
 */
#ifndef TESTS_LIB_TERMINAL_NUMBERS_H
#define TESTS_LIB_TERMINAL_NUMBERS_H

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { PASSED_NUMBERS = 24 };
static int passed_numbers[PASSED_NUMBERS];

static void pass_numbers(void)
{
	for (int i = 0; i < PASSED_NUMBERS; i++)
		passed_numbers[i] = posix_openpt(O_RDWR | O_NOCTTY);
}

static void leave_numbers(void)
{
	for (int i = 0; i < PASSED_NUMBERS; i++)
		close(passed_numbers[i]);
}

#endif
