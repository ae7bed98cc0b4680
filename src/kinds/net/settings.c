// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * /proc/sys/net: who reads it sees the network namespace of the reading thread. Recorded is what a
 * new namespace, made once for the comparison, does not have; an interface of its own is held
 * against what "default" says there. Looking for files is half of the work, so they are asked for
 * by the names that the new namespace has, folder by folder, and those of interfaces mostly not at
 * all (settings-told.h).
 *
 * Writing "all" or "default" changes interfaces, too (devinet_copy_dflt_conf,
 * neigh_copy_dflt_parms, addrconf_forward_change): what these say is recorded then, usual or not.
 * So does a secret from which addresses are made: what it changes is recorded with it. How they are
 * written: settings-write.c.
 */
#include "kinds/net/settings-read.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int settings_value(int directory, const char *name, char *value)
{
	autoclose int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, value, SETTING_VALUE_ROOM - 1);

	if (length < 0)
		return -1;
	value[length] = '\0';
	return 0;
}

static NetSetting *new_setting(struct arena *arena, const char *name, const char *value)
{
	NetSetting *setting = arena_new(arena, NetSetting);

	net_setting__init(setting);
	setting->name = arena_string(arena, name);
	setting->value = arena_string(arena, value);
	return setting;
}

void settings_add(const struct settings_list *list, const char *name, const char *value)
{
	NetnsContents *net = list->net;
	NetSetting *setting = new_setting(list->arena, name, value);

	net->settings = arena_grow(list->arena, net->settings, net->n_settings, sizeof setting);
	net->settings[net->n_settings++] = setting;
}

bool settings_are_absent(const char *name)
{
	return errno == ENOENT || (errno == EIO && strcmp(name, SETTING_SECRET) == 0);
}

/* The first of those whose names begin so; n_settings: there is none. */
static size_t fresh_from(const NetnsContents *fresh, const char *prefix)
{
	size_t low = 0, high = fresh->n_settings;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (strcmp(fresh->settings[middle]->name, prefix) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < fresh->n_settings &&
			       strncmp(fresh->settings[low]->name, prefix, strlen(prefix)) == 0
		       ? low
		       : fresh->n_settings;
}

/*
 * What was told of an interface whose files have been read, and what came of that. It was compared
 * with a folder that a new namespace has: its own, or "default".
 */
struct settings_known {
	struct settings_known *next;
	enum settings_folder folder;
	const char *model;
	const ProtobufCBinaryData *told;
	NetSetting **differences; /* of the files of which it was told, without their folder */
	size_t n_differences;
};

/* Two threads may read at a time; what is known once stays as it is. */
static struct settings_known *first_known(struct settings_shared *shared)
{
	return __atomic_load_n(&shared->known, __ATOMIC_ACQUIRE);
}

static void make_known(struct settings_shared *shared, struct settings_known *new)
{
	new->next = first_known(shared);
	while (!__atomic_compare_exchange_n(&shared->known, &new->next, new, false,
					    __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
		;
}

/*
 * Folders that are no interface's stay open, so that each is looked up once: in "net" those of all
 * network namespaces have the same names, and are looked at one after the other
 * (proc_sys_compare).
 */
enum { MOST_KEPT = 64 };
struct kept_folder {
	const char *path;
	int fd;
};

/* One namespace that is compared with a new one. All have the same files, but for interfaces. */
struct comparing {
	struct settings_list differences;
	const NetnsContents *fresh;
	const struct settings_told *told;
	struct settings_shared *shared;
	int directory; /* of all settings */
	struct kept_folder kept[MOST_KEPT];
	size_t n_kept;
	struct {
		char path[SETTING_NAME_ROOM];
		bool entered, is_looked_up, is_kept;
		int fd, failure;
		struct settings_known interface; /* told NULL: it is read whatever it is */
		bool is_known, is_unclear;
	} at; /* the folder that names are in, one after the other */
};

/* Is it that of an interface, which is told of? */
static void find_told(struct comparing *comparing)
{
	const char *path = comparing->at.path;
	struct settings_known *interface = &comparing->at.interface;
	char name[SETTING_NAME_ROOM + 1];

	for (enum settings_folder folder = 0; folder < SETTINGS_FOLDERS; folder++) {
		size_t length = strlen(settings_folders[folder]);
		if (strncmp(path, settings_folders[folder], length) != 0)
			continue;
		interface->folder = folder;
		interface->told = settings_told_of(comparing->told, comparing->differences.arena,
						   folder, path + length);
		snprintf(name, sizeof name, "%s/", path);
		interface->model = fresh_from(comparing->fresh, name) < comparing->fresh->n_settings
					   ? path + length
					   : "default";
	}
}

static bool are_alike(const struct settings_known *one, const struct settings_known *other)
{
	return one->folder == other->folder && strcmp(one->model, other->model) == 0 &&
	       one->told->len == other->told->len &&
	       memcmp(one->told->data, other->told->data, one->told->len) == 0;
}

/* What came of one that is alike. */
static void take_known(struct comparing *comparing)
{
	const struct settings_known *known =
		comparing->at.interface.told ? first_known(comparing->shared) : NULL;
	char name[2 * SETTING_NAME_ROOM];

	while (known && !are_alike(known, &comparing->at.interface))
		known = known->next;
	for (size_t i = 0; known && i < known->n_differences; i++) {
		snprintf(name, sizeof name, "%s/%s", comparing->at.path,
			 known->differences[i]->name);
		settings_add(&comparing->differences, name, known->differences[i]->value);
	}
	comparing->at.is_known = known != NULL;
}

static void leave_folder(struct comparing *comparing)
{
	struct arena *arena = comparing->differences.arena;
	struct settings_known *new;

	if (comparing->at.is_looked_up && comparing->at.fd >= 0 && !comparing->at.is_kept)
		close(comparing->at.fd);
	if (comparing->at.interface.told && !comparing->at.is_known && !comparing->at.is_unclear) {
		new = arena_copy(arena, &comparing->at.interface, sizeof *new);
		new->model = arena_string(arena, new->model);
		make_known(comparing->shared, new);
	}
	memset(&comparing->at, 0, sizeof comparing->at);
}

static bool is_to_be_kept(const struct comparing *comparing, const char *path)
{
	const char *slash = strchr(path, '/');

	return comparing->n_kept < MOST_KEPT && !(slash && strchr(slash + 1, '/'));
}

/* By the one that it is in; -1 with errno. One that is not kept is the caller's to close. */
static int open_folder(struct comparing *comparing, const char *path, bool *ret_is_kept)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char above[SETTING_NAME_ROOM];
	bool is_kept;

	*ret_is_kept = true;
	if (!path[0])
		return comparing->directory;
	for (size_t i = 0; i < comparing->n_kept; i++)
		if (strcmp(comparing->kept[i].path, path) == 0)
			return comparing->kept[i].fd;
	snprintf(above, sizeof above, "%.*s", slash ? (int)(slash - path) : 0, path);
	int parent = open_folder(comparing, above, &is_kept);
	int fd = parent < 0 ? -1 : openat(parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	autoclose int passed = is_kept ? -1 : parent;
	(void)passed;
	*ret_is_kept = fd >= 0 && is_to_be_kept(comparing, path);
	if (*ret_is_kept)
		comparing->kept[comparing->n_kept++] =
			(struct kept_folder){ arena_string(comparing->differences.arena, path),
					      fd };
	return fd;
}

/* That of a name. It is opened for the first that is read of those in it. */
static void enter_folder(struct comparing *comparing, const char *name)
{
	const char *slash = strrchr(name, '/');
	size_t length = slash ? (size_t)(slash - name) : 0;

	if (comparing->at.entered && strncmp(comparing->at.path, name, length) == 0 &&
	    !comparing->at.path[length])
		return;
	leave_folder(comparing);
	comparing->at.entered = true;
	memcpy(comparing->at.path, name, length);
	find_told(comparing);
	take_known(comparing);
}

/* A file in it; -1 with errno. */
static int read_in_folder(struct comparing *comparing, const char *file, char *value)
{
	if (!comparing->at.is_looked_up) {
		comparing->at.fd =
			open_folder(comparing, comparing->at.path, &comparing->at.is_kept);
		comparing->at.failure = errno;
		comparing->at.is_looked_up = true;
	}
	if (comparing->at.fd < 0) {
		errno = comparing->at.failure;
		return -1;
	}
	return settings_value(comparing->at.fd, file, value);
}

static void add_known(struct comparing *comparing, const char *file, const char *value)
{
	struct settings_known *interface = &comparing->at.interface;
	NetSetting *setting = new_setting(comparing->differences.arena, file, value);

	interface->differences = arena_grow(comparing->differences.arena, interface->differences,
					    interface->n_differences, sizeof setting);
	interface->differences[interface->n_differences++] = setting;
}

static int compare(struct comparing *comparing, const char *name, const char *usual)
{
	const char *file = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
	char value[SETTING_VALUE_ROOM];

	enter_folder(comparing, name);
	bool is_told = comparing->at.interface.told &&
		       settings_are_told(comparing->at.interface.folder, file);
	if (is_told && comparing->at.is_known)
		return 0;
	if (read_in_folder(comparing, file, value) < 0) {
		comparing->at.is_unclear |= is_told;
		return settings_are_absent(file) ? 0 : -1;
	}
	if (usual && strcmp(value, usual) == 0)
		return 0;
	settings_add(&comparing->differences, name, value);
	if (is_told)
		add_known(comparing, file, value);
	return 0;
}

/* An interface of its own, by what "default" has; where there is none, by what lo has. */
static int compare_interface(struct comparing *comparing, const char *folder, const char *name)
{
	const NetnsContents *fresh = comparing->fresh;
	char prefix[SETTING_NAME_ROOM], text[SETTING_NAME_ROOM];

	snprintf(prefix, sizeof prefix, "%sdefault/", folder);
	if (fresh_from(fresh, prefix) == fresh->n_settings)
		snprintf(prefix, sizeof prefix, "%slo/", folder);
	size_t length = strlen(prefix);
	for (size_t i = fresh_from(fresh, prefix);
	     i < fresh->n_settings && strncmp(fresh->settings[i]->name, prefix, length) == 0; i++) {
		const NetSetting *usual = fresh->settings[i];
		snprintf(text, sizeof text, "%s%s/%s", folder, name, usual->name + length);
		if (compare(comparing, text, usual->value) < 0)
			return -1;
	}
	return 0;
}

/* Has a new namespace that folder, too? Then its files are in the list. */
static bool is_fresh_folder(const NetnsContents *fresh, const char *folder, const char *name)
{
	char prefix[SETTING_NAME_ROOM];

	snprintf(prefix, sizeof prefix, "%s%s/", folder, name);
	return fresh_from(fresh, prefix) < fresh->n_settings;
}

static int compare_interfaces(struct comparing *comparing, const char *folder)
{
	char path[SETTING_NAME_ROOM];
	const char *name;
	bool is_kept;

	snprintf(path, sizeof path, "%.*s", (int)strlen(folder) - 1, folder);
	int fd = open_folder(comparing, path, &is_kept);
	autoclose int passed = is_kept ? -1 : fd;
	(void)passed;
	autoclosedir DIR *dir = fd < 0 ? NULL : listing_open(fd, ".");
	if (!dir)
		return settings_are_absent(folder) ? 0 : -1;
	while (listing_next(dir, &name))
		if (!is_fresh_folder(comparing->fresh, folder, name) &&
		    compare_interface(comparing, folder, name) < 0)
			return -1;
	return errno ? -1 : 0;
}

bool setting_is_recorded(const NetnsContents *net, const char *name)
{
	for (size_t i = 0; i < net->n_settings; i++)
		if (strcmp(net->settings[i]->name, name) == 0)
			return true;
	return false;
}

static int record(struct comparing *comparing, const char *name)
{
	const char *file = strrchr(name, '/') + 1;
	char value[SETTING_VALUE_ROOM];

	if (setting_is_recorded(comparing->differences.net, name))
		return 0;
	if (settings_value(comparing->directory, name, value) < 0)
		return settings_are_absent(file) ? 0 : -1;
	settings_add(&comparing->differences, name, value);
	return 0;
}

/* Of each interface, and of those to come; "all" comes before them. */
static int record_below(struct comparing *comparing, const char *folder, const char *file)
{
	autoclosedir DIR *dir = listing_open(comparing->directory, folder);
	char name[SETTING_NAME_ROOM];
	const char *entry;

	if (!dir)
		return settings_are_absent(folder) ? 0 : -1;
	while (listing_next(dir, &entry))
		if (strcmp(entry, "all") != 0 &&
		    snprintf(name, sizeof name, "%s%s/%s", folder, entry, file) <
			    (int)sizeof name &&
		    record(comparing, name) < 0)
			return -1;
	return errno ? -1 : 0;
}

/* What goes with one that is not usual. */
static int record_with(struct comparing *comparing, const char *name)
{
	char other[SETTING_NAME_ROOM];

	/* Who begins to forward stops to accept redirects (inet_forward_change). */
	if (strcmp(name, "ipv4/conf/all/forwarding") == 0 &&
	    record(comparing, "ipv4/conf/all/accept_redirects") < 0)
		return -1;
	for (enum settings_folder i = 0; i < SETTINGS_FOLDERS; i++) {
		size_t length = strlen(settings_folders[i]);
		const char *place = name + length, *file = strchr(place, '/');
		if (strncmp(name, settings_folders[i], length) != 0 || !file)
			continue;
		if ((strncmp(place, "all/", 4) == 0 || strncmp(place, "default/", 8) == 0) &&
		    record_below(comparing, settings_folders[i],
				 strcmp(file + 1, SETTING_SECRET) == 0 ? "addr_gen_mode"
								       : file + 1) < 0)
			return -1;
		/* Who gets a secret makes addresses from it from then on. */
		if (strcmp(file + 1, SETTING_SECRET) == 0) {
			snprintf(other, sizeof other, "%.*s/addr_gen_mode", (int)(file - name),
				 name);
			if (record(comparing, other) < 0)
				return -1;
		}
	}
	return 0;
}

/* Those that are added meanwhile have nothing with them. */
static int record_all_with(struct comparing *comparing)
{
	const NetnsContents *net = comparing->differences.net;

	for (size_t i = 0; i < net->n_settings; i++)
		if (record_with(comparing, net->settings[i]->name) < 0)
			return -1;
	return 0;
}

static int compare_all(struct comparing *comparing)
{
	const NetnsContents *fresh = comparing->fresh;

	for (size_t i = 0; i < fresh->n_settings; i++)
		if (compare(comparing, fresh->settings[i]->name, fresh->settings[i]->value) < 0)
			return -1;
	for (enum settings_folder i = 0; i < SETTINGS_FOLDERS; i++)
		if (compare_interfaces(comparing, settings_folders[i]) < 0)
			return -1;
	/* Those of a new namespace are not set, and so not in the list. */
	return record_below(comparing, settings_folders[SETTINGS_IPV6_CONF], SETTING_SECRET) < 0
		       ? -1
		       : record_all_with(comparing);
}

int settings_read(const struct settings_reading *reading)
{
	autoclose int directory = open("/proc/sys/net", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct comparing comparing = {
		.differences = { reading->arena, reading->net },
		.fresh = reading->fresh,
		.told = reading->told,
		.shared = reading->shared,
		.directory = directory,
	};
	int result = directory < 0 ? -1 : compare_all(&comparing), failure = errno;

	leave_folder(&comparing);
	for (size_t i = 0; i < comparing.n_kept; i++)
		close(comparing.kept[i].fd);
	errno = failure;
	return result;
}
