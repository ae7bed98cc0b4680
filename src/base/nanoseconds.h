/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times of files as images have them: nanoseconds since 1970, before that negative ones. */
#ifndef NESTOR_BASE_NANOSECONDS_H
#define NESTOR_BASE_NANOSECONDS_H

#include <stdint.h>
#include <time.h>

enum { NANOSECONDS = 1000000000 };

/* Until the year 2262; what is later wraps around. */
static inline int64_t nanoseconds_of(struct timespec time)
{
	return (int64_t)((uint64_t)time.tv_sec * NANOSECONDS + (uint64_t)time.tv_nsec);
}

static inline struct timespec nanoseconds_time(int64_t nanoseconds)
{
	int64_t rest = nanoseconds % NANOSECONDS, seconds = nanoseconds / NANOSECONDS;

	return rest < 0 ? (struct timespec){ seconds - 1, rest + NANOSECONDS }
			: (struct timespec){ seconds, rest };
}

#endif
