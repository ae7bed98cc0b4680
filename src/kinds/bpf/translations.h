/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel makes of an instruction: it depends on how it was built, and so it is asked, by
 * programs that do nothing but that.
 */
#ifndef NESTOR_KINDS_BPF_TRANSLATIONS_H
#define NESTOR_KINDS_BPF_TRANSLATIONS_H

#include "base/arena.h"
#include "kernel/bpf.h"

enum { MOST_TRANSLATED = 24 };

struct bpf_translation {
	struct bpf_insn given;
	uint32_t type, map; /* of the program; number of the map in register 1, 0: none */
	struct bpf_insn translated[MOST_TRANSLATED];
	size_t length; /* 0: the kernel does not allow it */
};

/* What has been asked; zeroed at first, and kept for more programs. */
struct bpf_translations {
	struct bpf_translation *known;
	size_t count;
	struct arena *arena;
	int shortage; /* errno of a question that was not answered, 0: none */
};

/* Of an access to a field of the context, of programs of the kind that `like` has. */
const struct bpf_translation *bpf_ask_access(struct bpf_translations *all,
					     const struct bpf_source *like,
					     const struct bpf_insn *given);
/* Of the call of a helper whose first argument is a map. */
const struct bpf_translation *bpf_ask_map_call(struct bpf_translations *all,
					       const struct bpf_source *like, uint32_t map,
					       int map_fd, int helper);
/* Of the call of a helper that takes the context, or nothing. */
const struct bpf_translation *bpf_ask_call(struct bpf_translations *all,
					   const struct bpf_source *like, int helper);

#endif
