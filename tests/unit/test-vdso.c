// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where the vdso has room for what is injected: behind what it loads, over its section headers. */
#include "arch/stub.h"
#include "arch/vdso.h"
#include "program/interpreter/interpreter.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEXT_END = 0x300, SECTIONS = 0x400, N_SECTIONS = 3, IMAGE_SIZE = 4096 };

static struct {
	Elf64_Ehdr elf;
	Elf64_Phdr programs[2];
	uint8_t rest[IMAGE_SIZE - sizeof(Elf64_Ehdr) - 2 * sizeof(Elf64_Phdr)];
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
	image.elf.e_shentsize = sizeof(Elf64_Shdr);
	image.elf.e_shnum = N_SECTIONS;
	image.programs[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_filesz = TEXT_END };
	image.programs[1] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = 0x380, .p_filesz = 16 };
	return 0;
}

static size_t loaded(void)
{
	return vdso_loaded_size((const uint8_t *)&image);
}

static void what_is_loaded(void **unused)
{
	(void)unused;
	assert_int_equal(vdso_content_size((const uint8_t *)&image),
			 SECTIONS + N_SECTIONS * sizeof(Elf64_Shdr));
	assert_int_equal(loaded(), TEXT_END);
	image.programs[1].p_type = PT_LOAD;
	assert_int_equal(loaded(), 0x380 + 16);
}

/* What cannot be told is taken for needed. */
static void doubtful(void **unused)
{
	const size_t content = SECTIONS + N_SECTIONS * sizeof(Elf64_Shdr);

	(void)unused;
	image.programs[0].p_type = PT_NULL;
	assert_int_equal(loaded(), content);
	image.programs[0].p_type = PT_LOAD;
	image.programs[0].p_filesz = UINT64_MAX;
	assert_int_equal(loaded(), content);
	image.programs[0].p_filesz = TEXT_END;
	image.elf.e_phnum = 60;
	assert_int_equal(loaded(), content);
	image.elf.e_phnum = 2;
	image.elf.e_phentsize = 8;
	assert_int_equal(loaded(), content);
	image.elf.e_shoff = 0;
	assert_int_equal(loaded(), 0);
}

static void own_has_room(void **unused)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), content = vdso_content_size(vdso_own()),
		     end = (content + page - 1) & ~(page - 1);

	(void)unused;
	assert_true(content > 0 && vdso_loaded_size(vdso_own()) <= content);
	assert_true(vdso_loaded_size(vdso_own()) + 16 + stub_offset(stub_end) + INTERPRETER_SIZE <=
		    end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_loaded, fresh),
		cmocka_unit_test_setup(doubtful, fresh),
		cmocka_unit_test(own_has_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
