// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The format: Documentation/bpf/btf.rst. Behind a header there are the types, one after the other,
 * numbered from 1 on, and then the names.
 */
#include "kernel/btf.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_NESTED = 16 };

struct btf {
	const uint8_t *types;
	const char *names;
	uint32_t types_size, names_size;
	uint32_t *starts; /* of types, by their number */
	uint32_t n_types;
};

/* What follows struct btf_type; of a kind that came later nobody knows: UINT32_MAX. */
static uint32_t size_behind(uint32_t info)
{
	uint32_t count = BTF_INFO_VLEN(info);

	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return sizeof(uint32_t);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return count * (uint32_t)sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return count * (uint32_t)sizeof(struct btf_enum);
	case BTF_KIND_FUNC_PROTO:
		return count * (uint32_t)sizeof(struct btf_param);
	case BTF_KIND_DATASEC:
		return count * (uint32_t)sizeof(struct btf_var_secinfo);
	case BTF_KIND_ENUM64:
		return count * (uint32_t)sizeof(struct btf_enum64);
	default:
		return BTF_INFO_KIND(info) <= BTF_KIND_ENUM64 ? 0 : UINT32_MAX;
	}
}

/* Whatever is in bytes that are there, and may lie at any address. */
static struct btf_type type_at(const struct btf *btf, uint32_t start)
{
	struct btf_type type;

	memcpy(&type, btf->types + start, sizeof type);
	return type;
}

static const char *name_at(const struct btf *btf, uint32_t offset)
{
	return offset < btf->names_size ? btf->names + offset : "";
}

static int find_header(const uint8_t *bytes, size_t size, struct btf *ret)
{
	struct btf_header header;

	errno = EINVAL;
	if (size < sizeof header)
		return -1;
	memcpy(&header, bytes, sizeof header);
	if (header.magic != BTF_MAGIC || header.hdr_len > size)
		return -1;
	bytes += header.hdr_len;
	size -= header.hdr_len;
	if (header.type_off > size || header.type_len > size - header.type_off ||
	    header.str_off > size || header.str_len > size - header.str_off || !header.str_len ||
	    bytes[header.str_off + header.str_len - 1])
		return -1;
	*ret = (struct btf){ .types = bytes + header.type_off,
			     .types_size = header.type_len,
			     .names = (const char *)bytes + header.str_off,
			     .names_size = header.str_len };
	return 0;
}

/* None is smaller than what all of them have. */
static size_t most_types(const struct btf *btf)
{
	return btf->types_size / sizeof(struct btf_type) + 1;
}

static int list_types(struct btf *btf)
{
	uint32_t start = 0, left = btf->types_size;

	btf->n_types = 1; /* void */
	while (left >= sizeof(struct btf_type)) {
		uint32_t behind = size_behind(type_at(btf, start).info);
		if (behind > left - sizeof(struct btf_type))
			break;
		btf->starts[btf->n_types++] = start;
		start += (uint32_t)sizeof(struct btf_type) + behind;
		left -= (uint32_t)sizeof(struct btf_type) + behind;
	}
	errno = EINVAL;
	return left ? -1 : 0;
}

static bool is_compound(const struct btf_type *type)
{
	return BTF_INFO_KIND(type->info) == BTF_KIND_STRUCT ||
	       BTF_INFO_KIND(type->info) == BTF_KIND_UNION;
}

static bool find_member(const struct btf *btf, uint32_t start, uint32_t base, unsigned nested,
			struct btf_place *wanted)
{
	struct btf_type type = type_at(btf, start);
	struct btf_member member;

	for (uint32_t i = 0; i < BTF_INFO_VLEN(type.info) && !wanted->found; i++) {
		memcpy(&member, btf->types + start + sizeof type + i * sizeof member,
		       sizeof member);
		uint32_t bits = BTF_INFO_KFLAG(type.info) ? BTF_MEMBER_BIT_OFFSET(member.offset)
							  : member.offset;
		wanted->offset = base + bits / 8;
		wanted->bit = bits % 8;
		if (member.name_off) {
			wanted->found = !strcmp(name_at(btf, member.name_off), wanted->member);
			continue;
		}
		if (nested == MOST_NESTED || member.type >= btf->n_types || !member.type)
			continue;
		struct btf_type part = type_at(btf, btf->starts[member.type]);
		if (is_compound(&part))
			find_member(btf, btf->starts[member.type], base + bits / 8, nested + 1,
				    wanted);
	}
	return wanted->found;
}

static void find_in_type(const struct btf *btf, uint32_t start, struct btf_place *wanted,
			 size_t count)
{
	struct btf_type type = type_at(btf, start);

	if (!type.name_off || !is_compound(&type))
		return;
	for (size_t i = 0; i < count; i++) {
		if (wanted[i].found || strcmp(name_at(btf, type.name_off), wanted[i].structure))
			continue;
		if (wanted[i].member[0]) {
			find_member(btf, start, 0, 0, &wanted[i]);
			continue;
		}
		wanted[i].offset = type.size;
		wanted[i].found = true;
	}
}

static bool all_found(const struct btf_place *wanted, size_t count)
{
	while (count && wanted[count - 1].found)
		count--;
	return !count;
}

int btf_find_in(const void *bytes, size_t size, struct btf_place *wanted, size_t count)
{
	struct btf btf;

	if (find_header(bytes, size, &btf))
		return -1;
	autofree uint32_t *starts = malloc(most_types(&btf) * sizeof *starts);
	if (!starts)
		return -1;
	btf.starts = starts;
	if (list_types(&btf))
		return -1;
	for (uint32_t i = 1; i < btf.n_types && !all_found(wanted, count); i++)
		find_in_type(&btf, starts[i], wanted, count);
	return 0;
}

/* As kernels before 6.16 do not have it mapped. */
static int find_by_reading(int fd, size_t size, struct btf_place *wanted, size_t count)
{
	autofree uint8_t *bytes = malloc(size + 1);
	size_t got = 0;

	while (bytes && got < size) {
		ssize_t part = read(fd, bytes + got, size - got);
		if (part < 0)
			return -1;
		if (!part)
			break;
		got += (size_t)part;
	}
	return bytes ? btf_find_in(bytes, got, wanted, count) : -1;
}

int btf_find(struct btf_place *wanted, size_t count)
{
	autoclose int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) < 0)
		return -1;
	size_t size = (size_t)stat.st_size;
	void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return find_by_reading(fd, size, wanted, count);
	int result = btf_find_in(bytes, size, wanted, count), failure = errno;
	munmap(bytes, size);
	errno = failure;
	return result;
}
