// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Listeners that let more wait than their network namespace allows by now: listen(2) takes the
 * lesser of what it is told and net.core.somaxconn of the namespace of the socket
 * (__sys_listen_socket, net/socket.c), which may have been lowered since. Where the namespace is
 * made by the restore the setting is raised for the call, and then is what it was; nobody runs
 * there meanwhile. Elsewhere it is the machine's, which is left alone: a warning says how many may
 * wait.
 */
#include "kinds/sockets/listen-room.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "kernel/aside.h"
#include "kinds/opener.h"
#include "kinds/sockets/socket.h"
#include "model/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTING "/proc/sys/net/core/somaxconn"

enum { VALUE_ROOM = 32 };

static bool is_made_here(const struct snapshot *snapshot, bool has_id, uint32_t id)
{
	const struct namespace *namespace_;

	if (!has_id || namespace_is_dumpers(snapshot, NAMESPACE_NET, id))
		return false;
	namespace_ = snapshot_plain_namespace(snapshot, id);
	return namespace_ && !namespace_->entry->ext_key;
}

static int write_value(uint32_t value)
{
	autoclose int fd = open(SETTING, O_WRONLY | O_CLOEXEC);
	char text[VALUE_ROOM];
	int length = snprintf(text, sizeof text, "%" PRIu32, value);

	return fd >= 0 && write(fd, text, (size_t)length) == length ? 0 : -1;
}

struct raising {
	uint32_t wanted, before;
	bool may;
};

/* Is there room for as many? 1, 0, or -1 with errno. */
static int raise_there(void *argument)
{
	struct raising *raising = argument;
	autoclose int fd = open(SETTING, O_RDONLY | O_CLOEXEC);
	char text[VALUE_ROOM] = "";

	if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
		return -1;
	raising->before = (uint32_t)strtoul(text, NULL, 10);
	if (raising->before >= raising->wanted)
		return 1;
	if (!raising->may)
		return 0;
	if (write_value(raising->wanted) == 0)
		return 0;
	/* In a container the settings may be there to be read only. */
	raising->may = false;
	return errno == EACCES || errno == EPERM || errno == EROFS ? 0 : -1;
}

static int lower_there(void *argument)
{
	const struct listen_room *room = argument;

	return write_value(room->before);
}

static int fail_setting(uint32_t file_id, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "socket %" PRIu32 ": cannot raise " SETTING,
			  file_id);
}

int listen_room_make(const struct file_opener *opener, const struct listen_place *place,
		     uint32_t backlog, struct listen_room *ret_room, struct error *err)
{
	struct raising raising = { .wanted = backlog,
				   .may = is_made_here(opener->snapshot, place->has_net,
						       place->net_id) };
	const int net = socket_opener_net(opener, place->has_net, place->net_id);
	int result;

	*ret_room = (struct listen_room){ .net = net };
	result = aside_in_net(net, raise_there, &raising);
	if (result < 0)
		return fail_setting(place->file_id, err);
	if (result == 1)
		return 0;
	if (!raising.may) {
		char who[VALUE_ROOM];

		snprintf(who, sizeof who, "socket %" PRIu32, place->file_id);
		log_warning("restore", who,
			    "%" PRIu32 " could wait at it to be accepted, and now %" PRIu32
			    " can, which net.core.somaxconn says",
			    backlog, raising.before);
		return 0;
	}
	ret_room->is_raised = true;
	ret_room->before = raising.before;
	return 0;
}

int listen_room_end(struct listen_room *room)
{
	int failure = errno;

	if (room->is_raised && aside_in_net(room->net, lower_there, room) < 0)
		return -1;
	errno = failure;
	return 0;
}
