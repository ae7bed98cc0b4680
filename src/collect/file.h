/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One open file, from outside; for who goes through descriptors and through paths. */
#ifndef NESTOR_COLLECT_FILE_H
#define NESTOR_COLLECT_FILE_H

#include <stddef.h>
#include <stdint.h>

struct description;
struct error;
struct open_file;
struct target;

/* Fills `link` (in the arena) and `stat` of the file with that name in /proc/PID. */
int open_file_read_link(struct open_file *file, struct error *err);
/* fdinfo of a descriptor, into the buffer, or, if it is long, into the arena; NULL: it failed. */
const char *open_file_read_fdinfo(struct target *target, uint32_t number, char *buffer, size_t size,
				  struct error *err);
/* Its kind makes an entry; the description gets the id of it. ERR_UNSUPPORTED_FILE: of no kind. */
int open_file_collect(struct open_file *file, struct description *description, struct error *err);

#endif
