// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-fuse-files
 * promise: what is open in a file system whose driver is in the tree (FUSE) is refused by name,
 *	and nobody waits for the driver, which stands still: what has no name any more, what the
 *	kernel has kept back of what was written to shared memory, what may have locks that only the
 *	driver knows, what has a lease, fifos, sockets that have their names there or had,
 *	directories of threads, and all that is on a mount of somebody outside
 * flavours: flat
 * needs: kernel_memory device:fuse
 * options: --enable-fs fuse
 * arguments: removed later locks flocks lease fifo bound unbound thread outside below hidden
 * refused: unsupported-file
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static const char content[] = "fs/by-app/one/content";
static const char *how;
static int fds[2];

static void *part(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_FS) == 0 && chdir("fs/by-app") == 0, "chdir: %s",
		      strerror(errno));
	scenario_mark("parted");
	scenario_wait_restored();
	return NULL;
}

/* Nobody has a descriptor of it. */
static void write_later(void)
{
	int fd = open("fs/by-app/one/pages", O_RDWR | O_CLOEXEC);
	char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	scenario_need(fd >= 0 && memory != MAP_FAILED, "mmap: %s", strerror(errno));
	close(fd);
	memory[0] = 'A';
}

static void bind_name(void)
{
	const struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "fs/by-app/one/name" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	scenario_need(bind(fd, (const struct sockaddr *)&name, sizeof name) == 0 &&
			      listen(fd, 1) == 0,
		      "bind: %s", strerror(errno));
	if (strcmp(how, "unbound") == 0)
		scenario_need(unlink(name.sun_path) == 0, "unlink: %s", strerror(errno));
}

/* Something else is mounted there, and open: by no path but one by way of the driver. */
static void mount_below(void)
{
	bool hidden = strcmp(how, "hidden") == 0;

	if (hidden)
		scenario_need(mkdir("over", 0755) == 0 && mkdir("over/by-app", 0755) == 0, "mkdir");
	scenario_need(mount("other", hidden ? "over/by-app" : "fs/by-app", "tmpfs", 0, NULL) == 0 &&
			      open(hidden ? "over/by-app/file" : "fs/by-app/file",
				   O_CREAT | O_RDWR | O_CLOEXEC, 0600) >= 0,
		      "mount: %s", strerror(errno));
	if (hidden)
		scenario_need(mount("fs", "over", NULL, MS_BIND, NULL) == 0, "bind: %s",
			      strerror(errno));
}

static void make_fifo(void)
{
	static const char name[] = "fs/by-app/one/fifo";

	scenario_need(mkfifo(name, 0600) == 0 && open(name, O_RDWR | O_CLOEXEC) >= 0, "fifo: %s",
		      strerror(errno));
}

static void reach(pthread_t *ret_thread)
{
	if (strcmp(how, "below") == 0 || strcmp(how, "hidden") == 0)
		return mount_below();
	fds[0] = open(content, O_RDONLY | O_CLOEXEC);
	fds[1] = open("fs/by-app", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scenario_need(fds[0] >= 0 && fds[1] >= 0, "open: %s", strerror(errno));
	if (strcmp(how, "removed") == 0)
		scenario_need(unlink(content) == 0, "unlink: %s", strerror(errno));
	if (strcmp(how, "later") == 0)
		write_later();
	if (strcmp(how, "bound") == 0 || strcmp(how, "unbound") == 0)
		bind_name();
	if (strcmp(how, "fifo") == 0)
		make_fifo();
	if (strcmp(how, "lease") == 0)
		scenario_need(fcntl(fds[0], F_SETLEASE, F_RDLCK) == 0, "lease: %s",
			      strerror(errno));
	if (strcmp(how, "thread") != 0)
		return;
	close(fds[0]);
	scenario_need(pthread_create(ret_thread, NULL, part, NULL) == 0, "thread");
	scenario_wait_mark("parted");
}

int main(int argc, char **argv)
{
	pthread_t thread;

	scenario_begin(argc, argv);
	how = argv[2];
	if (strcmp(how, "outside") != 0 && strcmp(how, "below") != 0 && strcmp(how, "hidden") != 0)
		scenario_need(unshare(CLONE_NEWNS) == 0 &&
				      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
			      "a mount namespace: %s", strerror(errno));
	if (strcmp(how, "later") == 0)
		add_pages(1);
	if (strcmp(how, "locks") == 0)
		more_flags = FUSE_POSIX_LOCKS;
	if (strcmp(how, "flocks") == 0)
		more_flags = FUSE_FLOCK_LOCKS;
	pid_t driver = serve_fs();
	reach(&thread);

	scenario_ready();

	if (strcmp(how, "thread") == 0)
		pthread_join(thread, NULL);
	scenario_check(access("fs/by-app", R_OK) == 0, "it is not served: %s", strerror(errno));
	umount2("fs/by-app", MNT_DETACH);
	umount2("over", MNT_DETACH);
	umount2("over/by-app", MNT_DETACH);
	umount2("fs", MNT_DETACH);
	kill(driver, SIGKILL);
	waitpid(driver, NULL, 0);
	return scenario_end();
}
