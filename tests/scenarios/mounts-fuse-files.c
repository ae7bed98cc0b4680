// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-fuse-files
 * promise: what is open in a file system whose driver is in the tree (FUSE) is what the driver
 *	knows, by the handles that it gave: directories and files with their positions and flags;
 *	and working directories and roots of tasks there, also of such as have other ids by now; of
 *	one that root has mounted, one of somebody else, and one that all may use
 * flavours: flat three user user-three
 * needs: kernel_memory device:fuse
 * options: --enable-fs fuse
 * arguments: mine theirs shared
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THEIR_ID = 1000, OPENED = 7, WAIT_MS = 2000 };

static const char *which;
static bool in_user_namespace;

static bool is_theirs(void)
{
	return strcmp(which, "theirs") == 0;
}

/* With all rights, which marks and results take. */
static void become(unsigned id)
{
	scenario_need(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) == 0 &&
			      syscall(SYS_setresgid, id, id, id) == 0 &&
			      syscall(SYS_setresuid, id, id, id) == 0,
		      "ids: %s", strerror(errno));
}

static void check_text(int fd, const char *wanted)
{
	char text[LONGEST + 1] = "";

	scenario_check(read(fd, text, LONGEST) >= 0 && strcmp(text, wanted) == 0,
		       "\"%s\" (%s), not \"%s\"", text, strerror(errno), wanted);
}

static void check_content(int directory_fd, const char *path)
{
	int fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC);

	scenario_check(fd >= 0, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		check_text(fd, "before");
	close(fd);
}

static int work_there(void *unused)
{
	char path[256] = "";
	struct stat stat;

	(void)unused;
	if (is_theirs())
		become(THEIR_ID);
	scenario_need(chdir("fs/by-app/one") == 0, "chdir: %s", strerror(errno));
	scenario_mark("works");
	scenario_wait_restored();
	scenario_check(getcwd(path, sizeof path) && strstr(path, "/fs/by-app/one"), "in %s", path);
	check_content(AT_FDCWD, "content");
	scenario_check(lstat(".", &stat) == 0 && stat.st_ino == ONE, "another directory");
	return 0;
}

static bool is_node(const char *path, uint64_t wanted)
{
	struct stat found;

	return lstat(path, &found) == 0 && found.st_ino == wanted;
}

/* Its root is there, and while it is dumped it has ids that are let in no more. */
static int live_there(void *unused)
{
	unsigned known = is_theirs() ? THEIR_ID : 0;
	int received;
	sigset_t wanted;

	(void)unused;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGUSR1);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	become(known);
	scenario_mark("lives");
	scenario_need(chroot("fs/by-app") == 0 && chdir("/one") == 0, "chroot: %s",
		      strerror(errno));
	become(1);
	sigwait(&wanted, &received);
	become(known);
	return !(is_node("/", APPLICATIONS) && is_node(".", ONE) && is_node("content", CONTENT));
}

static unsigned count_of(int fd)
{
	struct statfs found = { .f_files = 0 };

	scenario_check(fstatfs(fd, &found) == 0, "statfs: %s", strerror(errno));
	return (unsigned)found.f_files;
}

/* The driver hears of one that is closed some time after that. */
static void await_handles(int fd, unsigned wanted)
{
	unsigned count = count_of(fd);

	for (int i = 0; i < WAIT_MS && count != wanted; i++) {
		usleep(1000);
		count = count_of(fd);
	}
	scenario_check(count == wanted, "%u handles", count);
}

struct open_files {
	int path_fd, directory_fd, content_fd, who_fds[2], cached_fd, append_fd, bound_fd;
	char names[2][LONGEST];
};

static void read_name(int fd, char name[LONGEST])
{
	ssize_t length = pread(fd, name, LONGEST - 1, 0);

	scenario_check(length > 0, "who: %s", strerror(errno));
	name[length > 0 ? length : 0] = '\0';
}

/* By a room for no more than one. */
static void read_entry(int fd, char name[64])
{
	char room[40];
	ssize_t size = syscall(SYS_getdents64, fd, room, sizeof room);

	scenario_check(size > 0, "readdir: %s", strerror(errno));
	snprintf(name, 64, "%s", size > 0 ? room + offsetof(struct dirent64, d_name) : "");
}

static void open_files(struct open_files *files)
{
	char text[4];

	*files = (struct open_files){
		.path_fd = open("fs/by-app/one", O_PATH | O_CLOEXEC),
		.directory_fd = open("fs/by-app/one", O_RDONLY | O_DIRECTORY),
		.content_fd = open("fs/by-app/one/content", O_RDWR),
		.who_fds = { open("fs/by-app/one/who", O_RDONLY),
			     open("fs/by-app/one/who", O_RDONLY | O_NONBLOCK) },
		.cached_fd = open("fs/by-app/one/cached", O_RDONLY),
		.append_fd = open("fs/by-app/one/cached", O_WRONLY | O_APPEND),
		.bound_fd = open("bound-file", O_RDONLY),
	};
	scenario_need(files->append_fd >= 0 && files->content_fd >= 0 && files->path_fd >= 0 &&
			      files->bound_fd >= 0,
		      "open: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
		read_name(files->who_fds[i], files->names[i]);
	scenario_need(read(files->content_fd, text, 3) == 3 && read(files->cached_fd, text, 4) == 4,
		      "read: %s", strerror(errno));
	await_handles(files->path_fd, OPENED);
}

static void check_files(struct open_files *files)
{
	char name[LONGEST];

	await_handles(files->path_fd, OPENED);
	for (int i = 0; i < 2; i++) {
		read_name(files->who_fds[i], name);
		scenario_check(strcmp(name, files->names[i]) == 0, "handle %s, not %s", name,
			       files->names[i]);
	}
	check_content(files->path_fd, "content");
	check_text(files->bound_fd, "before");
	check_text(files->content_fd, "ore");
	check_text(files->cached_fd, "456789");
	scenario_check(write(files->append_fd, "AB", 2) == 2, "append: %s", strerror(errno));
	check_text(files->cached_fd, "AB");
	scenario_check(pwrite(files->content_fd, "before", 6, 0) == 6, "write: %s",
		       strerror(errno));
}

static void close_files(struct open_files *files)
{
	close(files->directory_fd);
	close(files->content_fd);
	close(files->who_fds[0]);
	close(files->who_fds[1]);
	close(files->cached_fd);
	close(files->append_fd);
	close(files->bound_fd);
	await_handles(files->path_fd, 0);
	close(files->path_fd);
}

static int use(void *unused)
{
	struct open_files files;
	char first[64], second[64];

	(void)unused;
	if (is_theirs())
		become(THEIR_ID);
	open_files(&files);
	read_entry(files.directory_fd, first);
	pid_t pid = fork();
	if (pid == 0) {
		scenario_wait_restored();
		check_text(files.who_fds[0], files.names[0]);
		_exit(0);
	}
	scenario_mark("uses");
	scenario_wait_restored();
	scenario_reap(pid);
	check_files(&files);
	read_entry(files.directory_fd, second);
	scenario_check(strcmp(first, "content") == 0 && strcmp(second, "who") == 0,
		       "after %s comes %s", first, second);
	close_files(&files);
	return 0;
}

/* By who is let in. */
static int bind_as_known(void *unused)
{
	(void)unused;
	if (is_theirs())
		become(THEIR_ID);
	scenario_need(mount("fs/by-app/one/content", "bound-file", NULL, MS_BIND, NULL) == 0,
		      "bind: %s", strerror(errno));
	return 0;
}

static void bind_file(void)
{
	close(open("bound-file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	scenario_reap(scenario_child(bind_as_known, NULL));
}

static int inside(void *unused)
{
	bool paths = !in_user_namespace || strcmp(which, "shared") != 0;
	pid_t works = 0, lives = 0;

	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	pid_t driver = serve_fs();
	bind_file();
	pid_t uses = scenario_child(use, NULL);
	scenario_wait_mark("uses");
	if (paths) {
		works = scenario_child(work_there, NULL);
		lives = scenario_child(live_there, NULL);
		scenario_wait_mark("works");
		scenario_wait_mark("lives");
		usleep(100000);
	}
	scenario_mark("inside");
	scenario_wait_restored();
	if (paths) {
		kill(lives, SIGUSR1);
		scenario_reap(lives);
		scenario_reap(works);
	}
	scenario_reap(uses);
	umount2("bound-file", MNT_DETACH);
	umount2("fs", MNT_DETACH);
	scenario_reap(driver);
	return 0;
}

int main(int argc, char **argv)
{
	char map[64] = "";
	FILE *file = fopen("/proc/self/uid_map", "re");

	in_user_namespace = !file || !fgets(map, sizeof map, file) || !strstr(map, "4294967295");
	if (file)
		fclose(file);
	scenario_begin(argc, argv);
	which = argv[2];
	if (is_theirs())
		mount_options = "user_id=1000,group_id=1000";
	if (strcmp(which, "shared") == 0)
		mount_options = "user_id=1000,group_id=1000,allow_other";
	pid_t pid = scenario_child_in(CLONE_NEWNS, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
