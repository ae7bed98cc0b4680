/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Earlier dumps, for one that is made after them (--prev-images-dir): which pages they have, and
 * how a directory names the one before it.
 */
#ifndef NESTOR_IMAGES_CHAIN_H
#define NESTOR_IMAGES_CHAIN_H

#include "base/arena.h"
#include "images/images.h"

/* The directory of the earlier dump; a path is as seen from the later one. */
int chain_open_directory(int from_fd, const char *path, struct error *err);

/*
 * Reads the earlier dump and those that it refers to; the descriptor is taken over also by a
 * failure. Its pages are opened by images_open_pages.
 */
struct images *chain_open_earlier(int fd, struct arena *arena, struct error *err);

/* The same with all dumps before it, whether they have pages of it or not. */
struct images *chain_open_all(int fd, struct arena *arena, struct error *err);

/* What it has of a task, by its pid in images; NULL: nothing. Sources are as the next dump's. */
const struct pagemap *chain_task_pages(const struct images *images, uint32_t pid);

#endif
