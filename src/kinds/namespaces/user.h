/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* User namespaces of a tree: which there are, their parents, owners and maps. */
#ifndef NESTOR_KINDS_NAMESPACES_USER_H
#define NESTOR_KINDS_NAMESPACES_USER_H

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

struct collect;

/* Sets user_ns_id of all tasks and of the inventory's root_ids. */
int user_namespaces_collect(struct collect *collect, struct error *err);

/*
 * The id of a user namespace that something of the tree refers to; `fd` is borrowed, `what` is for
 * messages. Namespaces met for the first time get an NsEntry, and so do those above them.
 */
int user_namespace_id(struct collect *collect, int fd, const char *what, uint32_t *ret_id,
		      struct error *err);

/* The same for the one that owns the namespace behind `fd`. */
int user_namespace_owner_id(struct collect *collect, int fd, const char *what, uint32_t *ret_id,
			    struct error *err);

/* Once all are known: reads maps and limits. */
int user_namespaces_complete(struct collect *collect, struct error *err);

/* Closes what is open, after success and failure alike. */
void user_namespaces_release(struct collect *collect);

#endif
