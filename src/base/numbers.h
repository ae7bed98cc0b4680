/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of numbers that are in rising order. */
#ifndef NESTOR_BASE_NUMBERS_H
#define NESTOR_BASE_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a number stands; false: it does not. */
bool numbers_find(const uint32_t *numbers, size_t count, uint32_t wanted, size_t *ret_place);

#endif
