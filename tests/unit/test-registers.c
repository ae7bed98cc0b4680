// SPDX-License-Identifier: LGPL-2.1-or-later
/* Register sets to messages and back, and the context of the injection stub. */
#include "arch/registers.h"
#include "arch/stub.h"
#include "arch/x86_64/processor.h"
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 200, XSTATE_BV = 512, MXCSR = 24, REGISTERS_END = 416, FXSAVE_END = 512 };

static void fill_random(void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)bytes)[i] = (uint8_t)random();
}

static void random_registers(struct user_regs_struct *regs)
{
	fill_random(regs, sizeof *regs);
	regs->cs = REGISTERS_CS_64;
	regs->orig_rax = UINT64_MAX;
}

/* As the kernel would give it: components not in use are zero, reserved bytes too. */
static size_t random_xstate(uint8_t *xstate)
{
	size_t size = xstate_host_size();
	uint64_t in_use = 7; /* x87, SSE, AVX */
	uint32_t mxcsr = 0x1f80;

	memset(xstate, 0, size);
	fill_random(xstate, REGISTERS_END);
	memcpy(xstate + MXCSR, &mxcsr, sizeof mxcsr);
	if (size < 576 + 256) /* no AVX here */
		in_use = 3;
	else
		fill_random(xstate + 576,
			    256); /* the AVX part has had this place since it exists */
	memcpy(xstate + XSTATE_BV, &in_use, sizeof in_use);
	return size;
}

static void round_trip(void **unused)
{
	(void)unused;
	for (int i = 0; i < ROUNDS; i++) {
		uint8_t before[XSTATE_MAX_SIZE], after[XSTATE_MAX_SIZE];
		struct user_regs_struct regs, loaded;
		CoreEntry core = CORE_ENTRY__INIT;
		struct error err = { 0 };
		struct arena arena;
		size_t size = random_xstate(before), loaded_size;

		arena_init(&arena);
		random_registers(&regs);
		registers_save(&regs, before, size, &arena, &core);
		assert_int_equal(
			registers_load(&core, &loaded, after, sizeof after, &loaded_size, &err), 0);
		assert_memory_equal(&regs, &loaded, sizeof regs);
		assert_int_equal(size, loaded_size);
		assert_memory_equal(before, after, size);
		assert_false(core.thread_core->has_restart_error);
		assert_int_equal(core.thread_info->n_tls, 3);
		arena_done(&arena);
	}
}

static void interrupted_call(void **unused)
{
	static const int reasons[] = { 512, 513, 514, 516 };

	(void)unused;
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
		uint8_t xstate[XSTATE_MAX_SIZE];
		struct user_regs_struct regs, loaded;
		CoreEntry core = CORE_ENTRY__INIT;
		struct error err = { 0 };
		struct arena arena;
		size_t size = random_xstate(xstate);

		arena_init(&arena);
		random_registers(&regs);
		regs.orig_rax = 35;
		regs.rax = (uint64_t) - (int64_t)reasons[i];
		assert_true(registers_interrupted(&regs));
		registers_save(&regs, xstate, size, &arena, &core);
		/* What readers that do not know restart_error see: the call, about to be made. */
		assert_int_equal(core.thread_info->gpregs->ax, 35);
		assert_int_equal(core.thread_info->gpregs->ip, regs.rip - 2);
		assert_int_equal(core.thread_core->restart_error,
				 reasons[i] == 516 ? 514 : reasons[i]);
		assert_int_equal(registers_load(&core, &loaded, xstate, sizeof xstate, &size, &err),
				 0);
		if (reasons[i] == 516)
			regs.rax = (uint64_t)-514;
		assert_memory_equal(&regs, &loaded, sizeof regs);
		arena_done(&arena);
	}
}

/* A call that has failed with EINTR, or has not been interrupted, is not made again. */
static void finished_call(void **unused)
{
	struct user_regs_struct regs = { .orig_rax = 35, .rax = (uint64_t)-4, .rip = 0x1000 };
	struct stub_context context;

	(void)unused;
	assert_false(registers_interrupted(&regs));
	context = stub_context_of(&regs, 0);
	assert_int_equal(context.rip, 0x1000);
	regs.orig_rax = UINT64_MAX;
	regs.rax = (uint64_t)-512; /* a number like any other outside of a system call */
	assert_false(registers_interrupted(&regs));
}

static void stub_restarts(void **unused)
{
	struct user_regs_struct regs = {
		.orig_rax = 7, .rax = (uint64_t)-514, .rip = 0x1002, .eflags = 0x346
	};
	struct stub_context context = stub_context_of(&regs, 0x55);

	(void)unused;
	assert_int_equal(context.rax, 7);
	assert_int_equal(context.rip, 0x1000);
	assert_int_equal(context.signal_mask, 0x55);
	assert_int_equal(context.flags, 0x246); /* never the trap flag */
	regs.rax = (uint64_t)-516;
	context = stub_context_of(&regs, 0);
	assert_int_equal(context.rax, 219); /* restart_syscall */
}

static void context_round_trip(void **unused)
{
	struct user_regs_struct regs, loaded;
	struct stub_context context;

	(void)unused;
	random_registers(&regs);
	regs.eflags &= ~0x100ull;
	context = stub_context_of(&regs, 0);
	loaded = regs;
	memset(&loaded, 0, offsetof(struct user_regs_struct, cs));
	loaded.rsp = loaded.eflags = 0;
	stub_context_load(&context, &loaded);
	assert_memory_equal(&regs, &loaded, sizeof regs);
}

static enum error_name load_error(CoreEntry *core)
{
	uint8_t xstate[XSTATE_MAX_SIZE];
	struct user_regs_struct regs;
	struct error err = { 0 };
	size_t size;

	assert_int_equal(registers_load(core, &regs, xstate, sizeof xstate, &size, &err), -1);
	return err.name;
}

static void bad_images(void **unused)
{
	uint8_t xstate[XSTATE_MAX_SIZE];
	struct user_regs_struct regs;
	CoreEntry core = CORE_ENTRY__INIT;
	struct arena arena;
	UserX86XsaveEntry *xsave;
	size_t size = random_xstate(xstate);

	(void)unused;
	assert_int_equal(load_error(&core), ERR_IMAGE_INVALID);
	arena_init(&arena);
	random_registers(&regs);
	registers_save(&regs, xstate, size, &arena, &core);
	xsave = core.thread_info->fpregs->xsave;

	xsave->xstate_bv |= UINT64_C(1) << 61;
	assert_int_equal(load_error(&core), ERR_CPU_DIFFERS);
	xsave->xstate_bv = 7;
	if (xsave->n_ymmh_space) {
		xsave->n_ymmh_space--;
		assert_int_equal(load_error(&core), ERR_IMAGE_INVALID);
		xsave->n_ymmh_space++;
	}
	core.thread_info->fpregs->mxcsr = 0x10000;
	assert_int_equal(load_error(&core), ERR_IMAGE_INVALID);
	core.thread_info->fpregs->mxcsr = 0x1f80;
	core.thread_info->fpregs->n_xmm_space = 10;
	assert_int_equal(load_error(&core), ERR_IMAGE_INVALID);
	core.thread_info->gpregs->cs = 0x23;
	assert_int_equal(load_error(&core), ERR_IMAGE_UNSUPPORTED);
	arena_done(&arena);
}

static void unsupported_components(void **unused)
{
	uint8_t xstate[1024] = { 0 };
	uint64_t bits = 0x2e7;

	(void)unused;
	memcpy(xstate + XSTATE_BV, &bits, sizeof bits);
	assert_int_equal(xstate_unsupported(xstate, sizeof xstate), 0);
	bits |= UINT64_C(1) << 18; /* AMX tile data */
	memcpy(xstate + XSTATE_BV, &bits, sizeof bits);
	assert_int_equal(xstate_unsupported(xstate, sizeof xstate), UINT64_C(1) << 18);
	assert_int_equal(xstate_components(xstate, FXSAVE_END), 3);
}

static void lacking_bits_are_named(void **unused)
{
	struct arena arena;
	struct error err = { 0 };

	(void)unused;
	arena_init(&arena);
	CpuinfoEntry *here = processor_describe(&arena), *then = processor_describe(&arena);
	CpuinfoX86Entry *one = here->x86_entry[0], *other = then->x86_entry[0];
	assert_int_equal(processor_check(then, here, PROCESSOR_ALL, &err), 0);
	one->capability[0] &= ~1u;
	other->capability[0] |= 1;
	assert_int_equal(processor_check(then, here, PROCESSOR_FEATURES, &err), -1);
	assert_string_equal(err.text, "this processor lacks what the recorded one has: "
				      "fpu");
	err = (struct error){ 0 };
	one->capability[0] = other->capability[0] & ~(UINT32_C(1) << 31);
	other->capability[0] |= UINT32_C(1) << 31;
	assert_int_equal(processor_check(then, here, PROCESSOR_FEATURES, &err), -1);
	assert_string_equal(err.text, "this processor lacks what the recorded one has: "
				      "word 0 bit 31");
	arena_done(&arena);
}

/* As the kernel tells it. */
static void vendor_is_named(void **state)
{
	struct arena arena;
	char line[256];
	FILE *file = fopen("/proc/cpuinfo", "re");
	CpuinfoX86Entry__Vendor expected = CPUINFO_X86_ENTRY__VENDOR__UNKNOWN;

	(void)state;
	assert_non_null(file);
	while (fgets(line, sizeof line, file) && strncmp(line, "vendor_id", 9) != 0)
		;
	if (strstr(line, "GenuineIntel"))
		expected = CPUINFO_X86_ENTRY__VENDOR__INTEL;
	else if (strstr(line, "AuthenticAMD") || strstr(line, "HygonGenuine"))
		expected = CPUINFO_X86_ENTRY__VENDOR__AMD;
	fclose(file);
	arena_init(&arena);
	assert_int_equal(processor_describe(&arena)->x86_entry[0]->vendor_id, expected);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),	      cmocka_unit_test(interrupted_call),
		cmocka_unit_test(finished_call),      cmocka_unit_test(stub_restarts),
		cmocka_unit_test(bad_images),	      cmocka_unit_test(unsupported_components),
		cmocka_unit_test(context_round_trip), cmocka_unit_test(lacking_bits_are_named),
		cmocka_unit_test(vendor_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
