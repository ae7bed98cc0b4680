/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading one image file from memory: framing and records, for untrusted bytes. Everything that
 * parses image bytes goes through here; fuzzed by tests/fuzz.
 */
#ifndef NESTOR_IMAGES_PARSE_H
#define NESTOR_IMAGES_PARSE_H

#include "base/error.h"
#include "model/snapshot.h"

#include <stddef.h>
#include <stdint.h>

/* Adds the records of the image called `name` to the snapshot; unknown names are skipped. */
int image_parse(struct snapshot *snapshot, const char *name, const uint8_t *bytes, size_t size,
		struct error *err);

#endif
