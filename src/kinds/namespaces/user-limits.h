/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits of a user namespace (/proc/sys/user). */
#ifndef NESTOR_KINDS_NAMESPACES_USER_LIMITS_H
#define NESTOR_KINDS_NAMESPACES_USER_LIMITS_H

#include "base/error.h"
#include "collect/collect.h"
#include "collect/namespaces.h"

/*
 * They are read by a process that is put into each namespace for a moment; where there are many,
 * from when they are begun on, while the caller goes on. Where it may not enter one, that one's
 * entry gets none, and *ret_known is false.
 */
int user_limits_begin(struct collect *collect, const struct survey *survey, struct error *err);
int user_limits_complete(struct collect *collect, struct surveyed_namespace *namespace_,
			 bool *ret_known, struct error *err);
void user_limits_end(struct collect *collect);

#endif
