// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where the content of the vdso ends. arch/x86/entry/vdso builds it as a stripped shared object
 * that keeps its section headers at the end of the file, padded with zeroes to whole pages.
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

const uint8_t *vdso_own(void)
{
	return (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
}
