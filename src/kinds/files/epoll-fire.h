/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef NESTOR_KINDS_FILES_EPOLL_FIRE_H
#define NESTOR_KINDS_FILES_EPOLL_FIRE_H

/* Of what is not ready for anything: could its entry be let fire? 1, 0, or -1 with errno. */
int epoll_can_fire(int fd);
/* No other entry of `epoll` could be ready than that of `fd`. 0 or an errno; ENODATA: cannot. */
int epoll_fire(int epoll, int fd);

#endif
