// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What rtnetlink tells of an interface changes whenever one of the files does that are said to be
 * told: each of them is written in a network namespace of its own, and both are looked at.
 */
#include "base/arena.h"
#include "kinds/net/links.h"
#include "kinds/net/settings-told.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROOM = 256 };

static bool read_file(int folder, const char *name, char value[ROOM])
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, value, ROOM - 1);

	if (fd >= 0)
		close(fd);
	value[length < 0 ? 0 : length] = '\0';
	return length > 0;
}

static bool write_file(int folder, const char *name, const char *value)
{
	int fd = openat(folder, name, O_WRONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : write(fd, value, strlen(value));

	if (fd >= 0)
		close(fd);
	return length >= 0;
}

/* Some other value that can be written and is read then. */
static bool change_file(int folder, const char *name, const char *before)
{
	long number = strtol(before, NULL, 10),
	     others[] = { number + 1, number - 1, 2, 1, 0, number + 4096 };
	char text[ROOM], now[ROOM];

	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		snprintf(text, sizeof text, "%ld", others[i]);
		if (write_file(folder, name, text) && read_file(folder, name, now) &&
		    strcmp(now, before) != 0)
			return true;
	}
	return false;
}

/* What is told of lo. */
static ProtobufCBinaryData look(struct arena *arena, enum settings_folder folder)
{
	struct netlink *netlink = netlink_open();
	NetnsContents *net = arena_new(arena, NetnsContents);

	netns_contents__init(net);
	assert_non_null(netlink);
	assert_int_equal(links_look(netlink, arena, net), 0);
	struct settings_told *told = settings_told(netlink, arena, net);
	assert_non_null(told);
	netlink_close(netlink);
	assert_null(settings_told_of(told, arena, folder, "all"));
	assert_null(settings_told_of(told, arena, folder, "default"));
	assert_null(settings_told_of(told, arena, folder, "nobody"));
	const ProtobufCBinaryData *data = settings_told_of(told, arena, folder, "lo");
	return data ? *data : (ProtobufCBinaryData){ 0 };
}

static bool are_alike(ProtobufCBinaryData one, ProtobufCBinaryData other)
{
	return one.len == other.len && memcmp(one.data, other.data, one.len) == 0;
}

static size_t try_folder(enum settings_folder folder)
{
	char path[ROOM], before[ROOM];
	size_t tried = 0;

	snprintf(path, sizeof path, "/proc/sys/net/%slo", settings_folders[folder]);
	DIR *dir = opendir(path);
	/* A kernel without it, or one that shows it to root only. */
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		struct arena arena;
		if (!settings_are_told(folder, entry->d_name) ||
		    !read_file(dirfd(dir), entry->d_name, before))
			continue;
		arena_init(&arena);
		ProtobufCBinaryData first = look(&arena, folder), second = look(&arena, folder);
		if (first.len && !are_alike(first, second))
			fail_msg("%s is not told as it was without a change", path);
		if (first.len && change_file(dirfd(dir), entry->d_name, before)) {
			if (are_alike(first, look(&arena, folder)))
				fail_msg("what is told does not change with %s/%s", path,
					 entry->d_name);
			tried++;
		}
		arena_done(&arena);
	}
	if (dir)
		closedir(dir);
	return tried;
}

static void files_are_told(void **state)
{
	static const size_t least[] = { [SETTINGS_IPV4_CONF] = 25, [SETTINGS_IPV6_CONF] = 35 };

	(void)state;
	/* Not everybody may. */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		skip();
	for (enum settings_folder folder = 0; folder < SETTINGS_FOLDERS; folder++) {
		size_t tried = try_folder(folder);
		print_message("%s %zu\n", settings_folders[folder], tried);
		if (folder < sizeof least / sizeof *least && tried && tried < least[folder])
			fail_msg("only %zu files of %s could be tried", tried,
				 settings_folders[folder]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(files_are_told) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
