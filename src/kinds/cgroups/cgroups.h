/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cgroups of tasks, and the directories of cgroups at a restore. */
#ifndef NESTOR_KINDS_CGROUPS_CGROUPS_H
#define NESTOR_KINDS_CGROUPS_CGROUPS_H

#include "kinds/kind.h"
#include "model/cgroups.h"

enum { MAX_CGROUP_PATH = 4000 };
/* Of version 2: which controllers those below have. */
#define CGROUP_PASSED_ON "cgroup.subtree_control"

extern const struct task_kind cgroups_kind;
extern const struct tree_kind freezer_tree_kind; /* freezer.c */
extern const struct source_opener cgroup_source; /* directories.c */
extern const struct namespace_kind cgroup_namespace_kind;
extern const struct file_aspect cgroup_events_aspect; /* events.c */

/* A set of the lines of /proc/PID/cgroup; NULL with err. */
CgSetEntry *cgroup_parse_set(struct snapshot *snapshot, const char *text, uint32_t id,
			     struct error *err);
/* Is it one that can be walked down from the root? */
bool cgroup_is_path(const char *path);

/* properties.c */
extern const struct task_kind cgroup_properties_kind;
extern const struct tree_kind cgroups_tree_kind; /* adopt.c */

/* Once all tasks are seen: what is put into cgroup.img. */
int cgroups_complete(struct collect *collect, struct error *err);

/*
 * directories.c: cgroup.procs of a cgroup, for a descriptor that moves whoever writes to it.
 * Makes what is not there, as far as the mode allows it.
 */
int cgroup_open(struct file_opener *opener, const CgMemberEntry *member, enum cgroup_mode mode,
		struct error *err);
/* Its directory, O_PATH; the same otherwise. */
int cgroup_directory_open(struct file_opener *opener, const CgMemberEntry *member,
			  enum cgroup_mode mode, struct error *err);
bool cgroup_is_made_here(struct file_opener *opener, const char *hierarchy, const char *path);
/* It gets all properties as if it were. "cpu:/a" */
void cgroup_note_made(struct file_opener *opener, const char *name);
/* The next of them, parents first: *at counts from 0; NULL at the end. */
const char *cgroup_next_made(struct file_opener *opener, size_t *at);
/* A hierarchy by its controllers or name; -1 with errno. */
int cgroup_hierarchy_open(struct arena *arena, const char *yard, const char *name);

/*
 * by-number.c: the path of a cgroup of a hierarchy by the number of its directory; it has to be
 * there. `what`: what leads to it, "a BPF link to".
 */
int cgroup_path_by_number(const struct open_file *file, const char *hierarchy, const char *what,
			  uint64_t number, char **ret_path, struct error *err);

/*
 * properties-read.c: what is recorded of the cgroups of a tree besides who is in them;
 * properties.c: what a new one ("cpu:/a") gets of that before anybody comes.
 */
int cgroup_properties_collect(struct collect *collect, CgroupEntry *cgroups, struct error *err);
/*
 * Also those below the root of a cgroup namespace, which nobody may be in: all that it shows is the
 * tree's own, and a service manager goes on to make cgroups in there.
 */
int cgroup_properties_below(struct collect *collect, const CgSetEntry *roots, struct error *err);
int cgroup_properties_check(const struct snapshot *snapshot, struct error *err);
int cgroup_properties_early(struct file_opener *opener, int fd, const char *name,
			    struct error *err);
/* Of these, what it passes on to those below it. */
int cgroup_pass_on(struct file_opener *opener, int fd, const char *name, struct error *err);

/*
 * entrances.c: the roots of cgroup namespaces in version 2 take whoever makes these, and then pass
 * their controllers on. `clear` is for one that is open to nobody by what was there before.
 */
bool cgroup_entrance_is_open(struct file_opener *opener, const char *name);
int cgroup_entrance_clear(struct file_opener *opener, const CgMemberEntry *root,
			  enum cgroup_mode mode, struct error *err);
bool cgroup_entrances_are_there(const struct snapshot *snapshot);
int cgroup_entrances_close(struct file_opener *opener, struct error *err);

/*
 * freezer.c: what freezes the tree, and is thawed once all were told to stop; afterwards it is as
 * it was, unless the tree has `ended`. freezer-restore.c: right before all are let go.
 */
void freezer_record(const struct collect *collect, CgroupEntry *cgroups); /* again: no more */
int freezer_let_go(const struct plan *plan, struct file_opener *opener, struct error *err);
int freezer_check(int directory, const char *hierarchy, const char *path, struct error *err);
/* "cpu,cpuacct" */
const char *cgroup_hierarchy_name(struct arena *arena, const CgControllerEntry *controller);

/* Moves one thread; where the cgroup is not the tree's own, to where we are. */
int cgroup_move_thread(struct file_opener *opener, const CgMemberEntry *member, bool own, pid_t tid,
		       struct error *err);

#endif
