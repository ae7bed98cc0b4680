/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a request asks for, in the words of the pipeline. */
#ifndef NESTOR_COMPAT_REQUEST_OPTIONS_H
#define NESTOR_COMPAT_REQUEST_OPTIONS_H

#include "base/arena.h"
#include "base/error.h"
#include "pipeline/options.h"

#include "rpc.pb-c.h"

/*
 * Fills the options; texts are borrowed from the request or live in the arena. ERR_BAD_REQUEST
 * where it asks for something that is not done, by the name of the field: nothing is ignored.
 */
int request_options(const CriuOpts *request, pid_t peer, struct arena *arena,
		    struct pipeline_options *options, struct error *err);

#endif
