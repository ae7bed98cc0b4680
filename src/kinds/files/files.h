/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kinds of open file descriptions; kinds/table.c lists them. */
#ifndef NESTOR_KINDS_FILES_FILES_H
#define NESTOR_KINDS_FILES_FILES_H

#include "kinds/kind.h"

extern const struct file_kind regular_kind; /* whatever has a path, and unlinked files */
extern const struct file_kind pipe_kind;
extern const struct file_kind fifo_kind;
extern const struct file_kind eventfd_kind;
extern const struct file_kind timerfd_kind;
extern const struct file_kind signalfd_kind;
extern const struct file_kind pidfd_kind;
extern const struct file_kind epoll_kind;
extern const struct file_kind inotify_kind;
extern const struct file_kind fanotify_kind;
extern const struct file_kind tun_kind;
extern const struct task_kind epoll_signals_kind; /* what only a task itself can add */

extern const struct file_aspect locks_aspect;
extern const struct task_kind locks_kind; /* takes them */
extern const struct tree_kind locks_tree_kind;
extern const struct file_aspect owner_aspect; /* who gets SIGIO */
extern const struct file_aspect gone_process_aspect;
extern const struct file_aspect status_flags_aspect;
extern const struct file_aspect inode_owner_aspect; /* whom pipes and sockets belong to */

/* What the caller gives for a pipe or a socket stays as it is. */
bool inode_is_given(const struct file_opener *opener, const FileEntry *entry);

#endif
