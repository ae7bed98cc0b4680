// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a program was loaded from. What is tried is loaded, with the maps that the program has: with
 * the same tag, and translated to the same, it is that.
 */
#include "kinds/bpf/programs.h"
#include "kinds/bpf/rebuild.h"

#include "base/cleanup.h"
#include "collect/collect.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct bpf_insn *bpf_with_maps(struct arena *arena, const struct bpf_source *source,
			       const int *maps)
{
	struct bpf_insn *code = arena_array(arena, struct bpf_insn, source->count);

	memcpy(code, source->instructions, source->count * sizeof *code);
	for (size_t i = 0; i < source->count; i++) {
		if (code[i].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if (code[i].src_reg && code[i].src_reg != BPF_PSEUDO_FUNC)
			code[i].imm = maps[code[i].imm];
		i++;
	}
	return code;
}

/* Who looks for the instructions of a program. */
struct finding {
	const struct open_file *file;
	struct bpf_prog_info info;
	const struct bpf_insn *translated;
	size_t n_translated;
	struct program_maps maps;
	struct bpf_source source;
	int64_t attached; /* NOT_ATTACHED: not known */
};

static int read_translated(struct finding *it, int fd, struct error *err)
{
	const struct open_file *file = it->file;
	struct bpf_prog_info *info = &it->info;
	size_t count = 0, got;

	if (bpf_program_info(fd, info, NULL, &count) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its facts", file->what);
	if (!bpf_is_known_type(info->type))
		return fail(err, ERR_UNSUPPORTED_FILE, "%s is a BPF program of kind %u (%s)",
			    file->what, info->type, info->name);
	if (!count || count > MOST_INSTRUCTIONS)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is a BPF program of which the kernel shows no instructions",
			    file->what);
	struct bpf_insn *code = arena_array(file->target->collect->arena, struct bpf_insn, count);
	got = count;
	if (bpf_program_info(fd, info, code, &got) < 0 || got != count)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its instructions",
				  file->what);
	it->translated = code;
	it->n_translated = count;
	return 0;
}

static int open_maps(struct finding *it, int fd, struct error *err)
{
	uint32_t numbers[MOST_PROGRAM_MAPS];
	int count = bpf_program_maps(fd, numbers, MOST_PROGRAM_MAPS);

	if (count < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its maps",
				  it->file->what);
	if (count > MOST_PROGRAM_MAPS)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s is a BPF program with %d maps",
			    it->file->what, count);
	for (int i = 0; i < count; i++) {
		if (bpf_map_record(it->file, numbers[i], err))
			return -1;
		int map = bpf_map_by_number(numbers[i], 0);
		if (map < 0)
			return fail_errno(err, ERR_NO_PRIVILEGE, "%s: cannot open its map %u",
					  it->file->what, numbers[i]);
		it->maps.numbers[it->maps.count] = numbers[i];
		it->maps.fds[it->maps.count++] = map;
	}
	return 0;
}

/* Is what the kernel makes of these the same program? */
static bool is_same(const struct finding *it, const struct bpf_source *source)
{
	struct known_programs *known = bpf_programs_known(it->file->target->collect);
	struct arena *arena = it->file->target->collect->arena;
	struct bpf_insn *made = arena_array(arena, struct bpf_insn, it->n_translated);
	struct bpf_source loaded = *source;
	size_t count = it->n_translated;
	struct bpf_prog_info info;

	loaded.instructions = bpf_with_maps(arena, source, it->maps.fds);
	autoclose int fd = bpf_program_load(&loaded);
	if (fd < 0 || bpf_program_info(fd, &info, made, &count) < 0) {
		if (fd >= 0 || errno_tells_nothing(errno))
			known->translations.shortage = errno;
		return false;
	}
	return count == it->n_translated && !memcmp(info.tag, it->info.tag, sizeof info.tag) &&
	       info.nr_map_ids == it->info.nr_map_ids &&
	       !memcmp(made, it->translated, count * sizeof *made);
}

/* As whatever it may be attached as, what it is attached as first. */
static bool prove(struct finding *it, struct bpf_source *source)
{
	if (it->attached != NOT_ATTACHED) {
		source->attach_type = (uint32_t)it->attached;
		if (is_same(it, source))
			return true;
	}
	for (size_t i = 0; bpf_attach_type(source->type, i) >= 0; i++) {
		source->attach_type = (uint32_t)bpf_attach_type(source->type, i);
		if (is_same(it, source))
			return true;
	}
	return false;
}

static int try_object_code(void *data, const struct bpf_insn *instructions, size_t count,
			   struct error *err)
{
	struct finding *it = data;
	struct bpf_source source = it->source;

	(void)err;
	source.instructions = instructions;
	source.count = count;
	if (!prove(it, &source))
		return 0;
	struct arena *arena = it->file->target->collect->arena;
	source.instructions = arena_copy(arena, instructions, count * sizeof *instructions);
	it->source = source;
	return 1;
}

/* With what may have been left out of it. */
static bool prove_parts(struct finding *it, const struct bpf_source *found)
{
	struct arena *arena = it->file->target->collect->arena;
	struct bpf_source variant;

	for (unsigned i = 0; bpf_firewall_variant(found, i, it->maps.count, arena, &variant); i++)
		if (prove(it, &variant)) {
			it->source = variant;
			return true;
		}
	return false;
}

/* From what has become of it. */
static bool find_back(struct finding *it)
{
	struct known_programs *known = bpf_programs_known(it->file->target->collect);

	for (unsigned variant = 0, variants = 1; variant < variants; variant++) {
		struct bpf_source found = it->source;
		found.instructions = it->translated;
		found.count = it->n_translated;
		found.attach_type =
			(uint32_t)(it->attached != NOT_ATTACHED ? it->attached
								: bpf_attach_type(found.type, 0));
		variants = bpf_rebuild(&found, &it->maps, variant, &known->translations);
		if (!variants)
			return false;
		if (prove(it, &found)) {
			it->source = found;
			return true;
		}
		if (prove_parts(it, &found))
			return true;
	}
	return false;
}

/* What has types was compiled, and is in a file of the holder; so others may be. */
static int find_instructions(struct finding *it, struct error *err)
{
	struct object_code wanted = { it->info.name, it->maps.count, try_object_code, it };

	if (!it->info.btf_id && find_back(it))
		return 0;
	int result = bpf_object_code(it->file, &wanted, err);
	if (result)
		return result < 0 ? -1 : 0;
	if (it->info.btf_id && find_back(it))
		return 0;
	errno = bpf_programs_known(it->file->target->collect)->translations.shortage;
	if (errno)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot find its instructions",
				  it->file->what);
	return fail(err, ERR_UNSUPPORTED_FILE,
		    "%s is a BPF program (%s) whose instructions cannot be told for sure",
		    it->file->what, it->info.name);
}

static int find_types(struct finding *it, int fd, BpfProgramEntry *record, struct error *err)
{
	if (!it->info.btf_id)
		return 0;
	uint32_t *types =
		arena_array(it->file->target->collect->arena, uint32_t, BPF_MOST_FUNCTIONS);
	int count = bpf_program_functions(fd, types, BPF_MOST_FUNCTIONS);
	if (count < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its types",
				  it->file->what);
	if (!count || count > BPF_MOST_FUNCTIONS)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is a BPF program (%s) whose functions the kernel does not tell",
			    it->file->what, it->info.name);
	record->types = it->info.btf_id;
	record->has_types = record->has_function_type = true;
	record->function_type = types[0];
	record->n_further_functions = (size_t)count - 1;
	record->further_functions = types + 1;
	it->source.types_fd = bpf_types_by_number(record->types);
	if (it->source.types_fd < 0)
		return fail_errno(err, ERR_NO_PRIVILEGE, "%s: cannot open its types (BTF)",
				  it->file->what);
	it->source.function_types = types;
	it->source.n_functions = (size_t)count;
	return bpf_types_record(it->file, record->types, err);
}

static void fill_record(const struct finding *it, BpfProgramEntry *record)
{
	struct arena *arena = it->file->target->collect->arena;

	record->number = it->info.id;
	record->type = it->info.type;
	record->name = arena_string(arena, it->info.name);
	record->gpl = it->info.gpl_compatible;
	record->tag.len = sizeof it->info.tag;
	record->tag.data = arena_copy(arena, it->info.tag, sizeof it->info.tag);
	record->instructions.len = it->source.count * sizeof *it->source.instructions;
	record->instructions.data = (uint8_t *)(uintptr_t)it->source.instructions;
	record->n_maps = it->maps.count;
	record->maps = arena_copy(arena, it->maps.numbers, it->maps.count * sizeof(uint32_t));
	record->has_attach_type = true;
	record->attach_type = it->source.attach_type;
}

static int find(struct finding *it, int fd, BpfProgramEntry *record, struct error *err)
{
	if (read_translated(it, fd, err) || open_maps(it, fd, err))
		return -1;
	it->source = (struct bpf_source){ .type = it->info.type,
					  .name = it->info.name,
					  .gpl = it->info.gpl_compatible };
	if (find_types(it, fd, record, err) || find_instructions(it, err))
		return -1;
	fill_record(it, record);
	return 0;
}

/* What a descriptor shows of calls depends on who has opened it (bpf_dump_raw_ok, filter.h). */
static int open_again(int fd)
{
	struct bpf_prog_info info;
	size_t count = 0;

	return bpf_program_info(fd, &info, NULL, &count) < 0 ? -1 : bpf_program_by_number(info.id);
}

int bpf_original_find(const struct open_file *file, int fd, int64_t attached,
		      BpfProgramEntry *record, struct error *err)
{
	struct finding it = { .file = file, .attached = attached };
	autoclose int own = open_again(fd);
	int result = find(&it, own < 0 ? fd : own, record, err);

	if (it.source.types_fd > 0)
		close(it.source.types_fd);
	for (size_t i = 0; i < it.maps.count; i++)
		close(it.maps.fds[i]);
	return result;
}
