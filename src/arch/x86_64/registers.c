// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Register sets of x86-64 and the messages that hold them; see registers.h.
 *
 * XSAVE (Intel SDM vol. 1, ch. 13): bytes 0-511 are FXSAVE's, 512-519 XSTATE_BV (components that
 * are not in their initial state), 520-527 XCOMP_BV (zero in the standard layout ptrace uses).
 * The kernel fills components that are in their initial state with it, so every part may be read.
 * PTRACE_SETREGSET wants the whole buffer of the running processor, nothing shorter.
 *
 * The image has places for x87, SSE, AVX, MPX, AVX-512 and protection keys. AMX tiles and APX
 * registers have none; xstate_unsupported names them so that a dump can refuse.
 */
#include "arch/registers.h"
#include "base/arena.h"

#include <cpuid.h>
#include <inttypes.h>
#include <cpuid.h>
#include <string.h>

enum {
	USER_DS = 0x2b,	    /* __USER_DS */
	USER_FLAGS = 0x202, /* interrupts on; the other bit is always set */
	FXSAVE_SIZE = 512,
	FXSAVE_ST = 32,
	FXSAVE_ST_WORDS = 32,
	FXSAVE_XMM = 160,
	FXSAVE_XMM_WORDS = 64,
	XSAVE_BV = 512,
	XSAVE_HEADER_END = 576,
	COMPONENT_X87 = 0,
	COMPONENT_SSE = 1,
	COMPONENT_AVX = 2,
	COMPONENT_KEYS = 9,
	LEGACY_COMPONENTS = 1 << COMPONENT_X87 | 1 << COMPONENT_SSE,
	TLS_ENTRIES = 3,
	FIRST_TLS_ENTRY = 12, /* GDT_ENTRY_TLS_MIN */
	/* include/linux/errno.h of the kernel, never seen by programs: */
	ERESTARTSYS = 512,
	ERESTARTNOINTR = 513,
	ERESTARTNOHAND = 514,
	ERESTART_RESTARTBLOCK = 516,
};

struct fxsave_head {
	uint16_t cwd, swd, twd, fop;
	uint64_t rip, rdp;
	uint32_t mxcsr, mxcsr_mask;
};

/* Where a general register lies in ptrace's struct and in the message. */
struct register_place {
	size_t in_regs, in_entry;
};

#define PLACE(reg, entry)                                                                 \
	{                                                                                 \
		offsetof(struct user_regs_struct, reg), offsetof(UserX86RegsEntry, entry) \
	}

static const struct register_place general_registers[] = {
	PLACE(r15, r15), PLACE(r14, r14),	  PLACE(r13, r13),	   PLACE(r12, r12),
	PLACE(rbp, bp),	 PLACE(rbx, bx),	  PLACE(r11, r11),	   PLACE(r10, r10),
	PLACE(r9, r9),	 PLACE(r8, r8),		  PLACE(rax, ax),	   PLACE(rcx, cx),
	PLACE(rdx, dx),	 PLACE(rsi, si),	  PLACE(rdi, di),	   PLACE(orig_rax, orig_ax),
	PLACE(rip, ip),	 PLACE(cs, cs),		  PLACE(eflags, flags),	   PLACE(rsp, sp),
	PLACE(ss, ss),	 PLACE(fs_base, fs_base), PLACE(gs_base, gs_base), PLACE(ds, ds),
	PLACE(es, es),	 PLACE(fs, fs),		  PLACE(gs, gs),
};

/* The field of UserX86XsaveEntry that holds a component. */
struct component {
	unsigned bit;
	size_t element_size;
	size_t count_at, array_at;
};

#define COMPONENT(bit, field, type)                                        \
	{                                                                  \
		bit, sizeof(type), offsetof(UserX86XsaveEntry, n_##field), \
			offsetof(UserX86XsaveEntry, field)                 \
	}

static const struct component components[] = {
	COMPONENT(COMPONENT_AVX, ymmh_space, uint32_t),
	COMPONENT(3, bndreg_state, uint64_t),
	COMPONENT(4, bndcsr_state, uint64_t),
	COMPONENT(5, opmask_reg, uint64_t),
	COMPONENT(6, zmm_upper, uint64_t),
	COMPONENT(7, hi16_zmm, uint64_t),
	COMPONENT(COMPONENT_KEYS, pkru, uint32_t),
};

enum { N_COMPONENTS = sizeof components / sizeof components[0] };

/* Components up to 63 can exist; the image has places for those below 10. */
enum { MAX_COMPONENTS = 10 };

struct processor {
	uint64_t components; /* XCR0: those that the kernel has switched on */
	size_t xstate_size;  /* of the standard layout with these */
	bool protection_keys;
	struct {
		size_t offset, size; /* size 0 where this processor lacks the component */
	} places[MAX_COMPONENTS];
};

static void read_processor(struct processor *processor)
{
	enum { EXTENDED_FEATURES = 7, OSPKE = 1 << 4 };
	uint32_t eax, ebx, ecx, edx;

	processor->components = LEGACY_COMPONENTS;
	processor->protection_keys =
		__get_cpuid_count(EXTENDED_FEATURES, 0, &eax, &ebx, &ecx, &edx) && (ecx & OSPKE);
	processor->xstate_size = XSAVE_HEADER_END;
	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE))
		return;
	__asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
	processor->components = (uint64_t)edx << 32 | eax;
	if (processor->components != LEGACY_COMPONENTS &&
	    __get_cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx))
		processor->xstate_size = ebx;
	for (unsigned bit = COMPONENT_AVX; bit < MAX_COMPONENTS; bit++)
		if (__get_cpuid_count(0xd, bit, &eax, &ebx, &ecx, &edx)) {
			processor->places[bit].offset = ebx;
			processor->places[bit].size = eax;
		}
}

/* Read once: what CPUID says never changes, and in a virtual machine it takes 20 us to ask. */
static const struct processor *processor(void)
{
	static struct processor found;

	if (!found.components)
		read_processor(&found);
	return &found;
}

static void component_place(unsigned bit, size_t *ret_offset, size_t *ret_size)
{
	*ret_offset = processor()->places[bit].offset;
	*ret_size = processor()->places[bit].size;
}

static uint64_t host_components(void)
{
	return processor()->components;
}

size_t xstate_host_size(void)
{
	return processor()->xstate_size;
}

uint64_t xstate_components(const uint8_t *xstate, size_t size)
{
	uint64_t bits = LEGACY_COMPONENTS;

	if (size >= XSAVE_HEADER_END)
		memcpy(&bits, xstate + XSAVE_BV, sizeof bits);
	return bits;
}

uint64_t xstate_unsupported(const uint8_t *xstate, size_t size)
{
	uint64_t bits = xstate_components(xstate, size) & ~(uint64_t)LEGACY_COMPONENTS;

	for (size_t i = 0; i < N_COMPONENTS; i++)
		bits &= ~(UINT64_C(1) << components[i].bit);
	return bits;
}

/* What a new program has: nestor never sets its own. */
static uint32_t usual_key_rights(void)
{
	uint32_t rights, upper;

	if (!processor()->protection_keys)
		return 0;
	__asm__ volatile("rdpkru" : "=a"(rights), "=d"(upper) : "c"(0));
	return rights;
}

/* All keys are open where the component is in its initial state. */
uint32_t xstate_own_keys(const uint8_t *xstate, size_t size)
{
	uint32_t rights = 0, keys = 0;
	size_t offset, room;

	component_place(COMPONENT_KEYS, &offset, &room);
	if (!processor()->protection_keys || room < sizeof rights || offset + room > size)
		return 0;
	if (xstate_components(xstate, size) & UINT64_C(1) << COMPONENT_KEYS)
		memcpy(&rights, xstate + offset, sizeof rights);
	rights ^= usual_key_rights();
	for (unsigned key = 1; key < 16; key++)
		if (rights >> 2 * key & 3)
			keys |= UINT32_C(1) << key;
	return keys;
}

bool registers_interrupted(const struct user_regs_struct *regs)
{
	if ((int64_t)regs->orig_rax < 0)
		return false;
	switch (-(int64_t)regs->rax) {
	case ERESTARTSYS:
	case ERESTARTNOINTR:
	case ERESTARTNOHAND:
	case ERESTART_RESTARTBLOCK:
		return true;
	default:
		return false;
	}
}

/* x86-64 ABI of the kernel: the order of arguments. */
static const size_t arguments[6] = {
	offsetof(struct user_regs_struct, rdi), offsetof(struct user_regs_struct, rsi),
	offsetof(struct user_regs_struct, rdx), offsetof(struct user_regs_struct, r10),
	offsetof(struct user_regs_struct, r8),	offsetof(struct user_regs_struct, r9),
};

void registers_arguments(const struct user_regs_struct *regs, uint64_t args[6])
{
	for (size_t i = 0; i < 6; i++)
		memcpy(&args[i], (const char *)regs + arguments[i], sizeof args[i]);
}

void registers_set_argument(struct user_regs_struct *regs, unsigned index, uint64_t value)
{
	memcpy((char *)regs + arguments[index], &value, sizeof value);
}

struct user_regs_struct registers_of_call(uint64_t instruction, uint64_t nr, const uint64_t args[6])
{
	return (struct user_regs_struct){
		.rip = instruction,
		.rax = nr,
		.orig_rax = (unsigned long long)-1, /* nothing to restart */
		.rdi = args[0],
		.rsi = args[1],
		.rdx = args[2],
		.r10 = args[3],
		.r8 = args[4],
		.r9 = args[5],
		.cs = REGISTERS_CS_64,
		.ss = USER_DS,
		.eflags = USER_FLAGS,
	};
}

uint64_t registers_stack(const struct user_regs_struct *regs)
{
	return regs->rsp;
}

long registers_call_of_code(const uint8_t code[CALL_CODE_SIZE])
{
	uint32_t number;

	/* mov $number,%eax; syscall */
	if (code[0] != 0xb8 || code[5] != 0x0f || code[6] != 0x05)
		return -1;
	memcpy(&number, code + 1, sizeof number);
	return (long)number;
}

static UserX86RegsEntry *save_general(const struct user_regs_struct *regs, struct arena *arena)
{
	UserX86RegsEntry *entry =
		arena_copy(arena, &(UserX86RegsEntry)USER_X86_REGS_ENTRY__INIT, sizeof *entry);

	for (size_t i = 0; i < sizeof general_registers / sizeof general_registers[0]; i++)
		memcpy((char *)entry + general_registers[i].in_entry,
		       (const char *)regs + general_registers[i].in_regs, sizeof(uint64_t));
	entry->has_mode = true;
	entry->mode = USER_X86_REGS_MODE__NATIVE;
	return entry;
}

/* Components this processor has are all written: readers of the format expect full arrays. */
static UserX86XsaveEntry *save_components(const uint8_t *xstate, size_t xstate_size,
					  struct arena *arena)
{
	UserX86XsaveEntry *entry =
		arena_copy(arena, &(UserX86XsaveEntry)USER_X86_XSAVE_ENTRY__INIT, sizeof *entry);

	entry->xstate_bv = xstate_components(xstate, xstate_size);
	for (size_t i = 0; i < N_COMPONENTS; i++) {
		const struct component *component = &components[i];
		size_t offset, size, count;
		void *array;

		component_place(component->bit, &offset, &size);
		if (size == 0 || offset + size > xstate_size)
			continue;
		array = arena_copy(arena, xstate + offset, size);
		count = size / component->element_size;
		memcpy((char *)entry + component->count_at, &count, sizeof count);
		memcpy((char *)entry + component->array_at, &array, sizeof array);
	}
	return entry;
}

static UserX86FpregsEntry *save_floating_point(const uint8_t *xstate, size_t xstate_size,
					       struct arena *arena)
{
	UserX86FpregsEntry *entry =
		arena_copy(arena, &(UserX86FpregsEntry)USER_X86_FPREGS_ENTRY__INIT, sizeof *entry);
	struct fxsave_head head;

	memcpy(&head, xstate, sizeof head);
	entry->cwd = head.cwd;
	entry->swd = head.swd;
	entry->twd = head.twd;
	entry->fop = head.fop;
	entry->rip = head.rip;
	entry->rdp = head.rdp;
	entry->mxcsr = head.mxcsr;
	entry->mxcsr_mask = head.mxcsr_mask;
	entry->n_st_space = FXSAVE_ST_WORDS;
	entry->st_space = arena_copy(arena, xstate + FXSAVE_ST, FXSAVE_ST_WORDS * sizeof(uint32_t));
	entry->n_xmm_space = FXSAVE_XMM_WORDS;
	entry->xmm_space =
		arena_copy(arena, xstate + FXSAVE_XMM, FXSAVE_XMM_WORDS * sizeof(uint32_t));
	if (xstate_size >= XSAVE_HEADER_END)
		entry->xsave = save_components(xstate, xstate_size, arena);
	return entry;
}

/* Segments of set_thread_area(2), which only 32-bit code uses: written as empty. */
static void save_tls(ThreadInfoX86 *info, struct arena *arena)
{
	info->n_tls = TLS_ENTRIES;
	info->tls = arena_array(arena, UserDescT *, TLS_ENTRIES);
	for (unsigned i = 0; i < TLS_ENTRIES; i++) {
		info->tls[i] = arena_copy(arena, &(UserDescT)USER_DESC_T__INIT, sizeof(UserDescT));
		info->tls[i]->entry_number = FIRST_TLS_ENTRY + i;
	}
}

void registers_save(const struct user_regs_struct *regs, const uint8_t *xstate, size_t xstate_size,
		    struct arena *arena, CoreEntry *core)
{
	UserX86RegsEntry *general = save_general(regs, arena);

	if (!core->thread_info)
		core->thread_info = arena_copy(arena, &(ThreadInfoX86)THREAD_INFO_X86__INIT,
					       sizeof(ThreadInfoX86));
	if (!core->thread_core)
		core->thread_core = arena_copy(arena, &(ThreadCoreEntry)THREAD_CORE_ENTRY__INIT,
					       sizeof(ThreadCoreEntry));
	if (registers_interrupted(regs)) {
		int64_t reason = -(int64_t)regs->rax;

		general->ax = regs->orig_rax;
		general->ip = regs->rip - SYSCALL_INSTRUCTION;
		/* The restart block is the kernel's: such a call starts over, as one of 514. */
		core->thread_core->has_restart_error = true;
		core->thread_core->restart_error =
			reason == ERESTART_RESTARTBLOCK ? ERESTARTNOHAND : (int32_t)reason;
	}
	core->thread_info->gpregs = general;
	core->thread_info->fpregs = save_floating_point(xstate, xstate_size, arena);
	save_tls(core->thread_info, arena);
}

static int load_general(const CoreEntry *core, struct user_regs_struct *regs, struct error *err)
{
	const UserX86RegsEntry *entry = core->thread_info->gpregs;

	if (entry->has_mode && entry->mode != USER_X86_REGS_MODE__NATIVE)
		return fail(err, ERR_IMAGE_UNSUPPORTED, "registers of a 32-bit task");
	if (entry->cs != REGISTERS_CS_64)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "code segment 0x%" PRIx64 " is not that of a 64-bit task", entry->cs);
	memset(regs, 0, sizeof *regs);
	for (size_t i = 0; i < sizeof general_registers / sizeof general_registers[0]; i++)
		memcpy((char *)regs + general_registers[i].in_regs,
		       (const char *)entry + general_registers[i].in_entry, sizeof(uint64_t));

	/* -1: not in a system call, so the kernel leaves rax and rip as they are. */
	regs->orig_rax = UINT64_MAX;
	if (core->thread_core && core->thread_core->has_restart_error) {
		int32_t reason = core->thread_core->restart_error;

		if (reason != ERESTARTSYS && reason != ERESTARTNOINTR && reason != ERESTARTNOHAND)
			return fail(err, ERR_IMAGE_INVALID,
				    "restart error %d is not one of 512 to 514", reason);
		regs->orig_rax = entry->ax;
		regs->rax = (uint64_t) - (int64_t)reason;
		regs->rip = entry->ip + SYSCALL_INSTRUCTION;
	}
	return 0;
}

/* Of a machine without keys: as for a new program. The initial state would open all. */
static void load_usual_key_rights(uint8_t *xstate)
{
	uint32_t rights = usual_key_rights();
	size_t offset, size;
	uint64_t bits;

	component_place(COMPONENT_KEYS, &offset, &size);
	if (!processor()->protection_keys || size < sizeof rights)
		return;
	memcpy(xstate + offset, &rights, sizeof rights);
	memcpy(&bits, xstate + XSAVE_BV, sizeof bits);
	bits |= UINT64_C(1) << COMPONENT_KEYS;
	memcpy(xstate + XSAVE_BV, &bits, sizeof bits);
}

/* Rights to keys that all are closed: on a processor without keys there is nothing to be kept. */
static bool has_no_key_open(const UserX86XsaveEntry *entry)
{
	const uint32_t closed = 0x55555554;

	return entry->n_pkru > 0 && (entry->pkru[0] & closed) == closed;
}

static int load_components(const UserX86XsaveEntry *entry, uint8_t *xstate, struct error *err)
{
	const uint64_t keys = UINT64_C(1) << COMPONENT_KEYS;
	const uint64_t needless = has_no_key_open(entry) ? keys & ~host_components() : 0;
	const uint64_t wanted = entry->xstate_bv & ~needless;
	uint64_t known = LEGACY_COMPONENTS, missing = wanted & ~host_components();

	if (missing)
		return fail(err, ERR_CPU_DIFFERS,
			    "the image has processor state that this processor or kernel lacks"
			    " (XSAVE components 0x%" PRIx64 ")",
			    missing);
	for (size_t i = 0; i < N_COMPONENTS; i++) {
		const struct component *component = &components[i];
		uint64_t bit = UINT64_C(1) << component->bit;
		size_t offset, size, count;
		const void *array;

		known |= bit;
		if (!(wanted & bit))
			continue;
		component_place(component->bit, &offset, &size);
		memcpy(&count, (const char *)entry + component->count_at, sizeof count);
		memcpy(&array, (const char *)entry + component->array_at, sizeof array);
		if (count != size / component->element_size)
			return fail(
				err, ERR_IMAGE_INVALID,
				"XSAVE component %u has %zu elements of %zu bytes, not %zu bytes",
				component->bit, count, component->element_size, size);
		memcpy(xstate + offset, array, size);
	}
	if (wanted & ~known)
		return fail(err, ERR_IMAGE_UNSUPPORTED, "XSAVE components 0x%" PRIx64,
			    wanted & ~known);
	memcpy(xstate + XSAVE_BV, &wanted, sizeof wanted);
	if (entry->n_pkru == 0)
		load_usual_key_rights(xstate);
	return 0;
}

static int load_floating_point(const UserX86FpregsEntry *entry, uint8_t *xstate, struct error *err)
{
	const uint64_t legacy = LEGACY_COMPONENTS;
	struct fxsave_head head = {
		.cwd = (uint16_t)entry->cwd,
		.swd = (uint16_t)entry->swd,
		.twd = (uint16_t)entry->twd,
		.fop = (uint16_t)entry->fop,
		.rip = entry->rip,
		.rdp = entry->rdp,
		.mxcsr = entry->mxcsr,
		.mxcsr_mask = entry->mxcsr_mask,
	};

	if (entry->n_st_space != FXSAVE_ST_WORDS || entry->n_xmm_space != FXSAVE_XMM_WORDS)
		return fail(err, ERR_IMAGE_INVALID, "%zu words of x87 and %zu of SSE registers",
			    entry->n_st_space, entry->n_xmm_space);
	/* The upper half is reserved; the kernel refuses the whole set if a bit of it is set. */
	if (entry->mxcsr & 0xffff0000)
		return fail(err, ERR_IMAGE_INVALID, "mxcsr is 0x%" PRIx32, entry->mxcsr);
	memcpy(xstate, &head, sizeof head);
	memcpy(xstate + FXSAVE_ST, entry->st_space, FXSAVE_ST_WORDS * sizeof(uint32_t));
	memcpy(xstate + FXSAVE_XMM, entry->xmm_space, FXSAVE_XMM_WORDS * sizeof(uint32_t));
	if (entry->xsave)
		return load_components(entry->xsave, xstate, err);
	memcpy(xstate + XSAVE_BV, &legacy, sizeof legacy);
	load_usual_key_rights(xstate);
	return 0;
}

int registers_load(const CoreEntry *core, struct user_regs_struct *regs, uint8_t *xstate,
		   size_t room, size_t *ret_size, struct error *err)
{
	size_t size = xstate_host_size();

	if (!core->thread_info || !core->thread_info->gpregs || !core->thread_info->fpregs)
		return fail(err, ERR_IMAGE_INVALID, "a thread has no registers");
	if (room < size)
		return fail(err, ERR_CPU_DIFFERS, "this processor's state has %zu bytes", size);
	if (load_general(core, regs, err))
		return -1;
	memset(xstate, 0, size);
	if (load_floating_point(core->thread_info->fpregs, xstate, err))
		return -1;
	*ret_size = size;
	return 0;
}

bool arch_has_protection_keys(void)
{
	return processor()->protection_keys;
}
