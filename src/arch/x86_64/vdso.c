// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where the content of the vdso ends, and what of it is needed to run it. arch/x86/entry/vdso
 * builds it as a stripped shared object that keeps its section headers at the end of the file,
 * padded with zeroes to whole pages.
 */
#include "arch/vdso.h"

#include <elf.h>
#include <stdbool.h>
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

struct image {
	const uint8_t *bytes;
	size_t size;
	Elf64_Ehdr elf;
};

/* Where [at, at + size) ends; 0 if that is not all in the image. */
static size_t end_of(const struct image *image, uint64_t at, uint64_t size)
{
	return at <= image->size && size <= image->size - at ? at + size : 0;
}

/* Grows *end to where all ends that is loaded, or, without `loads`, all else that has a segment. */
static bool add_segments(const struct image *image, bool loads, size_t *end)
{
	Elf64_Phdr segment;

	for (size_t i = 0; i < image->elf.e_phnum; i++) {
		size_t at = image->elf.e_phoff + i * sizeof segment;

		if (image->elf.e_phentsize != sizeof segment || !end_of(image, at, sizeof segment))
			return false;
		memcpy(&segment, image->bytes + at, sizeof segment);
		size_t segment_end = end_of(image, segment.p_offset, segment.p_filesz);
		if (!segment_end)
			return false;
		if ((segment.p_type == PT_LOAD) == loads && segment_end > *end)
			*end = segment_end;
	}
	return true;
}

static bool section_at(const struct image *image, size_t index, Elf64_Shdr *ret)
{
	size_t at = image->elf.e_shoff + index * sizeof *ret;

	if (image->elf.e_shentsize != sizeof *ret || index >= image->elf.e_shnum ||
	    !end_of(image, at, sizeof *ret))
		return false;
	memcpy(ret, image->bytes + at, sizeof *ret);
	return end_of(image, ret->sh_offset, ret->sh_size) || ret->sh_type == SHT_NULL;
}

/* Grows *end to where the last section ends that is loaded and no alternative. */
static bool add_sections(const struct image *image, size_t *end)
{
	static const char alternatives[] = ".altinstr";
	Elf64_Shdr names, section;

	if (!section_at(image, image->elf.e_shstrndx, &names))
		return false;
	for (size_t i = 0; i < image->elf.e_shnum; i++) {
		if (!section_at(image, i, &section))
			return false;
		size_t name = names.sh_offset + section.sh_name;
		bool is_alternative =
			section.sh_name < names.sh_size &&
			names.sh_size - section.sh_name >= sizeof alternatives &&
			memcmp(image->bytes + name, alternatives, sizeof alternatives - 1) == 0;
		if (section.sh_flags & SHF_ALLOC && !is_alternative &&
		    section.sh_offset + section.sh_size > *end)
			*end = section.sh_offset + section.sh_size;
	}
	return true;
}

size_t vdso_needed_size(const uint8_t *bytes)
{
	struct image image = { .bytes = bytes, .size = vdso_content_size(bytes) };
	size_t loaded = 0, needed = 0;

	memcpy(&image.elf, bytes, sizeof image.elf);
	if (!image.size || !add_segments(&image, true, &loaded) || !loaded)
		return image.size;
	if (!add_segments(&image, false, &needed) || !add_sections(&image, &needed) || !needed)
		return loaded;
	return needed < loaded ? needed : loaded;
}

const uint8_t *vdso_own(void)
{
	return (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
}
