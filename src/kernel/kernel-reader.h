/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Following the kernel's structures from one to the next (kernel-memory.h, btf.h). The first
 * failure stays, and all that is read after it is 0: who reads looks at it at the end, and before a
 * length is believed.
 */
#ifndef NESTOR_KERNEL_KERNEL_READER_H
#define NESTOR_KERNEL_KERNEL_READER_H

#include "base/arena.h"
#include "kernel/btf.h"
#include "kernel/kernel-memory.h"

enum { KERNEL_FILE_PLACES = 10 };

/* What a reader looks for, by number; the first `needed` have to be there. */
struct kernel_places {
	const struct btf_place *all;
	size_t count, needed;
};

/*
 * At the top of a file: the numbers of a list of X(number, structure, member), and `places` to find
 * them by. A list that goes on behind another, whose numbers have an enum and a count already:
 * KERNEL_PLACES_AFTER.
 */
#define KERNEL_PLACES(list, needed)                                       \
	enum place { list(BTF_NUMBER) N_PLACES };                         \
	static const struct btf_place all_places[] = { list(BTF_PLACE) }; \
	static const struct kernel_places places = { all_places, N_PLACES, needed }

#define KERNEL_PLACES_AFTER(before, n_before, list, needed)                                 \
	enum place { BEFORE_OWN = n_before - 1, list(BTF_NUMBER) N_PLACES };                \
	static const struct btf_place all_places[] = { before(BTF_PLACE) list(BTF_PLACE) }; \
	static const struct kernel_places places = { all_places, N_PLACES, needed }

/* Zeroed at first; not to be moved. */
struct kernel_reader {
	struct kernel_memory *memory;
	const struct btf_place *places; /* found, by number */
	bool cannot;			/* they are not all there, or we may not look */
	struct btf_place of_files[KERNEL_FILE_PLACES];
	struct arena *arena; /* for what is kept */
	uint64_t thread;     /* the task_struct of the calling thread; 0: not asked for yet */
	int failure;	     /* an errno; 0: none. EAGAIN: what was read cannot be right */
};

/*
 * Finds the places first, which are always the same; one that has found them before, or could not,
 * does not look again. The memory is opened if it is not yet, and stays open, for other readers.
 * 1: this kernel cannot be read so, or we may not; -1 with errno.
 */
int kernel_reader_begin(struct kernel_reader *reader, struct kernel_memory *memory,
			const struct kernel_places *wanted, struct arena *arena);
/* -1 with the first failure in errno. */
int kernel_reader_end(const struct kernel_reader *reader);

void kernel_bytes(struct kernel_reader *reader, uint64_t address, void *room, size_t size);
/* Where a member of an object is; what pointer is there, and what number of 32 bits. */
uint64_t kernel_inside(const struct kernel_reader *reader, uint64_t object, size_t place);
uint64_t kernel_pointer(struct kernel_reader *reader, uint64_t object, size_t place);
uint32_t kernel_number(struct kernel_reader *reader, uint64_t object, size_t place);
/* A bit field of one bit; false where there is no such place. */
bool kernel_bit(struct kernel_reader *reader, uint64_t object, size_t place);
/* The struct file of a descriptor of ours. */
uint64_t kernel_file(struct kernel_reader *reader, int fd);
/* The task_struct of a thread, by a descriptor of ours of its directory of /proc. */
uint64_t kernel_thread_of(struct kernel_reader *reader, int proc_fd);
/* The struct file of a descriptor of a thread; 0 where it has none. */
uint64_t kernel_file_of(struct kernel_reader *reader, uint64_t thread, int fd);
/* Those of `count` descriptors, in rising order. */
void kernel_files_of(struct kernel_reader *reader, uint64_t thread, const uint32_t *fds,
		     size_t count, uint64_t *ret_files);
void kernel_has_changed(struct kernel_reader *reader);

#endif
