/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Objects of extended BPF: a link has a program, a program has maps, both have types. What somebody
 * holds by a descriptor is a description; what only another object holds is a record of its own
 * (nestor-bpf-*.img). Either way it is called by the number that the kernel had given it.
 */
#ifndef NESTOR_KINDS_BPF_BPF_H
#define NESTOR_KINDS_BPF_BPF_H

#include "kernel/bpf.h"
#include "kinds/kind.h"

enum { MOST_PROGRAM_MAPS = 64, MOST_INSTRUCTIONS = 65536 };

extern const struct file_kind bpf_program_kind, bpf_map_kind, bpf_link_kind, bpf_types_kind;

/*
 * Dump: what another object of `file` has is recorded, with all that it has itself. The refusal of
 * it is one of `file`.
 */
int bpf_types_record(const struct open_file *file, uint32_t number, struct error *err);
int bpf_map_record(const struct open_file *file, uint32_t number, struct error *err);
/* `type`: how it is attached, or NOT_ATTACHED. */
enum { NOT_ATTACHED = -1 };
int bpf_program_record(const struct open_file *file, uint32_t number, int64_t type,
		       struct error *err);
/* A link has it attached there: that is none of those that stay without (BPF_PROG_ATTACH). */
void bpf_program_is_linked(const struct open_file *file, const BpfLinkEntry *link);
/* Has somebody of the tree got it? Once all descriptors are known. */
bool bpf_program_is_of_tree(struct collect *collect, uint32_t number);

/*
 * lost.c: the refusal of a description says how to go on without it; where somebody has said so, an
 * eventfd that nobody counts up takes its place: 0.
 */
int bpf_give_up(const struct open_file *file, FileEntry *entry, struct error *err);

/* map-content.c: `fd`: one that allows what is done. */
int bpf_content_read(const struct open_file *file, int fd, const BpfmapFileEntry *map,
		     struct error *err);
int bpf_content_check(const struct snapshot *snapshot, const BpfmapFileEntry *map,
		      struct error *err);
int bpf_content_fill(struct file_opener *opener, const BpfmapFileEntry *map, int fd,
		     struct error *err);

/* ring-buffers.c, cgroup-arrays.c: maps whose content is no elements. */
struct record;
bool bpf_is_ring(uint32_t type);
bool bpf_ring_is_possible(const BpfmapFileEntry *map);
bool bpf_ring_content_is_possible(const BpfmapFileEntry *map, const BpfmapDataEntry *data);
int bpf_ring_read(const struct open_file *file, int fd, const BpfmapFileEntry *map,
		  BpfmapDataEntry *data, struct record *record, struct error *err);
int bpf_ring_fill(const BpfmapFileEntry *map, const BpfmapDataEntry *data, const uint8_t *payload,
		  int fd, struct error *err);
bool bpf_has_cgroups(uint32_t type);
bool bpf_cgroups_are_possible(const BpfmapFileEntry *map, const BpfmapDataEntry *data);
int bpf_cgroups_read(const struct open_file *file, int fd, const BpfmapFileEntry *map,
		     BpfmapDataEntry *data, struct error *err);
int bpf_cgroups_fill(struct file_opener *opener, const BpfmapFileEntry *map,
		     const BpfmapDataEntry *data, int fd, struct error *err);

/* Check. NULL: it is not there. */
const BpfProgramEntry *bpf_program_find(const struct snapshot *snapshot, uint32_t number);
int bpf_program_check(const struct snapshot *snapshot, const BpfProgramEntry *record,
		      struct error *err);
int bpf_attachment_check(const struct snapshot *snapshot, uint32_t program_type, uint32_t type,
			 const char *path, uint32_t id, struct error *err);
int bpf_map_check(const struct snapshot *snapshot, uint32_t number, struct error *err);
int bpf_types_check(const struct snapshot *snapshot, uint32_t number, struct error *err);

/* Restore: a descriptor of what was made of the recorded one, each time another. */
int bpf_types_make(struct file_opener *opener, uint32_t number, struct error *err);
int bpf_map_make_recorded(struct file_opener *opener, uint32_t number, struct error *err);
int bpf_program_make(struct file_opener *opener, uint32_t number, struct error *err);
int bpf_open_cgroup(struct file_opener *opener, const char *path, struct error *err);

#endif
