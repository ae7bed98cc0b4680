/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The descriptors of a process that are to be drawn from: those from FIRST on and before BEHIND,
 * and not more than MOST, which whoever includes this has said (an enum).
 */
#ifndef TESTS_LIB_OPEN_DESCRIPTORS_H
#define TESTS_LIB_OPEN_DESCRIPTORS_H

#include "drawing.h"

#include <fcntl.h>

static int list_open(int fds[MOST])
{
	int n = 0;

	for (int fd = FIRST; fd < BEHIND && n < MOST; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			fds[n++] = fd;
	return n;
}

static int any_open(void)
{
	int fds[MOST], n = list_open(fds);

	return n ? fds[draw((unsigned)n)] : -1;
}

#endif
