/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests on pidfds, from linux/pidfd.h; older headers lack them. Constants only. */
#ifndef NESTOR_KERNEL_PIDFD_H
#define NESTOR_KERNEL_PIDFD_H

#include <fcntl.h>

enum {
	PIDFD_PID_NAMESPACE = 0xff05,		   /* PIDFD_GET_PID_NAMESPACE, 6.11 */
	PIDFD_PID_NAMESPACE_FOR_CHILDREN = 0xff06, /* the same: .._PID_FOR_CHILDREN_NAMESPACE */
	PIDFD_OF_THREAD = O_EXCL,		   /* PIDFD_THREAD of pidfd_open, 6.9 */
};

#endif
