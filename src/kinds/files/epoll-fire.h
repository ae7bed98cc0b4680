/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef NESTOR_KINDS_FILES_EPOLL_FIRE_H
#define NESTOR_KINDS_FILES_EPOLL_FIRE_H

#include <stdbool.h>

/* Of what is not ready for anything: could its entry be let fire? */
bool epoll_can_fire(int fd);
/* No other entry of `epoll` could be ready than that of `fd`. 0 or an errno; ENODATA: cannot. */
int epoll_fire(int epoll, int fd);

#endif
