/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef NESTOR_KINDS_FILES_EVENTFD_CGROUP_H
#define NESTOR_KINDS_FILES_EVENTFD_CGROUP_H

#include "kinds/kind.h"

int eventfd_refuse_cgroup(const struct open_file *file, struct error *err);

#endif
