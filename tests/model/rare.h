/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef NESTOR_TESTS_MODEL_RARE_H
#define NESTOR_TESTS_MODEL_RARE_H

#include <stddef.h>

struct rare_history {
	const char *about, *text; /* as history_read takes it */
};

extern const struct rare_history rare_histories[];
extern const size_t n_rare_histories;

#endif
