/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file by which a cgroup is frozen; private to kinds/cgroups. */
#ifndef NESTOR_KINDS_CGROUPS_FREEZER_H
#define NESTOR_KINDS_CGROUPS_FREEZER_H

#include <stdbool.h>

struct frozen {
	const char *hierarchy, *path;
	int fd; /* of its file */
	bool v2;
	bool asked; /* it was not frozen before */
};

/* Its name. */
const char *freezer_file(bool v2);
/* -1 with errno. */
int freezer_write(const struct frozen *frozen, bool freeze);
/* Do all in the cgroup stand, whichever one above made them? */
bool freezer_stands(int directory, bool v2);

#endif
