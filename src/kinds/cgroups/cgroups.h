/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cgroups of tasks, and the directories of cgroups at a restore. */
#ifndef NESTOR_KINDS_CGROUPS_CGROUPS_H
#define NESTOR_KINDS_CGROUPS_CGROUPS_H

#include "kinds/kind.h"
#include "model/cgroups.h"

enum { MAX_CGROUP_PATH = 4000 };

extern const struct task_kind cgroups_kind;
extern const struct file_kind bpf_program_kind;

/* A set of the lines of /proc/PID/cgroup; NULL with err. */
CgSetEntry *cgroup_parse_set(struct snapshot *snapshot, const char *text, uint32_t id,
			     struct error *err);
/* Is it one that can be walked down from the root? */
bool cgroup_is_path(const char *path);

/* Once all tasks are seen: what is put into cgroup.img. */
int cgroups_complete(struct collect *collect, struct error *err);

/*
 * directories.c: cgroup.procs of a cgroup, for a descriptor that moves whoever writes to it.
 * Makes what is not there, as far as the mode allows it.
 */
int cgroup_open(struct file_opener *opener, const CgMemberEntry *member, enum cgroup_mode mode,
		struct error *err);
/* The root of a hierarchy, as our cgroup namespace shows it; -1 with errno. */
int cgroup_open_hierarchy(struct arena *arena, const char *name);
/* The directory of a cgroup that is there (O_PATH). */
int cgroup_open_directory(struct file_opener *opener, const CgMemberEntry *member,
			  struct error *err);
/* Moves one thread; where the cgroup is not the tree's own, to where we are. */
int cgroup_move_thread(struct file_opener *opener, const CgMemberEntry *member, bool own, pid_t tid,
		       struct error *err);

#endif
