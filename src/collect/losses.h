/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * State of tasks that a dump knows it would lose: it cannot be asked for, or nothing can give it
 * again. The dump is refused (ERR_STATE_LOST), unless a person has
 * said by name that the loss is fine (--force-lost). Nothing is ever guessed.
 */
#ifndef NESTOR_COLLECT_LOSSES_H
#define NESTOR_COLLECT_LOSSES_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct collect;
struct target;

/* LOSS(symbol, name for --force-lost, what it is). Names are an interface: add, never rename. */
#define LOSSES(LOSS)                                                                             \
	LOSS(ALTERNATE_STACK, "alternate-stack", "the alternate signal stack")                   \
	LOSS(SIGNAL_FLAGS, "signal-flags", "the flags of signals that are not handled")          \
	LOSS(INTERVAL_TIMERS, "interval-timers", "timers of setitimer(2)")                       \
	LOSS(POSIX_TIMERS, "posix-timers", "the times of timers of timer_create(2)")             \
	LOSS(TIMER_SLACK, "timer-slack", "the timer slack")                                      \
	LOSS(MEMORY_DENY_WRITE_EXECUTE, "memory-deny-write-execute",                             \
	     "whether memory may become executable")                                             \
	LOSS(HUGE_PAGES, "huge-pages", "whether huge pages are disabled")                        \
	LOSS(DUMPABLE, "dumpable", "whether it is dumpable")                                     \
	LOSS(SUBREAPER, "subreaper", "whether it is a subreaper")                                \
	LOSS(DEATH_SIGNAL, "parent-death-signal", "the signal for the end of its parent")        \
	LOSS(SECUREBITS, "securebits", "its securebits")                                         \
	LOSS(EXIT_ADDRESS, "thread-exit-address", "the word by which others wait for its end")   \
	LOSS(MACHINE_CHECK_POLICY, "machine-check-policy", "how it is told of memory errors")    \
	LOSS(TIME_STAMP_COUNTER, "time-stamp-counter", "whether it may read the counter")        \
	LOSS(CPUID, "cpuid", "whether it may use CPUID")                                         \
	LOSS(SPECULATION, "speculation", "restrictions of speculative execution")                \
	LOSS(MEMORY_MERGE, "memory-merge", "whether equal pages are merged")                     \
	LOSS(PROCESSOR_FEATURES, "processor-features", "features of the processor asked for")    \
	LOSS(MEMORY_POLICY, "memory-policy", "the NUMA policy")                                  \
	LOSS(LOCAL_DESCRIPTORS, "local-descriptors", "segments of modify_ldt(2)")                \
	LOSS(CORE_SCHEDULING, "core-scheduling", "with whom it shares processor cores")          \
	LOSS(ADDRESS_MASK, "address-mask", "linear address masking")                             \
	LOSS(LANDLOCK, "landlock", "its confinement by a Landlock domain")                       \
	LOSS(KEYRINGS, "keyrings", "keyrings of its own")                                        \
	LOSS(INOTIFY_EVENTS, "inotify-events", "events of inotify that nobody has read")         \
	LOSS(FANOTIFY_EVENTS, "fanotify-events", "events of fanotify that nobody has read")      \
	LOSS(PRESSURE_EVENTS, "pressure-events", "events of pressure that nobody has polled")    \
	LOSS(FUTURE_LOCKS, "future-locks", "what it said of memory to come with mlockall(2)")    \
	LOSS(MEMORY_BARRIERS, "memory-barriers", "what it registered for with membarrier(2)")    \
	LOSS(SEMAPHORE_UNDO, "semaphore-undo", "what its end undoes of semaphores (SEM_UNDO)")   \
	LOSS(HIDDEN_MOUNTS, "hidden-mounts", "what lies in memory below the root, mounted over") \
	LOSS(FLOW_LABELS, "flow-labels", "flow labels of its IPv6 sockets")                      \
	LOSS(AIO_POLLS, "aio-polls", "requests of AIO that wait for a file")                     \
	LOSS(BPF, "bpf", "BPF objects that cannot be made again")

enum loss {
#define LOSS(symbol, name, what) LOSS_##symbol,
	LOSSES(LOSS)
#undef LOSS
		LOSS_COUNT,
};

/* Names separated by commas, or "all"; NULL: none. ERR_USAGE. */
int losses_parse(const char *text, uint64_t *ret_accepted, struct error *err);

bool loss_is_accepted(const struct collect *collect, enum loss loss);

/* It is lost, for `why` ("its seccomp filter does not let it be asked"). Told once a thread. */
void loss_add(struct target *target, size_t thread, enum loss loss, const char *why);

/* A thread's filter keeps it from being asked. */
void loss_forbidden(struct target *target, size_t thread, enum loss loss);

/* What was added and nobody has accepted becomes refusals (ERR_STATE_LOST, collect_pass). */
int losses_report(struct collect *collect, struct error *err);

#endif
