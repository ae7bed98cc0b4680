/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers that are the same everywhere for the same seed, and damage to bytes by them. */
#ifndef NESTOR_FUZZ_DAMAGE_H
#define NESTOR_FUZZ_DAMAGE_H

#include <stddef.h>
#include <stdint.h>

/* state must not be 0. */
uint64_t next_random(uint64_t *state);
size_t below(uint64_t *random, size_t limit);

/* One piece of damage to `size` bytes that have room for twice as many; returns the new size. */
size_t damage(uint8_t *bytes, size_t size, uint64_t *random);

#endif
