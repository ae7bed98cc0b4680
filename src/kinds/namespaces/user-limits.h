/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits of a user namespace (/proc/sys/user). */
#ifndef NESTOR_KINDS_NAMESPACES_USER_LIMITS_H
#define NESTOR_KINDS_NAMESPACES_USER_LIMITS_H

#include "base/error.h"
#include "model/snapshot.h"

/*
 * Reads them by a process that is put into the namespace for a moment. Where we may not enter,
 * the entry gets none, and *ret_known is false.
 */
int user_limits_read(struct snapshot *snapshot, int namespace_fd, NsEntry *entry, bool *ret_known,
		     struct error *err);

#endif
