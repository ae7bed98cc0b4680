// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Programs that were compiled come from object files (ELF, of the machine EM_BPF), which libbpf's
 * skeletons have as bytes in programs or libraries; so they are in what the task has mapped of
 * files. Instructions and relocations are those that were loaded, unless the loader has changed
 * some for this kernel (CO-RE): then the tag is another, and the program not found.
 *
 * The maps of a program are known in the order in which it names them first, by the kernel as here.
 */
#include "kinds/bpf/rebuild.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	MOST_MAPPED = 64 << 20, /* of one mapping; more is not looked at */
	MOST_SECTIONS = 512,
	MACHINE = 247,	    /* EM_BPF */
	MAP_RELOCATION = 1, /* R_BPF_64_64 */
};

/* Bytes that may be anything. */
struct object {
	const uint8_t *bytes;
	size_t size;
	const Elf64_Shdr *sections;
	size_t n_sections;
};

/* `count` things of `size` bytes at an offset; NULL: they are not all in there, or crooked. */
static const void *part(const struct object *object, uint64_t offset, uint64_t count, size_t size)
{
	if (offset > object->size || count > (object->size - offset) / size || offset % 8)
		return NULL;
	return object->bytes + offset;
}

static const Elf64_Shdr *section(const struct object *object, size_t number)
{
	return number < object->n_sections ? &object->sections[number] : NULL;
}

/* A name that ends within its section of names. */
static const char *name_of(const struct object *object, const Elf64_Shdr *names, uint32_t offset)
{
	if (!names || names->sh_offset > object->size ||
	    names->sh_size > object->size - names->sh_offset || offset >= names->sh_size)
		return NULL;
	const char *name = (const char *)object->bytes + names->sh_offset + offset;
	return memchr(name, '\0', names->sh_size - offset) ? name : NULL;
}

/* Does one begin here? */
static bool open_object(const uint8_t *bytes, size_t room, struct object *ret)
{
	const Elf64_Ehdr *head = (const void *)bytes;

	if (room < sizeof *head || head->e_ident[EI_CLASS] != ELFCLASS64 ||
	    head->e_ident[EI_DATA] != ELFDATA2LSB || head->e_machine != MACHINE ||
	    head->e_type != ET_REL || head->e_shentsize != sizeof(Elf64_Shdr) ||
	    head->e_shnum > MOST_SECTIONS)
		return false;
	*ret = (struct object){ .bytes = bytes, .size = room };
	ret->sections = part(ret, head->e_shoff, head->e_shnum, sizeof(Elf64_Shdr));
	ret->n_sections = ret->sections ? head->e_shnum : 0;
	return ret->sections;
}

/* ---- One program ---- */

struct function {
	const struct object *object;
	const Elf64_Shdr *symbols;
	size_t section;
	uint64_t start;
	struct bpf_insn *code;
	size_t count;
};

/* What a program names a map by: a section of data, or a place in that of maps. */
struct named_map {
	uint16_t section;
	uint64_t place;
};

struct named_maps {
	struct named_map list[MOST_PROGRAM_MAPS];
	size_t count;
};

static int find_map(struct named_maps *maps, struct named_map named, size_t most)
{
	for (size_t i = 0; i < maps->count; i++)
		if (maps->list[i].section == named.section && maps->list[i].place == named.place)
			return (int)i;
	if (maps->count == most || maps->count == MOST_PROGRAM_MAPS)
		return -1;
	maps->list[maps->count] = named;
	return (int)maps->count++;
}

/* As libbpf does (kernel docs: bpf/llvm_reloc.rst): `at` is the first of two instructions. */
static bool relocate(const struct function *function, size_t at, const Elf64_Rel *relocation,
		     struct named_maps *maps, size_t most)
{
	const struct object *object = function->object;
	const Elf64_Sym *symbols =
		part(object, function->symbols->sh_offset,
		     function->symbols->sh_size / sizeof *symbols, sizeof *symbols);
	uint64_t number = ELF64_R_SYM(relocation->r_info);
	struct bpf_insn *code = &function->code[at];

	if (ELF64_R_TYPE(relocation->r_info) != MAP_RELOCATION || !symbols ||
	    number >= function->symbols->sh_size / sizeof *symbols ||
	    code->code != (BPF_LD | BPF_IMM | BPF_DW) || at + 1 >= function->count)
		return false;
	const Elf64_Sym *symbol = &symbols[number];
	const Elf64_Shdr *home = section(object, symbol->st_shndx);
	const Elf64_Ehdr *head = (const void *)object->bytes;
	const char *name =
		home ? name_of(object, section(object, head->e_shstrndx), home->sh_name) : NULL;
	if (!name)
		return false;
	bool is_map = strcmp(name, ".maps") == 0;
	int map = find_map(
		maps, (struct named_map){ symbol->st_shndx, is_map ? symbol->st_value : 0 }, most);
	code->src_reg = is_map ? BPF_PSEUDO_MAP_FD : BPF_PSEUDO_MAP_VALUE;
	code[1].imm = is_map ? 0 : code->imm + (int32_t)symbol->st_value;
	code->imm = map;
	return map >= 0;
}

/* In the order of instructions: so the maps come in that of the kernel. */
static bool relocate_all(const struct function *function, size_t most)
{
	const struct object *object = function->object;
	struct named_maps maps = { .count = 0 };

	for (size_t i = 0; i < object->n_sections; i++) {
		const Elf64_Shdr *about = &object->sections[i];
		if (about->sh_type != SHT_REL || about->sh_info != function->section)
			continue;
		size_t count = about->sh_size / sizeof(Elf64_Rel);
		const Elf64_Rel *list = part(object, about->sh_offset, count, sizeof *list);
		if (!list)
			return false;
		for (size_t at = 0; at < function->count; at++)
			for (size_t k = 0; k < count; k++)
				if (list[k].r_offset == function->start + 8 * at &&
				    !relocate(function, at, &list[k], &maps, most))
					return false;
	}
	return true;
}

static int try_function(const struct object *object, const Elf64_Shdr *symbols,
			const Elf64_Sym *symbol, const struct object_code *wanted,
			struct error *err)
{
	const Elf64_Shdr *home = section(object, symbol->st_shndx);
	size_t count = symbol->st_size / sizeof(struct bpf_insn);

	if (!home || !count || count > MOST_INSTRUCTIONS ||
	    home->sh_offset + symbol->st_value < home->sh_offset)
		return 0;
	const struct bpf_insn *code =
		part(object, home->sh_offset + symbol->st_value, count, sizeof *code);
	autofree struct bpf_insn *copy = code ? malloc(count * sizeof *copy) : NULL;
	if (!copy)
		return 0;
	memcpy(copy, code, count * sizeof *copy);
	struct function function = { object,	       symbols, symbol->st_shndx,
				     symbol->st_value, copy,	count };
	return relocate_all(&function, wanted->n_maps) ? wanted->try(wanted->data, copy, count, err)
						       : 0;
}

static int try_object(const struct object *object, const struct object_code *wanted,
		      struct error *err)
{
	for (size_t i = 0; i < object->n_sections; i++) {
		const Elf64_Shdr *about = &object->sections[i];
		size_t count = about->sh_size / sizeof(Elf64_Sym);
		const Elf64_Sym *symbols =
			about->sh_type == SHT_SYMTAB
				? part(object, about->sh_offset, count, sizeof *symbols)
				: NULL;
		for (size_t k = 0; symbols && k < count; k++) {
			const char *name = name_of(object, section(object, about->sh_link),
						   symbols[k].st_name);
			/* The kernel keeps as much of a name as it has room for. */
			if (ELF64_ST_TYPE(symbols[k].st_info) != STT_FUNC || !name ||
			    strncmp(name, wanted->name, BPF_OBJ_NAME_LEN - 1) != 0)
				continue;
			int result = try_function(object, about, &symbols[k], wanted, err);
			if (result)
				return result;
		}
	}
	return 0;
}

/* ---- Where they are ---- */

static int search(const uint8_t *bytes, size_t size, const struct object_code *wanted,
		  struct error *err)
{
	const uint8_t *at = bytes;
	struct object object;

	while ((at = memmem(at, size - (size_t)(at - bytes), ELFMAG, SELFMAG))) {
		size_t room = size - (size_t)(at - bytes);
		int result = (uintptr_t)at % 8 == 0 && open_object(at, room, &object)
				     ? try_object(&object, wanted, err)
				     : 0;
		if (result)
			return result;
		at += SELFMAG;
	}
	return 0;
}

/* What can be read and no more, of a file: "START-END r--p OFFSET DEVICE INODE PATH". */
static bool is_candidate(const char *line, uint64_t *ret_start, uint64_t *ret_end)
{
	uint64_t inode;
	char flags[8];

	return sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %" SCNu64, ret_start, ret_end,
		      flags, &inode) == 4 &&
	       strcmp(flags, "r--p") == 0 && inode && *ret_end - *ret_start <= MOST_MAPPED;
}

int bpf_object_code(const struct open_file *file, const struct object_code *wanted,
		    struct error *err)
{
	autofree char *text = NULL;
	uint64_t start, end;

	if (file->target->held_for)
		return 0;
	if (target_text(file->target, "maps", &text) < 0)
		return fail_errno(err, procfs_error(errno), "cannot read /proc/%d/maps",
				  file->target->pid);
	autoclose int memory = target_open_mem(file->target, err);
	if (memory < 0)
		return -1;
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (!is_candidate(line, &start, &end))
			continue;
		autofree uint8_t *bytes = malloc(end - start);
		/* What is behind the end of the file cannot be read. */
		ssize_t got = bytes ? pread(memory, bytes, end - start, (off_t)start) : -1;
		if (got < 0 && (!bytes || errno_tells_nothing(errno)))
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read memory of pid %d",
					  file->target->pid);
		int result = got > 0 ? search(bytes, (size_t)got, wanted, err) : 0;
		if (result || collect_go_on(file->target->collect, err))
			return result ? result : -1;
	}
	return 0;
}
