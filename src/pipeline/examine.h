/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A snapshot to be looked at only: of images, or of a tree that runs. */
#ifndef NESTOR_PIPELINE_EXAMINE_H
#define NESTOR_PIPELINE_EXAMINE_H

#include "base/arena.h"
#include "base/error.h"
#include "model/snapshot.h"

/* Verified as for a restore; NULL with err. */
struct snapshot *examine_images(const char *dir, struct arena *arena, struct error *err);

#endif
