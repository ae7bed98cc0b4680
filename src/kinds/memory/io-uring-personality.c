// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Personalities of an io_uring instance (IORING_REGISTER_PERSONALITY): the credentials that a
 * thread had when it registered, by numbers that are given out from 1 on and not again until 65535
 * was reached. A request that names one acts with these credentials.
 *
 * Nobody may have more rights by a restore, and whose credentials they are cannot be told for sure:
 * those of a thread are others, that look the same, as soon as somebody has asked for its session
 * keyring (install_session_keyring_to_cred, security/keys/process_keys.c). So they are refused. Of
 * those that were taken back the numbers are kept, which are given out and taken back once more.
 *
 * All of it is in the kernel's memory alone; fdinfo shows at most that there are some.
 */
#include "kinds/memory/io-uring.h"

#include "base/log.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"
#include "plan/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/syscall.h>

enum {
	MOST_NUMBER = 65535,
	NODE = 2, /* in the lowest two bits of an entry: a node, or special (linux/xarray.h) */
	LAST_SPECIAL = 4096,
	RESERVED = 0x406, /* XA_ZERO_ENTRY: that of number 0, which nobody gets */
	LARGEST_SHIFT = 16,
	LARGEST_NODE = 64,
};

#define PLACES(X)                                             \
	X(FILE_DATA, "file", "private_data")                  \
	X(RING_PERSONALITIES, "io_ring_ctx", "personalities") \
	X(RING_NEXT, "io_ring_ctx", "pers_next")              \
	X(ARRAY_HEAD, "xarray", "xa_head")                    \
	X(NODE_SHIFT, "xa_node", "shift")                     \
	X(NODE_SLOTS, "xa_node", "slots")                     \
	X(NODE_MARKS, "xa_node", "marks") /* behind the slots */

KERNEL_PLACES(PLACES, N_PLACES);

struct personalities {
	uint32_t count, last, next;
};

/* ---- What the ring has ---- */

static void read_entry(struct kernel_reader *by, uint64_t entry, uint32_t first, uint32_t below,
		       struct personalities *ret);

static void read_node(struct kernel_reader *by, uint64_t node, uint32_t first, uint32_t below,
		      struct personalities *ret)
{
	const uint32_t slots =
		(by->places[NODE_MARKS].offset - by->places[NODE_SLOTS].offset) / sizeof(uint64_t);
	uint64_t entries[LARGEST_NODE];
	uint8_t shift;

	kernel_bytes(by, kernel_inside(by, node, NODE_SHIFT), &shift, sizeof shift);
	if (slots > LARGEST_NODE || shift >= below)
		kernel_has_changed(by);
	if (by->failure)
		return;
	kernel_bytes(by, kernel_inside(by, node, NODE_SLOTS), entries, slots * sizeof *entries);
	for (uint32_t i = 0; i < slots && !by->failure; i++)
		read_entry(by, entries[i], first + (i << shift), shift, ret);
}

static void read_entry(struct kernel_reader *by, uint64_t entry, uint32_t first, uint32_t below,
		       struct personalities *ret)
{
	if (!entry || entry == RESERVED)
		return;
	if ((entry & 3) == NODE && entry > LAST_SPECIAL) {
		read_node(by, entry - NODE, first, below, ret);
		return;
	}
	if (entry & 3 || below || !first || first > MOST_NUMBER) {
		kernel_has_changed(by);
		return;
	}
	ret->count++;
	ret->last = first;
}

static void read_ring(struct kernel_reader *by, int fd, struct personalities *ret)
{
	uint64_t ring = kernel_pointer(by, kernel_file(by, fd), FILE_DATA);
	uint64_t array = kernel_inside(by, ring, RING_PERSONALITIES);

	ret->next = kernel_number(by, ring, RING_NEXT);
	read_entry(by, kernel_pointer(by, array, ARRAY_HEAD), 0, LARGEST_SHIFT + 1, ret);
}

/* ---- The whole ---- */

static int note_all(const char *what, const struct personalities *found, IoUringEntry *ring,
		    struct error *err)
{
	if (found->count)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an io_uring instance that has %" PRIu32
			    " personalities (the last is number %" PRIu32 ")",
			    what, found->count, found->last);
	if (found->next > RING_MOST_PERSONALITIES)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an io_uring instance that has given out more than %d numbers to "
			    "personalities",
			    what, RING_MOST_PERSONALITIES);
	ring->has_next_personality = found->next != 0;
	ring->next_personality = found->next;
	return 0;
}

static int cannot_see(struct collect *collect, const char *what, bool told, struct error *err)
{
	static const char warning;
	void **is_warned = collect_state(collect, &warning);

	if (told)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an io_uring instance that has personalities, and whose they are "
			    "cannot be seen",
			    what);
	if (!*is_warned)
		log_warning("collect", "io_uring",
			    "%s: whether it has personalities cannot be seen; they would be lost",
			    what);
	*is_warned = collect;
	return 0;
}

int ring_collect_personalities(struct collect *collect, int fd, const char *what, bool told,
			       IoUringEntry *ring, struct error *err)
{
	struct personalities found = { 0 };
	struct kernel_reader *by;
	int result = collect_read_kernel(collect, &places, &by);

	if (result > 0)
		return cannot_see(collect, what, told, err);
	if (result < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot see its personalities",
				  what);
	read_ring(by, fd, &found);
	result = kernel_reader_end(by);
	if (result && errno == EAGAIN)
		return fail(err, ERR_TREE_CHANGED, "%s: its personalities change meanwhile", what);
	if (result)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot see its personalities",
				  what);
	return note_all(what, &found, ring, err);
}

/* ---- Restore ---- */

struct registrant {
	const struct task *task;
	size_t thread;
	uint32_t fd;
};

static bool find_descriptor(const struct task *task, uint32_t file_id, uint32_t *ret_number)
{
	const struct descriptor_table *table = task_is_zombie(task) ? NULL : task->table;

	for (size_t i = 0; table && i < table->n_descriptors; i++)
		if (table->descriptors[i]->id == file_id) {
			*ret_number = table->descriptors[i]->fd;
			return true;
		}
	return false;
}

/* A living thread that has the ring open; where only one may submit, that one. */
static bool find_registrant(const struct snapshot *snapshot, const IoUringEntry *ring,
			    struct registrant *ret)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		uint32_t fd;
		if (!find_descriptor(task, ring->id, &fd))
			continue;
		for (size_t k = task_leader_is_dead(task); k < task->pstree->n_threads; k++)
			if (!ring->has_submitter || task->pstree->threads[k] == ring->submitter) {
				*ret = (struct registrant){ task, k, fd };
				return true;
			}
	}
	return false;
}

int ring_check_personalities(const struct snapshot *snapshot, const IoUringEntry *ring,
			     struct error *err)
{
	struct registrant any;

	if (ring->next_personality > RING_MOST_PERSONALITIES)
		return fail(err, ERR_IMAGE_INVALID,
			    "file %" PRIu32 ": no io_uring instance has given out %" PRIu32
			    " numbers to personalities",
			    ring->id, ring->next_personality);
	if (ring->next_personality && !find_registrant(snapshot, ring, &any))
		return fail(err, ERR_IMAGE_INVALID,
			    "file %" PRIu32
			    ": an io_uring instance that has had personalities, and "
			    "that no task has open",
			    ring->id);
	return 0;
}

static void plan_call(struct plan *plan, const struct registrant *caller, unsigned opcode,
		      uint32_t number, uint32_t expected)
{
	struct remote_request *request = plan_call_at_end(
		plan, caller->task, caller->thread, SYS_io_uring_register, caller->fd, opcode, 0);

	request->args[3] = number;
	request->has_expected = true;
	request->expected = expected;
}

void ring_plan_personalities(struct plan *plan, const IoUringEntry *ring)
{
	struct registrant any;

	if (!ring->next_personality || !find_registrant(plan->snapshot, ring, &any))
		return;
	for (uint32_t number = 1; number < ring->next_personality; number++) {
		plan_call(plan, &any, IORING_REGISTER_PERSONALITY, 0, number);
		plan_call(plan, &any, IORING_UNREGISTER_PERSONALITY, number, 0);
	}
}
