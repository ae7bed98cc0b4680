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
#include "kinds/sockets/options-table.h"

#include <asm/socket.h>
#include <errno.h>
#include <linux/filter.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

/* Numbers that have members of their own. */
static const int more[] = { SO_SNDBUF, SO_RCVBUF, SO_BUF_LOCK, SO_LOCK_FILTER, SO_PEEK_OFF };
enum {
	N_ASKED = SOCKET_NUMBERS + SOCKET_OTHERS + sizeof more / sizeof *more,
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

static int option_at(size_t i)
{
	if (i < SOCKET_NUMBERS)
		return socket_numbers[i].option;
	return i < SOCKET_NUMBERS + SOCKET_OTHERS ? socket_others[i - SOCKET_NUMBERS].option
						  : more[i - SOCKET_NUMBERS - SOCKET_OTHERS];
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
		if (socket_number_get(fd, asked->of[i].option, &asked->of[i].value) < 0)
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
	return socket_number_get(reading->fd, option, ret);
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
	for (size_t i = 0; i < SOCKET_NUMBERS; i++) {
		const struct socket_number *row = &socket_numbers[i];
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
	for (size_t i = 0; i < SOCKET_OTHERS; i++) {
		int value, has = get_if_known(reading, socket_others[i].option, &value);
		if (has < 0)
			return fail_read(reading, socket_others[i].name, err);
		if (!has || value == socket_others[i].usual)
			continue;
		InetOptionEntry *entry = snapshot_new(snapshot, INET_OPTION_ENTRY, InetOptionEntry);
		entry->level = SOL_SOCKET;
		entry->option = (uint32_t)socket_others[i].option;
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
		    !socket_other_of(options->others[i]->option))
			return fail(err, ERR_IMAGE_INVALID,
				    "file %u: unknown option %u of a socket", file_id,
				    options->others[i]->option);
	return 0;
}
