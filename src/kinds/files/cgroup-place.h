/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Paths of nestor's own mount namespace that lead into cgroups which a restore makes: those of
 * tasks later than files are looked for, those that no task is in (slices of systemd) on the way.
 */
#ifndef NESTOR_KINDS_FILES_CGROUP_PLACE_H
#define NESTOR_KINDS_FILES_CGROUP_PLACE_H

#include "base/error.h"
#include "kinds/opener.h"

/* May what is not there be made? -1 with errno; ENOENT: it is elsewhere. */
int cgroup_place_check(const struct file_opener *opener, const char *path);
/* Makes the cgroups above it that are not there. -1 with errno, or with err. */
int cgroup_place_open(struct file_opener *opener, const char *path, int flags, struct error *err);
/* And that which it is itself. */
int cgroup_place_open_directory(struct file_opener *opener, const char *path, int flags,
				struct error *err);

#endif
