/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What processors have to have in common (--cpu-cap), as steps of a dump and of a restore. */
#ifndef NESTOR_PIPELINE_PROCESSOR_H
#define NESTOR_PIPELINE_PROCESSOR_H

#include "base/error.h"
#include "model/snapshot.h"
#include "pipeline/session.h"

/* Adds this processor to the snapshot, where that was asked for. */
int processor_add(const struct pipeline_options *options, struct snapshot *snapshot,
		  struct error *err);

/* Is this one as good as the recorded one, in what was asked for? */
int processor_compare(const struct session *session, struct error *err);

#endif
