/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What scripts ask criu(8) for (check --feature), by its names. */
#ifndef NESTOR_PIPELINE_CRIU_FEATURES_H
#define NESTOR_PIPELINE_CRIU_FEATURES_H

#include <stdbool.h>

/* "seccomp-filters" and "seccomp_filters" are one name. */
bool feature_names_equal(const char *one, const char *other);

/*
 * Is it there, as far as nestor can make use of it? *ret_without is why not; it stays as it is
 * where the name is not known.
 */
bool criu_feature_is_there(const char *name, const char **ret_without);

/* NULL at the end of the names. */
const char *criu_feature_name(unsigned index);

#endif
