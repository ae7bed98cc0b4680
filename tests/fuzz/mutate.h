/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes to a message that leave it well-formed, and make no sense. */
#ifndef NESTOR_FUZZ_MUTATE_H
#define NESTOR_FUZZ_MUTATE_H

#include "base/arena.h"

#include <protobuf-c/protobuf-c.h>

#include <stdint.h>

/*
 * One random field, at any depth, gets an extreme value, comes or goes; or a list gets longer,
 * shorter, or another order. New parts live in the arena; what they replace is not freed.
 */
void mutate_message(ProtobufCMessage *message, struct arena *arena, uint64_t *random);

#endif
