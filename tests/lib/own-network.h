/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For scenarios whose sockets nobody else is to meet: a net namespace with lo up. */
#ifndef NESTOR_TESTS_OWN_NETWORK_H
#define NESTOR_TESTS_OWN_NETWORK_H

#include "scenario.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static inline void own_network(void)
{
	struct ifreq request = { .ifr_name = "lo" };

	scenario_need(unshare(CLONE_NEWNET) == 0, "no network namespace: %s", strerror(errno));
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	scenario_need(ioctl(fd, SIOCGIFFLAGS, &request) == 0, "no lo");
	request.ifr_flags |= IFF_UP;
	scenario_need(ioctl(fd, SIOCSIFFLAGS, &request) == 0, "cannot set lo up");
	close(fd);
}

#endif
