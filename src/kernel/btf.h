/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the members of the kernel's own structures are: BTF, which it shows of itself (5.4). */
#ifndef NESTOR_KERNEL_BTF_H
#define NESTOR_KERNEL_BTF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct btf_place {
	const char *structure;
	const char *member; /* "": how large the structure is; one of an anonymous part is found */
	uint32_t offset;    /* in bytes */
	bool found;
	uint8_t bit; /* of a bit field, from there on */
};

/* For lists of X(number, structure, member): the numbers, and the places. */
#define BTF_NUMBER(number, structure, member) number,
#define BTF_PLACE(number, structure, member)  { structure, member, 0, false, 0 },

/* Of the first structure of that name; -1 with errno where nothing is told. */
int btf_find(struct btf_place *wanted, size_t count);
/* The same in bytes that are there; EINVAL: they are no BTF. */
int btf_find_in(const void *bytes, size_t size, struct btf_place *wanted, size_t count);

#endif
