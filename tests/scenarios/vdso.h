/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tasks without a vdso. */
#ifndef SCENARIO_VDSO_H
#define SCENARIO_VDSO_H

#include "scenario.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct vdso_areas {
	unsigned long starts[4], ends[4];
	size_t n, n_code; /* all, and [vdso] itself */
};

/* Its areas; those of `code` only, or all. */
static inline void vdso_find(struct vdso_areas *areas, bool code_only)
{
	char line[256];
	FILE *maps = fopen("/proc/self/maps", "re");

	*areas = (struct vdso_areas){ 0 };
	scenario_need(maps, "/proc/self/maps");
	while (areas->n < 4 && fgets(line, sizeof line, maps)) {
		bool code = strstr(line, "[vdso]");
		if ((code || (!code_only && strstr(line, "[vvar"))) &&
		    sscanf(line, "%lx-%lx", &areas->starts[areas->n], &areas->ends[areas->n]) ==
			    2) {
			areas->n++;
			areas->n_code += code;
		}
	}
	fclose(maps);
}

static inline void vdso_unmap(bool code_only)
{
	struct vdso_areas areas;

	vdso_find(&areas, code_only);
	scenario_need(areas.n_code == 1, "a vdso");
	for (size_t i = 0; i < areas.n; i++)
		scenario_need(!munmap((void *)areas.starts[i], areas.ends[i] - areas.starts[i]),
			      "munmap");
}

#endif
