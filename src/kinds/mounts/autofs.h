/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in an autofs; private to kinds/mounts. */
#ifndef NESTOR_KINDS_MOUNTS_AUTOFS_H
#define NESTOR_KINDS_MOUNTS_AUTOFS_H

#include "kinds/kind.h"

struct live_superblock;

bool mount_is_autofs(const MntEntry *mount);

int autofs_collect_inside(const struct live_superblock *superblock, MntAutofsEntry *autofs,
			  struct error *err);
int autofs_check_inside(const struct snapshot *snapshot, const MntEntry *entry, struct error *err);
/* By a task of its group, while it is mounted nowhere. Its root has another mode afterwards. */
int autofs_fill(const struct file_opener *opener, const MntEntry *entry, int mount_fd,
		struct error *err);
struct call_room autofs_calls(struct plan *plan, const struct task *task);

/* As mount_open_on(); whoever just follows the path waits for the daemon. */
int autofs_open(int root_fd, const char *path, int flags);

#endif
