// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: bpf-compiled
 * promise: a program of an object file that is mapped comes back with its types, also if the
 *	kernel has left out what its constants say is never reached, and if it calls a function of
 *	another section; so do descriptors of types, and maps with them
 * flavours: flat one three
 * needs: initial-user-namespace
 */
#include "bpf.h"

#include <elf.h>
#include <linux/btf.h>
#include <stddef.h>
#include <sys/mman.h>

enum { FLAG_PLACE = 4, FLAG = 7, PROGRAM = 7 };
enum { INT_TYPE = 1, FUNCTION_TYPE = 3, CALLED_TYPE = 5 };
enum { INSTRUCTIONS = 9, CALL = 7, CALLED = 2, ALL = INSTRUCTIONS + CALLED };

static const char names[] = "\0int\0context\0scenario_elf\0called";
enum { INT_NAME = 1, CONTEXT_NAME = 5, FUNCTION_NAME = 13, CALLED_NAME = 26 };

static struct {
	struct btf_header head;
	struct btf_type number;
	uint32_t encoding;
	struct btf_type prototype;
	struct btf_param parameter;
	struct btf_type function, called_prototype, called;
	char names[sizeof names];
} __attribute__((packed)) types = {
	.number = { .name_off = INT_NAME, .info = BTF_KIND_INT << 24, .size = 4 },
	.encoding = BTF_INT_SIGNED << 24 | 32,
	.prototype = { .info = BTF_KIND_FUNC_PROTO << 24 | 1, .type = INT_TYPE },
	.parameter = { CONTEXT_NAME, INT_TYPE },
	.function = { .name_off = FUNCTION_NAME,
		      .info = BTF_KIND_FUNC << 24 | BTF_FUNC_GLOBAL,
		      .type = FUNCTION_TYPE - 1 },
	.called_prototype = { .info = BTF_KIND_FUNC_PROTO << 24, .type = INT_TYPE },
	.called = { .name_off = CALLED_NAME,
		    .info = BTF_KIND_FUNC << 24 | BTF_FUNC_STATIC,
		    .type = CALLED_TYPE - 1 },
};

static int load_types(void)
{
	union bpf_attr attributes = bpf_nothing();

	types.head =
		(struct btf_header){ .magic = BTF_MAGIC,
				     .version = BTF_VERSION,
				     .hdr_len = sizeof types.head,
				     .type_len = offsetof(typeof(types), names) - sizeof types.head,
				     .str_off = offsetof(typeof(types), names) - sizeof types.head,
				     .str_len = sizeof names };
	memcpy(types.names, names, sizeof names);
	attributes.btf = (uintptr_t)&types;
	attributes.btf_size = sizeof types;
	int fd = bpf_call(BPF_BTF_LOAD, &attributes);
	scenario_need(fd >= 0, "cannot load types: errno %d", errno);
	return fd;
}

/* An array of one constant with types: the second half is the flag. */
static int make_constants(int types_fd, uint32_t value_size)
{
	union bpf_attr attributes = bpf_nothing();

	attributes.map_type = BPF_MAP_TYPE_ARRAY;
	attributes.key_size = 4;
	attributes.value_size = value_size;
	attributes.max_entries = 1;
	attributes.map_flags = value_size == 4 ? 0 : BPF_F_RDONLY_PROG;
	if (value_size == 4) {
		attributes.btf_fd = (uint32_t)types_fd;
		attributes.btf_key_type_id = attributes.btf_value_type_id = INT_TYPE;
	}
	strcpy(attributes.map_name, value_size == 4 ? "typed" : "constants");
	int fd = bpf_call(BPF_MAP_CREATE, &attributes);
	scenario_need(fd >= 0, "cannot make a map: errno %d", errno);
	const uint32_t key = 0, value[2] = { FLAG + 1, FLAG };
	scenario_need(!bpf_element(BPF_MAP_UPDATE_ELEM, fd, &key, value), "cannot put");
	attributes = bpf_nothing();
	attributes.map_fd = (uint32_t)fd;
	scenario_need(value_size == 4 || !bpf_call(BPF_MAP_FREEZE, &attributes), "cannot freeze");
	return fd;
}

/* What the file has, where `map` is 0, or what was loaded. */
static void write_code(struct bpf_insn *code, int map)
{
	const struct bpf_insn program[INSTRUCTIONS] = {
		bpf_code(BPF_LD | BPF_IMM | BPF_DW, 1, map ? BPF_PSEUDO_MAP_VALUE : 0, 0, map),
		bpf_code(0, 0, 0, 0, map ? FLAG_PLACE : 0),
		BPF_LOAD(2, 1, 0),
		BPF_SET(0, 1),
		BPF_IF(2, FLAG, 2),
		BPF_SET(0, 0),
		BPF_LEAVE, /* both are never reached */
		bpf_code(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0,
			 map ? INSTRUCTIONS - CALL - 1 : -1),
		BPF_LEAVE,
	};

	memcpy(code, program, sizeof program);
}

static const struct bpf_insn called[CALLED] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
	{ .code = BPF_JMP | BPF_EXIT },
};

static const char strings[] = "\0scenario_elf\0flag\0.text\0.rel\0.rodata\0.symtab\0.strtab";
enum { CODE = 1, RELOCATIONS, CONSTANTS, SYMBOLS, STRINGS, CALLED_CODE, SECTIONS };

static struct {
	Elf64_Ehdr head;
	struct bpf_insn code[INSTRUCTIONS];
	struct bpf_insn called[CALLED];
	Elf64_Rel relocations[2];
	uint32_t constants[2];
	Elf64_Sym symbols[5];
	Elf64_Shdr sections[SECTIONS];
	char strings[sizeof strings];
} object;

static Elf64_Shdr section(uint32_t name, uint32_t type, size_t offset, size_t size)
{
	return (Elf64_Shdr){
		.sh_name = name, .sh_type = type, .sh_offset = offset, .sh_size = size
	};
}

#define PART(name) offsetof(typeof(object), name), sizeof object.name

static void map_object(void)
{
	write_code(object.code, 0);
	object.head = (Elf64_Ehdr){ .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB },
				    .e_type = ET_REL,
				    .e_machine = 247,
				    .e_shoff = offsetof(typeof(object), sections),
				    .e_shentsize = sizeof(Elf64_Shdr),
				    .e_shnum = SECTIONS,
				    .e_shstrndx = STRINGS };
	memcpy(object.called, called, sizeof called);
	object.relocations[0].r_info = ELF64_R_INFO(2, 1);
	object.relocations[1] = (Elf64_Rel){ 8 * CALL, ELF64_R_INFO(3, 10) };
	object.symbols[1] = (Elf64_Sym){ .st_name = 1,
					 .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
					 .st_shndx = CODE,
					 .st_size = sizeof object.code };
	object.symbols[2] = (Elf64_Sym){ .st_name = 14,
					 .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT),
					 .st_shndx = CONSTANTS,
					 .st_value = FLAG_PLACE,
					 .st_size = 4 };
	object.symbols[3] = (Elf64_Sym){ .st_info = ELF64_ST_INFO(STB_LOCAL, STT_SECTION),
					 .st_shndx = CALLED_CODE };
	object.symbols[4] = (Elf64_Sym){ .st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC),
					 .st_shndx = CALLED_CODE,
					 .st_size = sizeof object.called };
	object.sections[CALLED_CODE] = section(19, SHT_PROGBITS, PART(called));
	object.sections[CALLED_CODE].sh_flags = SHF_EXECINSTR;
	object.sections[CODE] = section(19, SHT_PROGBITS, PART(code));
	object.sections[RELOCATIONS] = section(25, SHT_REL, PART(relocations));
	object.sections[RELOCATIONS].sh_info = CODE;
	object.sections[RELOCATIONS].sh_link = SYMBOLS;
	object.sections[CONSTANTS] = section(30, SHT_PROGBITS, PART(constants));
	object.sections[SYMBOLS] = section(38, SHT_SYMTAB, PART(symbols));
	object.sections[SYMBOLS].sh_link = STRINGS;
	object.sections[STRINGS] = section(46, SHT_STRTAB, PART(strings));
	memcpy(object.strings, strings, sizeof strings);
	int fd = open("object", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	scenario_need(write(fd, &object, sizeof object) == sizeof object, "cannot write");
	void *mapped = mmap(NULL, sizeof object, PROT_READ, MAP_PRIVATE, fd, 0);
	scenario_need(mapped != MAP_FAILED, "cannot map");
	close(fd);
}

static int load(int types_fd)
{
	union bpf_attr with = bpf_of_kind(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS);
	struct bpf_func_info functions[] = { { 0, FUNCTION_TYPE }, { INSTRUCTIONS, CALLED_TYPE } };
	struct bpf_insn code[ALL];
	int constants = make_constants(types_fd, 8);

	write_code(code, constants);
	memcpy(code + INSTRUCTIONS, called, sizeof called);
	with.prog_btf_fd = (uint32_t)types_fd;
	with.func_info = (uintptr_t)functions;
	with.func_info_rec_size = sizeof *functions;
	with.func_info_cnt = 2;
	int fd = bpf_load(with, "scenario_elf", code, ALL);
	close(constants);
	return fd;
}

static void expect_types(int fd, uint32_t *ret_number)
{
	char content[sizeof types] = "";
	struct bpf_btf_info info;

	memset(&info, 0, sizeof info);
	info.btf = (uintptr_t)content;
	info.btf_size = sizeof content;
	bpf_ask(fd, &info, sizeof info, "types");
	scenario_check(info.btf_size == sizeof types && !memcmp(content, &types, sizeof types),
		       "other types");
	*ret_number = info.id;
}

int main(int argc, char **argv)
{
	struct bpf_map_info of_map;
	uint32_t number, value = 0;
	const uint32_t key = 0;

	scenario_begin(argc, argv);
	memset(&of_map, 0, sizeof of_map);
	int types_fd = load_types(), program = load(types_fd), typed = make_constants(types_fd, 4);
	map_object();
	struct bpf_prog_info before = bpf_program(program);

	scenario_ready();

	struct bpf_prog_info after = bpf_program(program);
	expect_types(types_fd, &number);
	scenario_check(!memcmp(before.tag, after.tag, sizeof after.tag), "another program");
	scenario_check(after.xlated_prog_len == before.xlated_prog_len, "translated otherwise");
	scenario_check(after.btf_id == number && after.nr_func_info == 2,
		       "the program has the types %u", after.btf_id);
	bpf_ask(typed, &of_map, sizeof of_map, "a map");
	scenario_check(of_map.btf_id == number && of_map.btf_key_type_id == INT_TYPE &&
			       of_map.btf_value_type_id == INT_TYPE,
		       "the map has the types %u", of_map.btf_id);
	scenario_check(!bpf_element(BPF_MAP_LOOKUP_ELEM, typed, &key, &value) && value == FLAG + 1,
		       "the map has %u", value);
	return scenario_end();
}
