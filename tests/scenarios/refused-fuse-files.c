// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-fuse-files
 * promise: what is open in a file system whose driver is in the tree (FUSE) is refused by name,
 *	and nobody waits for the driver, which stands still: what has no name any more, what the
 *	kernel has kept back of what was written to shared memory, what may have locks that only the
 *	driver knows, directories of threads, and all that is on a mount of somebody outside
 * flavours: flat
 * needs: kernel_memory device:fuse
 * options: --enable-fs fuse
 * arguments: removed later locks thread outside
 * refused: unsupported-file
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
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

static void reach(pthread_t *ret_thread)
{
	fds[0] = open(content, O_RDONLY | O_CLOEXEC);
	fds[1] = open("fs/by-app", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scenario_need(fds[0] >= 0 && fds[1] >= 0, "open: %s", strerror(errno));
	if (strcmp(how, "removed") == 0)
		scenario_need(unlink(content) == 0, "unlink: %s", strerror(errno));
	if (strcmp(how, "later") == 0)
		write_later();
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
	if (strcmp(how, "outside") != 0)
		scenario_need(unshare(CLONE_NEWNS) == 0 &&
				      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
			      "a mount namespace: %s", strerror(errno));
	if (strcmp(how, "later") == 0)
		add_pages(1);
	if (strcmp(how, "locks") == 0)
		more_flags = FUSE_POSIX_LOCKS;
	pid_t driver = serve_fs();
	reach(&thread);

	scenario_ready();

	if (strcmp(how, "thread") == 0)
		pthread_join(thread, NULL);
	scenario_check(access("fs/by-app", R_OK) == 0, "it is not served: %s", strerror(errno));
	umount2("fs", MNT_DETACH);
	kill(driver, SIGKILL);
	waitpid(driver, NULL, 0);
	return scenario_end();
}
