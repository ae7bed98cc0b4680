/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io_uring instances: between io-uring.c, io-uring-make.c and the files of memory. */
#ifndef NESTOR_KINDS_MEMORY_IO_URING_H
#define NESTOR_KINDS_MEMORY_IO_URING_H

#include "kinds/kind.h"

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of newer headers. */
enum {
	RING_SETUP_DEFER = 1 << 13,	  /* 6.1 */
	RING_SETUP_NO_MMAP = 1 << 14,	  /* 6.5 */
	RING_SETUP_NO_SQARRAY = 1 << 16,  /* 6.6 */
	RING_SETUP_HYBRID = 1 << 17,	  /* 6.13 */
	RING_SETUP_CQE_MIXED = 1 << 18,	  /* 6.18 */
	RING_SETUP_SQE_MIXED = 1 << 19,	  /* 6.19 */
	RING_ENTER_REGISTERED = 1 << 4,	  /* 5.18 */
	RING_REGISTER_DESCRIPTORS = 20,	  /* 5.18 */
	RING_REGISTER_PBUF_STATUS = 26,	  /* 6.8 */
	RING_REGISTERED_DESCRIPTORS = 16, /* of a thread */
	RING_MOST_SQ_ENTRIES = 32768,	  /* IORING_MAX_ENTRIES */
	RING_MOST_BUFFERS = 1 << 14,	  /* IORING_MAX_REG_BUFFERS */
	RING_MOST_FILES = 1 << 20,	  /* IORING_MAX_FIXED_FILES is less */
	RING_MOST_STEPS = 1 << 14,	  /* of one that its thread has to count */
	RING_MOST_PERSONALITIES = 1024,
	RING_MOST_COUNT = 1 << 28, /* about 15 seconds */
};

/* What an instance is set up with again, besides what concerns the kernel's thread. */
#define RING_KEPT_FLAGS                                                                        \
	(uint32_t)(IORING_SETUP_IOPOLL | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | \
		   IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SQE128 | IORING_SETUP_CQE32 |      \
		   IORING_SETUP_SINGLE_ISSUER | RING_SETUP_DEFER | RING_SETUP_NO_SQARRAY |     \
		   RING_SETUP_HYBRID)

/* io-uring-text.c */
struct ring_text {
	uint32_t sq_entries, cq_entries, sq_count, cq_count;
	int64_t sq_thread;
	bool polls, overflow, personalities, busy_polling;
	const char *files, *buffers; /* the lines after the counts */
	uint32_t n_files, n_buffers;
};

bool ring_parse(const char *text, struct ring_text *ret);
bool ring_is_at_rest(const struct ring_text *ring);
int ring_fail_in_flight(pid_t pid, const char *number, const struct ring_text *ring,
			struct error *err);
const char *ring_next_line(const char *text); /* NULL: there is none */

/* io-uring-hidden.c: what nobody tells and would be lost. */
int ring_refuse_hidden(struct collect *collect, int fd, const char *what, struct error *err);

/* io-uring-setup.c: the flags, by a descriptor of ours. 1: they cannot be seen. */
int ring_collect_setup(struct collect *collect, int fd, const char *what, IoUringEntry *ring,
		       struct error *err);
size_t ring_sqe_size(uint32_t setup_flags);
size_t ring_cqe_size(uint32_t setup_flags);

/* io-uring-thread.c: that of the kernel's own, by its number in fdinfo. */
int ring_collect_thread(const struct open_file *file, long long number, IoUringEntry *ring,
			struct error *err);

/* io-uring-queues.c */

/* Where things are in the memory of a ring, by what the kernel tells of one of the same size. */
struct ring_layout {
	struct io_sqring_offsets sq;
	struct io_cqring_offsets cq;
	size_t ring_bytes, sqe_bytes; /* without an array of indexes it may be less */
};

int ring_layout(const IoUringEntry *ring, struct ring_layout *ret_layout, struct error *err);

/* Pages that an area of it may have at an offset of the ring's; 0: none is there. */
uint64_t ring_area_size(const IoUringEntry *ring, uint64_t offset);

/* Is it known how it was set up? Otherwise that is guessed. */
int ring_collect_queues(struct arena *arena, int fd, bool is_known, IoUringEntry *ring,
			const char *what, struct error *err);
/* Of a tree that runs: as if it were at rest. */
void ring_assume_queues(struct arena *arena, bool is_known, IoUringEntry *ring);

/* io-uring-collect.c */
bool io_uring_recognise(const struct open_file *file);
int io_uring_collect(const struct open_file *file, FileEntry *entry, struct error *err);
int io_uring_complete(struct collect *collect, struct error *err);
int rings_look_again(struct target *target, struct error *err);

/*
 * io-uring-eventfd.c: once all descriptors are known, of a ring that has one, by a descriptor of
 * ours. ERR_UNSUPPORTED_FILE: it cannot be seen, or is not the tree's.
 */
int ring_collect_eventfd(struct collect *collect, int fd, const char *what, IoUringEntry *ring,
			 struct error *err);

/*
 * io-uring-personality.c: once all descriptors are known, and who alone may submit; `told`: fdinfo
 * says that there are some.
 */
int ring_collect_personalities(struct collect *collect, int fd, const char *what, bool told,
			       IoUringEntry *ring, struct error *err);
int ring_check_personalities(const struct snapshot *snapshot, const IoUringEntry *ring,
			     struct error *err);
void ring_plan_personalities(struct plan *plan, const IoUringEntry *ring);

/* io-uring-registered.c: of a thread that has places; which are `taken` (bits) was asked. */
int ring_collect_places(struct target *target, size_t thread, uint32_t taken, struct error *err);
int ring_check_places(const struct snapshot *snapshot, const IoUringEntry *ring, struct error *err);
void ring_plan_places(struct program *program, const IoUringEntry *ring, uint32_t fd,
		      uint32_t thread);

/* io-uring-ask.c */
void *rings_ask(const struct asking *asking);
int rings_answer(const struct asking *asking, void *asked, struct error *err);

/* io-uring-make.c */
int io_uring_plan_open(struct plan *plan, const struct task *task, struct program *program,
		       const FileEntry *entry, uint32_t number, struct error *err);
int io_uring_connect(struct file_opener *opener, const FileEntry *entry, int fd, struct error *err);
int io_uring_plan_registered(const struct planning *planning, struct error *err);
int io_uring_plan_submitter(const struct planning *planning, struct error *err);

/*
 * io-uring-number.c: can the kernel's thread have a number that nobody else is to get? Called
 * before and after the instance is made.
 */
bool ring_has_number(const struct plan *plan, const struct task *task);
void ring_plan_number(const struct plan *plan, const struct task *task, struct program *program);
void ring_plan_number_back(const struct plan *plan, const struct task *task,
			   struct program *program);

/*
 * io-uring-rights.c: has the kernel's thread those of the task, and can it have them again? Called
 * before and after the instance is made.
 */
bool ring_thread_has_rights_of(const char *thread_status, const char *task_status);
bool ring_can_have_rights(const struct plan *plan, const struct task *task);
void ring_plan_rights(const struct plan *plan, const struct task *task, struct program *program);
void ring_plan_rights_back(const struct plan *plan, const struct task *task,
			   struct program *program);

#endif
