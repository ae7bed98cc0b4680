/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the commands about pid vectors, last-pids and run, have in common. */
#ifndef NESTOR_COMMANDS_PID_VECTORS_H
#define NESTOR_COMMANDS_PID_VECTORS_H

#include "base/error.h"
#include "pids/vector.h"

/* The file, or where nestor's own children are born if there is none; a descriptor or -1. */
int open_pid_namespace(const char *file, struct error *err);

#endif
