// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kinds/sockets/options-table.h"

#include <asm/socket.h>

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SO_RESERVE_MEM
#define SO_RESERVE_MEM 73
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif
#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY 82
#endif

/* Options that are one number, with the value that a new socket has. */
const struct socket_number socket_numbers[SOCKET_NUMBERS] = {
#define FLAG(option, member)                                          \
	{                                                             \
		option, #option, offsetof(SkOptsEntry, has_##member), \
			offsetof(SkOptsEntry, member), true           \
	}
#define NUMBER(option, member)                                        \
	{                                                             \
		option, #option, offsetof(SkOptsEntry, has_##member), \
			offsetof(SkOptsEntry, member), false          \
	}
	FLAG(SO_REUSEADDR, reuseaddr),	    FLAG(SO_REUSEPORT, so_reuseport),
	FLAG(SO_PASSCRED, so_passcred),	    FLAG(SO_PASSSEC, so_passsec),
	FLAG(SO_PASSPIDFD, passpidfd),	    FLAG(SO_DONTROUTE, so_dontroute),
	FLAG(SO_BROADCAST, so_broadcast),   FLAG(SO_KEEPALIVE, so_keepalive),
	FLAG(SO_TIMESTAMP, timestamp),	    FLAG(SO_TIMESTAMPNS, timestampns),
	FLAG(SO_RXQ_OVFL, rxq_overflow),    FLAG(SO_NO_CHECK, so_no_check),
	NUMBER(SO_OOBINLINE, so_oobinline), NUMBER(SO_PRIORITY, so_priority),
	NUMBER(SO_MARK, so_mark),	    NUMBER(SO_BUSY_POLL, busy_poll),
	NUMBER(SO_RCVLOWAT, so_rcvlowat),
#undef FLAG
#undef NUMBER
};

/*
 * Others, that the wire format has no member for, with the value that a new socket has. Those that
 * are new variants of others come after them: they say in which form times are told.
 */
const struct socket_other socket_others[SOCKET_OTHERS] = {
	{ SO_TIMESTAMPING_OLD, "SO_TIMESTAMPING", 0 },
	{ SO_TIMESTAMP_NEW, "SO_TIMESTAMP_NEW", 0 },
	{ SO_TIMESTAMPNS_NEW, "SO_TIMESTAMPNS_NEW", 0 },
	{ SO_TIMESTAMPING_NEW, "SO_TIMESTAMPING_NEW", 0 },
	{ SO_ZEROCOPY, "SO_ZEROCOPY", 0 },
	{ SO_MAX_PACING_RATE, "SO_MAX_PACING_RATE", -1 },
	{ SO_PREFER_BUSY_POLL, "SO_PREFER_BUSY_POLL", 0 },
	{ SO_RCVMARK, "SO_RCVMARK", 0 },
	{ SO_SELECT_ERR_QUEUE, "SO_SELECT_ERR_QUEUE", 0 },
	{ SO_WIFI_STATUS, "SO_WIFI_STATUS", 0 },
	{ SO_NOFCS, "SO_NOFCS", 0 },
	{ SO_DEBUG, "SO_DEBUG", 0 },
	{ SO_RCVPRIORITY, "SO_RCVPRIORITY", 0 },
	{ SO_RESERVE_MEM, "SO_RESERVE_MEM", 0 },
	{ SO_PASSRIGHTS, "SO_PASSRIGHTS", 1 }, /* 6.16; of unix sockets */
};

const struct socket_other *socket_other_of(uint32_t option)
{
	for (size_t i = 0; i < SOCKET_OTHERS; i++)
		if (socket_others[i].option == (int)option)
			return &socket_others[i];
	return NULL;
}

int socket_number_get(int fd, int option, int *ret)
{
	socklen_t length = sizeof *ret;

	*ret = 0;
	return getsockopt(fd, SOL_SOCKET, option, ret, &length);
}
