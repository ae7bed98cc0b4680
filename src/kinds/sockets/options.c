// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Options of sockets, socket(7). Buffers are told as twice what was set, and more than
 * net.core.wmem_max lets anybody set only SO_SNDBUFFORCE gives again, which takes CAP_NET_ADMIN. An
 * attached filter is read as the classic program that was given (SO_GET_FILTER); one of extended
 * BPF cannot be read and is refused. The interface to which a socket is bound may be gone, or never
 * have been (SO_BINDTOIFINDEX): then it is bound to a number that no interface has.
 */
#include "kinds/sockets/options.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <asm/socket.h>
#include <errno.h>
#include <linux/filter.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

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
#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

/* Options that are one number, with the value that a new socket has. */
static const struct number_row {
	int option;
	const char *name;
	size_t has, value; /* offsets in SkOptsEntry; `has` 0: always there */
	bool is_bool;
} numbers[] = {
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
static const struct other_row {
	int option;
	const char *name;
	int usual;
} others[] = {
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
/* Of SO_BUF_LOCK: which sizes somebody has set. */
enum { SEND_LOCK = 1, RECEIVE_LOCK = 2 };

/* Numbers that have members of their own. */
static const int more[] = { SO_SNDBUF, SO_RCVBUF, SO_BUF_LOCK, SO_LOCK_FILTER, SO_PEEK_OFF };
enum {
	N_NUMBERS = sizeof numbers / sizeof *numbers,
	N_OTHERS = sizeof others / sizeof *others,
	N_ASKED = N_NUMBERS + N_OTHERS + sizeof more / sizeof *more,
};

/* What is no plain number; `error`: of errno, or 0. */
struct asked_rest {
	struct timeval send, receive;
	struct linger linger;
	char device[IFNAMSIZ];
	socklen_t filter; /* instructions */
	int device_index; /* where it has no name any more */
	int times_error, linger_error, device_error, filter_error;
};

/* What all of them were when they were asked. */
struct socket_asked {
	struct asked_rest rest;
	struct {
		int option, value, error; /* of errno, or 0 */
	} of[N_ASKED];
};

/* A socket whose options are read; `asked` is NULL or has what was asked before. */
struct reading {
	int fd;
	const struct socket_asked *asked;
	const struct asked_rest *rest;
	const char *what;
};

static int get_number(int fd, int option, int *ret)
{
	socklen_t length = sizeof *ret;

	*ret = 0;
	return getsockopt(fd, SOL_SOCKET, option, ret, &length);
}

static int option_at(size_t i)
{
	if (i < N_NUMBERS)
		return numbers[i].option;
	return i < N_NUMBERS + N_OTHERS ? others[i - N_NUMBERS].option
					: more[i - N_NUMBERS - N_OTHERS];
}

/* 0 or errno. */
static int get_option(int fd, int option, void *ret, socklen_t length)
{
	return getsockopt(fd, SOL_SOCKET, option, ret, &length) < 0 ? errno : 0;
}

/* The length of a filter counts instructions, which are told to who has room for all. */
static void ask_rest(int fd, struct asked_rest *ret)
{
	*ret = (struct asked_rest){ 0 };
	ret->times_error = get_option(fd, SO_SNDTIMEO, &ret->send, sizeof ret->send);
	if (!ret->times_error)
		ret->times_error = get_option(fd, SO_RCVTIMEO, &ret->receive, sizeof ret->receive);
	ret->linger_error = get_option(fd, SO_LINGER, &ret->linger, sizeof ret->linger);
	ret->device_error = get_option(fd, SO_BINDTODEVICE, ret->device, sizeof ret->device);
	if (ret->device_error == ENODEV)
		ret->device_error = get_option(fd, SO_BINDTOIFINDEX, &ret->device_index,
					       sizeof ret->device_index);
	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &ret->filter) < 0)
		ret->filter_error = errno;
}

struct socket_asked *socket_options_ask(int fd)
{
	struct socket_asked *asked = calloc(1, sizeof *asked);

	if (asked)
		ask_rest(fd, &asked->rest);
	for (size_t i = 0; asked && i < N_ASKED; i++) {
		asked->of[i].option = option_at(i);
		if (get_number(fd, asked->of[i].option, &asked->of[i].value) < 0)
			asked->of[i].error = errno;
	}
	return asked;
}

static int read_number(const struct reading *reading, int option, int *ret)
{
	for (size_t i = 0; reading->asked && i < N_ASKED; i++)
		if (reading->asked->of[i].option == option) {
			*ret = reading->asked->of[i].value;
			errno = reading->asked->of[i].error;
			return errno ? -1 : 0;
		}
	return get_number(reading->fd, option, ret);
}

/* What a family or an older kernel does not have. */
static bool is_missing(void)
{
	return errno == ENOPROTOOPT || errno == EOPNOTSUPP;
}

/* 1, 0 where it is missing, -1 with errno; a failure is never taken for a default. */
static int get_if_known(const struct reading *reading, int option, int *ret)
{
	if (read_number(reading, option, ret) == 0)
		return 1;
	return is_missing() ? 0 : -1;
}

static int fail_read(const struct reading *reading, const char *option, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read %s", reading->what, option);
}

static int collect_numbers(SkOptsEntry *options, const struct reading *reading, struct error *err)
{
	for (size_t i = 0; i < N_NUMBERS; i++) {
		const struct number_row *row = &numbers[i];
		char *base = (char *)options;
		int value;

		if (read_number(reading, row->option, &value) < 0) {
			if (!is_missing())
				return fail_read(reading, row->name, err);
			continue;
		}
		*(protobuf_c_boolean *)(base + row->has) = true;
		if (row->is_bool)
			*(protobuf_c_boolean *)(base + row->value) = value != 0;
		else
			*(uint32_t *)(base + row->value) = (uint32_t)value;
	}
	return 0;
}

static int collect_others(SkOptsEntry *options, struct snapshot *snapshot,
			  const struct reading *reading, struct error *err)
{
	for (size_t i = 0; i < N_OTHERS; i++) {
		int value, has = get_if_known(reading, others[i].option, &value);
		if (has < 0)
			return fail_read(reading, others[i].name, err);
		if (!has || value == others[i].usual)
			continue;
		InetOptionEntry *entry = snapshot_new(snapshot, INET_OPTION_ENTRY, InetOptionEntry);
		entry->level = SOL_SOCKET;
		entry->option = (uint32_t)others[i].option;
		entry->value = value;
		options->others = arena_grow(snapshot->arena, options->others, options->n_others,
					     sizeof entry);
		options->others[options->n_others++] = entry;
	}
	return 0;
}

static int collect_times(SkOptsEntry *options, const struct reading *reading, struct error *err)
{
	const struct timeval *send = &reading->rest->send, *receive = &reading->rest->receive;

	errno = reading->rest->times_error;
	if (errno)
		return fail_read(reading, "its timeouts", err);
	options->so_snd_tmo_sec = (uint64_t)send->tv_sec;
	options->so_snd_tmo_usec = (uint64_t)send->tv_usec;
	options->so_rcv_tmo_sec = (uint64_t)receive->tv_sec;
	options->so_rcv_tmo_usec = (uint64_t)receive->tv_usec;
	return 0;
}

static int collect_buffers(SkOptsEntry *options, const struct reading *reading, struct error *err)
{
	int send, receive, lock;

	if (read_number(reading, SO_SNDBUF, &send) < 0 ||
	    read_number(reading, SO_RCVBUF, &receive) < 0)
		return fail_read(reading, "the sizes of its buffers", err);
	options->so_sndbuf = (uint32_t)send;
	options->so_rcvbuf = (uint32_t)receive;
	int has_lock = get_if_known(reading, SO_BUF_LOCK, &lock);
	if (has_lock < 0)
		return fail_read(reading, "SO_BUF_LOCK", err);
	options->has_so_buf_lock = has_lock;
	options->so_buf_lock = (uint32_t)lock;
	if (lock & SEND_LOCK && socket_buffer_check(reading->what, SO_SNDBUF, send, err))
		return -1;
	return lock & RECEIVE_LOCK ? socket_buffer_check(reading->what, SO_RCVBUF, receive, err)
				   : 0;
}

static int collect_rest(SkOptsEntry *options, struct snapshot *snapshot,
			const struct reading *reading, struct error *err)
{
	const struct asked_rest *rest = reading->rest;
	int offset, locked;

	errno = rest->linger_error;
	if (errno)
		return fail_read(reading, "SO_LINGER", err);
	options->has_so_linger = rest->linger.l_onoff != 0;
	options->so_linger = (uint32_t)rest->linger.l_linger;
	errno = rest->device_error;
	if (errno && !is_missing())
		return fail_read(reading, "SO_BINDTODEVICE", err);
	if (!errno && rest->device[0])
		options->so_bound_dev = arena_string(snapshot->arena, rest->device);
	options->has_bound_gone = rest->device_index > 0;
	options->bound_gone = (uint32_t)rest->device_index;
	if (get_if_known(reading, SO_LOCK_FILTER, &locked) < 0)
		return fail_read(reading, "SO_LOCK_FILTER", err);
	options->has_lock_filter = options->lock_filter = locked != 0;
	int has_offset = get_if_known(reading, SO_PEEK_OFF, &offset);
	if (has_offset < 0)
		return fail_read(reading, "SO_PEEK_OFF", err);
	if (has_offset && offset >= 0) {
		options->has_peek_offset = true;
		options->peek_offset = offset;
	}
	return 0;
}

/* The wire format has each instruction as one number: code, jumps, constant, from the top. */
static uint64_t filter_word(const struct sock_filter *instruction)
{
	return (uint64_t)instruction->code << 48 | (uint64_t)instruction->jt << 40 |
	       (uint64_t)instruction->jf << 32 | instruction->k;
}

static struct sock_filter filter_instruction(uint64_t word)
{
	return (struct sock_filter){ .code = (uint16_t)(word >> 48),
				     .jt = (uint8_t)(word >> 40),
				     .jf = (uint8_t)(word >> 32),
				     .k = (uint32_t)word };
}

/* The length counts instructions; EACCES: a program of extended BPF. */
static int collect_filter(SkOptsEntry *options, struct snapshot *snapshot,
			  const struct reading *reading, struct error *err)
{
	socklen_t count = reading->rest->filter;

	errno = reading->rest->filter_error;
	if (errno) {
		if (errno == EACCES)
			return fail(err, ERR_UNSUPPORTED_FILE,
				    "%s has a filter that cannot be read (extended BPF)",
				    reading->what);
		return is_missing() ? 0 : fail_read(reading, "its filter", err);
	}
	if (count == 0)
		return 0;
	struct sock_filter *code = arena_array(snapshot->arena, struct sock_filter, count);
	if (getsockopt(reading->fd, SOL_SOCKET, SO_GET_FILTER, code, &count) < 0)
		return fail_read(reading, "its filter", err);
	options->so_filter = arena_array(snapshot->arena, uint64_t, count);
	options->n_so_filter = count;
	for (size_t i = 0; i < count; i++)
		options->so_filter[i] = filter_word(&code[i]);
	return 0;
}

SkOptsEntry *socket_options_collect_asked(struct snapshot *snapshot, int fd,
					  const struct socket_asked *asked, const char *what,
					  struct error *err)
{
	struct asked_rest rest;
	const struct reading reading = { fd, asked, asked ? &asked->rest : &rest, what };
	SkOptsEntry *options = snapshot_new(snapshot, SK_OPTS_ENTRY, SkOptsEntry);

	if (!asked)
		ask_rest(fd, &rest);
	if (collect_buffers(options, &reading, err) || collect_times(options, &reading, err) ||
	    collect_numbers(options, &reading, err) ||
	    collect_others(options, snapshot, &reading, err) ||
	    collect_rest(options, snapshot, &reading, err) ||
	    collect_filter(options, snapshot, &reading, err))
		return NULL;
	return options;
}

SkOptsEntry *socket_options_collect(struct snapshot *snapshot, int fd, const char *what,
				    struct error *err)
{
	return socket_options_collect_asked(snapshot, fd, NULL, what, err);
}

static const struct other_row *other_of(uint32_t option)
{
	for (size_t i = 0; i < N_OTHERS; i++)
		if (others[i].option == (int)option)
			return &others[i];
	return NULL;
}

int socket_options_check(const SkOptsEntry *options, uint32_t file_id, struct error *err)
{
	if (options->so_snd_tmo_usec >= 1000000 || options->so_rcv_tmo_usec >= 1000000 ||
	    options->so_snd_tmo_sec > INT64_MAX || options->so_rcv_tmo_sec > INT64_MAX ||
	    options->so_sndbuf > INT32_MAX || options->so_rcvbuf > INT32_MAX ||
	    options->n_so_filter > BPF_MAXINSNS ||
	    (options->so_bound_dev && strlen(options->so_bound_dev) >= IFNAMSIZ))
		return fail(err, ERR_IMAGE_INVALID, "file %u: options that no socket has", file_id);
	for (size_t i = 0; i < options->n_others; i++)
		if (options->others[i]->level != SOL_SOCKET ||
		    !other_of(options->others[i]->option))
			return fail(err, ERR_IMAGE_INVALID,
				    "file %u: unknown option %u of a socket", file_id,
				    options->others[i]->option);
	return 0;
}

/* ---- Restore ---- */

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
	if (get_number(applying->fd, option, ret) < 0)
		return -1;
	if (usual && usual->n < SOCKET_MOST_USUAL) {
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
			       other_of(entry->option)->name, err))
			return -1;
	}
	return 0;
}

static int apply_number(struct applying *applying, const SkOptsEntry *options,
			const struct number_row *row, struct error *err)
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
	if (!locked || (get_number(applying->fd, option, &now) == 0 && (uint32_t)now >= size))
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

	for (size_t i = 0; i < N_NUMBERS; i++)
		if (apply_number(&applying, options, &numbers[i], err))
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
