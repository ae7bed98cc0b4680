// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-unlinked
 * promise: files and directories without a name come back with content, attributes and sharing
 * flavours: flat one three user user-three ordinary
 */
#include "scenario.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct files {
	int file, second, sparse;
	char *mapped;
};

static int share(void *data)
{
	const struct files *files = data;
	char text[32] = "";

	scenario_wait_restored();
	scenario_wait_mark("written");
	scenario_check(pread(files->file, text, 7, 0) == 7 && !strcmp(text, "CONTENT"),
		       "the child sees \"%s\"", text);
	scenario_check(!memcmp(files->mapped, "CONTENT", 7), "the child's mapping is another file");
	return 0;
}

static void make(struct files *files)
{
	files->file = open("gone", O_RDWR | O_CREAT, 0640);
	scenario_need(write(files->file, "content", 7) == 7, "cannot write");
	lseek(files->file, 3, SEEK_SET);
	scenario_need(link("gone", "second-name") == 0, "cannot link");
	files->second = open("second-name", O_WRONLY | O_APPEND);
	files->mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, files->file, 0);
	scenario_need(files->mapped != MAP_FAILED, "cannot map");
	files->sparse = open("sparse", O_RDWR | O_CREAT, 0600);
	scenario_need(pwrite(files->sparse, "far", 3, 300 << 20) == 3, "cannot write");
	scenario_need(fchmod(files->sparse, 04711) == 0, "cannot change the mode");
	struct timespec times[2] = { { 1000000000, 5000 }, { 1100000000, 7000 } };
	scenario_need(futimens(files->sparse, times) == 0, "cannot set times");
	scenario_need(!unlink("gone") && !unlink("second-name") && !unlink("sparse"),
		      "cannot unlink");
}

static void check_sparse(int fd)
{
	struct stat stat = { 0 };
	char text[8] = "";

	/* Before it is read, which may change the first of its times. */
	scenario_check(fstat(fd, &stat) == 0 && stat.st_atim.tv_sec == 1000000000 &&
			       stat.st_atim.tv_nsec == 5000 && stat.st_mtim.tv_sec == 1100000000 &&
			       stat.st_mtim.tv_nsec == 7000,
		       "its times are %ld.%09ld and %ld.%09ld", (long)stat.st_atim.tv_sec,
		       stat.st_atim.tv_nsec, (long)stat.st_mtim.tv_sec, stat.st_mtim.tv_nsec);
	scenario_check(pread(fd, text, 7, 300 << 20) == 3 && !strcmp(text, "far"), "got \"%s\"",
		       text);
	scenario_check(fstat(fd, &stat) == 0 && stat.st_size == (300 << 20) + 3, "another size");
	scenario_check(stat.st_blocks < 1000, "the holes are filled");
	scenario_check(stat.st_mode == (S_IFREG | 04711), "its mode is %o", stat.st_mode);
	scenario_check(stat.st_nlink == 0, "it has a name");
}

int main(int argc, char **argv)
{
	struct files files;
	struct stat stat_file, stat_second;
	char text[32] = "", here[4096];

	scenario_begin(argc, argv);
	make(&files);
	scenario_need(mkdir("removed", 0711) == 0, "cannot make a directory");
	int removed = open("removed", O_RDONLY | O_DIRECTORY);
	scenario_need(mkdir("removed/deeper", 0700) == 0, "cannot make a directory");
	int deeper = open("removed/deeper/file", O_RDWR | O_CREAT, 0600);
	scenario_need(!unlink("removed/deeper/file") && !rmdir("removed/deeper") &&
			      !rmdir("removed"),
		      "cannot remove");
	pid_t child = scenario_child(share, &files);

	scenario_ready();

	scenario_check(read(files.file, text, 9) == 4 && !strcmp(text, "tent"), "got \"%s\"", text);
	scenario_check(!fstat(files.file, &stat_file) && !fstat(files.second, &stat_second) &&
			       stat_file.st_ino == stat_second.st_ino,
		       "two names, two files");
	scenario_check(stat_file.st_nlink == 0, "the file has a name");
	memcpy(files.mapped, "CONTENT", 7);
	scenario_mark("written");
	scenario_check(write(files.second, "+", 1) == 1, "cannot append");
	scenario_check(pread(files.file, text, 9, 0) == 8 && !strcmp(text, "CONTENT+"),
		       "the mapping is another file: \"%s\"", text);
	check_sparse(files.sparse);
	scenario_check(!fstat(removed, &stat_file) && S_ISDIR(stat_file.st_mode) &&
			       (stat_file.st_mode & 07777) == 0711,
		       "no directory of mode 0711");
	scenario_check(openat(removed, "new", O_CREAT | O_RDWR, 0600) < 0, "the directory exists");
	scenario_check(write(deeper, "x", 1) == 1, "cannot write");
	scenario_check(access("removed", F_OK) && access("gone", F_OK) && access("sparse", F_OK),
		       "something was left in %s", getcwd(here, sizeof here));
	scenario_reap(child);
	return scenario_end();
}
