/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files about programs share: which there are, what for, and where they are attached. */
#ifndef NESTOR_KINDS_BPF_PROGRAMS_H
#define NESTOR_KINDS_BPF_PROGRAMS_H

#include "base/table.h"
#include "kinds/bpf/bpf.h"
#include "kinds/bpf/translations.h"

struct known_program {
	struct known_program *next;
	BpfProgramEntry *record;
	const char *what;
	bool attached; /* what it was loaded for is known */
};

struct known_link {
	struct known_link *next;
	const BpfLinkEntry *record;
	const char *what;
};

/* Over a dump. */
struct known_programs {
	struct known_program *first;
	struct known_link *links;
	struct table by_number; /* the first of each */
	struct table refused;	/* of those that are not kept, by number */
	struct bpf_translations translations;
};

struct known_programs *bpf_programs_known(struct collect *collect);

/* Can programs of this kind be attached as such? 0: of any. */
bool bpf_may_attach(uint32_t type, uint32_t attach_type);
/* What programs of a kind can be attached as: in order, -1 at the end. */
int64_t bpf_attach_type(uint32_t type, size_t place);
bool bpf_is_known_type(uint32_t type);
/* Is one that was loaded for one of them, attached as such only? */
bool bpf_is_of_one_use(uint32_t type);

/*
 * original.c: what is told of a program itself, with the instructions that were loaded.
 * `attached`: how it is attached, or NOT_ATTACHED.
 */
int bpf_original_find(const struct open_file *file, int fd, int64_t attached,
		      BpfProgramEntry *record, struct error *err);
/* Names maps by descriptors where they are named by their places. */
struct bpf_insn *bpf_with_maps(struct arena *arena, const struct bpf_source *source,
			       const int *maps);

/* attachments.c. Dump: where all are attached, once all are known. */
int bpf_attachments_collect(struct collect *collect, struct error *err);
int bpf_attachments_check(const struct snapshot *snapshot, const BpfProgramEntry *record,
			  struct error *err);
/* Is this program the recorded one? 1, 0, or -1 with errno. */
int bpf_is_recorded(const BpfProgramEntry *record, int fd, uint32_t *ret_number);
/* One that is still attached where a record says; *ret_fd: -1 if there is none. */
int bpf_find_anywhere(struct file_opener *opener, const BpfProgramEntry *record,
		      uint32_t *ret_number, int *ret_fd, struct error *err);
int bpf_attachments_make(struct file_opener *opener, const BpfProgramEntry *record, int fd,
			 struct error *err);

#endif
