// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-fuse-sockets
 * promise: unix sockets whose addresses lead, since their directory has another name, into a file
 *	system whose driver is in the tree (FUSE) keep address and name: the driver, which stands
 *	still, is not asked for them
 * flavours: flat three user user-three
 * needs: kernel_memory device:fuse
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { RELATIVE, ABSOLUTE, SOCKETS };
static struct sockaddr_un addresses[SOCKETS];
static int sockets[SOCKETS];

static void set_address(struct sockaddr_un *address, const char *directory, const char *name)
{
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path, sizeof address->sun_path, "%.90s%s", directory, name);
}

static bool comes(int listener, const char *path)
{
	struct sockaddr_un address;
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	set_address(&address, "", path);
	int failed = connect(client, (struct sockaddr *)&address, sizeof address);
	int accepted = failed ? -1 : accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(client);
	close(accepted);
	return accepted >= 0;
}

static void check(void)
{
	static const char *const names[SOCKETS] = { "moved/relative", "moved/absolute" };

	for (int i = 0; i < SOCKETS; i++) {
		struct sockaddr_un found = { 0 };
		socklen_t length = sizeof found;
		scenario_check(getsockname(sockets[i], (struct sockaddr *)&found, &length) == 0 &&
				       strcmp(found.sun_path, addresses[i].sun_path) == 0,
			       "it has the address %s, not %s", found.sun_path,
			       addresses[i].sun_path);
		scenario_check(comes(sockets[i], names[i]), "%s leads to another", names[i]);
		scenario_check(!comes(sockets[i], addresses[i].sun_path),
			       "%s leads there, and not to the driver", addresses[i].sun_path);
	}
}

static int inside(void *unused)
{
	char directory[PATH_MAX];

	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      getcwd(directory, sizeof directory) && mkdir("way", 0755) == 0,
		      "way: %s", strerror(errno));
	set_address(&addresses[RELATIVE], "way/", "relative");
	set_address(&addresses[ABSOLUTE], directory, "/way/absolute");
	for (int i = 0; i < SOCKETS; i++) {
		sockets[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		scenario_need(bind(sockets[i], (struct sockaddr *)&addresses[i],
				   sizeof addresses[i]) == 0 &&
				      listen(sockets[i], 1) == 0,
			      "bind: %s", strerror(errno));
	}
	pid_t driver = serve_fs();
	scenario_need(rename("way", "moved") == 0 && symlink("fs/by-app/one", "way") == 0,
		      "rename: %s", strerror(errno));
	check();
	scenario_mark("inside");
	scenario_wait_restored();
	check();
	umount2("fs", MNT_DETACH);
	scenario_reap(driver);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
