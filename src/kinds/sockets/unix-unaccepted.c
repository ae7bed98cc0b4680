// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The queue of a listener holds one message for each client, which belongs to the socket that
 * accept(2) will return (unix_stream_connect, net/unix/af_unix.c); what the client has sent is in
 * the queue of that one. To each message there belong the process that sent it, and its ids.
 *
 * Nobody else changes these queues while the tree is stopped but who shares a socket with it; what
 * is found is held against the kernel's own counts, and pointers that lead back.
 *
 * Refused: descriptors on their way that nobody has open besides, since they are found by where
 * the kernel has them; a message of another process than the one that connected; and where pages
 * cannot be found (kernel-pages.h), more than fits in the linear part of a message (about 3.7 KiB
 * in one call).
 */
#include "kinds/sockets/unix-unaccepted.h"

#include "base/arena.h"
#include "collect/read-kernel.h"
#include "kinds/sockets/kernel-message.h"

#include <string.h>

enum {
	MOST_MESSAGES = 1 << 16,
	MOST_GROUPS = 65536,
	LONGEST_MESSAGE = 1 << 24,
	MOST_RIGHTS = 253 /* SCM_MAX_FD */
};

#define OWN_PLACES(X)                              \
	X(TASK_PID, "task_struct", "thread_pid")   \
	X(SK_PEER_PID, "sock", "sk_peer_pid")      \
	X(SK_PEER_CRED, "sock", "sk_peer_cred")    \
	X(UNIX_PEER, "unix_sock", "peer")          \
	X(UNIX_ADDRESS, "unix_sock", "addr")       \
	X(MESSAGE_SK, "sk_buff", "sk")             \
	X(CONTROL_PID, "unix_skb_parms", "pid")    \
	X(CONTROL_UID, "unix_skb_parms", "uid")    \
	X(CONTROL_GID, "unix_skb_parms", "gid")    \
	X(CONTROL_RIGHTS, "unix_skb_parms", "fp")  \
	X(RIGHTS_COUNT, "scm_fp_list", "count")    \
	X(RIGHTS_FILES, "scm_fp_list", "fp")       \
	X(CRED_UID, "cred", "uid")                 \
	X(CRED_GID, "cred", "gid")                 \
	X(CRED_EUID, "cred", "euid")               \
	X(CRED_EGID, "cred", "egid")               \
	X(CRED_GROUPS, "cred", "group_info")       \
	X(GROUPS_COUNT, "group_info", "ngroups")   \
	X(GROUPS_IDS, "group_info", "gid")         \
	X(PID_LEVEL, "pid", "level")               \
	X(PID_TASKS, "pid", "tasks")               \
	X(PID_NUMBERS, "pid", "numbers")           \
	X(UPID_SIZE, "upid", "")                   \
	X(UPID_NUMBER, "upid", "nr")               \
	X(UPID_NAMESPACE, "upid", "ns")            \
	X(PID_NAMESPACE_NS, "pid_namespace", "ns") \
	X(NS_INODE, "ns_common", "inum")           \
	X(UNIX_URGENT, "unix_sock", "oob_skb") /* last: not in every kernel */

KERNEL_PLACES_AFTER(SOCKET_AND_MESSAGE_PLACES, N_MESSAGE_PLACES, OWN_PLACES, UNIX_URGENT);

static void read_pid(struct kernel_reader *by, uint64_t pid, struct unix_seen_pid *ret)
{
	uint32_t level = kernel_number(by, pid, PID_LEVEL);

	*ret = (struct unix_seen_pid){ 0 };
	if (level >= sizeof ret->numbers / sizeof *ret->numbers)
		kernel_has_changed(by);
	if (by->failure)
		return;
	for (uint32_t i = 0; i <= level; i++) {
		uint64_t at =
			kernel_inside(by, pid, PID_NUMBERS) + i * by->places[UPID_SIZE].offset;
		uint64_t ns =
			kernel_inside(by, kernel_pointer(by, at, UPID_NAMESPACE), PID_NAMESPACE_NS);
		ret->numbers[i] = kernel_number(by, at, UPID_NUMBER);
		ret->inodes[i] = kernel_number(by, ns, NS_INODE);
	}
	ret->levels = level + 1;
	/* The list of PIDTYPE_PID. */
	ret->has_ended = !kernel_pointer(by, pid, PID_TASKS);
}

static void read_client(struct kernel_reader *by, uint64_t sk, struct unix_unaccepted *ret)
{
	uint64_t cred = kernel_pointer(by, sk, SK_PEER_CRED),
		 groups = kernel_pointer(by, cred, CRED_GROUPS);
	struct unix_seen_pid own;

	read_pid(by, kernel_pointer(by, sk, SK_PEER_PID), &ret->client);
	read_pid(by, kernel_pointer(by, by->thread, TASK_PID), &own);
	for (size_t i = 0; i < ret->client.levels && own.levels; i++)
		if (ret->client.inodes[i] == own.inodes[own.levels - 1])
			ret->client.here = (pid_t)ret->client.numbers[i];
	ret->uid = kernel_number(by, cred, CRED_EUID);
	ret->gid = kernel_number(by, cred, CRED_EGID);
	ret->n_groups = kernel_number(by, groups, GROUPS_COUNT);
	if (ret->n_groups > MOST_GROUPS)
		kernel_has_changed(by);
	if (by->failure)
		return;
	ret->groups = arena_array(by->arena, uint32_t, ret->n_groups + 1);
	kernel_bytes(by, kernel_inside(by, groups, GROUPS_IDS), ret->groups,
		     ret->n_groups * sizeof *ret->groups);
}

/*
 * After a restore those of one process that is gone may be of two, which had its number in its own
 * namespace; outside of what the tree sees it is any.
 */
static bool are_one(struct kernel_reader *by, uint64_t pid, uint64_t other)
{
	struct unix_seen_pid one, two;

	if (pid == other || !pid || !other)
		return pid == other;
	read_pid(by, pid, &one);
	read_pid(by, other, &two);
	if (!one.levels || one.levels != two.levels || !one.has_ended || !two.has_ended)
		return false;
	return one.numbers[one.levels - 1] == two.numbers[one.levels - 1] &&
	       one.inodes[one.levels - 1] == two.inodes[one.levels - 1];
}

/* What it takes to send it again that is not there. */
static const char *cannot_send(struct kernel_reader *by, uint64_t sk, uint64_t message)
{
	uint64_t control = kernel_inside(by, message, MESSAGE_CONTROL);

	if (!are_one(by, kernel_pointer(by, control, CONTROL_PID),
		     kernel_pointer(by, sk, SK_PEER_PID)))
		return "in which something is of another process than the one that connected";
	return NULL;
}

static void read_rights(struct kernel_reader *by, uint64_t control,
			struct unix_unaccepted_message *ret)
{
	uint64_t list = kernel_pointer(by, control, CONTROL_RIGHTS);

	if (!list)
		return;
	ret->n_rights = kernel_number(by, list, RIGHTS_COUNT) & 0xffff; /* a short */
	if (ret->n_rights > MOST_RIGHTS)
		kernel_has_changed(by);
	if (by->failure)
		return;
	ret->rights = arena_array(by->arena, uint64_t, ret->n_rights + 1);
	kernel_bytes(by, kernel_inside(by, list, RIGHTS_FILES), ret->rights,
		     ret->n_rights * sizeof *ret->rights);
}

/* NULL: it cannot be read whole. */
static struct unix_unaccepted_message *read_message(struct kernel_messages *messages,
						    uint64_t message)
{
	struct kernel_reader *by = messages->by;
	struct unix_unaccepted_message *ret = arena_new(by->arena, struct unix_unaccepted_message);
	uint32_t length = kernel_number(by, message, MESSAGE_LENGTH);
	uint64_t control = kernel_inside(by, message, MESSAGE_CONTROL);

	if (length > LONGEST_MESSAGE)
		kernel_has_changed(by);
	if (by->failure)
		return ret;
	ret->length = length;
	ret->uid = kernel_number(by, control, CONTROL_UID);
	ret->gid = kernel_number(by, control, CONTROL_GID);
	read_rights(by, control, ret);
	ret->bytes = arena_alloc(by->arena, length + 1);
	return kernel_message_read(messages, message, ret->bytes, length) || by->failure ? ret
											 : NULL;
}

static void read_queue(struct kernel_messages *messages, uint64_t sk, struct unix_unaccepted *ret)
{
	struct kernel_reader *by = messages->by;
	uint64_t queue = kernel_inside(by, sk, SK_QUEUE),
		 at = kernel_pointer(by, queue, QUEUE_NEXT);
	uint32_t count = kernel_number(by, queue, QUEUE_LENGTH);
	uint64_t urgent = by->places[UNIX_URGENT].found ? kernel_pointer(by, sk, UNIX_URGENT) : 0;
	struct unix_unaccepted_message **end = &ret->messages;

	if (count > MOST_MESSAGES)
		ret->why = "in which too much is";
	for (uint32_t i = 0; i < count && !by->failure && !ret->why; i++) {
		ret->why = cannot_send(by, sk, at);
		if (ret->why)
			break;
		*end = read_message(messages, at);
		if (!*end) {
			ret->why = "whose other end has sent more at once than can be seen before "
				   "it is accepted";
			break;
		}
		(*end)->urgent = at == urgent;
		end = &(*end)->next;
		at = kernel_pointer(by, at, MESSAGE_NEXT);
	}
	if (!ret->why && (at != queue || kernel_number(by, queue, QUEUE_LENGTH) != count))
		kernel_has_changed(by);
}

static void read_all(struct kernel_reader *by, int fd, struct unix_unaccepted *ret, size_t count)
{
	uint64_t queue = kernel_inside(by, kernel_socket(by, fd), SK_QUEUE);
	uint64_t at = kernel_pointer(by, queue, QUEUE_NEXT);
	struct kernel_messages messages = { .by = by };

	for (size_t i = 0; i < count && !by->failure; i++) {
		uint64_t sk = at == queue ? 0 : kernel_pointer(by, at, MESSAGE_SK);
		ret[i] = (struct unix_unaccepted){ 0 };
		if (!sk)
			kernel_has_changed(by);
		ret[i].is_named =
			kernel_pointer(by, kernel_pointer(by, sk, UNIX_PEER), UNIX_ADDRESS) != 0;
		read_client(by, sk, &ret[i]);
		read_queue(&messages, sk, &ret[i]);
		at = kernel_pointer(by, at, MESSAGE_NEXT);
	}
	if (at != queue)
		kernel_has_changed(by);
}

int unix_unaccepted_read(struct collect *collect, int fd, struct unix_unaccepted *ret, size_t count)
{
	struct kernel_reader *by;
	int result = collect_read_kernel(collect, &places, &by);

	if (result)
		return result;
	read_all(by, fd, ret, count);
	return kernel_reader_end(by);
}
