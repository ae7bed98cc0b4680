// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Keys of memory protection, pkeys(7): which of the 15 the process has allocated, and which area
 * has which. What a thread may do with them stands in a register of its own (PKRU), which comes
 * back with the others.
 *
 *  - Whether a key is allocated only pkey_mprotect tells: beyond all areas it looks at the key
 *    first (do_mprotect_pkey). Where a filter forbids that, a key counts as allocated that an area
 *    has or a thread opened for itself: of another the program would only be told by the calls that
 *    are forbidden.
 *  - An area that may only be executed has a key that the kernel takes by itself, the lowest that
 *    is free (execute_only_pkey); no call is told of that one. A key may be freed while areas have
 *    it.
 *  - So before areas are mapped all keys are allocated but the kernel's own, and afterwards those
 *    freed that were free. pkey_alloc opens them for the thread that restores, and for those that
 *    it makes: nothing that the kernel writes for them meanwhile fails.
 */
#include "kinds/memory/memory.h"

#include "arch/registers.h"
#include "collect/collect.h"
#include "collect/probe.h"
#include "kernel/facts.h"
#include "plan/plan.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* Beyond what a process can have mapped. */
static const uint64_t no_area = UINT64_C(0x7ffffffff000);

static uint32_t bit_of(uint64_t key)
{
	return UINT32_C(1) << key;
}

/* --- Dump --- */

void protection_keys_ask(struct probe *probe, struct protection_keys_asked *asked)
{
	for (unsigned key = 1; key < PROTECTION_KEYS && arch_has_protection_keys(); key++)
		asked->calls[key] = probe_ask(probe, SYS_pkey_mprotect, no_area, 4096, 0, key);
}

/* Those that an area has, but for the kernel's own, or that are open to a thread. */
static uint32_t seen_keys(const struct target *target)
{
	const MmEntry *mm = target->task->mm;
	uint32_t keys = 0;

	for (size_t i = 0; i < mm->n_vmas; i++)
		if (mm->vmas[i]->protection_key && mm->vmas[i]->prot != PROT_EXEC)
			keys |= bit_of(mm->vmas[i]->protection_key);
	for (size_t i = 0; i < target->n_threads; i++) {
		const struct target_thread *thread = &target->threads[i];

		if (thread->xstate)
			keys |= xstate_own_keys(thread->xstate, thread->xstate_size);
	}
	return keys;
}

void protection_keys_answer(const struct probe *probe, const struct target *target,
			    const struct protection_keys_asked *asked)
{
	MmEntry *mm = target->task->mm;
	uint32_t keys = 0;

	if (!arch_has_protection_keys())
		return;
	for (unsigned key = 1; key < PROTECTION_KEYS; key++) {
		int64_t result = probe_result(probe, asked->calls[key]);

		if (result == PROBE_FORBIDDEN)
			keys = seen_keys(target);
		else if (result == -ENOMEM)
			keys |= bit_of(key);
	}
	mm->has_protection_keys = keys != 0;
	mm->protection_keys = keys;
}

/* --- Check --- */

int protection_keys_check(const MmEntry *mm, struct error *err)
{
	bool bad = mm->protection_keys & ~(bit_of(PROTECTION_KEYS) - 2);

	for (size_t i = 0; i < mm->n_vmas; i++)
		bad = bad || mm->vmas[i]->protection_key >= PROTECTION_KEYS;
	return bad ? fail(err, ERR_IMAGE_INVALID, "it has protection keys that cannot be") : 0;
}

/* --- Restore --- */

/* The key that the kernel took for areas that may only be executed; 0: none. */
static uint32_t kernel_key(const MmEntry *mm)
{
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (mm->vmas[i]->prot == PROT_EXEC && mm->vmas[i]->protection_key &&
		    !(mm->protection_keys & bit_of(mm->vmas[i]->protection_key)))
			return mm->vmas[i]->protection_key;
	return 0;
}

uint32_t protection_key_of_area(const MmEntry *mm, const VmaEntry *area)
{
	return area->protection_key == kernel_key(mm) ? 0 : area->protection_key;
}

/* The kernel by itself takes the lowest. */
static bool has_none(const MmEntry *mm)
{
	uint32_t keys = mm->protection_keys;

	for (size_t i = 0; i < mm->n_vmas; i++)
		keys |= protection_key_of_area(mm, mm->vmas[i]);
	return !keys && kernel_key(mm) <= 1;
}

int protection_keys_plan_begin(const struct plan *plan, const MmEntry *mm, struct program *program,
			       struct error *err)
{
	if (has_none(mm))
		return 0;
	if (!plan->facts->protection_keys)
		return fail(err, ERR_CPU_DIFFERS,
			    "its memory has protection keys, which this processor or kernel has "
			    "not");
	for (uint32_t key = 1; key < PROTECTION_KEYS; key++)
		op_expect(program_call(program, SYS_pkey_alloc, 0, 0), key);
	if (kernel_key(mm))
		op_expect(program_call(program, SYS_pkey_free, kernel_key(mm)), 0);
	return 0;
}

void protection_keys_plan_end(struct program *program, const MmEntry *mm)
{
	for (uint32_t key = 1; key < PROTECTION_KEYS && !has_none(mm); key++)
		if (!(mm->protection_keys & bit_of(key)) && key != kernel_key(mm))
			op_expect(program_call(program, SYS_pkey_free, key), 0);
}
