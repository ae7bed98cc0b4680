// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Decoding what pointer arguments point to. The bytes are the planner's own data, but a result
 * slot or a mistake may stand where a struct is expected: every read is checked against the room.
 */
#include "program/print-data.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

enum { LIST_LIMIT = 32, STRING_LIMIT = 64 };

/* The kernel's struct sigaction on x86-64; that of the C library differs. */
struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};

/* The kernel's struct sigevent, as far as timers use it. */
struct kernel_sigevent {
	uint64_t value;
	int32_t signo, notify, tid;
};

struct kernel_timespec {
	int64_t seconds, fraction;
};

void print_constant(const struct constant_set *set, uint64_t value, struct text *text)
{
	uint64_t rest = value;
	const char *separator = "";

	for (size_t i = 0; i < set->n_constants; i++) {
		const struct constant *constant = &set->constants[i];

		if (!set->are_flags && constant->value == value) {
			text_add(text, "%s", constant->name);
			return;
		}
		if (set->are_flags && (rest & constant->value) == constant->value) {
			text_add(text, "%s%s", separator, constant->name);
			rest &= ~constant->value;
			separator = "|";
		}
	}
	if (!rest && !*separator)
		text_add(text, "0");
	else if (rest)
		text_add(text, "%s0x%" PRIx64, separator, rest);
}

void print_signal(uint64_t signal, struct text *text)
{
	const char *name = signal < NSIG ? sigabbrev_np((int)signal) : NULL;

	if (name && signal)
		text_add(text, "SIG%s", name);
	else if (signal >= 32 && signal <= 64)
		text_add(text, "SIGRT_%" PRIu64, signal - 32);
	else
		text_add(text, "%" PRIu64, signal);
}

static void print_signal_set(uint64_t set, struct text *text)
{
	const char *separator = "";
	/* A set that is nearly full reads better as what it leaves out. */
	bool inverted = __builtin_popcountll(set) > 32;

	text_add(text, inverted ? "~[" : "[");
	for (unsigned signal = 1; signal <= 64; signal++)
		if ((set >> (signal - 1) & 1) != inverted) {
			text_add(text, "%s", separator);
			print_signal(signal, text);
			separator = " ";
		}
	text_add(text, "]");
}

static void print_numbers(const struct program_set *set, uint64_t address, size_t count,
			  struct text *text)
{
	size_t room;
	const uint32_t *numbers = program_data_at(set, address, &room);

	if (!numbers || room / sizeof(*numbers) < count) {
		text_add(text, "0x%" PRIx64, address);
		return;
	}
	text_add(text, "[");
	for (size_t i = 0; i < count && i < LIST_LIMIT; i++)
		text_add(text, "%s%" PRIu32, i ? ", " : "", numbers[i]);
	text_add(text, count > LIST_LIMIT ? ", ...]" : "]");
}

static void print_clone_args(const struct program_set *set, const void *data, struct text *text)
{
	const struct clone_args *args = data;
	const struct {
		const char *name;
		uint64_t value;
	} addresses[] = {
		{ "pidfd", args->pidfd },	    { "child_tid", args->child_tid },
		{ "parent_tid", args->parent_tid }, { "stack", args->stack },
		{ "stack_size", args->stack_size }, { "tls", args->tls },
	};

	text_add(text, "{flags=");
	print_constant(argument_constants(ARG_CLONE_FLAGS), args->flags, text);
	text_add(text, ", exit_signal=");
	print_signal(args->exit_signal, text);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++)
		if (addresses[i].value)
			text_add(text, ", %s=0x%" PRIx64, addresses[i].name, addresses[i].value);
	if (args->set_tid_size) {
		text_add(text, ", set_tid=");
		print_numbers(set, args->set_tid, args->set_tid_size, text);
	}
	text_add(text, "}");
}

static void print_iovec(const void *data, size_t count, struct text *text)
{
	const struct iovec *iovec = data;

	text_add(text, "[");
	for (size_t i = 0; i < count && i < LIST_LIMIT; i++)
		text_add(text, "%s{0x%" PRIxPTR ", %zu}", i ? ", " : "",
			 (uintptr_t)iovec[i].iov_base, iovec[i].iov_len);
	text_add(text, count > LIST_LIMIT ? ", ...]" : "]");
}

static void print_sigaction(const void *data, struct text *text)
{
	const struct kernel_sigaction *action = data;

	text_add(text, "{handler=");
	if (action->handler == 0)
		text_add(text, "SIG_DFL");
	else if (action->handler == 1)
		text_add(text, "SIG_IGN");
	else
		text_add(text, "0x%" PRIx64, action->handler);
	text_add(text, ", mask=");
	print_signal_set(action->mask, text);
	text_add(text, ", flags=0x%" PRIx64 ", restorer=0x%" PRIx64 "}", action->flags,
		 action->restorer);
}

static void print_siginfo(const void *data, struct text *text)
{
	const siginfo_t *info = data;

	text_add(text, "{signo=");
	print_signal((uint64_t)info->si_signo, text);
	text_add(text, ", code=%d, pid=%d, uid=%u}", info->si_code, info->si_pid, info->si_uid);
}

static void print_sigevent(const void *data, struct text *text)
{
	const struct kernel_sigevent *event = data;

	text_add(text, "{signo=");
	print_signal((uint32_t)event->signo, text);
	text_add(text, ", notify=%d, value=0x%" PRIx64 ", tid=%d}", event->notify, event->value,
		 event->tid);
}

static void print_limit(uint64_t limit, struct text *text)
{
	if (limit == RLIM64_INFINITY)
		text_add(text, "RLIM_INFINITY");
	else
		text_add(text, "%" PRIu64, limit);
}

static void print_rlimit(const void *data, struct text *text)
{
	const uint64_t *limits = data;

	text_add(text, "{cur=");
	print_limit(limits[0], text);
	text_add(text, ", max=");
	print_limit(limits[1], text);
	text_add(text, "}");
}

static void print_time(const struct kernel_timespec *time, int digits, struct text *text)
{
	text_add(text, "%" PRId64 ".%0*" PRId64, time->seconds, digits, time->fraction);
}

static void print_interval(const void *data, int digits, struct text *text)
{
	const struct kernel_timespec *times = data;

	text_add(text, "{interval=");
	print_time(&times[0], digits, text);
	text_add(text, ", value=");
	print_time(&times[1], digits, text);
	text_add(text, "}");
}

static void print_sched_attr(const void *data, struct text *text)
{
	const struct sched_attr *attr = data;

	text_add(text, "{policy=");
	print_constant(argument_constants(ARG_POLICY), attr->sched_policy, text);
	text_add(text, ", flags=0x%" PRIx64 ", nice=%d, priority=%u", (uint64_t)attr->sched_flags,
		 attr->sched_nice, attr->sched_priority);
	if (attr->sched_runtime)
		text_add(text, ", runtime=%" PRIu64 ", deadline=%" PRIu64 ", period=%" PRIu64,
			 (uint64_t)attr->sched_runtime, (uint64_t)attr->sched_deadline,
			 (uint64_t)attr->sched_period);
	text_add(text, "}");
}

static void print_capabilities(const void *data, struct text *text)
{
	const struct __user_cap_data_struct *sets = data;

	text_add(text, "{effective=0x%08x%08x, permitted=0x%08x%08x, inheritable=0x%08x%08x}",
		 sets[1].effective, sets[0].effective, sets[1].permitted, sets[0].permitted,
		 sets[1].inheritable, sets[0].inheritable);
}

static void print_mm_map(const void *data, struct text *text)
{
	const struct prctl_mm_map *map = data;

	text_add(text,
		 "{code=0x%llx-0x%llx, data=0x%llx-0x%llx, brk=0x%llx-0x%llx, stack=0x%llx, "
		 "arg=0x%llx-0x%llx, env=0x%llx-0x%llx, auxv_size=%u, exe_fd=%d}",
		 map->start_code, map->end_code, map->start_data, map->end_data, map->start_brk,
		 map->brk, map->start_stack, map->arg_start, map->arg_end, map->env_start,
		 map->env_end, map->auxv_size, (int)map->exe_fd);
}

/* Text in C notation up to `size` bytes, or up to the terminating zero where `is_string`. */
static void print_bytes(const uint8_t *bytes, size_t size, bool is_string, struct text *text)
{
	size_t shown = is_string ? strnlen((const char *)bytes, size) : size;
	bool cut = shown > STRING_LIMIT;

	text_add(text, "\"");
	for (size_t i = 0; i < (cut ? STRING_LIMIT : shown); i++) {
		if (bytes[i] == '"' || bytes[i] == '\\')
			text_add(text, "\\%c", bytes[i]);
		else if (bytes[i] >= ' ' && bytes[i] < 0x7f)
			text_add(text, "%c", bytes[i]);
		else
			text_add(text, "\\x%02x", bytes[i]);
	}
	text_add(text, cut ? "\"..." : "\"");
}

static void print_bits(const uint8_t *bytes, size_t size, struct text *text)
{
	size_t n = size < LIST_LIMIT ? size : LIST_LIMIT;

	while (n > 1 && !bytes[n - 1])
		n--;
	text_add(text, "{0x");
	while (n > 0)
		text_add(text, "%02x", bytes[--n]);
	text_add(text, "}");
}

/* Bytes that the kind needs behind its pointer; 0 for a kind that is not a pointer to data. */
static size_t data_size(const struct op *op, unsigned argument, enum argument_kind kind)
{
	uint64_t next = argument < 5 ? op->args[argument + 1] : 0;
	uint64_t before = argument > 0 ? op->args[argument - 1] : 0;

	switch (kind) {
	case ARG_CLONE_ARGS:
		return sizeof(struct clone_args);
	case ARG_IOVEC:
		return next > 1024 ? SIZE_MAX : next * sizeof(struct iovec);
	case ARG_SIGACTION:
		return sizeof(struct kernel_sigaction);
	case ARG_SIGSET:
		return sizeof(uint64_t);
	case ARG_SIGNAL_STACK:
		return sizeof(stack_t);
	case ARG_SIGINFO:
		return sizeof(siginfo_t);
	case ARG_SIGEVENT:
		return sizeof(struct kernel_sigevent);
	case ARG_RLIMIT:
	case ARG_TIMESPEC:
		return sizeof(struct kernel_timespec);
	case ARG_ITIMERVAL:
	case ARG_ITIMERSPEC:
		return 2 * sizeof(struct kernel_timespec);
	case ARG_GROUPS:
		return before > 65536 ? SIZE_MAX : before * sizeof(uint32_t);
	case ARG_CAP_HEADER:
		return sizeof(struct __user_cap_header_struct);
	case ARG_CAP_DATA:
		return 2 * sizeof(struct __user_cap_data_struct);
	case ARG_SCHED_ATTR:
		return sizeof(struct sched_attr);
	case ARG_SCHED_PARAM:
	case ARG_NUMBER_AT:
		return sizeof(uint32_t);
	case ARG_CPU_SET:
		return before;
	case ARG_BYTES:
		return next;
	case ARG_FILTER:
		return sizeof(struct sock_fprog);
	case ARG_MM_MAP:
		return sizeof(struct prctl_mm_map);
	case ARG_STRING:
		return 1;
	default:
		return 0;
	}
}

bool print_data(const struct program_set *set, const struct op *op, unsigned argument,
		enum argument_kind kind, struct text *text)
{
	size_t size = data_size(op, argument, kind), room;
	const void *data = size ? program_data_at(set, op->args[argument], &room) : NULL;

	if (!data || room < size)
		return false;
	switch (kind) {
	case ARG_CLONE_ARGS:
		print_clone_args(set, data, text);
		return true;
	case ARG_IOVEC:
		print_iovec(data, op->args[argument + 1], text);
		return true;
	case ARG_SIGACTION:
		print_sigaction(data, text);
		return true;
	case ARG_SIGSET:
		print_signal_set(*(const uint64_t *)data, text);
		return true;
	case ARG_SIGNAL_STACK:
		text_add(text, "{sp=0x%" PRIxPTR ", flags=0x%x, size=%zu}",
			 (uintptr_t)((const stack_t *)data)->ss_sp,
			 (unsigned)((const stack_t *)data)->ss_flags,
			 ((const stack_t *)data)->ss_size);
		return true;
	case ARG_SIGINFO:
		print_siginfo(data, text);
		return true;
	case ARG_SIGEVENT:
		print_sigevent(data, text);
		return true;
	case ARG_RLIMIT:
		print_rlimit(data, text);
		return true;
	case ARG_ITIMERVAL:
		print_interval(data, 6, text);
		return true;
	case ARG_ITIMERSPEC:
		print_interval(data, 9, text);
		return true;
	case ARG_TIMESPEC:
		print_time(data, 9, text);
		return true;
	case ARG_GROUPS:
		print_numbers(set, op->args[argument], op->args[argument - 1], text);
		return true;
	case ARG_CAP_HEADER:
		text_add(text, "{version=0x%x, pid=%d}",
			 ((const struct __user_cap_header_struct *)data)->version,
			 ((const struct __user_cap_header_struct *)data)->pid);
		return true;
	case ARG_CAP_DATA:
		print_capabilities(data, text);
		return true;
	case ARG_SCHED_ATTR:
		print_sched_attr(data, text);
		return true;
	case ARG_SCHED_PARAM:
	case ARG_NUMBER_AT:
		text_add(text, "[%" PRId32 "]", *(const int32_t *)data);
		return true;
	case ARG_CPU_SET:
		print_bits(data, size, text);
		return true;
	case ARG_BYTES:
		print_bytes(data, size, false, text);
		return true;
	case ARG_STRING:
		print_bytes(data, room, true, text);
		return true;
	case ARG_FILTER:
		text_add(text, "{%u instructions at 0x%" PRIxPTR "}",
			 ((const struct sock_fprog *)data)->len,
			 (uintptr_t)((const struct sock_fprog *)data)->filter);
		return true;
	case ARG_MM_MAP:
		print_mm_map(data, text);
		return true;
	default:
		return false;
	}
}
