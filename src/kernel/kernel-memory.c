// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/kernel-memory.h"

#include "base/cleanup.h"
#include "kernel/bpf.h"
#include "kernel/btf.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { AT_ONCE = 4096, ASKS_FOR_NOTHING = -EINVAL };

struct kernel_memory_request {
	uint64_t address; /* 0: that of the calling thread, into `bytes` */
	uint64_t size;	  /* at most AT_ONCE */
	uint8_t bytes[AT_ONCE];
};

#define INSTRUCTION(operation, to, from, distance, number)                                  \
	{                                                                                   \
		.code = (operation), .dst_reg = (to), .src_reg = (from), .off = (distance), \
		.imm = (number)                                                             \
	}

/* Returns what the helper returns, 0 or -EFAULT. r6 is the request. */
static int load_program(int map)
{
	enum { BYTES = offsetof(struct kernel_memory_request, bytes) };
	enum { SIZE = offsetof(struct kernel_memory_request, size) };
	const struct bpf_insn instructions[] = {
		INSTRUCTION(BPF_LD | BPF_IMM | BPF_DW, 6, BPF_PSEUDO_MAP_VALUE, 0, map),
		INSTRUCTION(0, 0, 0, 0, 0),
		INSTRUCTION(BPF_LDX | BPF_MEM | BPF_DW, 3, 6, 0, 0),
		INSTRUCTION(BPF_JMP | BPF_JNE | BPF_K, 3, 0, 4, 0),
		INSTRUCTION(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_current_task),
		INSTRUCTION(BPF_STX | BPF_MEM | BPF_DW, 6, 0, BYTES, 0),
		INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		INSTRUCTION(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
		INSTRUCTION(BPF_LDX | BPF_MEM | BPF_DW, 2, 6, SIZE, 0),
		INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, ASKS_FOR_NOTHING),
		INSTRUCTION(BPF_JMP | BPF_JGT | BPF_K, 2, 0, 3, AT_ONCE),
		INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0),
		INSTRUCTION(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, BYTES),
		INSTRUCTION(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_probe_read_kernel),
		INSTRUCTION(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	const struct bpf_source source = {
		.type = BPF_PROG_TYPE_SYSCALL,
		.name = "nestor_read",
		.gpl = true, /* which the helper wants, and LGPL-2.1 allows */
		.instructions = instructions,
		.count = sizeof instructions / sizeof *instructions,
		.flags = BPF_F_SLEEPABLE,
	};

	return bpf_program_load(&source);
}

int kernel_memory_open(struct kernel_memory *ret)
{
	const struct bpf_map_source source = {
		.type = BPF_MAP_TYPE_ARRAY,
		.key_size = sizeof(uint32_t),
		.value_size = sizeof(struct kernel_memory_request),
		.max_entries = 1,
		.flags = BPF_F_MMAPABLE,
		.name = "nestor_read",
	};
	autoclose int map = bpf_map_make(&source);
	autoclose int program = map < 0 ? -1 : load_program(map);

	if (program < 0)
		return -1;
	void *request = mmap(NULL, sizeof(struct kernel_memory_request), PROT_READ | PROT_WRITE,
			     MAP_SHARED, map, 0);
	if (request == MAP_FAILED)
		return -1;
	*ret = (struct kernel_memory){ take_fd(&map), take_fd(&program), request };
	return 0;
}

void kernel_memory_close(struct kernel_memory *memory)
{
	if (!memory->request)
		return;
	munmap(memory->request, sizeof *memory->request);
	close(memory->program);
	close(memory->map);
	*memory = (struct kernel_memory){ 0 };
}

static int run(const struct kernel_memory *memory)
{
	int result;

	if (bpf_program_run(memory->program, &result) < 0)
		return -1;
	/* copy_from_kernel_nofault says so of addresses that are the user's. */
	errno = result == -ERANGE ? EFAULT : -result;
	return result ? -1 : 0;
}

int kernel_memory_read(const struct kernel_memory *memory, uint64_t address, void *room,
		       size_t size)
{
	for (size_t done = 0; done < size;) {
		size_t part = size - done < AT_ONCE ? size - done : AT_ONCE;
		memory->request->address = address + done;
		memory->request->size = part;
		if (!memory->request->address) {
			errno = EFAULT;
			return -1;
		}
		if (run(memory) < 0)
			return -1;
		memcpy((uint8_t *)room + done, memory->request->bytes, part);
		done += part;
	}
	return 0;
}

int kernel_memory_thread(const struct kernel_memory *memory, uint64_t *ret)
{
	memory->request->address = 0;
	if (run(memory) < 0)
		return -1;
	memcpy(ret, memory->request->bytes, sizeof *ret);
	return 0;
}

bool kernel_memory_is_readable(void)
{
	struct btf_place thread = { "task_struct", "", 0, false, 0 };
	struct kernel_memory memory;
	uint64_t address;

	if (btf_find(&thread, 1) || !thread.found || kernel_memory_open(&memory) < 0)
		return false;
	bool readable = kernel_memory_thread(&memory, &address) == 0;
	kernel_memory_close(&memory);
	return readable;
}
