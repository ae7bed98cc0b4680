// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Each call of a look at a tree may fail. Either that is told, or it was not needed: nothing that
 * could not be read is taken for something that is not there. A failure that was made and lost on
 * its way is neither. (The suite fail-calls does the same with whole runs of nestor, of which each
 * takes its time; here the calls of the C library are replaced.)
 */
#include "base/arena.h"
#include "collect/collect.h"
#include "pipeline/collecting.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- calls ---- */

/*
 * From where calls are made: of those that come from one place the first stands for all. (How many
 * there are before it is never the same.)
 */
enum { DEPTH = 24, MOST_PLACES = 4096, LOOKS = 8 };
/* With a sanitizer a look takes three times as long, and every second place has to do. */
#ifdef __SANITIZE_ADDRESS__
enum { STEP = 2 };
#else
enum { STEP = 1 };
#endif
static struct place {
	uint64_t sum; /* of the addresses that lead there; 0: nobody has been here */
	long nr;
	const void *caller;
} * places; /* NULL: they are known */

/* Where one call fails, NULL: none does. */
static const struct place *to_fail;
static int error_to_give;
static bool has_failed;

/* What is in front of the caller is ours: how many frames that is, a sanitizer may change. */
static __attribute__((noinline)) uint64_t sum_of_place(const void *caller)
{
	void *frames[DEPTH];
	uint64_t sum = 1;
	const int n = backtrace(frames, DEPTH);
	int i = 0;

	while (i < n && frames[i] != caller)
		i++;
	assert_true(i < n);
	for (; i < n; i++)
		sum = (sum ^ (uintptr_t)frames[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static void note_place(const struct place *found)
{
	struct place *place = places;

	while (place->sum && place->sum != found->sum)
		place++;
	assert_true(place < places + MOST_PLACES - 1);
	*place = *found;
}

static long raw_call(long nr, long a, long b, long c, long d, long e, long f)
{
	register long fourth __asm__("r10") = d;
	register long fifth __asm__("r8") = e;
	register long sixth __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
			 : "rcx", "r11", "memory");
	if (result >= 0 || result <= -4096)
		return result;
	errno = (int)-result;
	return -1;
}

static __attribute__((noinline)) long call(long nr, long a, long b, long c, long d, long e, long f)
{
	struct place here = { .nr = nr, .caller = __builtin_return_address(0) };
	const bool may_be =
		to_fail && !has_failed && to_fail->nr == nr && to_fail->caller == here.caller;

	if (may_be || places)
		here.sum = sum_of_place(here.caller);
	if (places)
		note_place(&here);
	if (!may_be || here.sum != to_fail->sum)
		return raw_call(nr, a, b, c, d, e, f);
	has_failed = true;
	errno = error_to_give;
	return -1;
}

#define CALL3(nr, a, b, c)    call(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define CALL4(nr, a, b, c, d) call(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

long syscall(long nr, ...)
{
	long words[6];
	va_list list;

	va_start(list, nr);
	for (size_t i = 0; i < 6; i++)
		words[i] = va_arg(list, long);
	va_end(list);
	return call(nr, words[0], words[1], words[2], words[3], words[4], words[5]);
}

static long open_at(int directory, const char *path, int flags, va_list list)
{
	long mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;

	return CALL4(SYS_openat, directory, path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...)
{
	va_list list;

	va_start(list, flags);
	int fd = (int)open_at(directory, path, flags, list);
	va_end(list);
	return fd;
}

int open(const char *path, int flags, ...)
{
	va_list list;

	va_start(list, flags);
	int fd = (int)open_at(AT_FDCWD, path, flags, list);
	va_end(list);
	return fd;
}

/* What they become of flags that are no constant, by _FORTIFY_SOURCE. */
int __openat64_2(int directory, const char *path, int flags);
int __openat64_2(int directory, const char *path, int flags)
{
	return (int)CALL3(SYS_openat, directory, path, flags);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
	return (int)CALL3(SYS_openat, AT_FDCWD, path, flags);
}

ssize_t read(int fd, void *buffer, size_t size)
{
	return CALL3(SYS_read, fd, buffer, size);
}

ssize_t pread(int fd, void *buffer, size_t size, off_t offset)
{
	return CALL4(SYS_pread64, fd, buffer, size, offset);
}

ssize_t readlink(const char *restrict path, char *restrict buffer, size_t size)
{
	return CALL3(SYS_readlink, path, buffer, size);
}

ssize_t readlinkat(int directory, const char *restrict path, char *restrict buffer, size_t size)
{
	return CALL4(SYS_readlinkat, directory, path, buffer, size);
}

int fstat(int fd, struct stat *found)
{
	return (int)CALL3(SYS_fstat, fd, found, 0);
}

int stat(const char *restrict path, struct stat *restrict found)
{
	return (int)CALL3(SYS_stat, path, found, 0);
}

int fstatat(int directory, const char *restrict path, struct stat *restrict found, int flags)
{
	return (int)CALL4(SYS_newfstatat, directory, path, found, flags);
}

int fstatfs(int fd, struct statfs *found)
{
	return (int)CALL3(SYS_fstatfs, fd, found, 0);
}

int statx(int directory, const char *restrict path, int flags, unsigned mask,
	  struct statx *restrict found)
{
	return (int)call(SYS_statx, directory, (long)path, flags, mask, (long)found, 0);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;

	va_start(list, request);
	void *argument = va_arg(list, void *);
	va_end(list);
	return (int)CALL3(SYS_ioctl, fd, request, argument);
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
	return (int)call(SYS_getsockopt, fd, level, name, (long)value, (long)length, 0);
}

int socket(int family, int type, int protocol)
{
	return (int)CALL3(SYS_socket, family, type, protocol);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	return CALL3(SYS_recvmsg, fd, message, flags);
}

ssize_t process_vm_readv(pid_t pid, const struct iovec *local, unsigned long n_local,
			 const struct iovec *remote, unsigned long n_remote, unsigned long flags)
{
	return call(SYS_process_vm_readv, pid, (long)local, (long)n_local, (long)remote,
		    (long)n_remote, (long)flags);
}

/* ---- a tree ---- */

static void *sleep_on(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void hold_files(void)
{
	const struct sockaddr_in local = { .sin_family = AF_INET,
					   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fds[2], master, slave;
	sigset_t signals;

	sigemptyset(&signals);
	pipe(fds);
	pipe2(fds, O_NONBLOCK);
	socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
	socketpair(AF_UNIX, SOCK_DGRAM, 0, fds);
	write(fds[0], "waits", 5);
	eventfd(7, 0);
	timerfd_create(CLOCK_MONOTONIC, 0);
	signalfd(-1, &signals, 0);
	int epoll = epoll_create1(0);
	epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &(struct epoll_event){ .events = EPOLLIN });
	inotify_add_watch(inotify_init(), "/", IN_CREATE);
	ftruncate(memfd_create("memory", 0), 8192);
	open("/", O_RDONLY | O_DIRECTORY);
	open("/dev/null", O_RDWR);
	open("/proc/self/status", O_RDONLY);
	open("/proc/self/ns/uts", O_RDONLY);
	openpty(&master, &slave, NULL, NULL, NULL);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	bind(listener, (const struct sockaddr *)&local, sizeof local);
	listen(listener, 1);
	bind(socket(AF_INET, SOCK_DGRAM, 0), (const struct sockaddr *)&local, sizeof local);
	socket(AF_INET6, SOCK_STREAM, 0);
	socket(AF_NETLINK, SOCK_RAW, 0);
	socket(AF_PACKET, SOCK_RAW, 0);
	syscall(SYS_pidfd_open, getpid(), 0);
}

static void hold_memory(void)
{
	int segment = shmget(IPC_PRIVATE, 4096, 0600);

	shmat(segment, NULL, 0);
	shmctl(segment, IPC_RMID, NULL);
	mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, open("/proc/self/exe", O_RDONLY), 0);
}

/* An overlay, of which nobody has the layers mounted any more: the kernel's memory tells them. */
static void hold_mounts(void)
{
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
	mkdir("/tmp/lower", 0700);
	mkdir("/tmp/upper", 0700);
	mkdir("/tmp/work", 0700);
	mount("overlay", "/var/tmp", "overlay", 0,
	      "lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work");
	umount2("/tmp", MNT_DETACH);
}

/* It has a child that sleeps, and one that is a zombie. */
static void be_tree(int ready)
{
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	unshare(CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS);
	hold_mounts();
	hold_files();
	hold_memory();
	pthread_create(&thread, NULL, sleep_on, NULL);
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready);
		sleep_on(NULL);
	}
	pid_t zombie = fork();
	if (zombie == 0)
		_exit(0);
	waitid(P_PID, (id_t)zombie, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	close(ready);
	sleep_on(NULL);
}

static pid_t start_tree(void)
{
	char byte;
	int ready[2];

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(ready[0]);
		be_tree(ready[1]);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	return pid;
}

/* ---- looks ---- */

struct seen {
	int result;
	struct error err;
	size_t n_refused, n_tasks, n_descriptors;
	uint64_t sum; /* of the messages of tasks */
};

static uint64_t sum_of(const ProtobufCMessage *message, uint64_t sum)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = malloc(size + 1);

	assert_non_null(bytes);
	protobuf_c_message_pack(message, bytes);
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	free(bytes);
	return sum;
}

static void sum_up(const struct snapshot *snapshot, struct seen *seen)
{
	seen->n_tasks = snapshot->n_tasks;
	for (size_t i = 0; i < snapshot->n_tables; i++)
		seen->n_descriptors += snapshot->tables[i]->n_descriptors;
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		seen->sum = sum_of(&snapshot->tasks[i].core->base, seen->sum);
	for (size_t i = 0; i < IMAGE_KINDS; i++)
		seen->sum =
			(seen->sum ^ snapshot_records(snapshot, (enum image_kind)i)->count) * 31;
	/* Files may be found in another way. */
	seen->sum = (seen->sum ^ seen->n_descriptors << 32 ^ snapshot->n_files) * 31;
}

static struct seen look(pid_t root, const struct facts *facts, const struct place *place, int error)
{
	const struct externals externals = { 0 };
	const struct dump_options options = { .pid = root,
					      .timeout_seconds = 10,
					      .externals = &externals };
	struct seen seen = { .sum = 1 };
	struct arena arena;

	arena_init(&arena);
	struct snapshot snapshot = { .arena = &arena };
	struct collect collect = collect_for(&(const struct pipeline_options){ .pid = root },
					     &options, &snapshot, facts);
	collect.looking = true;
	has_failed = false;
	to_fail = place;
	error_to_give = error;
	seen.result = collect_look_tree(&collect, &seen.err) || collect_read(&collect, &seen.err) ||
				      collect_read_complete(&collect, &seen.err)
			      ? -1
			      : 0;
	to_fail = NULL;
	seen.n_refused = collect.obstacles.n;
	if (seen.result == 0)
		sum_up(&snapshot, &seen);
	collect_files_done(&collect);
	arena_done(&arena);
	return seen;
}

/* Is what comes of a look with a failure as it has to be? */
static bool is_right(const struct seen *seen, const struct seen *whole)
{
	const bool told = seen->err.name != ERR_NONE;

	if (told || seen->result < 0)
		return told && seen->result < 0;
	/* Nor is anything refused for it, as something that it is not. */
	return seen->n_refused == whole->n_refused && seen->sum == whole->sum;
}

/*
 * All looks are from one place; the first two see that and the tree as they are. What sleeps has
 * times that change, and so may the tree: what differs is looked at again.
 */
static size_t fail_each(pid_t root, const struct facts *facts, struct place *found)
{
	static const int errors[] = { EIO, ENOMEM };
	struct seen whole = { 0 };
	size_t wrong = 0, n_missed = 0;
	unsigned looks = 0;
	long i = -2;

	while (i < 0 || found[i].sum) {
		const bool fails = i >= 0 && looks % 2 == 0;
		const int error = errors[i / STEP & 1];

		places = i == -1 ? found : NULL;
		const struct seen seen = look(root, facts, fails ? &found[i] : NULL, error);
		if (!fails)
			whole = seen;
		n_missed += fails && !has_failed;
		bool right = is_right(&seen, &whole);
		if (i >= 0 && (!fails || (!right && !seen.err.name && looks < LOOKS))) {
			looks++;
			continue;
		}
		if (!right)
			print_message("call %ld (number %ld, %s): result %d, %s\n", i, found[i].nr,
				      strerror(error), seen.result,
				      seen.err.name ? seen.err.text : "and another tree");
		wrong += !right;
		looks = 0;
		i += i < 0 ? 1 : STEP;
	}
	if (whole.result)
		fail_msg("%s", whole.err.text);
	assert_true(i > 100 && whole.n_tasks == 3 && whole.n_descriptors > 50);
	assert_true(n_missed < (size_t)(i / STEP) / 10);
	return wrong;
}

static void each_call_may_fail(void **state)
{
	struct error err = { 0 };
	struct arena arena;
	struct facts facts;

	(void)state;
	if (geteuid())
		skip();
	arena_init(&arena);
	assert_int_equal(facts_probe(&facts, &arena, &err), 0);
	pid_t root = start_tree();
	struct place *found = calloc(MOST_PLACES, sizeof *found);
	size_t wrong = fail_each(root, &facts, found);
	kill(root, SIGKILL);
	waitpid(root, NULL, 0);
	free(found);
	arena_done(&arena);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
