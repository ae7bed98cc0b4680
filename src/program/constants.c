// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names of the constants in system call arguments, for the printer. */
#include "program/calls.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

/* Newer than the oldest headers that we build with. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef ARCH_SHSTK_ENABLE
#define ARCH_SHSTK_ENABLE 0x5001
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

#define NAME(constant)                          \
	{                                       \
		(uint64_t)(constant), #constant \
	}

static const struct constant protections[] = {
	NAME(PROT_READ),      NAME(PROT_WRITE),	  NAME(PROT_EXEC),
	NAME(PROT_GROWSDOWN), NAME(PROT_GROWSUP),
};

static const struct constant map_flags[] = {
	NAME(MAP_SHARED_VALIDATE), NAME(MAP_SHARED),	NAME(MAP_PRIVATE),   NAME(MAP_FIXED),
	NAME(MAP_FIXED_NOREPLACE), NAME(MAP_ANONYMOUS), NAME(MAP_GROWSDOWN), NAME(MAP_STACK),
	NAME(MAP_NORESERVE),	   NAME(MAP_POPULATE),	NAME(MAP_NONBLOCK),  NAME(MAP_LOCKED),
	NAME(MAP_HUGETLB),	   NAME(MAP_SYNC),	NAME(MAP_32BIT),
};

static const struct constant mremap_flags[] = {
	NAME(MREMAP_MAYMOVE),
	NAME(MREMAP_FIXED),
	NAME(MREMAP_DONTUNMAP),
};

static const struct constant advices[] = {
	NAME(MADV_NORMAL),	    NAME(MADV_RANDOM),	      NAME(MADV_SEQUENTIAL),
	NAME(MADV_WILLNEED),	    NAME(MADV_DONTNEED),      NAME(MADV_FREE),
	NAME(MADV_REMOVE),	    NAME(MADV_DONTFORK),      NAME(MADV_DOFORK),
	NAME(MADV_MERGEABLE),	    NAME(MADV_UNMERGEABLE),   NAME(MADV_HUGEPAGE),
	NAME(MADV_NOHUGEPAGE),	    NAME(MADV_DONTDUMP),      NAME(MADV_DODUMP),
	NAME(MADV_WIPEONFORK),	    NAME(MADV_KEEPONFORK),    NAME(MADV_COLD),
	NAME(MADV_PAGEOUT),	    NAME(MADV_POPULATE_READ), NAME(MADV_POPULATE_WRITE),
	NAME(MADV_DONTNEED_LOCKED), NAME(MADV_COLLAPSE),      NAME(MADV_GUARD_INSTALL),
	NAME(MADV_GUARD_REMOVE),
};

static const struct constant open_flags[] = {
	NAME(O_WRONLY), NAME(O_RDWR),	 NAME(O_CLOEXEC),   NAME(O_NONBLOCK), NAME(O_APPEND),
	NAME(O_CREAT),	NAME(O_EXCL),	 NAME(O_TRUNC),	    NAME(O_NOCTTY),   NAME(O_NOFOLLOW),
	NAME(O_PATH),	NAME(O_TMPFILE), NAME(O_DIRECTORY), NAME(O_DIRECT),   NAME(O_SYNC),
	NAME(O_DSYNC),	NAME(O_NOATIME), NAME(O_ASYNC),
};

static const struct constant clone_flags[] = {
	NAME(CLONE_NEWTIME),
	NAME(CLONE_VM),
	NAME(CLONE_FS),
	NAME(CLONE_FILES),
	NAME(CLONE_SIGHAND),
	NAME(CLONE_PIDFD),
	NAME(CLONE_PTRACE),
	NAME(CLONE_VFORK),
	NAME(CLONE_PARENT),
	NAME(CLONE_THREAD),
	NAME(CLONE_NEWNS),
	NAME(CLONE_SYSVSEM),
	NAME(CLONE_SETTLS),
	NAME(CLONE_PARENT_SETTID),
	NAME(CLONE_CHILD_CLEARTID),
	NAME(CLONE_CHILD_SETTID),
	NAME(CLONE_NEWCGROUP),
	NAME(CLONE_NEWUTS),
	NAME(CLONE_NEWIPC),
	NAME(CLONE_NEWUSER),
	NAME(CLONE_NEWPID),
	NAME(CLONE_NEWNET),
	NAME(CLONE_IO),
	NAME(CLONE_CLEAR_SIGHAND),
	NAME(CLONE_INTO_CGROUP),
};

static const struct constant close_range_flags[] = {
	NAME(CLOSE_RANGE_UNSHARE),
	NAME(CLOSE_RANGE_CLOEXEC),
};

static const struct constant mask_hows[] = {
	NAME(SIG_BLOCK),
	NAME(SIG_UNBLOCK),
	NAME(SIG_SETMASK),
};

static const struct constant resources[] = {
	NAME(RLIMIT_CPU),      NAME(RLIMIT_FSIZE), NAME(RLIMIT_DATA),	NAME(RLIMIT_STACK),
	NAME(RLIMIT_CORE),     NAME(RLIMIT_RSS),   NAME(RLIMIT_NPROC),	NAME(RLIMIT_NOFILE),
	NAME(RLIMIT_MEMLOCK),  NAME(RLIMIT_AS),	   NAME(RLIMIT_LOCKS),	NAME(RLIMIT_SIGPENDING),
	NAME(RLIMIT_MSGQUEUE), NAME(RLIMIT_NICE),  NAME(RLIMIT_RTPRIO), NAME(RLIMIT_RTTIME),
};

static const struct constant timers[] = {
	NAME(ITIMER_REAL),
	NAME(ITIMER_VIRTUAL),
	NAME(ITIMER_PROF),
};

static const struct constant clocks[] = {
	NAME(CLOCK_REALTIME),	       NAME(CLOCK_MONOTONIC),	  NAME(CLOCK_PROCESS_CPUTIME_ID),
	NAME(CLOCK_THREAD_CPUTIME_ID), NAME(CLOCK_MONOTONIC_RAW), NAME(CLOCK_REALTIME_COARSE),
	NAME(CLOCK_MONOTONIC_COARSE),  NAME(CLOCK_BOOTTIME),	  NAME(CLOCK_REALTIME_ALARM),
	NAME(CLOCK_BOOTTIME_ALARM),    NAME(CLOCK_TAI),
};

static const struct constant fcntls[] = {
	NAME(F_DUPFD),	       NAME(F_GETFD),	   NAME(F_SETFD),      NAME(F_GETFL),
	NAME(F_SETFL),	       NAME(F_GETLK),	   NAME(F_SETLK),      NAME(F_SETLKW),
	NAME(F_SETOWN),	       NAME(F_GETOWN),	   NAME(F_SETSIG),     NAME(F_GETSIG),
	NAME(F_SETOWN_EX),     NAME(F_GETOWN_EX),  NAME(F_OFD_GETLK),  NAME(F_OFD_SETLK),
	NAME(F_OFD_SETLKW),    NAME(F_SETLEASE),   NAME(F_GETLEASE),   NAME(F_NOTIFY),
	NAME(F_DUPFD_CLOEXEC), NAME(F_SETPIPE_SZ), NAME(F_GETPIPE_SZ), NAME(F_ADD_SEALS),
	NAME(F_GET_SEALS),
};

static const struct constant mm_fields[] = { NAME(PR_SET_MM_MAP), NAME(PR_SET_MM_EXE_FILE) };

static const struct constant whences[] = { NAME(SEEK_SET), NAME(SEEK_CUR), NAME(SEEK_END) };

static const struct constant policies[] = {
	{ 0, "SCHED_OTHER" }, { 1, "SCHED_FIFO" },     { 2, "SCHED_RR" },  { 3, "SCHED_BATCH" },
	{ 5, "SCHED_IDLE" },  { 6, "SCHED_DEADLINE" }, { 7, "SCHED_EXT" },
};

static const struct constant id_types[] = {
	NAME(P_ALL),
	NAME(P_PID),
	NAME(P_PGID),
	NAME(P_PIDFD),
};

static const struct constant wait_options[] = {
	NAME(WNOHANG),
	NAME(WSTOPPED),
	NAME(WEXITED),
	NAME(WCONTINUED),
	NAME(WNOWAIT),
	{ 0x20000000, "__WNOTHREAD" },
	{ 0x40000000, "__WALL" },
	{ 0x80000000, "__WCLONE" },
};

static const struct constant futexes[] = {
	NAME(FUTEX_WAIT),	  NAME(FUTEX_WAKE),	   NAME(FUTEX_WAIT_PRIVATE),
	NAME(FUTEX_WAKE_PRIVATE), NAME(FUTEX_WAIT_BITSET), NAME(FUTEX_WAKE_BITSET),
};

static const struct constant seccomp_operations[] = {
	NAME(SECCOMP_SET_MODE_STRICT),
	NAME(SECCOMP_SET_MODE_FILTER),
	NAME(SECCOMP_GET_ACTION_AVAIL),
	NAME(SECCOMP_GET_NOTIF_SIZES),
};

static const struct constant arch_prctls[] = {
	NAME(ARCH_SET_GS),    NAME(ARCH_SET_FS),    NAME(ARCH_GET_FS),	     NAME(ARCH_GET_GS),
	NAME(ARCH_GET_CPUID), NAME(ARCH_SET_CPUID), NAME(ARCH_SHSTK_ENABLE),
};

static const struct constant rseq_flags[] = { { 1, "RSEQ_FLAG_UNREGISTER" } };
static const struct constant mlock_flags[] = { { 1, "MLOCK_ONFAULT" } };

#define VALUES(array)                                      \
	{                                                  \
		array, sizeof(array) / sizeof(*(array)), 0 \
	}
#define FLAGS(array)                                       \
	{                                                  \
		array, sizeof(array) / sizeof(*(array)), 1 \
	}

const struct constant_set *argument_constants(enum argument_kind kind)
{
	static const struct constant_set sets[] = {
		[ARG_PROT] = FLAGS(protections),
		[ARG_MAP_FLAGS] = FLAGS(map_flags),
		[ARG_MREMAP_FLAGS] = FLAGS(mremap_flags),
		[ARG_ADVICE] = VALUES(advices),
		[ARG_OPEN_FLAGS] = FLAGS(open_flags),
		[ARG_CLONE_FLAGS] = FLAGS(clone_flags),
		[ARG_CLOSE_RANGE_FLAGS] = FLAGS(close_range_flags),
		[ARG_MASK_HOW] = VALUES(mask_hows),
		[ARG_RESOURCE] = VALUES(resources),
		[ARG_TIMER] = VALUES(timers),
		[ARG_CLOCK] = VALUES(clocks),
		[ARG_FCNTL] = VALUES(fcntls),
		[ARG_MM_FIELD] = VALUES(mm_fields),
		[ARG_WHENCE] = VALUES(whences),
		[ARG_POLICY] = VALUES(policies),
		[ARG_ID_TYPE] = VALUES(id_types),
		[ARG_WAIT_OPTIONS] = FLAGS(wait_options),
		[ARG_FUTEX] = VALUES(futexes),
		[ARG_SECCOMP] = VALUES(seccomp_operations),
		[ARG_ARCH_PRCTL] = VALUES(arch_prctls),
		[ARG_RSEQ_FLAGS] = FLAGS(rseq_flags),
		[ARG_MLOCK_FLAGS] = FLAGS(mlock_flags),
	};

	if (kind >= sizeof sets / sizeof *sets || !sets[kind].constants)
		return NULL;
	return &sets[kind];
}
