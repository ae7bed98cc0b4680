/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's vdso image: an ELF file mapped whole, padded with zeroes to whole pages. What its
 * program headers load comes first; behind that stand the names and headers of its sections, which
 * nobody needs to run it (elf(5)), and the padding. The last of what is loaded are alternatives to
 * instructions, which the kernel has long put in place (apply_alternatives at boot).
 */
#ifndef NESTOR_ARCH_VDSO_H
#define NESTOR_ARCH_VDSO_H

#include <stddef.h>
#include <stdint.h>

enum { VDSO_HEADER_SIZE = 64 }; /* ELF64 file header */

/*
 * Bytes of the image that its ELF header accounts for: up to the end of the section headers,
 * which stand last. 0 if it is not an ELF image of this architecture.
 */
size_t vdso_content_size(const uint8_t header[VDSO_HEADER_SIZE]);

/* Bytes of a whole image that are needed to run it; its content where that cannot be told. */
size_t vdso_needed_size(const uint8_t *image);

/* The image that the kernel gave to this process; NULL if it gave none. */
const uint8_t *vdso_own(void);

#endif
