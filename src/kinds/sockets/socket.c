// SPDX-License-Identifier: LGPL-2.1-or-later
/* See socket.h. */
#include "kinds/sockets/socket.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "model/namespaces.h"
#include "kernel/aside.h"
#include "kernel/made-as.h"
#include "kernel/syscalls.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif

int socket_duplicate(const struct target *target, uint32_t number)
{
	return target_get_fd(target, number);
}

int socket_number(int fd, int option, int *ret)
{
	socklen_t length = sizeof *ret;

	*ret = 0;
	return getsockopt(fd, SOL_SOCKET, option, ret, &length);
}

int socket_ready(int fd, short events, short *ret, const char *what, struct error *err)
{
	struct pollfd ready = { .fd = fd, .events = events };

	if (poll(&ready, 1, 0) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot see what is ready", what);
	*ret = ready.revents;
	return 0;
}

int socket_net_namespace(const struct open_file *file, int fd, struct socket_net *ret,
			 struct error *err)
{
	autoclose int net = ioctl(fd, SIOCGSKNS);

	*ret = (struct socket_net){ .fd = -1 };
	if (net < 0 && errno == EPERM)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: it takes CAP_NET_ADMIN to tell which network namespace it belongs "
			    "to",
			    file->what);
	if (net < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell its network namespace",
				  file->what);
	const struct surveyed_namespace *namespace_ =
		survey_add(file->target->collect, NAMESPACE_NET, net, file->what, err);
	if (!namespace_)
		return -1;
	if (namespace_->own)
		return 0;
	*ret = (struct socket_net){ .id = namespace_->id, .fd = namespace_->fd };
	return 0;
}

int socket_check_net(const struct snapshot *snapshot, bool has_id, uint32_t id, uint32_t file_id,
		     struct error *err)
{
	const struct namespace *namespace_;

	if (!has_id || namespace_is_dumpers(snapshot, NAMESPACE_NET, id))
		return 0;
	namespace_ = snapshot_plain_namespace(snapshot, id);
	if (!namespace_ || namespace_->type != NAMESPACE_NET)
		return fail(err, ERR_IMAGE_INVALID, "socket %u belongs to no network namespace",
			    file_id);
	return 0;
}

int socket_opener_net(const struct file_opener *opener, bool has_id, uint32_t id)
{
	const struct namespace *namespace_;

	if (!has_id || namespace_is_dumpers(opener->snapshot, NAMESPACE_NET, id))
		return -1;
	namespace_ = snapshot_plain_namespace(opener->snapshot, id);
	return namespace_ ? opener->plain_namespaces[namespace_->index] : -1;
}

struct request {
	int family, type, protocol;
	const InodeOwnerEntry *owner;
};

/* Who has no capabilities enters no namespace: it is there already. */
static int make(void *data)
{
	const struct request *request = data;
	const InodeOwnerEntry *owner = request->owner;
	struct made_as before = { 0 };

	if (owner)
		before = made_as_begin(owner->uid, owner->gid, owner->without_capabilities);
	int fd = socket(request->family, request->type, request->protocol);
	made_as_end(&before);
	return fd;
}

int socket_make(int net, int family, int type, int protocol, const InodeOwnerEntry *owner)
{
	struct request request = { family, type, protocol, owner };

	return aside_in_net(net, make, &request);
}
