// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-userfaultfd
 * promise: a userfaultfd is refused by name, also while somebody waits for it, and goes on working:
 *	nothing that is missing is touched, nothing that is protected becomes writable
 * flavours: flat one user ordinary
 * arguments: idle missing waiting protected child
 * refused: unsupported-file
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 4 };

static int fd;
static volatile char *area;
static _Atomic int seen;

static void register_area(unsigned long long mode)
{
	struct uffdio_register request = { .range = { (uintptr_t)area, PAGES * PAGE },
					   .mode = mode };

	scenario_need(ioctl(fd, UFFDIO_REGISTER, &request) == 0, "cannot register: %m");
}

static void protect(bool on)
{
	struct uffdio_writeprotect request = { .range = { (uintptr_t)area, PAGES * PAGE },
					       .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0 };

	scenario_need(ioctl(fd, UFFDIO_WRITEPROTECT, &request) == 0, "cannot protect: %m");
}

static void *wait_for_page(void *unused)
{
	seen = area[PAGE];
	return unused;
}

static bool somebody_waits(int milliseconds)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	return poll(&ready, 1, milliseconds) == 1 && ready.revents == POLLIN;
}

/* What a reader of it is told: that a page is missing, or protected, at that place. */
static void check_told(unsigned long long flags)
{
	struct uffd_msg told = { 0 };

	scenario_check(read(fd, &told, sizeof told) == sizeof told &&
			       told.event == UFFD_EVENT_PAGEFAULT &&
			       told.arg.pagefault.address == (uintptr_t)area + PAGE &&
			       (told.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) == flags,
		       "another fault is told of");
	scenario_check(!somebody_waits(0), "another fault waits");
}

static void give_page(void)
{
	static char bytes[PAGE] __attribute__((aligned(PAGE)));
	struct uffdio_copy request = { .dst = (uintptr_t)area + PAGE,
				       .src = (uintptr_t)bytes,
				       .len = PAGE };

	memset(bytes, 'g', sizeof bytes);
	scenario_check(ioctl(fd, UFFDIO_COPY, &request) == 0, "cannot give a page: %m");
}

static void *write_page(void *unused)
{
	area[PAGE] = 'w';
	return unused;
}

static int idle_child(void *data)
{
	scenario_wait_restored();
	return *(int *)data;
}

int main(int argc, char **argv)
{
	struct uffdio_api api = { .api = UFFD_API };
	pthread_t other = 0;

	scenario_begin(argc, argv);
	const char *how = argv[2];
	bool idle = !strcmp(how, "idle"), waiting = !strcmp(how, "waiting");
	bool protected = !strcmp(how, "protected"), child = !strcmp(how, "child");
	fd = (int)syscall(SYS_userfaultfd, O_NONBLOCK | UFFD_USER_MODE_ONLY);
	scenario_need(fd >= 0, "no userfaultfd: %m");
	area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	scenario_need(area != MAP_FAILED, "no memory");
	if (!idle) {
		api.features = protected ? UFFD_FEATURE_PAGEFAULT_FLAG_WP : 0;
		scenario_need(ioctl(fd, UFFDIO_API, &api) == 0, "no API: %m");
		if (protected)
			memset((char *)area, 'p', PAGES * PAGE);
		register_area(protected ? UFFDIO_REGISTER_MODE_WP : UFFDIO_REGISTER_MODE_MISSING);
	}
	if (protected)
		protect(true);
	int nothing = 0;
	pid_t pid = child ? scenario_child(idle_child, &nothing) : 0;
	if (waiting) {
		pthread_create(&other, NULL, wait_for_page, NULL);
		scenario_need(somebody_waits(5000), "nobody waits");
	}

	scenario_ready();

	if (idle) {
		scenario_check(ioctl(fd, UFFDIO_API, &api) == 0, "it does not work any more: %m");
		return scenario_end();
	}
	if (!waiting) {
		scenario_check(!somebody_waits(0), "somebody has touched it");
		pthread_create(&other, NULL, protected ? write_page : wait_for_page, NULL);
		scenario_check(somebody_waits(5000), "no fault is told of");
	}
	check_told(protected ? UFFD_PAGEFAULT_FLAG_WP : 0);
	scenario_check(!seen && (!protected || area[PAGE] == 'p'), "it has not waited");
	if (protected)
		protect(false);
	else
		give_page();
	pthread_join(other, NULL);
	scenario_check(protected ? area[PAGE] == 'w' : seen == 'g', "what comes is something else");
	if (child)
		scenario_reap(pid);
	return scenario_end();
}
