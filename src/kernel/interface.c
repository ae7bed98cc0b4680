// SPDX-License-Identifier: LGPL-2.1-or-later
/* Network interfaces by name; see interface.h. */
#include "kernel/interface.h"

#include <errno.h>
#include <net/if.h>

int interface_index(const char *name)
{
	unsigned index = if_nametoindex(name);

	if (!index && errno != ENODEV)
		return -1;
	return (int)index;
}
