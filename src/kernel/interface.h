/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Network interfaces of the caller's namespace. The functions of the C library (if_nametoindex(3))
 * do not tell that there is none from that none could be looked for, as for want of the descriptor
 * that asking takes: what they leave in errno may be of something else that they tried.
 */
#ifndef NESTOR_KERNEL_INTERFACE_H
#define NESTOR_KERNEL_INTERFACE_H

#include <net/if.h>

/* The index of an interface, 0 if there is none of that name; -1 with errno. */
int interface_index(const char *name);

/* -1 with errno, which is ENXIO if there is none. */
int interface_name(unsigned index, char name[IF_NAMESIZE]);

#endif
