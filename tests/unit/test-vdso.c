// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where the vdso has room for what is injected: behind what is needed of it. */
#include "arch/stub.h"
#include "arch/vdso.h"
#include "program/interpreter/interpreter.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	TEXT_END = 0x300,
	LOADED_END = 0x340,
	NAMES = 0x350,
	SECTIONS = 0x400,
	N_SECTIONS = 4,
	CONTENT_END = SECTIONS + N_SECTIONS * sizeof(Elf64_Shdr),
};

static const char names[] = "\0.text\0.altinstructions\0.shstrtab";

static struct {
	Elf64_Ehdr elf;
	Elf64_Phdr programs[2];
	uint8_t rest[NAMES - sizeof(Elf64_Ehdr) - 2 * sizeof(Elf64_Phdr)];
	char names[SECTIONS - NAMES];
	Elf64_Shdr sections[N_SECTIONS];
	uint8_t padding[1024];
} image;

static int fresh(void **unused)
{
	(void)unused;
	memset(&image, 0, sizeof image);
	memcpy(image.elf.e_ident, ELFMAG, SELFMAG);
	image.elf.e_ident[EI_CLASS] = ELFCLASS64;
	image.elf.e_machine = EM_X86_64;
	image.elf.e_phoff = sizeof image.elf;
	image.elf.e_phentsize = sizeof image.programs[0];
	image.elf.e_phnum = 2;
	image.elf.e_shoff = SECTIONS;
	image.elf.e_shentsize = sizeof image.sections[0];
	image.elf.e_shnum = N_SECTIONS;
	image.elf.e_shstrndx = 3;
	image.programs[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_filesz = LOADED_END };
	image.programs[1] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = 0x80, .p_filesz = 16 };
	memcpy(image.names, names, sizeof names);
	image.sections[1] = (Elf64_Shdr){ .sh_name = 1,
					  .sh_type = SHT_PROGBITS,
					  .sh_flags = SHF_ALLOC,
					  .sh_offset = 0x100,
					  .sh_size = TEXT_END - 0x100 };
	image.sections[2] = (Elf64_Shdr){ .sh_name = 7,
					  .sh_type = SHT_PROGBITS,
					  .sh_flags = SHF_ALLOC,
					  .sh_offset = TEXT_END,
					  .sh_size = LOADED_END - TEXT_END };
	image.sections[3] = (Elf64_Shdr){
		.sh_name = 24, .sh_type = SHT_STRTAB, .sh_offset = NAMES, .sh_size = sizeof names
	};
	return 0;
}

static size_t needed(void)
{
	return vdso_needed_size((const uint8_t *)&image);
}

static void what_is_needed(void **unused)
{
	(void)unused;
	assert_int_equal(vdso_content_size((const uint8_t *)&image), CONTENT_END);
	assert_int_equal(needed(), TEXT_END);
	image.programs[1].p_offset = TEXT_END; /* something that is looked for, if not code */
	assert_int_equal(needed(), TEXT_END + 16);
	image.sections[2].sh_name = 1;
	assert_int_equal(needed(), LOADED_END);
}

/* What cannot be told is taken for needed. */
static void doubtful_sections(void **unused)
{
	(void)unused;
	image.sections[1].sh_size = UINT64_MAX;
	assert_int_equal(needed(), LOADED_END);
	fresh(NULL);
	image.sections[2].sh_name = sizeof names - 1;
	assert_int_equal(needed(), LOADED_END);
	image.sections[2].sh_name = UINT32_MAX;
	assert_int_equal(needed(), LOADED_END);
	fresh(NULL);
	image.elf.e_shstrndx = N_SECTIONS;
	assert_int_equal(needed(), LOADED_END);
	fresh(NULL);
	image.elf.e_shentsize = 8;
	assert_int_equal(needed(), LOADED_END);
}

static void doubtful_segments(void **unused)
{
	(void)unused;
	image.programs[0].p_type = PT_NULL;
	assert_int_equal(needed(), CONTENT_END);
	image.programs[0].p_type = PT_LOAD;
	image.programs[0].p_filesz = UINT64_MAX;
	assert_int_equal(needed(), CONTENT_END);
	image.programs[0].p_filesz = LOADED_END;
	image.elf.e_phnum = 60;
	assert_int_equal(needed(), CONTENT_END);
	image.elf.e_phnum = 2;
	image.elf.e_phentsize = 8;
	assert_int_equal(needed(), CONTENT_END);
	image.elf.e_shoff = 0;
	assert_int_equal(needed(), 0);
}

static void own_has_room(void **unused)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), content = vdso_content_size(vdso_own()),
		     end = (content + page - 1) & ~(page - 1);

	(void)unused;
	assert_true(content > 0 && vdso_needed_size(vdso_own()) <= content);
	assert_true(vdso_needed_size(vdso_own()) + 16 + stub_offset(stub_end) + INTERPRETER_SIZE <=
		    end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_needed, fresh),
		cmocka_unit_test_setup(doubtful_sections, fresh),
		cmocka_unit_test_setup(doubtful_segments, fresh),
		cmocka_unit_test(own_has_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
