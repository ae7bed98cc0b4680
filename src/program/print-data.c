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

/* What a pointer argument points to. */
struct datum {
	const struct program_set *set;
	const uint64_t *argument; /* among those of its call */
	const void *bytes;
	size_t size; /* that its format needs */
	size_t room; /* that is there */
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

	if (!numbers || room / sizeof *numbers < count) {
		text_add(text, "0x%" PRIx64, address);
		return;
	}
	text_add(text, "[");
	for (size_t i = 0; i < count && i < LIST_LIMIT; i++)
		text_add(text, "%s%" PRIu32, i ? ", " : "", numbers[i]);
	text_add(text, count > LIST_LIMIT ? ", ...]" : "]");
}

static void print_clone_args(const struct datum *datum, struct text *text)
{
	const struct clone_args *args = datum->bytes;
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
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
		if (addresses[i].value)
			text_add(text, ", %s=0x%" PRIx64, addresses[i].name, addresses[i].value);
	if (args->set_tid_size) {
		text_add(text, ", set_tid=");
		print_numbers(datum->set, args->set_tid, args->set_tid_size, text);
	}
	text_add(text, "}");
}

static void print_iovec(const struct datum *datum, struct text *text)
{
	const struct iovec *iovec = datum->bytes;
	size_t count = datum->argument[1];

	text_add(text, "[");
	for (size_t i = 0; i < count && i < LIST_LIMIT; i++)
		text_add(text, "%s{0x%" PRIxPTR ", %zu}", i ? ", " : "",
			 (uintptr_t)iovec[i].iov_base, iovec[i].iov_len);
	text_add(text, count > LIST_LIMIT ? ", ...]" : "]");
}

static void print_sigaction(const struct datum *datum, struct text *text)
{
	const struct kernel_sigaction *action = datum->bytes;

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

static void print_siginfo(const struct datum *datum, struct text *text)
{
	const siginfo_t *info = datum->bytes;

	text_add(text, "{signo=");
	print_signal((uint64_t)info->si_signo, text);
	text_add(text, ", code=%d, pid=%d, uid=%u}", info->si_code, info->si_pid, info->si_uid);
}

static void print_sigevent(const struct datum *datum, struct text *text)
{
	const struct kernel_sigevent *event = datum->bytes;

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

static void print_rlimit(const struct datum *datum, struct text *text)
{
	const uint64_t *limits = datum->bytes;

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

static void print_interval(const struct kernel_timespec *times, int digits, struct text *text)
{
	text_add(text, "{interval=");
	print_time(&times[0], digits, text);
	text_add(text, ", value=");
	print_time(&times[1], digits, text);
	text_add(text, "}");
}

static void print_sched_attr(const struct datum *datum, struct text *text)
{
	const struct sched_attr *attr = datum->bytes;

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

static void print_capabilities(const struct datum *datum, struct text *text)
{
	const struct __user_cap_data_struct *sets = datum->bytes;

	text_add(text, "{effective=0x%08x%08x, permitted=0x%08x%08x, inheritable=0x%08x%08x}",
		 sets[1].effective, sets[0].effective, sets[1].permitted, sets[0].permitted,
		 sets[1].inheritable, sets[0].inheritable);
}

static void print_mm_map(const struct datum *datum, struct text *text)
{
	const struct prctl_mm_map *map = datum->bytes;

	text_add(text,
		 "{code=0x%llx-0x%llx, data=0x%llx-0x%llx, brk=0x%llx-0x%llx, stack=0x%llx, "
		 "arg=0x%llx-0x%llx, env=0x%llx-0x%llx, auxv_size=%u, exe_fd=%d}",
		 map->start_code, map->end_code, map->start_data, map->end_data, map->start_brk,
		 map->brk, map->start_stack, map->arg_start, map->arg_end, map->env_start,
		 map->env_end, map->auxv_size, (int)map->exe_fd);
}

/* Text in C notation up to `size` bytes, or up to the terminating zero where `is_string`. */
static void print_text(const uint8_t *bytes, size_t size, bool is_string, struct text *text)
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

static void print_bits(const struct datum *datum, struct text *text)
{
	const uint8_t *bytes = datum->bytes;
	size_t n = datum->size < LIST_LIMIT ? datum->size : LIST_LIMIT;

	while (n > 1 && !bytes[n - 1])
		n--;
	text_add(text, "{0x");
	while (n > 0)
		text_add(text, "%02x", bytes[--n]);
	text_add(text, "}");
}

static void print_sigset(const struct datum *datum, struct text *text)
{
	print_signal_set(*(const uint64_t *)datum->bytes, text);
}

static void print_signal_stack(const struct datum *datum, struct text *text)
{
	const stack_t *stack = datum->bytes;

	text_add(text, "{sp=0x%" PRIxPTR ", flags=0x%x, size=%zu}", (uintptr_t)stack->ss_sp,
		 (unsigned)stack->ss_flags, stack->ss_size);
}

static void print_itimerval(const struct datum *datum, struct text *text)
{
	print_interval(datum->bytes, 6, text);
}

static void print_itimerspec(const struct datum *datum, struct text *text)
{
	print_interval(datum->bytes, 9, text);
}

static void print_timespec(const struct datum *datum, struct text *text)
{
	print_time(datum->bytes, 9, text);
}

static void print_groups(const struct datum *datum, struct text *text)
{
	print_numbers(datum->set, datum->argument[0], datum->argument[-1], text);
}

static void print_cap_header(const struct datum *datum, struct text *text)
{
	const struct __user_cap_header_struct *header = datum->bytes;

	text_add(text, "{version=0x%x, pid=%d}", header->version, header->pid);
}

static void print_number_at(const struct datum *datum, struct text *text)
{
	text_add(text, "[%" PRId32 "]", *(const int32_t *)datum->bytes);
}

static void print_bytes(const struct datum *datum, struct text *text)
{
	print_text(datum->bytes, datum->size, false, text);
}

static void print_string(const struct datum *datum, struct text *text)
{
	print_text(datum->bytes, datum->room, true, text);
}

static void print_filter(const struct datum *datum, struct text *text)
{
	const struct sock_fprog *filter = datum->bytes;

	text_add(text, "{%u instructions at 0x%" PRIxPTR "}", filter->len,
		 (uintptr_t)filter->filter);
}

/* What kinds of pointers point to; those that are not here are not pointers to data. */
static const struct data_format {
	void (*print)(const struct datum *datum, struct text *text);
	size_t size;
	int count; /* as many of that as the argument before it (-1) or after it (1) says */
	uint64_t most;
} formats[] = {
	[ARG_CLONE_ARGS] = { print_clone_args, sizeof(struct clone_args) },
	[ARG_IOVEC] = { print_iovec, sizeof(struct iovec), 1, 1024 },
	[ARG_SIGACTION] = { print_sigaction, sizeof(struct kernel_sigaction) },
	[ARG_SIGSET] = { print_sigset, sizeof(uint64_t) },
	[ARG_SIGNAL_STACK] = { print_signal_stack, sizeof(stack_t) },
	[ARG_SIGINFO] = { print_siginfo, sizeof(siginfo_t) },
	[ARG_SIGEVENT] = { print_sigevent, sizeof(struct kernel_sigevent) },
	[ARG_RLIMIT] = { print_rlimit, 2 * sizeof(uint64_t) },
	[ARG_ITIMERVAL] = { print_itimerval, 2 * sizeof(struct kernel_timespec) },
	[ARG_ITIMERSPEC] = { print_itimerspec, 2 * sizeof(struct kernel_timespec) },
	[ARG_TIMESPEC] = { print_timespec, sizeof(struct kernel_timespec) },
	[ARG_GROUPS] = { print_groups, sizeof(uint32_t), -1, 65536 },
	[ARG_CAP_HEADER] = { print_cap_header, sizeof(struct __user_cap_header_struct) },
	[ARG_CAP_DATA] = { print_capabilities, 2 * sizeof(struct __user_cap_data_struct) },
	[ARG_SCHED_ATTR] = { print_sched_attr, sizeof(struct sched_attr) },
	[ARG_SCHED_PARAM] = { print_number_at, sizeof(int32_t) },
	[ARG_NUMBER_AT] = { print_number_at, sizeof(int32_t) },
	[ARG_CPU_SET] = { print_bits, 1, -1, SIZE_MAX },
	[ARG_BYTES] = { print_bytes, 1, 1, SIZE_MAX },
	[ARG_STRING] = { print_string, 1 },
	[ARG_FILTER] = { print_filter, sizeof(struct sock_fprog) },
	[ARG_MM_MAP] = { print_mm_map, sizeof(struct prctl_mm_map) },
};

/* Bytes that have to be behind a pointer; 0: nothing is. */
static size_t data_size(const struct data_format *format, const struct op *op, unsigned argument)
{
	unsigned at = argument + (unsigned)format->count;
	uint64_t count = at < 6 ? op->args[at] : 0;

	if (!format->count)
		return format->size;
	return count > format->most ? SIZE_MAX : count * format->size;
}

bool print_data(const struct program_set *set, const struct op *op, unsigned argument,
		enum argument_kind kind, struct text *text)
{
	if (kind >= sizeof formats / sizeof *formats || !formats[kind].print)
		return false;
	struct datum datum = {
		.set = set,
		.argument = &op->args[argument],
		.size = data_size(&formats[kind], op, argument),
	};
	if (datum.size)
		datum.bytes = program_data_at(set, *datum.argument, &datum.room);
	if (!datum.bytes || datum.room < datum.size)
		return false;
	formats[kind].print(&datum, text);
	return true;
}
