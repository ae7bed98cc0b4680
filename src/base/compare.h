/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order of two values, for qsort and bsearch, and the smaller and the larger of them.
 *
 * Of several keys the first that differs decides:
 * compare_values(one->kind, other->kind) ?: compare_values(one->id, other->id).
 */
#ifndef NESTOR_BASE_COMPARE_H
#define NESTOR_BASE_COMPARE_H

#include <stdint.h>

/* Below, at or above 0. Of any numbers, or pointers into one array. */
#define compare_values(one, other)                 \
	({                                         \
		__auto_type one_ = (one);          \
		__auto_type other_ = (other);      \
		(one_ > other_) - (one_ < other_); \
	})

/* Of whichever type holds both; nothing is evaluated twice. */
#define min(one, other)                                                         \
	({                                                                      \
		__typeof__(1 ? (one) : (other)) one_ = (one), other_ = (other); \
		one_ < other_ ? one_ : other_;                                  \
	})
#define max(one, other)                                                         \
	({                                                                      \
		__typeof__(1 ? (one) : (other)) one_ = (one), other_ = (other); \
		one_ > other_ ? one_ : other_;                                  \
	})

/* In an array of uint32_t. */
static inline int compare_uint32(const void *one, const void *other)
{
	return compare_values(*(const uint32_t *)one, *(const uint32_t *)other);
}

#endif
