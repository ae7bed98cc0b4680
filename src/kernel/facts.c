// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finding out what this kernel and these privileges allow; see facts.h. Every probe is harmless
 * and makes no process: a call is made so that it fails late, and the error tells whether the
 * kernel knows it.
 */
#include "kernel/facts.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "kernel/pidfd.h"
#include "kernel/syscalls.h"

#include <cpuid.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <xxhash.h>

enum {
	LARGEST_CORE = 1 << 20,		     /* of a process without memory, amply */
	INITIAL_USER_NAMESPACE = 0xEFFFFFFD, /* PROC_USER_INIT_INO, include/linux/proc_ns.h */
	TIMER_CREATE_RESTORE_IDS = 77,	     /* PR_TIMER_CREATE_RESTORE_IDS, 6.15 */
	TIMER_CREATE_RESTORE_IDS_GET = 2,
	GUARD_INSTALL = 102,	     /* MADV_GUARD_INSTALL, 6.13 */
	FEATURE_UFFD_MOVE = 1 << 16, /* UFFD_FEATURE_MOVE, 6.8 */
	RSEQ_AREA_SIZE = 32,	     /* the size of the first ABI, and its alignment */
	AUXV_RSEQ_FEATURE_SIZE = 27, /* AT_RSEQ_FEATURE_SIZE, 6.3 */
};

/* 47 bits less the guard page, TASK_SIZE_MAX with four page table levels. */
static const uint64_t user_address_end = 0x7ffffffff000;

bool facts_has_capability(const struct facts *facts, int capability)
{
	return facts->capabilities >> capability & 1;
}

/* What cannot be asked for want of something is not missing: then facts_probe fails. */
static bool answered(struct facts *facts, bool is_answer)
{
	if (!is_answer && errno_tells_nothing(errno) && !facts->shortage)
		facts->shortage = errno;
	return is_answer;
}

/* What everybody may ask of himself, and is told if the kernel has it: 0 if it has not. */
static uint32_t told(struct facts *facts, long answer)
{
	if (answer < 0 && errno != ENOSYS && errno != EINVAL && !facts->shortage)
		facts->shortage = errno;
	return answer < 0 ? 0 : (uint32_t)answer;
}

static bool read_text(struct facts *facts, const char *path, char *text, size_t size)
{
	errno = 0; /* a file may be empty */
	return answered(facts, procfs_read_into(AT_FDCWD, path, text, size) > 0);
}

static uint64_t number_in(struct facts *facts, const char *path, uint64_t otherwise)
{
	char text[64];

	if (!read_text(facts, path, text, sizeof text))
		return otherwise;
	return strtoull(text, NULL, 10);
}

static void add_area(struct facts *facts, struct arena *arena, struct address_range range,
		     const char *name)
{
	bool is_vdso = strstr(name, "[vdso]"), is_vvar = strstr(name, "[vvar");

	if ((is_vdso || is_vvar) && facts->n_vdso < MAX_VDSO_AREAS)
		facts->vdso[facts->n_vdso++] = (struct vdso_area){ range, is_vdso };
	if (range.start >= user_address_end)
		return; /* [vsyscall] */
	if (facts->n_busy && facts->busy[facts->n_busy - 1].end == range.start) {
		facts->busy[facts->n_busy - 1].end = range.end;
		return;
	}
	facts->busy = arena_grow(arena, facts->busy, facts->n_busy, sizeof *facts->busy);
	facts->busy[facts->n_busy++] = range;
}

static int probe_areas(struct facts *facts, struct arena *arena, struct error *err)
{
	char *text;

	if (procfs_read(arena, AT_FDCWD, "/proc/self/maps", &text) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read /proc/self/maps");
	for (char *line = text; *line;) {
		char *end = strchr(line, '\n');
		struct address_range range;
		if (end)
			*end = '\0';
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &range.start, &range.end) == 2)
			add_area(facts, arena, range, line);
		if (!end)
			break;
		line = end + 1;
	}
	for (size_t i = 0; i < facts->n_vdso; i++)
		if (facts->vdso[i].is_vdso)
			facts->vdso_hash =
				XXH3_64bits((const void *)facts->vdso[i].range.start,
					    facts->vdso[i].range.end - facts->vdso[i].range.start);
	return 0;
}

static void status_ids(const char *status, const char *key, uint32_t ids[4])
{
	const char *field = procfs_field(status, key);
	uint64_t numbers[4] = { 0 };

	if (field)
		procfs_numbers(field, 10, numbers, 4);
	for (size_t i = 0; i < 4; i++)
		ids[i] = (uint32_t)numbers[i];
}

static int probe_groups(struct facts *facts, struct arena *arena, struct error *err)
{
	_Static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups are 32 bits wide");
	int count = getgroups(0, NULL);

	if (count > 0) {
		facts->groups = arena_array(arena, uint32_t, (size_t)count);
		count = getgroups(count, facts->groups);
	}
	if (count < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the groups of nestor");
	facts->n_groups = (size_t)count;
	return 0;
}

static int probe_identity(struct facts *facts, struct arena *arena, struct error *err)
{
	struct stat user_namespace;
	char *status;

	if (procfs_read(arena, AT_FDCWD, "/proc/thread-self/status", &status) < 0)
		/* Also ENOENT where it is that of a pid namespace in which we have no number. */
		return fail_errno(err, errno == ENOENT ? ERR_NO_PROC : ERR_KERNEL_REFUSED,
				  "cannot read /proc/thread-self/status");
	facts->capabilities = procfs_value(status, "CapEff:", 16);
	facts->permitted = procfs_value(status, "CapPrm:", 16);
	facts->inheritable = procfs_value(status, "CapInh:", 16);
	facts->bounding = procfs_value(status, "CapBnd:", 16);
	facts->ambient = procfs_value(status, "CapAmb:", 16);
	facts->ignored_signals = procfs_value(status, "SigIgn:", 16);
	facts->caught_signals = procfs_value(status, "SigCgt:", 16);
	facts->umask = (uint32_t)procfs_value(status, "Umask:", 8);
	facts->no_new_privs = procfs_value(status, "NoNewPrivs:", 10);
	facts->filtered = procfs_value(status, "Seccomp:", 10);
	status_ids(status, "Uid:", facts->uids);
	status_ids(status, "Gid:", facts->gids);
	uint64_t last = number_in(facts, "/proc/sys/kernel/cap_last_cap", 40);
	facts->known_capabilities = last >= 63 ? UINT64_MAX : (UINT64_C(1) << (last + 1)) - 1;
	facts->securebits = told(facts, prctl(PR_GET_SECUREBITS));
	facts->in_initial_user_namespace =
		answered(facts, stat("/proc/self/ns/user", &user_namespace) == 0) &&
		user_namespace.st_ino == INITIAL_USER_NAMESPACE;
	return probe_groups(facts, arena, err);
}

/* AppArmor, SELinux and their like give one; without them reading fails with EINVAL. */
static void probe_security_context(struct facts *facts, struct arena *arena)
{
	char *text;

	errno = 0;
	if (answered(facts,
		     procfs_read(arena, AT_FDCWD, "/proc/thread-self/attr/current", &text) > 0))
		facts->security_context = text;
}

static void probe_scheduling(struct facts *facts)
{
	struct sched_attributes attributes = { 0 };
	ssize_t size = kernel_sched_getaffinity(0, facts->affinity, sizeof facts->affinity);

	facts->affinity_size = answered(facts, size > 0) ? (size_t)size : 0;
	if (answered(facts, kernel_sched_getattr(0, &attributes) == 0)) {
		facts->scheduling_policy = attributes.policy;
		facts->scheduling_priority = attributes.priority;
		facts->scheduling_flags = attributes.flags;
		facts->scheduling_slice = attributes.runtime;
	}
	errno = 0; /* -1 is a priority, too */
	facts->nice = getpriority(PRIO_PROCESS, 0);
	told(facts, errno ? -1 : 0);
	facts->io_priority = told(facts, kernel_ioprio_get(1 /* IOPRIO_WHO_PROCESS */, 0));
	long slack = syscall(SYS_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
	told(facts, slack < 0 ? -1 : 0);
	facts->timer_slack_ns = slack > 0 ? (uint64_t)slack : 0;
}

static void probe_process(struct facts *facts)
{
	stack_t stack = { 0 };

	facts->alternate_stack =
		answered(facts, sigaltstack(NULL, &stack) == 0) && !(stack.ss_flags & SS_DISABLE);
	for (int i = 0; i < RLIMIT_COUNT; i++)
		answered(facts, getrlimit((__rlimit_resource_t)i, &facts->rlimits[i]) == 0);
	facts->personality = told(facts, personality(0xffffffff));
	facts->dumpable = told(facts, prctl(PR_GET_DUMPABLE));
	facts->thp_disable = told(facts, prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	char text[32];
	if (read_text(facts, "/proc/self/oom_score_adj", text, sizeof text))
		facts->oom_score_adj = atoi(text);
	/* The question for the version; fails where it is not built in or not switched on. */
	facts->landlock = answered(facts, syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0) ||
			  (errno != ENOSYS && errno != EOPNOTSUPP);
	if (read_text(facts, "/proc/self/coredump_filter", text, sizeof text))
		facts->coredump_filter = (uint32_t)strtoul(text, NULL, 16);
	facts->suid_dumpable = (uint32_t)number_in(facts, "/proc/sys/fs/suid_dumpable", 0);
	facts->loginuid = UINT32_MAX;
	if (read_text(facts, "/proc/self/loginuid", text, sizeof text))
		facts->loginuid = (uint32_t)strtoul(text, NULL, 10);
}

/*
 * A core file is written where the pattern says, below the root directory of who dumps. A pipe or
 * a socket is somebody else's; directories named after the task would have to be guessed.
 */
static void probe_core_pattern(struct facts *facts, struct arena *arena)
{
	char text[256];
	autoclose int context_fd = (int)syscall(SYS_fsopen, "tmpfs", 1 /* FSOPEN_CLOEXEC */);

	if (!answered(facts, context_fd >= 0) ||
	    facts->rlimits[RLIMIT_CORE].rlim_max < LARGEST_CORE ||
	    !read_text(facts, "/proc/sys/kernel/core_pattern", text, sizeof text))
		return;
	text[strcspn(text, "\n")] = '\0';
	const char *percent = strchr(text, '%');
	if (text[0] && text[0] != '|' && text[0] != '@' && !(percent && strchr(percent, '/')))
		facts->core_pattern = arena_string(arena, text);
}

/*
 * The C library registers a restartable sequence area for each thread. Its exported size is not
 * always the registered one (glibc 2.40 exports the part in use); registering again tells: EBUSY
 * is the answer to the very same area, size and signature.
 */
static void probe_rseq(struct facts *facts)
{
	uint64_t feature_size = getauxval(AUXV_RSEQ_FEATURE_SIZE);
	uint32_t sizes[] = { RSEQ_AREA_SIZE,
			     (uint32_t)(feature_size + RSEQ_AREA_SIZE - 1) & ~(RSEQ_AREA_SIZE - 1u),
			     (uint32_t)feature_size };

	if (__rseq_size == 0)
		return;
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		if (answered(facts, kernel_rseq(area, sizes[i], 0, RSEQ_SIG) == 0) ||
		    errno != EBUSY)
			continue;
		facts->rseq_address = (uint64_t)area;
		facts->rseq_size = sizes[i];
		facts->rseq_signature = RSEQ_SIG;
		return;
	}
}

static void probe_processor(struct facts *facts)
{
	unsigned eax, ebx, ecx, edx;

	/* XGETBV faults unless the kernel switched XSAVE on (CPUID.1:ECX.OSXSAVE). */
	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE))
		return;
	__asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
	facts->xsave_features = eax | (uint64_t)edx << 32;
	if (__get_cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx))
		facts->xsave_size = ebx; /* of all features in XCR0 */
}

/*
 * set_tid is looked at last, after everything was copied (alloc_pid): asking for 1, which is
 * always taken, gives EEXIST to who may choose ids and EPERM to who may not. Sharing everything
 * makes the copying cheap.
 */
static bool probe_set_tid(void)
{
	pid_t taken = 1;
	struct clone_args arguments = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_FS | CLONE_SIGHAND,
		.set_tid = (uint64_t)&taken,
		.set_tid_size = 1,
	};

	return syscall(SYS_clone3, &arguments, sizeof arguments) < 0 && errno == EEXIST;
}

static bool probe_pagemap_scan(uint64_t page_size)
{
	autoclose int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t here = (uint64_t)&fd & ~(page_size - 1);
	struct pagemap_scan_region region;
	struct pagemap_scan_arguments scan = {
		.size = sizeof scan,
		.start = here,
		.end = here + page_size,
		.vec = (uint64_t)&region,
		.vec_len = 1,
		.return_mask = 1 << 3, /* PAGE_IS_PRESENT */
	};

	return fd >= 0 && ioctl(fd, PAGEMAP_SCAN_REQUEST, &scan) >= 0;
}

static bool probe_guard_regions(uint64_t page_size)
{
	void *page = mmap(NULL, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return false;
	bool known = madvise(page, page_size, GUARD_INSTALL) == 0;
	munmap(page, page_size);
	return known;
}

static bool probe_pidfd_getfd(void)
{
	autoclose int pidfd = kernel_pidfd_open(getpid(), 0);
	autoclose int copy = pidfd < 0 ? -1 : kernel_pidfd_getfd(pidfd, pidfd, 0);

	return copy >= 0;
}

static bool probe_pidfd_namespaces(void)
{
	autoclose int pidfd = kernel_pidfd_open(getpid(), 0);
	autoclose int namespace_fd =
		pidfd < 0 ? -1 : ioctl(pidfd, PIDFD_PID_NAMESPACE_FOR_CHILDREN, 0);

	return namespace_fd >= 0;
}

static bool probe_uffd_move(void)
{
	autoclose int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = { .api = UFFD_API };

	errno = fd >= 0 ? 0 : errno;
	return fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 && (api.features & FEATURE_UFFD_MOVE);
}

static bool is_at_least(const struct utsname *kernel, unsigned major, unsigned minor)
{
	unsigned this_major = 0, this_minor = 0;

	if (sscanf(kernel->release, "%u.%u", &this_major, &this_minor) != 2)
		return false;
	return this_major > major || (this_major == major && this_minor >= minor);
}

/*
 * The names can be listed by anybody, of a process that is not dumpable by nobody (EACCES); to
 * follow one is the privilege.
 */
static int probe_map_files(struct facts *facts, struct error *err)
{
	autoclosedir DIR *links = listing_open(AT_FDCWD, "/proc/self/map_files");
	const char *name;
	struct stat stat;

	bool listed = listing_next(links, &name);
	facts->map_files = listed && fstatat(dirfd(links), name, &stat, 0) == 0;
	if (facts->map_files || !errno || errno == EACCES || errno == ENOENT ||
	    (listed && errno == EPERM))
		return 0;
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look into /proc/self/map_files");
}

/* What is closed stays closed meanwhile. */
static bool probe_protection_keys(struct facts *facts)
{
	int key = pkey_alloc(0, PKEY_DISABLE_ACCESS);

	if (key < 0 && errno == ENOSPC) /* also that of a processor without them */
		return false;
	return answered(facts, key >= 0) && answered(facts, pkey_free(key) == 0);
}

static int probe_facilities(struct facts *facts, struct error *err)
{
	struct utsname kernel;
	uint64_t address;

	if (uname(&kernel))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the kernel's release");
	facts->clone3_set_tid = answered(facts, probe_set_tid());
	facts->pagemap_scan = answered(facts, probe_pagemap_scan(facts->page_size));
	facts->timer_restore_ids = answered(
		facts, prctl(TIMER_CREATE_RESTORE_IDS, TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0) >= 0);
	facts->guard_regions = answered(facts, probe_guard_regions(facts->page_size));
	facts->memory_seals = answered(facts, kernel_mseal(NULL, 0) == 0);
	facts->protection_keys = probe_protection_keys(facts);
	facts->pidfd_getfd = answered(facts, probe_pidfd_getfd());
	facts->pidfd_namespaces = answered(facts, probe_pidfd_namespaces());
	facts->kcmp = answered(facts, kernel_kcmp(getpid(), getpid(), KCMP_OBJECT_VM, 0, 0) == 0);
	int seccomp_mode = prctl(PR_GET_SECCOMP);
	told(facts, seccomp_mode);
	/*
	 * Both can only be asked of a traced task. The first comes with CONFIG_CHECKPOINT_RESTORE,
	 * as PR_GET_TID_ADDRESS does, and wants CAP_SYS_ADMIN in the initial user namespace; the
	 * second with rseq, since 5.13.
	 */
	facts->seccomp_get_filter =
		answered(facts, prctl(PR_GET_TID_ADDRESS, &address, 0, 0, 0) == 0) &&
		seccomp_mode == 0 && facts->in_initial_user_namespace &&
		facts_has_capability(facts, 21 /* CAP_SYS_ADMIN */);
	facts->rseq_configuration =
		is_at_least(&kernel, 5, 13) &&
		(answered(facts, kernel_rseq(NULL, 0, 0, 0) == 0) || errno != ENOSYS);
	facts->children_file = answered(facts, access("/proc/thread-self/children", R_OK) == 0);
	facts->uffd_move = answered(facts, probe_uffd_move());
	/* Visible only from inside another namespace, hence by version. */
	facts->per_namespace_pid_max = is_at_least(&kernel, 6, 14);
	return probe_map_files(facts, err);
}

static uint64_t lower_of(uint64_t one, uint64_t other)
{
	return other && other < one ? other : one;
}

/* Each cgroup above has a limit, too; "max" is no number. Where they are not mounted it is not known. */
static uint64_t lowest_pids_max(struct facts *facts, const char *mount, char *path)
{
	uint64_t lowest = UINT64_MAX;
	char name[PATH_MAX];

	for (;;) {
		snprintf(name, sizeof name, "%s%s/pids.max", mount, path);
		lowest = lower_of(lowest, number_in(facts, name, 0));
		char *last = strrchr(path, '/');
		if (!last)
			return lowest;
		*last = '\0';
	}
}

/* By the lines of /proc/self/cgroup: "8:pids:/path", and "0::/path" of the second version. */
static uint64_t cgroup_limit(struct facts *facts)
{
	autofree char *text = NULL;
	uint64_t lowest = UINT64_MAX;
	char *rest = NULL;

	if (!answered(facts, procfs_read_new(AT_FDCWD, "/proc/self/cgroup", &text) >= 0))
		return lowest;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		if (strcmp(controllers, ":pids") == 0)
			lowest = lower_of(lowest,
					  lowest_pids_max(facts, "/sys/fs/cgroup/pids", path));
		else if (strcmp(controllers, ":") == 0)
			lowest = lower_of(lowest, lowest_pids_max(facts, "/sys/fs/cgroup", path));
	}
	return lowest;
}

/* copy_process counts by user, but for the first one of the host and who may do anything. */
static void probe_process_limits(struct facts *facts)
{
	bool counted = !facts->in_initial_user_namespace ||
		       (facts->uids[0] && !facts_has_capability(facts, 24 /* CAP_SYS_RESOURCE */) &&
			!facts_has_capability(facts, 21 /* CAP_SYS_ADMIN */));
	uint64_t own = facts->rlimits[RLIMIT_NPROC].rlim_max;

	facts->max_map_count = number_in(facts, "/proc/sys/vm/max_map_count", 0);
	facts->max_processes =
		lower_of(UINT64_MAX, number_in(facts, "/proc/sys/kernel/threads-max", 0));
	if (counted && own != RLIM_INFINITY)
		facts->max_processes = lower_of(facts->max_processes, own);
	facts->max_processes = lower_of(facts->max_processes, cgroup_limit(facts));
}

int facts_probe(struct facts *facts, struct arena *arena, struct error *err)
{
	*facts = (struct facts){
		.page_size = (uint64_t)sysconf(_SC_PAGESIZE),
		.task_size = user_address_end,
	};
	facts->mmap_min_address = number_in(facts, "/proc/sys/vm/mmap_min_addr", 65536);
	facts->pid_max = (uint32_t)number_in(facts, "/proc/sys/kernel/pid_max", 32768);
	if (probe_identity(facts, arena, err))
		return -1;
	probe_security_context(facts, arena);
	probe_scheduling(facts);
	probe_process(facts);
	probe_process_limits(facts);
	probe_core_pattern(facts, arena);
	probe_rseq(facts);
	probe_processor(facts);
	if (probe_facilities(facts, err))
		return -1;
	errno = facts->shortage;
	if (errno)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot find out what is allowed here");
	return probe_areas(facts, arena, err);
}
