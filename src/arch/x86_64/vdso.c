// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where the content of the vdso ends, and what of it is needed to run it. arch/x86/entry/vdso
 * builds it as a stripped shared object that keeps its section headers at the end of the file,
 * padded with zeroes to whole pages.
 */
#include "arch/vdso.h"

#include <elf.h>
#include <string.h>
#include <sys/auxv.h>

size_t vdso_content_size(const uint8_t header[VDSO_HEADER_SIZE])
{
	Elf64_Ehdr elf;

	_Static_assert(sizeof elf == VDSO_HEADER_SIZE, "the header is read whole");
	memcpy(&elf, header, sizeof elf);
	if (memcmp(elf.e_ident, ELFMAG, SELFMAG) || elf.e_ident[EI_CLASS] != ELFCLASS64 ||
	    elf.e_machine != EM_X86_64 || elf.e_shoff == 0 || elf.e_shoff > 1 << 20)
		return 0;
	return elf.e_shoff + (size_t)elf.e_shnum * elf.e_shentsize;
}

size_t vdso_loaded_size(const uint8_t *image)
{
	const size_t content = vdso_content_size(image);
	size_t loaded = 0;
	Elf64_Ehdr elf;
	Elf64_Phdr program;

	memcpy(&elf, image, sizeof elf);
	for (size_t i = 0; content && i < elf.e_phnum; i++) {
		size_t at = elf.e_phoff + i * elf.e_phentsize;

		if (elf.e_phentsize < sizeof program || at + sizeof program > content)
			return content;
		memcpy(&program, image + at, sizeof program);
		if (program.p_offset > content || program.p_filesz > content - program.p_offset)
			return content;
		if (program.p_type == PT_LOAD && program.p_offset + program.p_filesz > loaded)
			loaded = program.p_offset + program.p_filesz;
	}
	return loaded ? loaded : content;
}

const uint8_t *vdso_own(void)
{
	return (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
}
