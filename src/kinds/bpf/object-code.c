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

/* A function of an object, where it has come to be in the program. */
struct function {
	size_t section;
	uint64_t start; /* in bytes */
	size_t place, count;
};

/* The first function is the program; those that it calls follow, as libbpf puts them. */
struct linking {
	const struct object *object;
	const Elf64_Sym *symbols;
	size_t n_symbols;
	struct function functions[BPF_MOST_FUNCTIONS];
	size_t n_functions;
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

static bool is_wide(const struct bpf_insn *at)
{
	return at->code == (BPF_LD | BPF_IMM | BPF_DW);
}

static bool calls_function(const struct bpf_insn *at)
{
	return at->code == (BPF_JMP | BPF_CALL) && at->src_reg == BPF_PSEUDO_CALL;
}

static const struct bpf_insn *code_of(const struct object *object, const Elf64_Sym *symbol,
				      size_t *ret_count)
{
	const Elf64_Shdr *home = section(object, symbol->st_shndx);
	size_t count = symbol->st_size / sizeof(struct bpf_insn);

	if (!home || !count || count > MOST_INSTRUCTIONS ||
	    home->sh_offset + symbol->st_value < home->sh_offset)
		return NULL;
	*ret_count = count;
	return part(object, home->sh_offset + symbol->st_value, count, sizeof(struct bpf_insn));
}

static bool append(struct linking *it, const Elf64_Sym *symbol)
{
	size_t count;
	const struct bpf_insn *code = code_of(it->object, symbol, &count);

	if (!code || it->count + count > MOST_INSTRUCTIONS || it->n_functions == BPF_MOST_FUNCTIONS)
		return false;
	struct bpf_insn *room = realloc(it->code, (it->count + count) * sizeof *room);
	if (!room)
		return false;
	memcpy(room + it->count, code, count * sizeof *room);
	it->functions[it->n_functions++] =
		(struct function){ symbol->st_shndx, symbol->st_value, it->count, count };
	it->code = room;
	it->count += count;
	return true;
}

static const struct function *find_function(const struct linking *it, size_t home, uint64_t start)
{
	for (size_t i = 0; i < it->n_functions; i++)
		if (it->functions[i].section == home && it->functions[i].start == start)
			return &it->functions[i];
	return NULL;
}

static const Elf64_Sym *find_symbol(const struct linking *it, size_t home, uint64_t start)
{
	for (size_t i = 0; i < it->n_symbols; i++)
		if (ELF64_ST_TYPE(it->symbols[i].st_info) == STT_FUNC &&
		    it->symbols[i].st_shndx == home && it->symbols[i].st_value == start)
			return &it->symbols[i];
	return NULL;
}

/* What the relocation of an instruction names, and its type; NULL: there is none. */
static const Elf64_Sym *named_at(const struct linking *it, const struct function *function,
				 size_t at, uint64_t *ret_type)
{
	const struct object *object = it->object;
	uint64_t offset = function->start + 8 * (at - function->place);

	for (size_t i = 0; i < object->n_sections; i++) {
		const Elf64_Shdr *about = &object->sections[i];
		if (about->sh_type != SHT_REL || about->sh_info != function->section)
			continue;
		size_t count = about->sh_size / sizeof(Elf64_Rel);
		const Elf64_Rel *list = part(object, about->sh_offset, count, sizeof *list);
		for (size_t k = 0; list && k < count; k++) {
			uint64_t number = ELF64_R_SYM(list[k].r_info);
			if (list[k].r_offset != offset || number >= it->n_symbols)
				continue;
			*ret_type = ELF64_R_TYPE(list[k].r_info);
			return &it->symbols[number];
		}
	}
	return NULL;
}

/* Where the function is that is called here, or whose address is taken: 1, 0: none; -1: nowhere. */
static int target_of(const struct linking *it, const struct function *function, size_t at,
		     size_t *ret_section, uint64_t *ret_start)
{
	const struct bpf_insn *code = &it->code[at];
	bool is_call = calls_function(code);
	uint64_t type;

	if (!is_call && !is_wide(code))
		return 0;
	const Elf64_Sym *symbol = named_at(it, function, at, &type);
	const Elf64_Shdr *home = symbol ? section(it->object, symbol->st_shndx) : NULL;
	if (is_call && !symbol) {
		*ret_section = function->section;
		*ret_start = function->start +
			     (uint64_t)((int64_t)(at - function->place) + code->imm + 1) * 8;
		return 1;
	}
	if (!home || !(home->sh_flags & SHF_EXECINSTR))
		return is_call ? -1 : 0;
	*ret_section = symbol->st_shndx;
	*ret_start = symbol->st_value + (is_call ? ((uint64_t)(int64_t)code->imm + 1) * 8
						 : (uint64_t)(int64_t)code->imm);
	return 1;
}

/* Functions come behind all others when they are first named, and what they name after them. */
static bool link_functions(struct linking *it, size_t number)
{
	const struct function function = it->functions[number];

	for (size_t at = function.place; at < function.place + function.count; at++) {
		size_t home;
		uint64_t start;
		int found = target_of(it, &function, at, &home, &start);
		if (found <= 0) {
			if (found < 0)
				return false;
			continue;
		}
		const struct function *target = find_function(it, home, start);
		if (!target) {
			const Elf64_Sym *symbol = find_symbol(it, home, start);
			if (!symbol || !append(it, symbol) ||
			    !link_functions(it, it->n_functions - 1))
				return false;
			target = find_function(it, home, start);
		}
		if (is_wide(&it->code[at]))
			it->code[at].src_reg = BPF_PSEUDO_FUNC;
		it->code[at].imm = (int32_t)((int64_t)target->place - (int64_t)at - 1);
	}
	return true;
}

/* As libbpf does (kernel docs: bpf/llvm_reloc.rst): `at` is the first of two instructions. */
static bool relocate(const struct linking *it, size_t at, const Elf64_Sym *symbol,
		     struct named_maps *maps, size_t most)
{
	const struct object *object = it->object;
	const Elf64_Shdr *home = section(object, symbol->st_shndx);
	const Elf64_Ehdr *head = (const void *)object->bytes;
	const char *name =
		home ? name_of(object, section(object, head->e_shstrndx), home->sh_name) : NULL;
	struct bpf_insn *code = &it->code[at];

	if (!name || !is_wide(code) || at + 1 >= it->count)
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
static bool link_maps(const struct linking *it, size_t most)
{
	struct named_maps maps = { .count = 0 };

	for (size_t i = 0; i < it->n_functions; i++) {
		const struct function *function = &it->functions[i];
		for (size_t at = function->place; at < function->place + function->count; at++) {
			uint64_t type;
			const Elf64_Sym *symbol =
				calls_function(&it->code[at]) ||
						(is_wide(&it->code[at]) &&
						 it->code[at].src_reg == BPF_PSEUDO_FUNC)
					? NULL
					: named_at(it, function, at, &type);
			if (symbol &&
			    (type != MAP_RELOCATION || !relocate(it, at, symbol, &maps, most)))
				return false;
		}
	}
	return true;
}

static int try_function(const struct object *object, const Elf64_Sym *symbols, size_t n_symbols,
			const Elf64_Sym *symbol, const struct object_code *wanted,
			struct error *err)
{
	struct linking it = { .object = object, .symbols = symbols, .n_symbols = n_symbols };
	bool linked =
		append(&it, symbol) && link_functions(&it, 0) && link_maps(&it, wanted->n_maps);
	autofree struct bpf_insn *code = it.code;

	return linked ? wanted->try(wanted->data, code, it.count, err) : 0;
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
			int result = try_function(object, symbols, count, &symbols[k], wanted, err);
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
