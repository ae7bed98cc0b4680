/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls and kernel structures that the C library, or the kernel headers of an older
 * distribution, lack. Results as in the C library: -1 with errno on failure.
 */
#ifndef NESTOR_KERNEL_SYSCALLS_H
#define NESTOR_KERNEL_SYSCALLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* linux/kcmp.h; -1 with errno, otherwise 0 equal, 1 less, 2 greater, 3 different. */
enum kcmp_object {
	KCMP_OBJECT_FILE,
	KCMP_OBJECT_VM,
	KCMP_OBJECT_FILES,
	KCMP_OBJECT_FS,
	KCMP_OBJECT_SIGHAND,
	KCMP_OBJECT_SEMAPHORE_UNDO = 6,
	KCMP_OBJECT_EPOLL = 7, /* KCMP_EPOLL_TFD; the second index is the address of a slot */
};
struct kcmp_slot {
	uint32_t epoll, number, offset;
};
int kernel_kcmp(pid_t one, pid_t other, enum kcmp_object object, unsigned long one_index,
		unsigned long other_index);

int kernel_pidfd_open(pid_t pid, unsigned flags);
int kernel_pidfd_getfd(int pidfd, int number, unsigned flags);
int kernel_rseq(void *area, uint32_t size, int flags, uint32_t signature);
int kernel_mseal(void *start, size_t size);
int kernel_get_robust_list(pid_t tid, uint64_t *ret_head, uint64_t *ret_length);
int kernel_ioprio_get(int which, int who);

/* linux/sched/types.h, SCHED_ATTR_SIZE_VER0. */
struct sched_attributes {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};
_Static_assert(sizeof(struct sched_attributes) == 48, "SCHED_ATTR_SIZE_VER0");
int kernel_sched_getattr(pid_t tid, struct sched_attributes *ret_attributes);
/* Bytes of the mask that the kernel filled. */
ssize_t kernel_sched_getaffinity(pid_t tid, void *ret_mask, size_t size);

/* The three sets of capget(2), version 3. */
struct capability_sets {
	uint64_t effective, permitted, inheritable;
};
int kernel_capget(pid_t tid, struct capability_sets *ret_sets);

/* What capset(2) is given, version 3: header and data, as two words of 32 bits for each set. */
struct capability_header {
	uint32_t version;
	int32_t pid;
};
struct capability_data {
	uint32_t effective, permitted, inheritable;
};
enum { CAPABILITY_VERSION = 0x20080522 };

/* The kernel's own struct sigaction and struct sigevent; the C library's differ. */
struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};
struct kernel_sigevent {
	uint64_t value;
	int32_t signal, notify, thread_id;
	uint8_t padding[64 - 20];
};
_Static_assert(sizeof(struct kernel_sigevent) == 64, "struct sigevent");

/* PAGEMAP_SCAN (6.7), linux/fs.h. */
struct pagemap_scan_arguments {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct pagemap_scan_region {
	uint64_t start, end, categories;
};
#define PAGEMAP_SCAN_REQUEST 0xc0606610UL /* _IOWR('f', 16, struct pm_scan_arg) */
_Static_assert(sizeof(struct pagemap_scan_arguments) == 96, "struct pm_scan_arg");

#endif
