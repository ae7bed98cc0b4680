/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Network interfaces of the caller's namespace, by their names. */
#ifndef NESTOR_KERNEL_INTERFACE_H
#define NESTOR_KERNEL_INTERFACE_H

/*
 * The index of an interface, 0 if there is none of that name. -1 with errno if that cannot be told,
 * as for want of the descriptor that asking takes: if_nametoindex(3) is 0 then, too.
 */
int interface_index(const char *name);

#endif
