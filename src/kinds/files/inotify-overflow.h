/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef NESTOR_KINDS_FILES_INOTIFY_OVERFLOW_H
#define NESTOR_KINDS_FILES_INOTIFY_OVERFLOW_H

/* All that a new instance, without watches, has to tell is IN_Q_OVERFLOW. -1 with errno. */
int inotify_make_overflow(int instance_fd);

#endif
