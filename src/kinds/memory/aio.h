/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files about AIO contexts share. */
#ifndef NESTOR_KINDS_MEMORY_AIO_H
#define NESTOR_KINDS_MEMORY_AIO_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct target;

/* Whether requests of the context with that address wait for a file; false: nobody may look. */
int aio_polls_look(struct target *target, uint64_t address, bool *ret_seen, struct error *err);

#endif
