// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: userns-maps
 * promise: the maps of user namespaces are kept: 340 extents, several, none yet, those that leave
 *	the ids of the task itself unmapped, ranges that overlap with a sibling's; setgroups too
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXTENTS = 340 };

/* A child that nobody owns a file for cannot reach the state directory. */
static struct shared {
	unsigned ready, go;
} * shared;

struct seen {
	uid_t uids[3];
	gid_t gids[3];
	int setgroups_error;
	char texts[3][16384];
};

static struct seen before, after;

static void see(struct seen *seen)
{
	static const char *const names[] = { "/proc/self/uid_map", "/proc/self/gid_map",
					     "/proc/self/setgroups" };

	memset(seen, 0, sizeof *seen);
	getresuid(&seen->uids[0], &seen->uids[1], &seen->uids[2]);
	getresgid(&seen->gids[0], &seen->gids[1], &seen->gids[2]);
	for (size_t i = 0; i < 3; i++) {
		ssize_t length, used = 0;
		int fd = open(names[i], O_RDONLY | O_CLOEXEC);
		scenario_check(fd >= 0, "cannot open %s", names[i]);
		while ((length = read(fd, seen->texts[i] + used,
				      sizeof seen->texts[i] - 1 - (size_t)used)) > 0)
			used += length;
		close(fd);
	}
}

static void wait_until(const unsigned *word, unsigned value)
{
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) < value)
		scenario_sleep_ms(2);
}

static int compare(void *name)
{
	see(&before);
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
	wait_until(&shared->go, 1);
	see(&after);
	scenario_check(!memcmp(before.uids, after.uids, sizeof before.uids),
		       "%s: uids %u %u %u, were %u %u %u", (char *)name, after.uids[0],
		       after.uids[1], after.uids[2], before.uids[0], before.uids[1],
		       before.uids[2]);
	scenario_check(!memcmp(before.gids, after.gids, sizeof before.gids),
		       "%s: gids %u %u %u, were %u %u %u", (char *)name, after.gids[0],
		       after.gids[1], after.gids[2], before.gids[0], before.gids[1],
		       before.gids[2]);
	for (size_t i = 0; i < 3; i++)
		scenario_check(!strcmp(before.texts[i], after.texts[i]),
			       "%s: map %zu was\n%.300s, is\n%.300s", (char *)name, i,
			       before.texts[i], after.texts[i]);
	return 0;
}

/* What the maps mean for the task, not only what they read. */
static int mapped(void *name)
{
	compare(name);
	scenario_check(getuid() == 0 && setresuid(0, 0, 0) == 0, "%s: not root", (char *)name);
	scenario_check(setgroups(0, NULL) == 0, "%s: setgroups: %s", (char *)name, strerror(errno));
	return 0;
}

static int denied(void *name)
{
	compare(name);
	scenario_check(setgroups(0, NULL) < 0 && errno == EPERM, "%s: setgroups is allowed",
		       (char *)name);
	return 0;
}

static int unmapped(void *name)
{
	scenario_need(getuid() == 65534, "%s: uid %u", (char *)name, getuid());
	return compare(name);
}

/* The maps of a namespace can be written later on: also after a restore. */
static int unwritten(void *name)
{
	scenario_need(getuid() == 65534 && getgid() == 65534, "ids %u %u", getuid(), getgid());
	compare(name);
	scenario_write_map("self", "uid_map", "7 0 1");
	scenario_check(getuid() == 7, "%s: uid %u after the map is written", (char *)name,
		       getuid());
	return 0;
}

/* Several extents, and another namespace below with numbers of its own. */
static int several(void *name)
{
	static const struct scenario_users below = { "0 0 1\n10 1005 5\n20 3000 100",
						     "0 0 1\n30 2000 50", false };
	pid_t pid = scenario_child_users(0, &below, mapped, "below several");

	mapped(name);
	scenario_reap(pid);
	return 0;
}

static char *many_extents(unsigned factor)
{
	static char texts[2][8192];
	char *text = texts[factor % 2];
	size_t used = 0;

	for (unsigned i = 0; i < EXTENTS; i++)
		used += (size_t)snprintf(text + used, sizeof texts[0] - used, "%u %u 1\n", 2 * i,
					 factor * i);
	return text;
}

int main(int argc, char **argv)
{
	const struct {
		struct scenario_users users;
		int (*body)(void *data);
		char *name;
	} kinds[] = {
		{ { many_extents(2), many_extents(3), false }, mapped, "340 extents" },
		{ { "0 0 1\n1000 2000 10\n3000 4000 100", "0 0 1\n2000 5000 50", false },
		  several,
		  "several" },
		{ { "0 0 1", "0 0 1", true }, denied, "setgroups denied" },
		{ { NULL, NULL, true }, denied, "denied, no maps yet" },
		{ { NULL, NULL, false }, unwritten, "no maps yet" },
		{ { "0 0 1", NULL, false }, compare, "no gid map yet" },
		{ { "0 5000 10", "0 5000 10", false }, unmapped, "unmapped ids" },
		{ { "0 0 1\n1 1 999", "0 0 1\n1 1 999", false }, mapped, "first sibling" },
		{ { "0 0 1\n1 500 1000", "0 0 1\n1 500 1000", false }, mapped, "second sibling" },
	};
	enum { CHILDREN = sizeof kinds / sizeof *kinds };
	pid_t children[CHILDREN];

	scenario_begin(argc, argv);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	scenario_need(shared != MAP_FAILED, "mmap");
	for (size_t i = 0; i < CHILDREN; i++)
		children[i] =
			scenario_child_users(0, &kinds[i].users, kinds[i].body, kinds[i].name);
	wait_until(&shared->ready, CHILDREN + 1);

	scenario_ready();

	__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
	for (size_t i = 0; i < CHILDREN; i++)
		scenario_reap(children[i]);
	return scenario_end();
}
