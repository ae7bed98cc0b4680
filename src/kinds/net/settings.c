// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * /proc/sys/net: who reads it sees the network namespace of the reading thread. Recorded is what a
 * new namespace, made once for the comparison, does not have; an interface of its own is held
 * against what "default" says there. Looking for files is half of the work, so they are asked for
 * by the names that the new namespace has. Writing "all" may change what is below others, so all are written
 * twice.
 */
#include "kinds/net/net.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_ROOM = 256, VALUE_ROOM = 4096 };

static const char fresh_owner; /* of what a new namespace has, see collect_state */

struct reading {
	struct arena *arena;
	NetnsContents *net; /* gets all that is there */
};

static int read_value(int directory, const char *name, char *value)
{
	autoclose int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, value, VALUE_ROOM - 1);

	if (length < 0)
		return -1;
	value[length] = '\0';
	return 0;
}

static void add_setting(struct reading *reading, const char *name, const char *value)
{
	NetnsContents *net = reading->net;
	NetSetting *setting = arena_new(reading->arena, NetSetting);

	net_setting__init(setting);
	setting->name = arena_string(reading->arena, name);
	setting->value = arena_string(reading->arena, value);
	net->settings = arena_grow(reading->arena, net->settings, net->n_settings, sizeof setting);
	net->settings[net->n_settings++] = setting;
}

/* An interface has gone meanwhile, or it is not for us. What has never been set cannot be read. */
static bool is_absent(const char *name)
{
	return errno == ENOENT || errno == EACCES ||
	       (errno == EIO && strcmp(name, "stable_secret") == 0);
}

static int read_folder(struct reading *reading, int parent, const char *name, const char *path);

/* Files that can be written and read: others tell something, or do something. -1 with errno. */
static int read_entry(struct reading *reading, int directory, const char *name, const char *path)
{
	char value[VALUE_ROOM], below[NAME_ROOM];
	struct stat stat;

	if (snprintf(below, sizeof below, "%s%s%s", path, path[0] ? "/" : "", name) >=
	    (int)sizeof below)
		return 0;
	if (fstatat(directory, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
		return is_absent(name) ? 0 : -1;
	if (S_ISDIR(stat.st_mode))
		return read_folder(reading, directory, name, below);
	if ((stat.st_mode & 0600) != 0600)
		return 0;
	if (read_value(directory, name, value) < 0)
		return is_absent(name) ? 0 : -1;
	add_setting(reading, below, value);
	return 0;
}

static int read_folder(struct reading *reading, int parent, const char *name, const char *path)
{
	autoclosedir DIR *dir = listing_open(parent, name);
	const char *entry;

	if (!dir)
		return is_absent(name) ? 0 : -1;
	while (listing_next(dir, &entry))
		if (read_entry(reading, dirfd(dir), entry, path) < 0)
			return -1;
	return errno ? -1 : 0;
}

static int read_fresh(void *data)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	return read_folder(data, AT_FDCWD, "/proc/sys/net", "");
}

static int compare_names(const void *a, const void *b)
{
	return strcmp((*(NetSetting *const *)a)->name, (*(NetSetting *const *)b)->name);
}

/* What a new namespace has, by name; read once for all that are to be compared with it. */
static const NetnsContents *fresh_of(struct collect *collect, struct error *err)
{
	void **kept = collect_state(collect, &fresh_owner);
	struct aside aside = ASIDE_HERE;

	if (*kept)
		return *kept;
	NetnsContents *fresh = arena_new(collect->arena, NetnsContents);
	struct reading there = { collect->arena, fresh };
	netns_contents__init(fresh);
	if (aside_run(&aside, read_fresh, &there) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED,
			   "cannot make and read a network namespace to compare others with");
		return NULL;
	}
	if (fresh->n_settings)
		qsort(fresh->settings, fresh->n_settings, sizeof *fresh->settings, compare_names);
	*kept = fresh;
	return fresh;
}

/* Where each interface has a folder. */
static const char *const folders[] = { "ipv4/conf/", "ipv6/conf/", "ipv4/neigh/", "ipv6/neigh/",
				       "mpls/conf/" };

/* One namespace that is compared with a new one. All have the same files, but for interfaces. */
struct comparing {
	struct reading differences;
	const NetnsContents *fresh;
	int directory; /* of all settings */
};

static int compare(struct comparing *comparing, const char *name, const char *usual)
{
	char value[VALUE_ROOM];

	if (read_value(comparing->directory, name, value) < 0)
		return is_absent(strrchr(name, '/') ? strrchr(name, '/') + 1 : name) ? 0 : -1;
	if (!usual || strcmp(value, usual) != 0)
		add_setting(&comparing->differences, name, value);
	return 0;
}

/* An interface of its own, by what "default" has; where there is none, by what lo has. */
static int compare_interface(struct comparing *comparing, const char *folder, const char *name)
{
	const NetnsContents *fresh = comparing->fresh;
	char prefix[NAME_ROOM], text[NAME_ROOM];
	const char *model = strcmp(folder, "mpls/conf/") == 0 ? "lo/" : "default/";

	snprintf(prefix, sizeof prefix, "%s%s", folder, model);
	size_t length = strlen(prefix);
	for (size_t i = 0; i < fresh->n_settings; i++) {
		const NetSetting *usual = fresh->settings[i];
		if (strncmp(usual->name, prefix, length) != 0)
			continue;
		snprintf(text, sizeof text, "%s%s/%s", folder, name, usual->name + length);
		if (compare(comparing, text, usual->value) < 0)
			return -1;
	}
	return 0;
}

/* Has a new namespace that folder, too? Then its files are in the list. */
static bool is_fresh_folder(const NetnsContents *fresh, const char *folder, const char *name)
{
	char prefix[NAME_ROOM];
	int length = snprintf(prefix, sizeof prefix, "%s%s/", folder, name);

	for (size_t i = 0; i < fresh->n_settings; i++)
		if (strncmp(fresh->settings[i]->name, prefix, (size_t)length) == 0)
			return true;
	return false;
}

static int compare_interfaces(struct comparing *comparing, const char *folder)
{
	autoclosedir DIR *dir = listing_open(comparing->directory, folder);
	const char *name;

	if (!dir)
		return is_absent(folder) ? 0 : -1;
	while (listing_next(dir, &name))
		if (!is_fresh_folder(comparing->fresh, folder, name) &&
		    compare_interface(comparing, folder, name) < 0)
			return -1;
	return errno ? -1 : 0;
}

static int compare_all(struct comparing *comparing)
{
	const NetnsContents *fresh = comparing->fresh;

	for (size_t i = 0; i < fresh->n_settings; i++)
		if (compare(comparing, fresh->settings[i]->name, fresh->settings[i]->value) < 0)
			return -1;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		if (compare_interfaces(comparing, folders[i]) < 0)
			return -1;
	return 0;
}

int settings_collect(struct collect *collect, NetnsContents *net, uint32_t id, struct error *err)
{
	autoclose int directory = open("/proc/sys/net", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct comparing comparing = { .differences = { collect->arena, net },
				       .fresh = fresh_of(collect, err),
				       .directory = directory };

	if (!comparing.fresh)
		return -1;
	if (directory < 0 || compare_all(&comparing) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read the settings of network namespace %u", id);
	return 0;
}

/*
 * The one setting that holds ids (net/ipv4/sysctl_net_ipv4.c): read as those of nestor's user
 * namespace, written as those of the owner's. False where a group has no number there.
 */
static bool groups_inside(const struct namespace *namespace_, const NetSetting *setting,
			  char text[VALUE_ROOM])
{
	uint32_t first, last;

	if (strcmp(setting->name, SETTING_OF_GROUPS) != 0) {
		snprintf(text, VALUE_ROOM, "%s", setting->value);
		return true;
	}
	if (sscanf(setting->value, "%" SCNu32 "%" SCNu32, &first, &last) != 2 ||
	    !user_namespace_id_inside(namespace_->owner, true, first, &first) ||
	    !user_namespace_id_inside(namespace_->owner, true, last, &last))
		return false;
	snprintf(text, VALUE_ROOM, "%" PRIu32 " %" PRIu32, first, last);
	return true;
}

/* No name may lead out of the folder. */
int settings_check(const struct namespace *namespace_, struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;
	char text[VALUE_ROOM];

	for (size_t i = 0; i < net->n_settings; i++) {
		const char *name = net->settings[i]->name;
		if (!name[0] || name[0] == '/' || strlen(name) >= NAME_ROOM || strstr(name, "..") ||
		    strlen(net->settings[i]->value) >= VALUE_ROOM)
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: no setting is called %s", namespace_->id,
				    name);
		if (!groups_inside(namespace_, net->settings[i], text))
			return fail(err, ERR_UNSUPPORTED_NAMESPACE,
				    "network namespace %u: groups of %s have no number in the user "
				    "namespace that owns it",
				    namespace_->id, name);
	}
	return 0;
}

static int write_setting(int directory, const struct namespace *namespace_,
			 const NetSetting *setting)
{
	autoclose int fd = openat(directory, setting->name, O_WRONLY | O_CLOEXEC);
	char text[VALUE_ROOM];

	if (!groups_inside(namespace_, setting, text)) {
		errno = EINVAL;
		return -1;
	}
	size_t length = strlen(text);
	return fd >= 0 && write(fd, text, length) == (ssize_t)length ? 0 : -1;
}

int settings_write(const struct namespace *namespace_, struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;
	autoclose int directory = open("/proc/sys/net", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < net->n_settings; i++)
			if (write_setting(directory, namespace_, net->settings[i]))
				return fail_errno(err, ERR_KERNEL_REFUSED,
						  "network namespace %u: cannot set %s",
						  namespace_->id, net->settings[i]->name);
	return 0;
}
