/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small snapshot that has something in every image Nestor writes: a root with two threads, a
 * stopped child and a zombie in a nested pid namespace, pipes and a fifo with content, an unlinked
 * file, a packet socket with a ring in use, shared memory, a seccomp filter.
 */
#ifndef NESTOR_TESTS_SAMPLE_SNAPSHOT_H
#define NESTOR_TESTS_SAMPLE_SNAPSHOT_H

#include "images/images.h"

enum { SAMPLE_ROOT = 100, SAMPLE_THREAD = 101, SAMPLE_STOPPED = 102, SAMPLE_ZOMBIE = 103 };
enum { SAMPLE_ROOT_PAGES = 5, SAMPLE_CHILD_PAGES = 1, SAMPLE_SHARED_PAGES = 2 };
enum { SAMPLE_SHMID = 77, SAMPLE_GHOST = 0x1f, SAMPLE_RING_PART = 256 };
#define SAMPLE_GHOST_CONTENT "gone from its folder"

void sample_snapshot(struct snapshot *snapshot, struct arena *arena);

/* The unlinked file of the sample, or of what was read of it. */
const struct record *sample_ghost(const struct snapshot *snapshot);

/* Pages and the ghost file of the sample, then its records; all but the commit. */
int sample_write(struct images_writer *writer, const struct snapshot *snapshot, struct error *err);

#endif
