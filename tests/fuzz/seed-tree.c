// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A small tree with something of every kind of object, to be dumped as a seed of fuzz-plan: prints
 * the pid of its root and stays. `seed-tree nested` makes the root the init of a pid namespace,
 * with another one inside; `seed-tree users` has a user namespace for each of those, and others
 * below and beside; `seed-tree flat` makes no namespace; `seed-tree mounts` has mount namespaces,
 * and little else.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
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
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void must(bool condition)
{
	if (!condition)
		abort();
}

static pid_t child(unsigned flags)
{
	pid_t pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

	must(pid >= 0);
	return pid;
}

static void stay(void)
{
	for (;;)
		pause();
}

static void write_map(pid_t pid, const char *name, const char *text)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_WRONLY);
	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* In a user namespace with maps of several extents, which the parent writes. */
static pid_t child_user(unsigned flags, const char *map)
{
	char go = 1;
	int ends[2];

	must(pipe(ends) == 0);
	pid_t pid = child(flags | CLONE_NEWUSER);
	if (pid) {
		write_map(pid, "uid_map", map);
		write_map(pid, "gid_map", map);
		must(write(ends[1], &go, 1) == 1);
	} else {
		must(read(ends[0], &go, 1) == 1);
	}
	close(ends[0]);
	close(ends[1]);
	return pid;
}

/* Maps itself, as the /proc of the outer pid namespace has other numbers. */
static void have_users(void)
{
	if (!child(CLONE_NEWUSER)) /* no maps */
		stay();
	if (child(CLONE_NEWUSER))
		return;
	int fd = open("/proc/self/setgroups", O_WRONLY);
	must(fd >= 0 && write(fd, "deny", 4) == 4);
	close(fd);
	fd = open("/proc/self/uid_map", O_WRONLY);
	must(fd >= 0 && write(fd, "7 0 1", 5) == 5);
	close(fd);
	fd = open("/proc/sys/user/max_net_namespaces", O_WRONLY);
	must(fd >= 0 && write(fd, "5", 1) == 1);
	close(fd);
	if (!child(CLONE_NEWPID)) /* owned by this one */
		stay();
	stay();
}

static void *wait_in_thread(void *data)
{
	must(prctl(PR_SET_NAME, "thread") == 0);
	stay();
	return data;
}

static void have_filters(void)
{
	struct sock_filter filter[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
					BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { 2, filter };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	for (int i = 0; i < 2; i++)
		must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void have_files(void)
{
	char name[] = "/tmp/seed-XXXXXX";
	int ends[2], unlinked = mkstemp(name);

	must(unlinked >= 0 && write(unlinked, "content", 7) == 7 && unlink(name) == 0);
	must(dup2(unlinked, 40) == 40 && fcntl(unlinked, F_SETFD, FD_CLOEXEC) == 0);
	must(pipe(ends) == 0 && write(ends[1], "in the pipe", 11) == 11);
	must(open("/tmp", O_RDONLY | O_DIRECTORY) >= 0);
}

static void watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	must(fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void have_events(void)
{
	const struct itimerspec later = { { 0, 7 }, { 50000, 0 } };
	struct flock lock = { .l_type = F_WRLCK, .l_start = 3, .l_len = 4 };
	int epoll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
	int inotify = inotify_init1(IN_NONBLOCK);
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	must(timerfd_settime(timer, 0, &later, NULL) == 0);
	must(inotify_add_watch(inotify, "/tmp", IN_DELETE_SELF) > 0);
	watch(epoll, timer);
	watch(epoll, eventfd(3, EFD_SEMAPHORE));
	watch(epoll, signalfd(-1, &set, 0));
	watch(epoll, inotify);
	watch(epoll, (int)syscall(SYS_pidfd_open, getpid(), 0));
	/* The unlinked file, open for both. */
	must(fcntl(40, F_OFD_SETLK, &lock) == 0 && fcntl(40, F_SETOWN, getpid()) == 0);
}

/* A listener with a client that waits, and a pair with a message that has a descriptor. */
static void have_unix_sockets(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "\0fuzz-seed" };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	int pair[2], passed = open("/dev/null", O_RDONLY);
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec bytes = { "message", 7 };
	struct msghdr message = { .msg_iov = &bytes,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };

	must(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 2) == 0);
	must(connect(client, (struct sockaddr *)&at, sizeof at) == 0);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	memcpy(CMSG_DATA(&control.header), &passed, sizeof passed);
	must(sendmsg(pair[0], &message, 0) == 7 && close(passed) == 0);
}

static int bound(int type, struct sockaddr_in *at)
{
	const struct sockaddr_in any = { .sin_family = AF_INET,
					 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof *at;
	int fd = socket(AF_INET, type, 0), on = 1;

	must(fd >= 0 && bind(fd, (const struct sockaddr *)&any, sizeof any) == 0);
	must(getsockname(fd, (struct sockaddr *)at, &length) == 0);
	must(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0);
	return fd;
}

/* A connection with something on its way, one that waits, a datagram that does, and others. */
static void have_net_sockets(void)
{
	const struct sockaddr_nl port = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	struct sockaddr_in at, to;
	int listener = bound(SOCK_STREAM, &at), client = socket(AF_INET, SOCK_STREAM, 0);
	int waiting = socket(AF_INET, SOCK_STREAM, 0);

	must(listen(listener, 2) == 0);
	must(connect(client, (struct sockaddr *)&at, sizeof at) == 0);
	must(accept(listener, NULL, NULL) >= 0 && send(client, "content", 7, 0) == 7);
	must(connect(waiting, (struct sockaddr *)&at, sizeof at) == 0);
	int receiver = bound(SOCK_DGRAM, &to), sender = bound(SOCK_DGRAM, &at);
	must(receiver >= 0 && connect(sender, (struct sockaddr *)&to, sizeof to) == 0);
	must(send(sender, "datagram", 8, 0) == 8);
	int netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	must(bind(netlink, (const struct sockaddr *)&port, sizeof port) == 0);
	socket(AF_INET, SOCK_RAW, 89); /* where that is allowed */
	socket(AF_PACKET, SOCK_DGRAM, 0);
}

/* With a session of its own, which has /dev/tty, too. */
static void have_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	must(master >= 0 && unlockpt(master) == 0);
	if (child(0))
		return;
	must(setsid() > 0);
	int slave = open(ptsname(master), O_RDWR);
	must(slave >= 0 && open("/dev/tty", O_RDWR) >= 0);
	must(write(slave, "output", 6) == 6 && write(master, "typed", 5) == 5);
	stay();
}

static void have_memory(void)
{
	unsigned both = PROT_READ | PROT_WRITE;
	char *shared = mmap(NULL, 3 * 4096, (int)both, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *private = mmap(NULL, 5 * 4096, (int)both, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(shared != MAP_FAILED && private != MAP_FAILED);
	shared[4096] = private[2 * 4096] = 1;
	must(mprotect(private, 4096, PROT_NONE) == 0 && mlock(private + 4096, 4096) == 0);
}

static void have_objects_of_memory(void)
{
	struct io_uring_params params = { 0 };
	int memory = memfd_create("seed", MFD_ALLOW_SEALING);
	int segment = shmget(IPC_PRIVATE, 5000, IPC_CREAT | 0600);
	int ring = (int)syscall(SYS_io_uring_setup, 2, &params);
	aio_context_t context = 0;

	must(memory >= 0 && write(memory, "content", 7) == 7);
	must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0) != MAP_FAILED);
	must(fcntl(memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);
	char *attached = shmat(segment, NULL, 0);
	must(attached != (char *)-1 && shmctl(segment, IPC_RMID, NULL) == 0);
	attached[4096] = 1;
	must(ring >= 0 && mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
			       IORING_OFF_SQ_RING) != MAP_FAILED);
	/* The ring in a child would be none of its own. */
	must(syscall(SYS_io_setup, 4, &context) == 0);
	must(madvise((void *)(uintptr_t)context, 4096, MADV_DONTFORK) == 0);
}

/* Where that is allowed. */
static void have_map(void)
{
	union bpf_attr attributes;
	uint32_t key = 3, value = 4;

	memset(&attributes, 0, sizeof attributes);
	attributes.map_type = BPF_MAP_TYPE_HASH;
	attributes.key_size = attributes.value_size = sizeof key;
	attributes.max_entries = 5;
	int map = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
	if (map < 0)
		return;
	memset(&attributes, 0, sizeof attributes);
	attributes.map_fd = (uint32_t)map;
	attributes.key = (uint64_t)(uintptr_t)&key;
	attributes.value = (uint64_t)(uintptr_t)&value;
	must(syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attributes, sizeof attributes) == 0);
}

static void have_timers(void)
{
	struct itimerval interval = { { 5, 0 }, { 50000, 0 } };
	struct itimerspec times = { { 0, 5 }, { 50000, 0 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	timer_t timer;

	must(setitimer(ITIMER_REAL, &interval, NULL) == 0);
	must(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	must(timer_settime(timer, 0, &times, NULL) == 0);
}

static void have_signals(void)
{
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	must(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
	must(kill(getpid(), SIGUSR2) == 0 && raise(SIGUSR2) == 0);
	signal(SIGHUP, SIG_IGN);
}

static void have_children(bool nested)
{
	pthread_t thread;
	pid_t zombie = child(0);

	if (!zombie)
		_exit(3);
	pid_t stopped = child(0);
	if (!stopped) {
		setpgid(0, 0);
		raise(SIGSTOP);
		stay();
	}
	if (!child(0)) {
		setsid();
		must(pthread_create(&thread, NULL, wait_in_thread, NULL) == 0);
		if (!nested)
			have_filters();
		stay();
	}
	if (!child(nested ? CLONE_NEWPID : CLONE_FS | CLONE_FILES)) {
		if (nested && !child(0))
			stay();
		stay();
	}
}

static void have_sandbox(void)
{
	if (child_user(CLONE_NEWPID | CLONE_NEWNS, "0 0 1\n1 100001 50"))
		return;
	must(mount("inner", "/mnt/content/sub", "tmpfs", MS_NOSUID, "size=1m") == 0 &&
	     mkdir("/mnt/content/sub/proc", 0755) == 0 &&
	     mount("proc", "/mnt/content/sub/proc", "proc", 0, "hidepid=invisible") == 0);
	stay();
}

/* Whatever a record of a mount can say. */
static void have_mounts(void)
{
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	     mount("top", "/mnt", "tmpfs", 0, "size=4m") == 0 && chdir("/mnt") == 0);
	for (const char *const *name =
		     (const char *const[]){ "content", "proc", "pts", "bound", "slave", "lower",
					    "upper", "work", "over", "queues", "gone", NULL };
	     *name; name++)
		must(mkdir(*name, 0755) == 0);
	must(mount("content", "content", "tmpfs", MS_NODEV, "size=1m,mode=711") == 0 &&
	     mkdir("content/sub", 0755) == 0 && mkfifo("content/fifo", 0600) == 0 &&
	     symlink("/etc", "content/link") == 0 &&
	     mount(NULL, "content", NULL, MS_SHARED, NULL) == 0 &&
	     mount("content", "slave", NULL, MS_BIND, NULL) == 0 &&
	     mount(NULL, "slave", NULL, MS_SLAVE, NULL) == 0 &&
	     mount(NULL, "slave", NULL, MS_SHARED, NULL) == 0 &&
	     mount("proc", "proc", "proc", MS_NOEXEC, "subset=pid") == 0 &&
	     mount("pts", "pts", "devpts", 0, "newinstance,ptmxmode=666") == 0 &&
	     mount("/usr", "bound", NULL, MS_BIND, NULL) == 0 &&
	     mount(NULL, "bound", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID, NULL) == 0 &&
	     mount("mqueue", "queues", "mqueue", 0, NULL) == 0 &&
	     mount("over", "over", "overlay", 0,
		   "lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work") == 0 &&
	     mount("gone", "bound", NULL, MS_BIND, NULL) == 0 && rmdir("gone") == 0);
	must(mknod("net", S_IFREG | 0600, 0) == 0 &&
	     mount("/proc/self/ns/net", "net", NULL, MS_BIND, NULL) == 0 &&
	     open("content/fifo", O_RDWR) >= 0);
	int context = fsopen("tmpfs", 0);
	must(fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0 &&
	     fsmount(context, 0, MOUNT_ATTR_NODEV) >= 0 && close(context) == 0);
	have_sandbox();
}

int main(int argc, char **argv)
{
	bool mounts = argc > 1 && strcmp(argv[1], "mounts") == 0;
	bool users = argc > 1 && strcmp(argv[1], "users") == 0;
	bool nested = users || (argc > 1 && strcmp(argv[1], "nested") == 0);
	pid_t root = users ? child_user(CLONE_NEWPID, "0 0 1\n1 100001 50\n1000 200000 65536")
			   : child(nested   ? CLONE_NEWPID
				   : mounts ? CLONE_NEWNS
					    : 0);

	if (root) {
		printf("%d\n", root);
		return 0;
	}
	setsid();
	for (int fd = 0; fd < 3; fd++)
		must(dup2(open("/dev/null", O_RDWR), fd) == fd);
	must(close_range(3, ~0U, 0) == 0 && chdir("/") == 0);
	if (mounts) {
		have_mounts();
		stay();
	}
	have_files();
	have_events();
	have_memory();
	have_objects_of_memory();
	have_map();
	have_unix_sockets();
	have_net_sockets();
	have_terminal();
	have_timers();
	have_signals();
	have_children(nested);
	if (users) {
		have_users();
		must(open("/proc/self/ns/user", O_RDONLY) >= 0);
		must(open("/proc/self/ns/pid", O_RDONLY) >= 0);
		must(open("/proc/self/ns/net", O_RDONLY) >= 0);
	}
	stay();
}
