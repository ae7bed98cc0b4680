/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading the kernel's own memory, by a program of bpf(2): what no call tells, and nothing else
 * would show without changing it. It takes CAP_BPF and CAP_PERFMON in the initial user namespace,
 * and a kernel that is not locked down for confidentiality (kernel_lockdown(7)).
 */
#ifndef NESTOR_KERNEL_KERNEL_MEMORY_H
#define NESTOR_KERNEL_KERNEL_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kernel_memory {
	int map, program;
	struct kernel_memory_request *request; /* shared with the program; NULL: it is not open */
};

/* And does the kernel tell where what is in it (btf.h)? */
bool kernel_memory_is_readable(void);
/* All with errno. */
int kernel_memory_open(struct kernel_memory *ret);
void kernel_memory_close(struct kernel_memory *memory); /* if it is open */
/* EFAULT: there is nothing at that address. What is there may change meanwhile. */
int kernel_memory_read(const struct kernel_memory *memory, uint64_t address, void *room,
		       size_t size);
/* Where the task_struct of the calling thread is. */
int kernel_memory_thread(const struct kernel_memory *memory, uint64_t *ret);

#endif
