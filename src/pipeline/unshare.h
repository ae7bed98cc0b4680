/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nestor restore --unshare: which fresh namespaces a restored tree gets. */
#ifndef NESTOR_PIPELINE_UNSHARE_H
#define NESTOR_PIPELINE_UNSHARE_H

#include "base/error.h"

#include <stdbool.h>

struct unsharing {
	bool pid;	/* a fresh pid namespace */
	bool automatic; /* the same, where an id is taken */
	bool mounts;	/* with the fresh pid namespace, a mount namespace with a /proc of it */
	/* The own mount namespace and directory while in another; -1: at home. */
	int home_fd, directory_fd;
};

/* `text` is the argument of --unshare; NULL: none. */
int unsharing_parse(struct unsharing *unsharing, const char *text, struct error *err);

/* Into a mount namespace for the tree, whose mounts nobody else sees; and back. */
int unsharing_leave_home(struct unsharing *unsharing, struct error *err);
int unsharing_come_home(struct unsharing *unsharing, struct error *err);

#endif
