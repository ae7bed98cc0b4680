/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Work that must not be cut off. A tracee whose seccomp filter is suspended would be punished for a
 * call of ours if its tracer died meanwhile (__ptrace_unlink ends the suspension); everybody can
 * kill a command that takes too long.
 */
#ifndef NESTOR_KERNEL_GUARD_H
#define NESTOR_KERNEL_GUARD_H

#include "base/error.h"

/*
 * Goes on in a child, in a process group of its own; what the caller was only waits for it, hands
 * on the signals of stop-signals.h, and ends as the child does. When it is killed, the child is
 * asked to stop by SIGTERM. These signals are blocked in the child. The caller has to be a process
 * of nestor's own with one thread, and its children remain with who waits.
 */
int guard_enter(struct error *err);

#endif
