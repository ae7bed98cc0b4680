/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the instructions into which the kernel has translated a program to those it was given. */
#ifndef NESTOR_KINDS_CGROUPS_BPF_REBUILD_H
#define NESTOR_KINDS_CGROUPS_BPF_REBUILD_H

#include "base/arena.h"
#include "kernel/bpf.h"

/* What the kernel has been asked; zeroed at first, and kept for more programs. */
struct bpf_translations {
	struct bpf_access *known;
	size_t count;
};

/*
 * `source` comes with the translated instructions and leaves with those that were loaded, as far as
 * they can be told; whether they are the same, the tag of a program made of them shows. false:
 * there are some whose origin cannot be told.
 */
bool bpf_rebuild(struct bpf_source *source, struct bpf_translations *translations,
		 struct arena *arena);

#endif
