// SPDX-License-Identifier: LGPL-2.1-or-later
/* See socket.h. */
#include "kinds/sockets/socket.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kernel/syscalls.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif

int socket_duplicate(const struct target *target, uint32_t number)
{
	autoclose int pidfd = target_pidfd(target);

	return pidfd < 0 ? -1 : kernel_pidfd_getfd(pidfd, (int)number, 0);
}

int socket_number(int fd, int option, int *ret)
{
	socklen_t length = sizeof *ret;

	*ret = 0;
	return getsockopt(fd, SOL_SOCKET, option, ret, &length);
}

bool socket_is_of_family(const struct open_file *file, int family)
{
	int domain;

	if (!S_ISSOCK(file->stat.st_mode) || strncmp(file->link, "socket:[", 8) != 0)
		return false;
	autoclose int fd = socket_duplicate(file->target, file->number);
	return fd >= 0 && socket_number(fd, SO_DOMAIN, &domain) == 0 && domain == family;
}

int socket_get(const struct open_file *file, struct error *err)
{
	int fd = socket_duplicate(file->target, file->number);

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot get the descriptor",
				  file->what);
	return fd;
}

int socket_net_namespace(int fd, const char *what, struct error *err)
{
	autoclose int net = ioctl(fd, SIOCGSKNS);
	struct stat own, its;

	if (net < 0 && errno == EPERM) {
		fail(err, ERR_UNSUPPORTED_FILE,
		     "%s: it takes CAP_NET_ADMIN to tell which network namespace it belongs to",
		     what);
		return -2;
	}
	if (net < 0 || fstat(net, &its) < 0 || stat("/proc/self/ns/net", &own) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell its network namespace", what);
		return -2;
	}
	if (its.st_ino == own.st_ino && its.st_dev == own.st_dev)
		return -1;
	return take_fd(&net);
}
