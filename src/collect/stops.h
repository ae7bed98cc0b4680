/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between seize.c, which finds the tasks of a tree, and stops.c, which waits for them. */
#ifndef NESTOR_COLLECT_STOPS_H
#define NESTOR_COLLECT_STOPS_H

#include "collect/seize.h"

/* stops.c: until all that is known is at rest or dead */
enum stop_outcome found_tree_wait(struct found_tree *tree, struct error *err);
void found_task_release(struct found_task *task);

/* seize.c */
void found_task_gone(struct found_tree *tree, struct found_task *task);
/* A zombie, unless there are others. Of a process that is just ending those will be seen to die. */
int found_task_leader_dead(struct found_tree *tree, struct found_task *task, bool seized,
			   struct error *err);

#endif
