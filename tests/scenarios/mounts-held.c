// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-held
 * promise: namespaces that only files of nsfs hold, mounted as `ip netns add` and `unshare
 *	--mount=FILE` do, and mount namespaces that only a descriptor holds, or a mount in one of
 *	these, come back with what is in them; files stay open there, and namespaces by such a
 *	mount, which stays busy
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[4096];

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static void make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	need(fd >= 0 && write(fd, path, strlen(path)) == (ssize_t)strlen(path), path);
	close(fd);
}

static void mount_new(const char *name)
{
	need(chdir(base) == 0 && mount("new", "content", "tmpfs", 0, "size=1m") == 0 &&
		     chdir("content") == 0,
	     "tmpfs");
	make_file(name);
}

static void make_uts(void)
{
	need(unshare(CLONE_NEWUTS) == 0 && sethostname("held", 4) == 0, "uts");
}

static void make_net(void)
{
	need(unshare(CLONE_NEWNET) == 0, "net");
}

static void make_bound(void)
{
	need(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
	     "mnt");
	mount_new("bound");
}

static void make_opened(void)
{
	need(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
	     "mnt");
	mount_new("opened");
}

/* Whoever makes it ends when `keep` has had a look at it: by a path. */
static int keep(void (*make)(void), const char *name, bool by_mount)
{
	int ready[2], done[2], fd = -1;
	char byte, number[16] = "", path[64];

	need(pipe2(ready, O_CLOEXEC) == 0 && pipe2(done, O_CLOEXEC) == 0, "pipe");
	pid_t pid = fork();
	if (pid == 0) {
		make();
		close(done[1]);
		/* As this /proc has it. */
		need(readlink("/proc/self", number, sizeof number - 1) > 0, "/proc/self");
		_exit(write(ready[1], number, sizeof number) == sizeof number &&
				      read(done[0], &byte, 1) == 0
			      ? 0
			      : 1);
	}
	close(ready[1]);
	need(pid > 0 && read(ready[0], number, sizeof number) == sizeof number, name);
	snprintf(path, sizeof path, "/proc/%s/ns/%s", number, by_mount ? name : "mnt");
	if (by_mount) {
		need(mknod(name, S_IFREG | 0600, 0) == 0 &&
			     mount(path, name, NULL, MS_BIND, NULL) == 0,
		     name);
	} else {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		need(fd >= 0, path);
	}
	close(ready[0]);
	close(done[0]);
	close(done[1]);
	scenario_reap(pid);
	return fd;
}

/* What is seen in there, by a child. */
static void look(int fd, const char *what, bool (*is_right)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fd >= 0 && setns(fd, 0) == 0 && is_right() ? 0 : 1);
	scenario_check(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0,
		       "%s does not show what was there", what);
}

static bool has_name(void)
{
	char name[64] = "";

	return gethostname(name, sizeof name) == 0 && strcmp(name, "held") == 0;
}

static bool has_no_other(void)
{
	char text[8192];
	int fd = open("/proc/self/net/dev", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	text[size > 0 ? size : 0] = '\0';
	return strstr(text, "lo:") != NULL;
}

static bool has_text(const char *path, const char *text)
{
	char found[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, found, sizeof found);

	return size == (ssize_t)strlen(text) && memcmp(found, text, (size_t)size) == 0;
}

static bool has_bound(void)
{
	return chdir(base) == 0 && has_text("content/bound", "bound");
}

static bool has_opened(void)
{
	return chdir(base) == 0 && has_text("content/opened", "opened") &&
	       mount("more", "content", "tmpfs", 0, NULL) == 0 && umount("content") == 0;
}

static void look_by_name(const char *name, bool (*is_right)(void))
{
	struct stat own, found;
	char path[64];
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	snprintf(path, sizeof path, "/proc/self/ns/%s", name);
	scenario_check(fd >= 0 && fstat(fd, &found) == 0 && stat(path, &own) == 0 &&
			       own.st_ino != found.st_ino,
		       "%s is no namespace of its own: %s", name, strerror(errno));
	look(fd, name, is_right);
	close(fd);
}

/* Namespaces that were opened by the name of a mount. */
struct named {
	int uts, path; /* by O_PATH */
	char link[4096];
};

static void link_of(int fd, char link[4096])
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, link, 4095);
	need(length > 0, path);
	link[length] = '\0';
}

static struct named open_named(void)
{
	struct named named = { 0 };

	named.uts = open("uts", O_RDONLY | O_CLOEXEC);
	named.path = open("net", O_PATH | O_CLOEXEC);
	need(named.uts >= 0 && named.path >= 0, "by a name");
	link_of(named.uts, named.link);
	return named;
}

static void check_named(const struct named *named)
{
	char link[4096];
	struct stat found, there;

	look(named->uts, "what was opened by its name", has_name);
	link_of(named->uts, link);
	scenario_check(strcmp(link, named->link) == 0, "it is called %s", link);
	scenario_check(umount2("uts", 0) < 0 && errno == EBUSY, "its mount is not busy");
	scenario_check(fstat(named->path, &found) == 0 && stat("net", &there) == 0 &&
			       found.st_ino == there.st_ino && fcntl(named->path, F_GETFL) & O_PATH,
		       "what was opened as a path is another one");
}

static void check(int opened, int file, const struct named *named)
{
	char text[16];

	check_named(named);

	look_by_name("uts", has_name);
	look_by_name("net", has_no_other);
	look_by_name("mnt", has_bound);
	look(opened, "the descriptor", has_opened);
	scenario_check(pread(file, text, sizeof text, 0) == 6 && memcmp(text, "opened", 6) == 0,
		       "the open file: %s", strerror(errno));
	scenario_check(access("content/opened", F_OK) == -1, "it is seen outside");
}

static int open_inside(int opened)
{
	int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

	need(own >= 0 && setns(opened, CLONE_NEWNS) == 0 && chdir(base) == 0, "setns");
	int fd = open("content/opened", O_RDONLY | O_CLOEXEC);
	need(fd >= 0 && setns(own, CLONE_NEWNS) == 0 && chdir(base) == 0, "content/opened");
	close(own);
	return fd;
}

static int inside(void *unused)
{
	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("named", 0755) == 0 &&
		     mount("named", "named", "tmpfs", 0, "size=1m") == 0 && chdir("named") == 0 &&
		     mkdir("content", 0755) == 0 && getcwd(base, sizeof base),
	     "mounts");
	keep(make_uts, "uts", true);
	keep(make_net, "net", true);
	keep(make_bound, "mnt", true);
	int opened = keep(make_opened, "opened", false);
	int file = open_inside(opened);
	const struct named named = open_named();
	check(opened, file, &named);
	scenario_mark("inside");
	scenario_wait_restored();
	check(opened, file, &named);
	return 0;
}

int main(int argc, char **argv)
{
	cpu_set_t here;

	scenario_begin(argc, argv);
	/* Which of two mount namespaces is the older one is certain for those that one CPU made. */
	CPU_ZERO(&here);
	CPU_SET((unsigned)sched_getcpu(), &here);
	need(sched_setaffinity(0, sizeof here, &here) == 0, "sched_setaffinity");
	pid_t pid = scenario_child_in(CLONE_NEWNS, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
