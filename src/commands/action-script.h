/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --action-script of criu(8): a program that is run at each moment, and has to agree. */
#ifndef NESTOR_COMMANDS_ACTION_SCRIPT_H
#define NESTOR_COMMANDS_ACTION_SCRIPT_H

#include "base/error.h"
#include "pipeline/options.h"

/*
 * Runs the program with CRTOOLS_SCRIPT_ACTION, CRTOOLS_IMAGE_DIR and, where there is one,
 * CRTOOLS_INIT_PID in its environment, and waits for it. ERR_CLIENT_REFUSED where it does not exit
 * with 0, ERR_INTERRUPTED where a signal asks to stop meanwhile; it is ended then.
 */
int action_script_run(const char *program, const struct pipeline_options *options,
		      const char *moment, pid_t root_pid, struct error *err);

#endif
