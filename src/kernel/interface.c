// SPDX-License-Identifier: LGPL-2.1-or-later
/* Network interfaces by name and by index; see interface.h. */
#include "kernel/interface.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int ask(unsigned long request, struct ifreq *about)
{
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -1 : ioctl(fd, request, about);
}

int interface_index(const char *name)
{
	struct ifreq about = { 0 };

	if (strlen(name) >= sizeof about.ifr_name)
		return 0;
	strcpy(about.ifr_name, name);
	if (ask(SIOCGIFINDEX, &about) < 0)
		return errno == ENODEV ? 0 : -1;
	return about.ifr_ifindex;
}

int interface_name(unsigned index, char name[IF_NAMESIZE])
{
	struct ifreq about = { .ifr_ifindex = (int)index };

	if (ask(SIOCGIFNAME, &about) < 0) {
		errno = errno == ENODEV ? ENXIO : errno;
		return -1;
	}
	snprintf(name, IF_NAMESIZE, "%s", about.ifr_name);
	return 0;
}
