// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sockets bound to an address that no interface of their network namespace has (EADDRNOTAVAIL):
 * IP_FREEBIND (ip(7)) or net.ipv4.ip_nonlocal_bind was set when they were bound and is no more, the
 * address was taken away, or, of IPv6, somebody is still asked for it (IFA_F_TENTATIVE). Whether it
 * is so is tried at the dump with another socket: where the address was there it has to be there at
 * a restore as well. What is bound so is bound by the option, which anybody may set.
 */
#include "kinds/sockets/inet.h"

#include "base/cleanup.h"
#include "kinds/sockets/options-table.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <string.h>

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

static bool has_free_option(const InetSkEntry *sk)
{
	for (size_t i = 0; i < sk->n_options; i++)
		if (sk->options[i]->level == IPPROTO_IPV6 &&
		    sk->options[i]->option == IPV6_FREEBIND)
			return true;
	return sk->ip_opts && sk->ip_opts->freebind;
}

/* Does it bind at all at a restore, and not by an option that it has? */
static bool may_be_unassigned(const InetSkEntry *sk)
{
	return !inet_is_any(sk) && !inet_is_stream(sk) && !sk->has_waits_at && !tcp_has_ended(sk) &&
	       !has_free_option(sk);
}

/* Of the same family and at the same device, without a port. -1 with errno. */
static int make_trial(const InetSkEntry *sk, int fd)
{
	autoclose int trial = socket((int)sk->family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
	const int on = 1, off = 0;
	int device = 0;

	if (trial < 0 ||
	    setsockopt(trial, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0 ||
	    (sk->family == AF_INET6 &&
	     setsockopt(trial, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0))
		return -1;
	if (socket_number(fd, SO_BINDTOIFINDEX, &device) == 0 && device > 0 &&
	    setsockopt(trial, SOL_SOCKET, SO_BINDTOIFINDEX, &device, sizeof device) < 0)
		return -1;
	return take_fd(&trial);
}

int inet_unassigned_collect(int fd, InetSkEntry *sk, const char *what, struct error *err)
{
	union inet_address at;

	if (!may_be_unassigned(sk))
		return 0;
	socklen_t length = inet_source(sk, &at);
	autoclose int trial = make_trial(sk, fd);
	if (!length || trial < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot see whether its address is there", what);
	if (sk->family == AF_INET)
		at.v4.sin_port = 0;
	else
		at.v6.sin6_port = 0;
	/* Anything else has no reason in the address. */
	sk->has_unassigned = sk->unassigned =
		bind(trial, &at.any, length) < 0 && errno == EADDRNOTAVAIL;
	return 0;
}

int inet_unassigned_check(const InetSkEntry *sk, struct error *err)
{
	return sk->unassigned && !may_be_unassigned(sk)
		       ? fail(err, ERR_IMAGE_INVALID,
			      "socket %u: is not bound to an address that is not there", sk->id)
		       : 0;
}

static int set_free(const InetSkEntry *sk, int fd, int value)
{
	bool is_raw6 = sk->family == AF_INET6 && sk->type == SOCK_RAW;

	return setsockopt(fd, is_raw6 ? IPPROTO_IPV6 : IPPROTO_IP,
			  is_raw6 ? IPV6_FREEBIND : IP_FREEBIND, &value, sizeof value);
}

int inet_bind(const InetSkEntry *sk, int fd, const union inet_address *at, socklen_t length)
{
	if (!sk->unassigned)
		return bind(fd, &at->any, length);
	return set_free(sk, fd, 1) < 0 || bind(fd, &at->any, length) < 0 || set_free(sk, fd, 0) < 0
		       ? -1
		       : 0;
}
