/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* events-read.c: which cgroups count an eventfd up, as far as the kernel's memory may be read. */
#ifndef NESTOR_KINDS_CGROUPS_EVENTS_H
#define NESTOR_KINDS_CGROUPS_EVENTS_H

#include "kinds/kind.h"

/* The controller whose cgroups do. */
#define EVENTS_CONTROLLER "memory"

#define EVENTS_OOM	  "memory.oom_control"
#define EVENTS_USAGE	  "memory.usage_in_bytes"
#define EVENTS_SWAP_USAGE "memory.memsw.usage_in_bytes"
#define EVENTS_PRESSURE	  "memory.pressure_level"

/* By the numbers that the kernel has for them (mm/vmpressure.c), as they are written. */
extern const char *const pressure_levels[], *const pressure_modes[];
enum { PRESSURE_LEVELS = 3, PRESSURE_MODES = 3 };

/* Fills entry->efd->cgroup_events. */
int cgroup_events_read(const struct open_file *file, FileEntry *entry, struct error *err);

/* Warns, once all are seen, if nobody may look and a cgroup is not nestor's own: the first set. */
void cgroup_events_warn(struct collect *collect, const CgroupEntry *cgroups);

#endif
