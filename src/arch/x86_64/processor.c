// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What CPUID tells of a processor; see processor.h. Where which leaf is among the words of the
 * image is a matter of the image format; words that no leaf is for are those of the kernel's own
 * inventions, and stay 0. Bits that say how a kernel has set the processor up (OSXSAVE, OSPKE, the
 * APIC) are left out: they say nothing about what could be done.
 */
#include "arch/x86_64/processor.h"

#include <cpuid.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = 19, WORDS_OF_VERSION_1 = 12, VERSION = 2 };

enum { NAMES_SIZE = 160 };

struct leaf {
	uint32_t number, sub;
	char output; /* register: a, b, c, d */
	uint32_t without;
};

enum { SSE_PART = 1 << 1 };

enum { APIC = 1u << 9, OSXSAVE = 1u << 27, OSPKE = 1u << 4 };

static const struct leaf leaves[WORDS] = {
	[0] = { 1, 0, 'd', APIC },	  [1] = { 0x80000001, 0, 'd', APIC },
	[4] = { 1, 0, 'c', OSXSAVE },	  [6] = { 0x80000001, 0, 'c', 0 },
	[9] = { 7, 0, 'b', 0 },		  [10] = { 0xd, 1, 'a', 0 },
	[11] = { 7, 0, 'c', OSPKE },	  [12] = { 0xf, 1, 'd', 0 },
	[13] = { 0x80000008, 0, 'b', 0 }, [14] = { 6, 0, 'a', 0 },
	[15] = { 0x8000000a, 0, 'd', 0 }, [16] = { 0xf, 0, 'd', 0 },
	[17] = { 0x80000007, 0, 'b', 0 }, [18] = { 7, 0, 'd', 0 },
};

/* What a program may execute, or finds executed otherwise, by the names of /proc/cpuinfo. */
static const struct instruction {
	uint8_t word, bit;
	const char *name;
} instructions[] = {
	{ 0, 0, "fpu" },
	{ 0, 4, "tsc" },
	{ 0, 8, "cx8" },
	{ 0, 15, "cmov" },
	{ 0, 19, "clflush" },
	{ 0, 23, "mmx" },
	{ 0, 24, "fxsr" },
	{ 0, 25, "sse" },
	{ 0, 26, "sse2" },
	{ 1, 11, "syscall" },
	{ 1, 22, "mmxext" },
	{ 1, 27, "rdtscp" },
	{ 1, 29, "lm" },
	{ 1, 30, "3dnowext" },
	{ 1, 31, "3dnow" },
	{ 4, 0, "pni" },
	{ 4, 1, "pclmulqdq" },
	{ 4, 9, "ssse3" },
	{ 4, 12, "fma" },
	{ 4, 13, "cx16" },
	{ 4, 19, "sse4_1" },
	{ 4, 20, "sse4_2" },
	{ 4, 22, "movbe" },
	{ 4, 23, "popcnt" },
	{ 4, 25, "aes" },
	{ 4, 26, "xsave" },
	{ 4, 28, "avx" },
	{ 4, 29, "f16c" },
	{ 4, 30, "rdrand" },
	{ 6, 0, "lahf_lm" },
	{ 6, 5, "abm" },
	{ 6, 6, "sse4a" },
	{ 6, 7, "misalignsse" },
	{ 6, 8, "3dnowprefetch" },
	{ 6, 11, "xop" },
	{ 6, 15, "lwp" },
	{ 6, 16, "fma4" },
	{ 6, 21, "tbm" },
	{ 6, 29, "mwaitx" },
	{ 9, 0, "fsgsbase" },
	{ 9, 3, "bmi1" },
	{ 9, 4, "hle" },
	{ 9, 5, "avx2" },
	{ 9, 8, "bmi2" },
	{ 9, 9, "erms" },
	{ 9, 11, "rtm" },
	{ 9, 14, "mpx" },
	{ 9, 16, "avx512f" },
	{ 9, 17, "avx512dq" },
	{ 9, 18, "rdseed" },
	{ 9, 19, "adx" },
	{ 9, 21, "avx512ifma" },
	{ 9, 23, "clflushopt" },
	{ 9, 24, "clwb" },
	{ 9, 26, "avx512pf" },
	{ 9, 27, "avx512er" },
	{ 9, 28, "avx512cd" },
	{ 9, 29, "sha_ni" },
	{ 9, 30, "avx512bw" },
	{ 9, 31, "avx512vl" },
	{ 10, 0, "xsaveopt" },
	{ 10, 1, "xsavec" },
	{ 10, 2, "xgetbv1" },
	{ 11, 0, "prefetchwt1" },
	{ 11, 1, "avx512vbmi" },
	{ 11, 3, "pku" },
	{ 11, 5, "waitpkg" },
	{ 11, 6, "avx512_vbmi2" },
	{ 11, 8, "gfni" },
	{ 11, 9, "vaes" },
	{ 11, 10, "vpclmulqdq" },
	{ 11, 11, "avx512_vnni" },
	{ 11, 12, "avx512_bitalg" },
	{ 11, 14, "avx512_vpopcntdq" },
	{ 11, 22, "rdpid" },
	{ 11, 25, "cldemote" },
	{ 11, 27, "movdiri" },
	{ 11, 28, "movdir64b" },
	{ 13, 0, "clzero" },
	{ 13, 9, "wbnoinvd" },
	{ 18, 2, "avx512_4vnniw" },
	{ 18, 3, "avx512_4fmaps" },
	{ 18, 8, "avx512_vp2intersect" },
	{ 18, 14, "serialize" },
	{ 18, 22, "amx_bf16" },
	{ 18, 23, "avx512_fp16" },
	{ 18, 24, "amx_tile" },
	{ 18, 25, "amx_int8" },
};

enum { N_INSTRUCTIONS = sizeof instructions / sizeof *instructions };

/* ---- This processor ---- */

static bool ask(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
	return __get_cpuid_count(leaf, sub, &out[0], &out[1], &out[2], &out[3]);
}

static uint32_t word_of(const struct leaf *leaf)
{
	uint32_t out[4];

	if (!leaf->output || !ask(leaf->number, leaf->sub, out))
		return 0;
	return out[leaf->output - 'a'] & ~leaf->without;
}

static CpuinfoX86Entry__Vendor vendor(void)
{
	uint32_t out[4];
	char name[13] = "";

	if (!ask(0, 0, out))
		return CPUINFO_X86_ENTRY__VENDOR__UNKNOWN;
	memcpy(name, &out[1], 4);
	memcpy(name + 4, &out[3], 4);
	memcpy(name + 8, &out[2], 4);
	if (strcmp(name, "GenuineIntel") == 0)
		return CPUINFO_X86_ENTRY__VENDOR__INTEL;
	/* Hygon's are AMD's by another name. */
	return strcmp(name, "AuthenticAMD") == 0 || strcmp(name, "HygonGenuine") == 0
		       ? CPUINFO_X86_ENTRY__VENDOR__AMD
		       : CPUINFO_X86_ENTRY__VENDOR__UNKNOWN;
}

/* The base numbers have four bits; what does not fit is in the extended ones. */
static void read_model(CpuinfoX86Entry *entry)
{
	uint32_t out[4] = { 0 };

	ask(1, 0, out);
	entry->stepping = out[0] & 0xf;
	entry->model = out[0] >> 4 & 0xf;
	entry->cpu_family = out[0] >> 8 & 0xf;
	if (entry->cpu_family >= 6)
		entry->model |= (out[0] >> 16 & 0xf) << 4;
	if (entry->cpu_family == 0xf)
		entry->cpu_family += out[0] >> 20 & 0xff;
}

static char *model_name(struct arena *arena)
{
	enum { FIRST = 0x80000002, PARTS = 3 };
	char text[PARTS * 16 + 1] = "";

	for (uint32_t i = 0; i < PARTS; i++) {
		uint32_t out[4];
		if (!ask(FIRST + i, 0, out))
			return NULL;
		memcpy(text + i * sizeof out, out, sizeof out);
	}
	return arena_string(arena, text + strspn(text, " "));
}

/*
 * Which parts the kernel has switched on, and how large they are together. SSE's registers, which
 * every processor of 64 bits has, are not told: for criu(8) that is a part which it does not know.
 */
static void read_registers(CpuinfoX86Entry *entry)
{
	uint32_t out[4], low, high;

	entry->has_xfeatures_mask = entry->has_xsave_size = entry->has_xsave_size_max = true;
	entry->xfeatures_mask = 1;
	entry->xsave_size = entry->xsave_size_max = 512;
	if (!ask(1, 0, out) || !(out[2] & OSXSAVE))
		return;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	entry->xfeatures_mask = ((uint64_t)high << 32 | low) & ~(uint64_t)SSE_PART;
	if (!ask(0xd, 0, out))
		return;
	entry->xsave_size = out[1];
	entry->xsave_size_max = out[2];
}

CpuinfoEntry *processor_describe(struct arena *arena)
{
	CpuinfoX86Entry *entry = arena_new(arena, CpuinfoX86Entry);
	CpuinfoEntry *all = arena_new(arena, CpuinfoEntry);

	cpuinfo_x86_entry__init(entry);
	entry->vendor_id = vendor();
	read_model(entry);
	entry->capability_ver = VERSION;
	entry->n_capability = WORDS;
	entry->capability = arena_array(arena, uint32_t, WORDS);
	for (size_t i = 0; i < WORDS; i++)
		entry->capability[i] = word_of(&leaves[i]);
	entry->model_id = model_name(arena);
	read_registers(entry);
	cpuinfo_entry__init(all);
	all->n_x86_entry = 1;
	all->x86_entry = arena_array(arena, CpuinfoX86Entry *, 1);
	all->x86_entry[0] = entry;
	return all;
}

/* ---- Comparing ---- */

static void add_name(char names[NAMES_SIZE], const char *name)
{
	size_t length = strlen(names);

	if (strcmp(names + length - (length < 3 ? length : 3), "...") == 0)
		return;
	/* Room for the dots is kept. */
	if (length + strlen(name) + 8 > NAMES_SIZE)
		name = "...";
	snprintf(names + length, NAMES_SIZE - length, "%s%s", length ? ", " : "", name);
}

static const char *instruction_name(size_t word, unsigned bit)
{
	for (size_t i = 0; i < N_INSTRUCTIONS; i++)
		if (instructions[i].word == word && instructions[i].bit == bit)
			return instructions[i].name;
	return NULL;
}

/* Of words that no leaf is for nothing is known here. */
static void add_lacking(char names[NAMES_SIZE], size_t word, uint32_t lacking, bool all)
{
	lacking &= leaves[word].output ? ~leaves[word].without : 0;
	for (unsigned bit = 0; bit < 32; bit++) {
		const char *name = instruction_name(word, bit);
		char number[32];

		if (!(lacking >> bit & 1) || (!name && !all))
			continue;
		snprintf(number, sizeof number, "word %zu bit %u", word, bit);
		add_name(names, name ? name : number);
	}
}

static int check_words(const CpuinfoX86Entry *recorded, const CpuinfoX86Entry *here,
		       unsigned wanted, struct error *err)
{
	char names[NAMES_SIZE] = "";

	for (size_t i = 0; i < recorded->n_capability; i++)
		add_lacking(names, i, recorded->capability[i] & ~here->capability[i],
			    wanted & PROCESSOR_FEATURES);
	if (!names[0])
		return 0;
	return fail(err, ERR_CPU_DIFFERS, "this processor lacks what the recorded one has: %s",
		    names);
}

/* Where the parts lie in memory follows from which there are, on processors that agree. */
static int check_registers(const CpuinfoX86Entry *recorded, const CpuinfoX86Entry *here,
			   struct error *err)
{
	uint64_t then = recorded->xfeatures_mask & ~(uint64_t)SSE_PART;
	uint64_t lacking = then & ~here->xfeatures_mask;

	if (!recorded->has_xfeatures_mask)
		return 0;
	if (lacking)
		return fail(err, ERR_CPU_DIFFERS,
			    "this processor lacks register state of the recorded one: 0x%" PRIx64,
			    lacking);
	if (recorded->has_xsave_size &&
	    (then == here->xfeatures_mask ? recorded->xsave_size != here->xsave_size
					  : recorded->xsave_size > here->xsave_size))
		return fail(err, ERR_CPU_DIFFERS,
			    "this processor lays register state out in another way: in %u bytes, "
			    "the recorded one in %u",
			    here->xsave_size, recorded->xsave_size);
	return 0;
}

/* What anybody may have written. */
static int check_entry(const CpuinfoEntry *recorded, struct error *err)
{
	const CpuinfoX86Entry *entry = recorded->n_x86_entry == 1 ? recorded->x86_entry[0] : NULL;

	if (!entry || recorded->n_ppc64_entry || recorded->n_s390_entry)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "cpuinfo.img: it is not of one kind of x86 processors");
	size_t words = entry->capability_ver == VERSION ? WORDS : WORDS_OF_VERSION_1;
	if (entry->capability_ver < 1 || entry->capability_ver > VERSION)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "cpuinfo.img: capabilities of version %u are not known",
			    entry->capability_ver);
	if (entry->n_capability != words)
		return fail(err, ERR_IMAGE_INVALID,
			    "cpuinfo.img: there are %zu words of capabilities, not %zu",
			    entry->n_capability, words);
	return 0;
}

int processor_check(const CpuinfoEntry *recorded, const CpuinfoEntry *here, unsigned wanted,
		    struct error *err)
{
	if (check_entry(recorded, err))
		return -1;
	const CpuinfoX86Entry *then = recorded->x86_entry[0], *now = here->x86_entry[0];
	if (wanted & PROCESSOR_FEATURES && then->vendor_id != now->vendor_id)
		return fail(err, ERR_CPU_DIFFERS,
			    "this processor is of another vendor than the recorded one");
	if (wanted & (PROCESSOR_FEATURES | PROCESSOR_INSTRUCTIONS) &&
	    check_words(then, now, wanted, err))
		return -1;
	return wanted & PROCESSOR_REGISTERS ? check_registers(then, now, err) : 0;
}
