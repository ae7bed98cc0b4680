// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-mixed-named
 * promise: what memory-mixed says, for a nestor that may not look at mapped files: shared memory is
 *	read by the areas that map it, between the guards of each
 * flavours: flat three unprivileged
 * ignore: maps
 * arguments: 1 5 8 12
 */
#define ONLY_NAMED 1
#include "memory-mixed.c"
