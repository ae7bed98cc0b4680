// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The lock of the network: no packet of a connection whose other end is outside of the tree may
 * come or go while its numbers are read or set, since the kernel goes on to acknowledge; and none
 * between dump and restore, since a kernel that knows of no such connection resets it.
 *
 * While nestor works the lock is a table of its own, gone with its socket (kernel/net-lock.h), so
 * a nestor that is killed leaves none. When a dump is about to end the tree a second one is made
 * that stays, unless the end does not come to be; its name is in the images. When nothing can stop
 * the end any more the sockets are put into repair mode: as such they are closed without a word,
 * and nothing of them lingers. Should nestor be killed meanwhile, the finisher does either.
 *
 * A restore locks for itself first. Right before the tree is let go the lock of the dump goes, if
 * it is there (another machine never had it), and last its own: a restore that fails leaves the
 * network locked as it was.
 */
#include "kinds/sockets/inet.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/compare.h"
#include "base/log.h"
#include "collect/collect.h"
#include "collect/finisher.h"
#include "kinds/opener.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#define STAYING_PREFIX "nestor-"
enum { STAYING_DIGITS = 16 };

static int compare(const void *a, const void *b)
{
	const struct tcp_outsider *one = a, *other = b;

	return compare_values(one->net, other->net);
}

/* How many from `first` on are of one network namespace. */
static size_t group_length(const struct tcp_outsider *outsiders, size_t count)
{
	size_t length = 1;

	while (length < count && outsiders[length].net == outsiders[0].net)
		length++;
	return length;
}

static int fail_lock(struct error *err)
{
	int refused = errno;

	if (refused == EPERM)
		fail_errno(err, ERR_NO_PRIVILEGE, "cannot lock the network");
	else
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot lock the network (nftables)");
	return fail_hint(err, "--network-lock skip goes without, where nothing can come");
}

static int make_lock(int fd, const char *name, bool owned, const struct tcp_outsider *outsiders,
		     size_t count, struct error *err)
{
	autofree struct net_lock_end *ends = malloc(count * sizeof *ends);

	if (!ends)
		return fail(err, ERR_IO, "out of memory");
	for (size_t i = 0; i < count; i++)
		inet_end_of(outsiders[i].sk, &ends[i]);
	return net_lock_make(fd, name, owned, ends, count) < 0 ? fail_lock(err) : 0;
}

/* One of ours; whoever holds the sockets has the lock. */
static int lock_group(const struct tcp_outsider *outsiders, size_t count, struct error *err)
{
	char name[NET_LOCK_NAME_SIZE];
	autoclose int fd = net_lock_open(outsiders[0].net);
	static unsigned number;

	snprintf(name, sizeof name, "nestor-now-%d-%u", (int)getpid(), number++);
	if (fd < 0)
		return fail_lock(err);
	return make_lock(fd, name, true, outsiders, count, err) ? -1 : take_fd(&fd);
}

/* ---- Dump ---- */

static bool is_unwanted(const struct collect *collect)
{
	return collect->options->externals && collect->options->externals->tcp.no_lock;
}

int tcp_lock_begin(struct collect *collect, struct tcp_lock *lock, struct error *err)
{
	if (!lock->count || is_unwanted(collect))
		return 0;
	lock->fds = arena_array(collect->arena, int, lock->count);
	qsort(lock->outsiders, lock->count, sizeof *lock->outsiders, compare);
	for (size_t i = 0, length; i < lock->count; i += length) {
		length = group_length(&lock->outsiders[i], lock->count - i);
		int fd = lock_group(&lock->outsiders[i], length, err);
		if (fd < 0)
			return -1;
		lock->fds[lock->n_fds++] = fd;
	}
	return 0;
}

int tcp_lock_name(struct collect *collect, struct tcp_lock *lock, struct error *err)
{
	InventoryEntry *inventory = collect_inventory(collect);
	uint64_t number;

	inventory->has_network_lock_method = true;
	inventory->network_lock_method =
		is_unwanted(collect) ? NETWORK_LOCK_SKIP : NETWORK_LOCK_NFTABLES;
	if (!lock->n_fds || collect->options->leave_running)
		return 0;
	if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
		return fail_errno(err, ERR_KERNEL_REFUSED, "no random number");
	lock->staying_name =
		arena_printf(collect->snapshot->arena, STAYING_PREFIX "%016" PRIx64, number);
	inventory->network_lock = lock->staying_name;
	return 0;
}

/* In the namespace of a socket: those that were found are closed by now. */
static int open_there(const struct tcp_outsider *outsider)
{
	if (outsider->net < 0)
		return net_lock_open(-1);
	autoclose int fd = socket_duplicate(outsider->target, outsider->number);
	autoclose int net = fd < 0 ? -1 : ioctl(fd, SIOCGSKNS);
	return net < 0 ? -1 : net_lock_open(net);
}

static void unlock_here(const struct finisher_job *job, int fd)
{
	autoclose int lock = net_lock_open(-1);

	(void)fd;
	if (lock >= 0)
		net_lock_delete(lock, job->name);
}

static void unlock_there(const struct finisher_job *job, int fd)
{
	autoclose int net = ioctl(fd, SIOCGSKNS);
	autoclose int lock = net < 0 ? -1 : net_lock_open(net);

	if (lock >= 0)
		net_lock_delete(lock, job->name);
}

static int undo_later(struct collect *collect, const struct tcp_outsider *outsider,
		      const char *name, struct error *err)
{
	bool is_here = outsider->net < 0;
	struct finisher_job job = { 0 };

	if (!is_here)
		job = finisher_job_of(outsider->target, outsider->number);
	job.work = is_here ? unlock_here : unlock_there;
	snprintf(job.name, sizeof job.name, "%s", name);
	return finisher_undo(collect->finisher, &job, err);
}

static int make_staying(struct collect *collect, const struct tcp_lock *lock, struct error *err)
{
	for (size_t i = 0, length; i < lock->count; i += length) {
		length = group_length(&lock->outsiders[i], lock->count - i);
		autoclose int fd = open_there(&lock->outsiders[i]);
		if (fd < 0)
			return fail_lock(err);
		if (undo_later(collect, &lock->outsiders[i], lock->staying_name, err))
			return -1;
		if (make_lock(fd, lock->staying_name, false, &lock->outsiders[i], length, err))
			return -1;
	}
	log_info("dump", "nestor",
		 "the network stays locked for %zu TCP connections: table inet %s", lock->count,
		 lock->staying_name);
	return 0;
}

int tcp_lock_stay(struct collect *collect, const struct tcp_lock *lock, struct error *err)
{
	return lock->staying_name ? make_staying(collect, lock, err) : 0;
}

int tcp_lock_silence(const struct tcp_lock *lock, struct error *err)
{
	for (size_t i = 0; i < lock->count; i++) {
		autoclose int fd =
			socket_duplicate(lock->outsiders[i].target, lock->outsiders[i].number);
		if (fd < 0 || tcp_silence(fd) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot silence a connection");
	}
	return 0;
}

void tcp_lock_end(struct tcp_lock *lock)
{
	while (lock->n_fds)
		close(lock->fds[--lock->n_fds]);
}

/* ---- Restore ---- */

static bool is_staying_name(const char *name)
{
	size_t prefix = strlen(STAYING_PREFIX);

	return strncmp(name, STAYING_PREFIX, prefix) == 0 &&
	       strlen(name) == prefix + STAYING_DIGITS &&
	       strspn(name + prefix, "0123456789abcdef") == STAYING_DIGITS;
}

static bool is_without_lock(const struct file_opener *opener)
{
	const InventoryEntry *inventory = opener->snapshot->inventory;

	return inventory && inventory->has_network_lock_method &&
	       inventory->network_lock_method == NETWORK_LOCK_SKIP;
}

int tcp_lock_again(struct file_opener *opener, struct tcp_outsider *outsiders, size_t count,
		   struct error *err)
{
	if (is_without_lock(opener))
		return 0;
	qsort(outsiders, count, sizeof *outsiders, compare);
	for (size_t i = 0, length; i < count; i += length) {
		length = group_length(&outsiders[i], count - i);
		int fd = lock_group(&outsiders[i], length, err);
		if (fd < 0)
			return -1;
		opener_hold(opener, fd);
		for (size_t k = i; k < i + length; k++)
			outsiders[k].lock = fd;
	}
	return 0;
}

/* By the sockets that lock it now: the namespaces themselves are not at hand any more. */
int tcp_unlock_staying(const struct file_opener *opener, const struct tcp_outsider *outsiders,
		       size_t count, struct error *err)
{
	const InventoryEntry *inventory = opener->snapshot->inventory;
	const char *name = inventory ? inventory->network_lock : NULL;

	if (!name)
		return 0;
	if (!is_staying_name(name))
		return fail(err, ERR_IMAGE_INVALID, "no name of a lock of the network");
	for (size_t i = 0, length; i < count; i += length) {
		length = group_length(&outsiders[i], count - i);
		if (net_lock_delete(outsiders[i].lock, name) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot unlock the network (table inet %s)", name);
	}
	return 0;
}
