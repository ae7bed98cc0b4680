// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who waits to be accepted (inet-waiting.c), by listeners and who has connected to them. */
#include "kinds/sockets/inet-known.h"

#include "base/cleanup.h"
#include "collect/collect.h"

#include <netinet/tcp.h>
#include <unistd.h>

struct looking {
	struct inet_backlog backlog;
	struct error *err;
};

static int look_who_waits(void *data)
{
	const struct looking *it = data;

	return inet_waiting_collect(&it->backlog, it->err);
}

/* 0 for all but the first of those that share an address. */
static uint32_t count_at_address(const struct inet_known *known, size_t first)
{
	const InetSkEntry *listener = known->sockets[first].sk;
	uint32_t waiting = 0;

	if (!inet_is_tcp(listener) || listener->state != TCP_LISTEN)
		return 0;
	if (!listener->opts->so_reuseport)
		return known->sockets[first].waiting;
	for (size_t i = 0; i < known->count; i++) {
		if (!inet_waiting_shares(listener, known->sockets[i].sk))
			continue;
		if (i < first)
			return 0;
		waiting += known->sockets[i].waiting;
	}
	return waiting;
}

static int get(const struct known_inet *socket, struct error *err)
{
	int fd = target_get_fd(socket->target, socket->number);

	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot get the descriptor",
				   socket->what)
		      : fd;
}

/* By descriptors of those that share its address, which are closed again. */
static int collect_at(const struct inet_known *known, const struct known_inet *listener,
		      struct inet_backlog *backlog, struct error *err)
{
	int *fds = arena_array(backlog->collect->arena, int, known->count);
	struct looking it;
	int result = 0;

	for (size_t i = 0; i < known->count && !result; i++) {
		const struct known_inet *socket = &known->sockets[i];
		if (socket != listener && (!listener->sk->opts->so_reuseport ||
					   !inet_waiting_shares(listener->sk, socket->sk)))
			continue;
		int fd = get(socket, err);
		if (fd < 0)
			result = -1;
		else
			fds[backlog->n_fds++] = fd;
	}
	backlog->fds = fds;
	it = (struct looking){ *backlog, err };
	if (!result)
		result = inet_run_in_net(listener->net, look_who_waits, &it, listener->what, err);
	for (size_t i = 0; i < backlog->n_fds; i++)
		close(fds[i]);
	return result;
}

static bool leads_to_waited_at(const struct inet_known *known, const InetSkEntry *sk)
{
	for (size_t i = 0; i < known->count; i++)
		if (known->sockets[i].waiting && known->sockets[i].sk->src_port == sk->dst_port)
			return true;
	return false;
}

/* What comes after who waits has been looked at would be lost. */
static int note_left(struct inet_known *known, struct error *err)
{
	int pauses = INET_WAITING_PAUSES;

	for (size_t i = 0; i < known->count; i++) {
		struct known_inet *client = &known->sockets[i];
		if (!inet_is_tcp(client->sk) || !tcp_is_connected(client->sk->state) ||
		    !leads_to_waited_at(known, client->sk))
			continue;
		autoclose int fd = get(client, err);
		if (fd < 0 || inet_waiting_left(fd, &pauses, client->what, &client->has_left, err))
			return -1;
	}
	return 0;
}

static int refuse_left(struct collect *collect, const struct inet_known *known, struct error *err)
{
	for (size_t i = 0; i < known->count; i++)
		if (known->sockets[i].sk->has_waits_at && known->sockets[i].has_left &&
		    inet_waiting_refuse_left(known->sockets[i].what, err) &&
		    collect_pass(collect, err))
			return -1;
	return 0;
}

int inet_collect_waiting(struct collect *collect, struct inet_known *known, bool skip,
			 struct error *err)
{
	InetSkEntry **all = arena_array(collect->arena, InetSkEntry *, known->count + 1);

	for (size_t i = 0; i < known->count; i++)
		all[i] = known->sockets[i].sk;
	if (!skip && note_left(known, err))
		return -1;
	for (size_t i = 0; i < known->count; i++) {
		const struct known_inet *listener = &known->sockets[i];
		struct inet_backlog backlog = {
			.collect = collect,
			.listener = listener->sk,
			.what = listener->what,
			.skip = skip,
			.expected = count_at_address(known, i),
			.all = all,
			.count = known->count,
		};
		if (backlog.expected && collect_at(known, listener, &backlog, err))
			return -1;
	}
	return refuse_left(collect, known, err);
}
