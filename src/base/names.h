/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names in directories of a tree. A file system that was mounted in a user namespace lets nobody
 * make one who has no number in there (EOVERFLOW; may_create and may_o_create, fs/namei.c), and our
 * root mostly has none: then the owner of the directory does it, with our rights. What is new
 * belongs to whoever made it. All as their namesakes.
 */
#ifndef NESTOR_BASE_NAMES_H
#define NESTOR_BASE_NAMES_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

/*
 * Does the error of an open(2), or the like, tell that the path leads to nothing? Any other is
 * about who asks, and says nothing of what is there.
 */
bool names_lead_nowhere(int error);

/* Runs work(argument) with the file system ids of somebody, and all rights of ours. */
int names_as(uid_t uid, gid_t gid, int (*work)(void *argument), void *argument);

int names_open(int dir_fd, const char *name, int flags, mode_t mode); /* O_CREAT, O_TMPFILE */
int names_mkdir(int dir_fd, const char *name, mode_t mode);
int names_mkfifo(int dir_fd, const char *name, mode_t mode);
int names_mknod(int dir_fd, const char *name, mode_t mode, dev_t device);
int names_symlink(int dir_fd, const char *name, const char *target);
/* Of what a descriptor refers to. */
int names_link(int fd, int dir_fd, const char *name);
/* renameat2(2) */
int names_rename(int from_fd, const char *from, int dir_fd, const char *name, unsigned flags);

/* What names that come and go change: of a directory, last access and modification. */
int names_times(int dir_fd, struct timespec ret_times[2]);
/* 0, also where they stay as they are now, since the directory belongs to somebody else. */
int names_set_times(int dir_fd, const struct timespec times[2]);

#endif
