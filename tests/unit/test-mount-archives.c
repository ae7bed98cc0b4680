// SPDX-License-Identifier: LGPL-2.1-or-later
/* Archives of the content of mounts: what is made of them, also of those of bad people. */
#include "base/arena.h"
#include "base/error.h"
#include "kinds/mounts/archive.h"
#include "kinds/mounts/tar.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct folder {
	char path[32];
	int fd, archive;
};

static struct folder new_folder(void)
{
	struct folder folder = { .path = "/tmp/nestor-archive-XXXXXX" };

	assert_non_null(mkdtemp(folder.path));
	folder.fd = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	folder.archive = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_true(folder.fd >= 0 && folder.archive >= 0);
	return folder;
}

static void done_folder(struct folder *folder)
{
	static const char *const names[] = { "in/file", "in/second", "in/link",
					     "in/fifo", "in",	     "link" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (unlinkat(folder->fd, names[i], 0))
			unlinkat(folder->fd, names[i], AT_REMOVEDIR);
	close(folder->fd);
	close(folder->archive);
	assert_int_equal(rmdir(folder->path), 0);
}

static void content_comes_back(void **state)
{
	struct error err = { 0 };
	struct folder from = new_folder(), to = new_folder();
	struct stat one, other;
	char text[8];

	(void)state;
	assert_int_equal(mkdirat(from.fd, "in", 0711), 0);
	int fd = openat(from.fd, "in/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0640);
	assert_int_equal(write(fd, "alpha", 5), 5);
	close(fd);
	assert_int_equal(linkat(from.fd, "in/file", from.fd, "in/second", 0), 0);
	assert_int_equal(symlinkat("file", from.fd, "in/link"), 0);
	assert_int_equal(mkfifoat(from.fd, "in/fifo", 0604), 0);
	struct archive_writer *writer = archive_writer_new(from.archive, false, &err);
	assert_non_null(writer);
	const struct archive_tree tree = { .root_fd = from.fd, .prefix = "" };
	assert_int_equal(archive_add_tree(writer, &tree, &err), 0);
	assert_int_equal(archive_writer_end(writer, &err), 0);
	lseek(from.archive, 0, SEEK_SET);
	assert_int_equal(archive_extract(from.archive, to.fd, NULL, "it", &err), 0);
	assert_int_equal(fstatat(to.fd, "in/file", &one, 0), 0);
	assert_int_equal(fstatat(to.fd, "in/second", &other, 0), 0);
	assert_int_equal(one.st_ino, other.st_ino);
	assert_int_equal(one.st_mode & 0777, 0640);
	assert_int_equal(readlinkat(to.fd, "in/link", text, sizeof text), 4);
	fd = openat(to.fd, "in/file", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof text), 5);
	close(fd);
	done_folder(&from);
	done_folder(&to);
}

static void put(int fd, char type, const char *name, const char *link)
{
	struct tar_header header = { .type = type };
	unsigned sum = 0;

	snprintf(header.name, sizeof header.name, "%s", name);
	snprintf(header.link, sizeof header.link, "%s", link);
	snprintf(header.mode, sizeof header.mode, "%07o", 0755);
	snprintf(header.uid, sizeof header.uid, "%07o", getuid());
	snprintf(header.gid, sizeof header.gid, "%07o", getgid());
	if (type == TAR_EXTENDED)
		snprintf(header.size, sizeof header.size, "%011o", (unsigned)strlen(link));
	memcpy(header.magic, "ustar", 6);
	memset(header.checksum, ' ', sizeof header.checksum);
	for (size_t i = 0; i < sizeof header; i++)
		sum += ((const unsigned char *)&header)[i];
	snprintf(header.checksum, sizeof header.checksum, "%06o", sum);
	assert_int_equal(write(fd, &header, sizeof header), sizeof header);
}

/* zlib reads what is not compressed as it is. */
static void nothing_is_made_outside(void **state)
{
	static const struct {
		char type;
		const char *name, *link;
	} bad[] = {
		{ TAR_DIRECTORY, "../nestor-was-here", "" },
		{ TAR_DIRECTORY, "/tmp/../tmp/nestor-was-here/x", "" },
		{ TAR_DIRECTORY, "link/nestor-was-here", "" },
		{ TAR_FILE, "in/../../nestor-was-here", "" },
		{ TAR_HARD_LINK, "in/second", "../../etc/passwd" },
		{ TAR_HARD_LINK, "in/second", "link/passwd" },
		{ TAR_DIRECTORY, "..", "" },
		{ 'D', "in/file", "" },
	};
	struct error err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct folder to = new_folder();
		put(to.archive, TAR_SYMBOLIC_LINK, "link", "/etc");
		put(to.archive, TAR_DIRECTORY, "in", "");
		put(to.archive, bad[i].type, bad[i].name, bad[i].link);
		static const char end[2 * TAR_BLOCK];
		assert_int_equal(write(to.archive, end, sizeof end), sizeof end);
		lseek(to.archive, 0, SEEK_SET);
		int result = archive_extract(to.archive, to.fd, NULL, "it", &err);
		assert_int_equal(result, -1);
		assert_int_equal(access("/tmp/nestor-was-here", F_OK), -1);
		assert_int_equal(access("/etc/nestor-was-here", F_OK), -1);
		done_folder(&to);
	}
}

static enum error_name extract_with(const char *record)
{
	struct error err = { 0 };
	static const char end[2 * TAR_BLOCK];
	struct folder to = new_folder();
	char block[TAR_BLOCK] = { 0 };

	put(to.archive, TAR_EXTENDED, "x", record);
	memcpy(block, record, strlen(record));
	assert_int_equal(write(to.archive, block, sizeof block), sizeof block);
	put(to.archive, TAR_DIRECTORY, "in", "");
	assert_int_equal(write(to.archive, end, sizeof end), sizeof end);
	lseek(to.archive, 0, SEEK_SET);
	int result = archive_extract(to.archive, to.fd, NULL, "it", &err);
	assert_int_equal(result, err.name == ERR_NONE ? 0 : -1);
	done_folder(&to);
	return err.name;
}

/* Who cannot be told is not root. */
static void owners_are_numbers(void **state)
{
	static const char *const bad[] = { "11 uid=joe\n",	  "7 uid=\n",
					   "9 gid=-1\n",	  "18 uid=4294967295\n",
					   "18 gid=4294967296\n", "28 uid=99999999999999999999\n",
					   "9 size=x\n",	  "12 mtime=no\n" };

	(void)state;
	assert_int_equal(extract_with("12 mtime=77\n"), ERR_NONE);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(extract_with(bad[i]), ERR_IMAGE_INVALID);
}

static void numbers_of_headers(void **state)
{
	uint64_t value = 77;

	(void)state;
	assert_true(tar_field("0000123", 8, &value) && value == 0123);
	assert_true(tar_field("   12 7", 8, &value) && value == 012);
	assert_true(tar_field("77777777", 8, &value) && value == 077777777);
	assert_true(tar_field("\0\0\0\0\0\0\0", 8, &value) && value == 0);
	/* As GNU tar has an owner in a container of systemd-nspawn, and a time before 1970. */
	assert_true(tar_field("\x80\0\0\0\x70\1\2\3", 8, &value) && value == 0x70010203);
	assert_true(tar_field("\xff\xff\xff\xff\xff\xff\xff\xfe", 8, &value) &&
		    value == UINT64_MAX - 1);
	assert_false(tar_field("\x80\1\0\0\0\0\0\0\0\0\0\0", 12, &value));
	assert_false(tar_field("root", 8, &value));
	assert_false(tar_field("0001238", 8, &value));
	assert_true(tar_decimal("18446744073709551615", &value) && value == UINT64_MAX);
	assert_false(tar_decimal("18446744073709551616", &value));
	assert_false(tar_decimal("", &value));
	assert_false(tar_decimal("+5", &value));
	assert_false(tar_decimal("5 ", &value));
}

static void a_short_archive_is_refused(void **state)
{
	struct error err = { 0 };
	struct folder to = new_folder();

	(void)state;
	put(to.archive, TAR_DIRECTORY, "in", "");
	lseek(to.archive, 0, SEEK_SET);
	assert_int_equal(archive_extract(to.archive, to.fd, NULL, "it", &err), -1);
	assert_int_equal(err.name, ERR_IMAGE_TRUNCATED);
	done_folder(&to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_comes_back),
		cmocka_unit_test(nothing_is_made_outside),
		cmocka_unit_test(owners_are_numbers),
		cmocka_unit_test(numbers_of_headers),
		cmocka_unit_test(a_short_archive_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
