/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the instructions into which the kernel has translated a program to those it was given. */
#ifndef NESTOR_KINDS_BPF_REBUILD_H
#define NESTOR_KINDS_BPF_REBUILD_H

#include "kinds/bpf/bpf.h"
#include "kinds/bpf/translations.h"

/* The maps of a program, in the order in which it names them. */
struct program_maps {
	size_t count;
	uint32_t numbers[MOST_PROGRAM_MAPS];
	int fds[MOST_PROGRAM_MAPS];
};

/*
 * `source` comes with the translated instructions and leaves with those that were loaded, as far as
 * they can be told, in which maps are named by their places among `maps`; whether they are the
 * same, the tag of a program made of them shows. Returns how many variants there are, of which this
 * is one; 0: there are instructions whose origin cannot be told.
 */
unsigned bpf_rebuild(struct bpf_source *source, const struct program_maps *maps, unsigned variant,
		     struct bpf_translations *translations);

/*
 * firewall.c: systemd's programs for IPAddressAllow=, IPAddressDeny= and IPAccounting=, of which
 * the kernel has left out what is never reached. Of those that bpf_rebuild has found: with it, the
 * variants from 0 on. false: there is no such variant.
 */
bool bpf_firewall_variant(const struct bpf_source *found, unsigned variant, size_t n_maps,
			  struct arena *arena, struct bpf_source *ret);

/*
 * object-code.c: programs in object files (ELF) that are part of files which a task has mapped, as
 * libbpf's skeletons are. `try` is told of each of that name whose maps are not more than so many.
 * 1: `try` has said yes (1), 0: to none, -1.
 */
struct object_code {
	const char *name;
	size_t n_maps;
	int (*try)(void *data, const struct bpf_insn *instructions, size_t count,
		   struct error *err);
	void *data;
};
int bpf_object_code(const struct open_file *file, const struct object_code *wanted,
		    struct error *err);

#endif
