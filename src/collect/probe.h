/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking a stopped task what only it can tell: a program of ordinary operations that is run once
 * in each of its threads by the interpreter, by the crash-safe protocol of collect/inject.c.
 * Calls for which the thread's seccomp filter would do it harm are left out.
 */
#ifndef NESTOR_COLLECT_PROBE_H
#define NESTOR_COLLECT_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct collect;
struct error;
struct kind_table;
struct probe;

/* Marks a call that was not made because the seccomp filter forbids it, and would do harm. */
#define PROBE_FORBIDDEN INT64_MIN

/*
 * Appends a system call for the thread being asked; returns its index. At most 256 calls and
 * 16 KiB of buffers per thread (asserted).
 */
size_t probe_call(struct probe *probe, uint32_t nr, const uint64_t *args, size_t n_args);
#define probe_ask(probe, nr, ...)                                             \
	probe_call((probe), (nr), (const uint64_t[]){ 0, ##__VA_ARGS__ } + 1, \
		   sizeof((const uint64_t[]){ 0, ##__VA_ARGS__ }) / sizeof(uint64_t) - 1)

/* Positive if the task has segments of its own (modify_ldt(2)), whatever its filters forbid. */
size_t probe_local_segments(struct probe *probe);

/* Zeroed memory inside the task that a call may write to; valid as an argument only. */
uint64_t probe_buffer(struct probe *probe, size_t size);

/* After the run: a call's raw result (-errno on failure), and the bytes of a buffer. */
int64_t probe_result(const struct probe *probe, size_t call);
const void *probe_bytes(const struct probe *probe, uint64_t buffer);

/* collect_probe with another table of kinds, for tests. */
int collect_probe_kinds(struct collect *collect, const struct kind_table *table, struct error *err);

#endif
