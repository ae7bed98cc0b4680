/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which properties of a cgroup are recorded; private to kinds/cgroups. */
#ifndef NESTOR_KINDS_CGROUPS_WANTED_PROPERTIES_H
#define NESTOR_KINDS_CGROUPS_WANTED_PROPERTIES_H

#include "base/arena.h"
#include "base/error.h"
#include "base/texts.h"
#include "model/externals.h"
#include "model/schema.h"

#include <stdbool.h>

enum { MOST_CGROUP_VALUE = 64 * 1024, MOST_CGROUP_DEPTH = 64 };

/* Names of files, in the order in which they are to be written. */
int cgroup_wanted_properties(struct arena *arena, const struct cgroup_wishes *wishes,
			     const char *hierarchy, struct texts *ret_names, struct error *err);
/* Is there, where a task is, each controller that is chosen by --cgroup-dump-controller? */
int cgroup_check_chosen(const struct cgroup_wishes *wishes, const CgSetEntry *set,
			struct error *err);

/* Has it to be there before anybody is in the cgroup? */
bool cgroup_property_is_early(const char *name);
/* Is it the name of a file whose writing moves, ends or starts nobody? */
bool cgroup_property_is_harmless(const char *name);

#endif
