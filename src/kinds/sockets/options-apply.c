// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Options of sockets at a restore: what differs from what a new socket has. How they are read, and
 * which kernel rules decide: options.c.
 */
#include "kinds/sockets/options.h"

#include "base/cleanup.h"
#include "kinds/sockets/options-table.h"

#include <asm/socket.h>
#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

static struct sock_filter filter_instruction(uint64_t word)
{
	return (struct sock_filter){ .code = (uint16_t)(word >> 48),
				     .jt = (uint8_t)(word >> 40),
				     .jf = (uint8_t)(word >> 32),
				     .k = (uint32_t)word };
}

struct applying {
	int fd;
	uint32_t file_id;
	struct socket_usual *usual; /* NULL from the first option on that is set */
};

/* One option may change what another shows: what is usual is known of untouched sockets only. */
static int get_now(const struct applying *applying, int option, int *ret)
{
	struct socket_usual *usual = applying->usual;

	for (size_t i = 0; usual && i < usual->n; i++)
		if (usual->options[i].option == option) {
			*ret = usual->options[i].value;
			return 0;
		}
	if (socket_number_get(applying->fd, option, ret) < 0)
		return -1;
	if (usual) {
		assert(usual->n < SOCKET_MOST_USUAL); /* there are not so many */
		usual->options[usual->n].option = option;
		usual->options[usual->n++].value = *ret;
	}
	return 0;
}

static int set_option(struct applying *applying, int option, const void *value, socklen_t length,
		      const char *name, struct error *err)
{
	applying->usual = NULL;
	if (setsockopt(applying->fd, SOL_SOCKET, option, value, length) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "socket %u: cannot set %s",
				  applying->file_id, name);
	return 0;
}

static int apply_others(struct applying *applying, const SkOptsEntry *options, struct error *err)
{
	for (size_t i = 0; i < options->n_others; i++) {
		const InetOptionEntry *entry = options->others[i];
		int now;
		/* One that says the form of times may have come with another. */
		if (get_now(applying, (int)entry->option, &now) == 0 && now == entry->value)
			continue;
		if (set_option(applying, (int)entry->option, &entry->value, sizeof entry->value,
			       socket_other_of(entry->option)->name, err))
			return -1;
	}
	return 0;
}

static int apply_number(struct applying *applying, const SkOptsEntry *options,
			const struct socket_number *row, struct error *err)
{
	const char *base = (const char *)options;
	int wanted, now;

	if (!*(const protobuf_c_boolean *)(base + row->has))
		return 0;
	wanted = row->is_bool ? *(const protobuf_c_boolean *)(base + row->value)
			      : (int)*(const uint32_t *)(base + row->value);
	if (get_now(applying, row->option, &now) == 0 && now == wanted)
		return 0;
	return set_option(applying, row->option, &wanted, sizeof wanted, row->name, err);
}

/* The kernel doubles what it is given; FORCE knows no limit but its own smallest and largest. */
static int apply_buffer(struct applying *applying, int option, int force, uint32_t size,
			bool locked, struct error *err)
{
	const char *name = option == SO_SNDBUF ? "SO_SNDBUF" : "SO_RCVBUF";
	int now, half = (int)(size / 2);

	if (get_now(applying, option, &now) == 0 && (uint32_t)now == size)
		return 0;
	applying->usual = NULL;
	if (setsockopt(applying->fd, SOL_SOCKET, force, &half, sizeof half) == 0)
		return 0;
	if (set_option(applying, option, &half, sizeof half, name, err))
		return -1;
	/* A larger one that nobody has set the kernel finds by itself. */
	if (!locked ||
	    (socket_number_get(applying->fd, option, &now) == 0 && (uint32_t)now >= size))
		return 0;
	return fail(err, ERR_LIMIT_TOO_LOW, "socket %u: %s cannot be %u here without CAP_NET_ADMIN",
		    applying->file_id, name, size);
}

static bool has_buffers(const struct applying *applying, const SkOptsEntry *options)
{
	int send, receive, lock;

	return options->has_so_buf_lock && get_now(applying, SO_BUF_LOCK, &lock) == 0 &&
	       (uint32_t)lock == options->so_buf_lock && get_now(applying, SO_SNDBUF, &send) == 0 &&
	       (uint32_t)send == options->so_sndbuf &&
	       get_now(applying, SO_RCVBUF, &receive) == 0 &&
	       (uint32_t)receive == options->so_rcvbuf;
}

/*
 * Setting a size locks it (told since 5.14). MPTCP does not unlock it again (mptcp_setsockopt), so
 * there only what was locked is set; the kernel finds the other sizes by itself.
 */
static int apply_buffers(struct applying *applying, const SkOptsEntry *options, struct error *err)
{
	int lock = options->has_so_buf_lock ? (int)options->so_buf_lock : SEND_LOCK | RECEIVE_LOCK;

	if (has_buffers(applying, options))
		return 0;
	applying->usual = NULL;
	bool unlocks = !options->has_so_buf_lock ||
		       setsockopt(applying->fd, SOL_SOCKET, SO_BUF_LOCK, &lock, sizeof lock) == 0 ||
		       errno != EOPNOTSUPP;
	if (((unlocks || (lock & SEND_LOCK)) &&
	     apply_buffer(applying, SO_SNDBUF, SO_SNDBUFFORCE, options->so_sndbuf, lock & SEND_LOCK,
			  err)) ||
	    ((unlocks || (lock & RECEIVE_LOCK)) &&
	     apply_buffer(applying, SO_RCVBUF, SO_RCVBUFFORCE, options->so_rcvbuf,
			  lock & RECEIVE_LOCK, err)))
		return -1;
	if (unlocks && options->has_so_buf_lock)
		return set_option(applying, SO_BUF_LOCK, &lock, sizeof lock, "SO_BUF_LOCK", err);
	return 0;
}

static int apply_times(struct applying *applying, const SkOptsEntry *options, struct error *err)
{
	struct timeval send = { (time_t)options->so_snd_tmo_sec,
				(suseconds_t)options->so_snd_tmo_usec };
	struct timeval receive = { (time_t)options->so_rcv_tmo_sec,
				   (suseconds_t)options->so_rcv_tmo_usec };

	if ((send.tv_sec || send.tv_usec) &&
	    set_option(applying, SO_SNDTIMEO, &send, sizeof send, "SO_SNDTIMEO", err))
		return -1;
	if (receive.tv_sec || receive.tv_usec)
		return set_option(applying, SO_RCVTIMEO, &receive, sizeof receive, "SO_RCVTIMEO",
				  err);
	return 0;
}

static int apply_filter(struct applying *applying, const SkOptsEntry *options, struct error *err)
{
	if (!options->n_so_filter)
		return 0;
	autofree struct sock_filter *code = calloc(options->n_so_filter, sizeof *code);
	struct sock_fprog filter = { .len = (unsigned short)options->n_so_filter, .filter = code };

	if (!code)
		return fail_errno(err, ERR_KERNEL_REFUSED, "socket %u: no memory for its filter",
				  applying->file_id);
	for (size_t i = 0; i < options->n_so_filter; i++)
		code[i] = filter_instruction(options->so_filter[i]);
	return set_option(applying, SO_ATTACH_FILTER, &filter, sizeof filter, "its filter", err);
}

/* The number may be that of another interface by now. */
static int bind_to_gone(struct applying *applying, const SkOptsEntry *options, struct error *err)
{
	int index = (int)options->bound_gone;
	struct ifreq there = { .ifr_ifindex = index };

	while (ioctl(applying->fd, SIOCGIFNAME, &there) == 0)
		there.ifr_ifindex = index = index == INT32_MAX ? 1 : index + 1;
	if (errno != ENODEV)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "socket %u: cannot see which interfaces there are",
				  applying->file_id);
	return set_option(applying, SO_BINDTOIFINDEX, &index, sizeof index, "SO_BINDTOIFINDEX",
			  err);
}

static int apply_rest(struct applying *applying, const SkOptsEntry *options, struct error *err)
{
	struct linger linger = { .l_onoff = 1, .l_linger = (int)options->so_linger };

	if (options->has_so_linger &&
	    set_option(applying, SO_LINGER, &linger, sizeof linger, "SO_LINGER", err))
		return -1;
	if (options->so_bound_dev && options->so_bound_dev[0] &&
	    set_option(applying, SO_BINDTODEVICE, options->so_bound_dev,
		       (socklen_t)strlen(options->so_bound_dev) + 1, "SO_BINDTODEVICE", err))
		return -1;
	if (options->has_bound_gone && bind_to_gone(applying, options, err))
		return -1;
	if (apply_filter(applying, options, err))
		return -1;
	int lock = options->lock_filter;
	if (lock && set_option(applying, SO_LOCK_FILTER, &lock, sizeof lock, "SO_LOCK_FILTER", err))
		return -1;
	if (options->has_peek_offset)
		return set_option(applying, SO_PEEK_OFF, &options->peek_offset,
				  sizeof options->peek_offset, "SO_PEEK_OFF", err);
	return 0;
}

int socket_options_apply_new(const SkOptsEntry *options, int fd, struct socket_usual *usual,
			     uint32_t file_id, struct error *err)
{
	struct applying applying = { .fd = fd, .file_id = file_id, .usual = usual };

	for (size_t i = 0; i < SOCKET_NUMBERS; i++)
		if (apply_number(&applying, options, &socket_numbers[i], err))
			return -1;
	if (apply_others(&applying, options, err) || apply_buffers(&applying, options, err) ||
	    apply_times(&applying, options, err))
		return -1;
	return apply_rest(&applying, options, err);
}

int socket_options_apply(const SkOptsEntry *options, int fd, uint32_t file_id, struct error *err)
{
	return socket_options_apply_new(options, fd, NULL, file_id, err);
}
