// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-formats
 * promise: the binfmt_misc of a user namespace comes back with its formats, by extension and by
 *	magic, with masks, offsets, flags, those that are disabled, in their order, with an
 *	interpreter that is open, and with the modes that the host gave its files; nobody else has
 *	them
 * flavours: flat one three user user-three
 * needs: initial-user-namespace pagemap_scan
 */
#include "scenario.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct scenario_users root = { "0 0 1", "0 0 1", true };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

/* The later one is asked first. */
#define TEXT(text)                    \
	{                             \
		text, sizeof text - 1 \
	}
static const struct {
	const char *text;
	size_t size;
} formats[] = {
	TEXT(":one:E::nestor::/bin/false:"),
	TEXT(":two:E::nestor::/bin/true:"),
	TEXT("|thr:ee|E||a:b||/bin/true|"),
	TEXT(":magic:M:2:\\x00\\x3aB\\x5c:\\xff\\xff\\x0f\\x00:/bin/true:OCP"),
	TEXT(":plain:M::nestor-magic::/bin/true:"),
	TEXT(":off:E::nestor-off::/bin/true:"),
	TEXT(":open:E::nestor-open::/mnt/program:F"),
};
enum { FORMATS = sizeof formats / sizeof *formats, ROOM = 16384 };

static void write_to(const char *name, const char *text, size_t size)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC);

	need(fd >= 0 && write(fd, text, size) == (ssize_t)size && close(fd) == 0, name);
}

/* All files with what they say, in the order of the directory. */
static void look(char shown[ROOM])
{
	DIR *dir = opendir("place");
	size_t length = 0;

	need(dir != NULL, "place");
	for (struct dirent *at; (at = readdir(dir));) {
		char text[4096] = "";
		int fd = openat(dirfd(dir), at->d_name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && at->d_name[0] != '.' && strcmp(at->d_name, "register") != 0)
			need(read(fd, text, sizeof text - 1) >= 0, at->d_name);
		close(fd);
		length += (size_t)snprintf(shown + length, ROOM - length, "%s: %s\n", at->d_name,
					   text);
	}
	closedir(dir);
}

/* How it ends: -1 if nothing runs it. */
static int run(const char *path)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execl(path, path, NULL);
		_exit(errno == ENOEXEC ? 99 : 98);
	}
	need(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status), "run");
	return WEXITSTATUS(status) == 99 ? -1 : WEXITSTATUS(status);
}

static void make_program(const char *path, const char *text, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	need(fd >= 0 && write(fd, text, size) == (ssize_t)size && close(fd) == 0, path);
}

static void check_runs(void)
{
	scenario_check(run("./by.nestor") == 0, "the first format is asked first");
	scenario_check(run("./by.a:b") == 0, "an extension");
	scenario_check(run("./magic") == 0, "a magic number");
	scenario_check(run("./other") == -1, "a mask lets others through");
	scenario_check(run("./by.nestor-off") == -1, "what was disabled is not");
	scenario_check(run("./by.nestor-open") == 1, "an interpreter that is open");
}

static void make_all(void)
{
	/* Where the interpreter is to be found later, too. */
	need(mount("own", "/mnt", "tmpfs", 0, "size=4m") == 0, "tmpfs");
	int from = open("/bin/false", O_RDONLY | O_CLOEXEC);
	int to = open("/mnt/program", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	char bytes[65536];
	for (ssize_t size; (size = read(from, bytes, sizeof bytes)) > 0;)
		need(write(to, bytes, (size_t)size) == size, "program");
	close(from);
	close(to);
	for (size_t i = 0; i < FORMATS; i++)
		write_to("place/register", formats[i].text, formats[i].size);
	write_to("place/off", "0", 1);
	make_program("by.nestor", "..", 2);
	make_program("by.a:b", "..", 2);
	make_program("by.nestor-off", "..", 2);
	make_program("by.nestor-open", "..", 2);
	make_program("magic", "..\0:\362\377", 6);
	make_program("other", "..\0;\362\377", 6);
}

/* They are the host's root's: nobody else may. */
static const struct node {
	const char *path;
	mode_t mode;
} nodes[] = {
	{ "place", 0711 },	 { "place/status", 0600 }, { "place/register", 0220 },
	{ "place/magic", 0640 }, { "place/two", 0644 },
};
enum { NODES = sizeof nodes / sizeof *nodes };

static bool change_modes(void)
{
	for (int i = 0; i < NODES; i++)
		if (chmod(nodes[i].path, nodes[i].mode)) {
			need(errno == EPERM && i == 0, nodes[i].path);
			return false;
		}
	return true;
}

static void check_modes(void)
{
	for (int i = 0; i < NODES; i++) {
		struct stat found = { 0 };
		int failure = stat(nodes[i].path, &found);
		scenario_check(failure == 0 && (found.st_mode & 07777) == nodes[i].mode &&
				       found.st_uid == 0,
			       "%s has mode %o", nodes[i].path, (unsigned)found.st_mode);
	}
}

/* A user namespace without one has that of the one above it. */
static int further_in(void *unused)
{
	(void)unused;
	scenario_mark("further");
	scenario_wait_restored();
	scenario_wait_mark("covered");
	scenario_check(run("./by.nestor") == 0, "further in there are no formats");
	return 0;
}

static int inside(void *unused)
{
	static char before[ROOM], after[ROOM];

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	/* The first mount of it is hidden. */
	need(mount("none", "covered", "binfmt_misc", 0, NULL) == 0 &&
		     mount("covered", "place", NULL, MS_BIND, NULL) == 0 &&
		     mount("cover", "covered", "tmpfs", 0, NULL) == 0,
	     "binfmt_misc");
	make_all();
	check_runs();
	bool may_change = change_modes();
	look(before);
	pid_t pid = scenario_child_users(0, &root, further_in, NULL);
	scenario_wait_mark("further");
	scenario_mark("inside");

	scenario_wait_restored();
	look(after);
	if (may_change)
		check_modes();
	scenario_check(strcmp(before, after) == 0, "formats:\n%s\nbefore:\n%s", after, before);
	/* It is open: */
	need(mount("over", "/mnt", "tmpfs", 0, NULL) == 0, "over");
	check_runs();
	scenario_mark("covered");
	scenario_reap(pid);
	write_to("place/two", "-1", 2);
	scenario_check(run("./by.nestor") == 1, "the second is not there");
	write_to("place/status", "0", 1);
	scenario_check(run("./by.nestor") == -1, "it cannot be disabled");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	need(mkdir("place", 0755) == 0 && mkdir("covered", 0755) == 0, "place");
	pid_t pid = scenario_child_users(CLONE_NEWNS, &root, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_check(access("by.nestor", X_OK) || run("./by.nestor") == -1,
		       "others have its formats");
	scenario_reap(pid);
	return scenario_end();
}
