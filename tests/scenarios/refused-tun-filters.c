// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-tun-filters
 * promise: a tap whose packets a filter sorts out, which nothing can read, is refused by name, and
 *	goes on; with and without headers before its packets
 * flavours: flat three user
 * arguments: plain headers
 * refused: unsupported-file
 * not-shifted: /dev/net/tun is not for everybody
 */
#include <net/if.h>

#include "scenario.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
	struct sock_filter code[] = { { BPF_RET | BPF_K, 0, 0, 0xffff } };
	struct sock_fprog filter = { 1, code }, found = { 0 };
	struct ifreq request = { .ifr_name = "tap7" };

	scenario_begin(argc, argv);
	request.ifr_flags = strcmp(argv[2], "plain") == 0 ? IFF_TAP | IFF_NO_PI : IFF_TAP;
	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace");
	int fd = open("/dev/net/tun", O_RDWR);
	scenario_need(fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0, "no tap");
	scenario_need(ioctl(fd, TUNATTACHFILTER, &filter) == 0, "no filter");

	scenario_ready();

	scenario_check(ioctl(fd, TUNGETFILTER, &found) == 0 && found.len == 1, "it has no filter");
	return scenario_end();
}
