// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * overlay: a file system of layers, which are directories of others and named by paths as they were
 * where it was mounted. It comes back where nestor's own namespace has these directories: what is
 * in the upper one is the host's, like any other file. A path that is gone, or that is not
 * absolute, is refused at dump.
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* The next layer of "/a:/b\\:c", with its end put in and escapes taken out; NULL: no more. */
static char *next_layer(char **rest)
{
	char *start = *rest, *to = *rest;

	if (!start)
		return NULL;
	for (char *from = start;; from++) {
		if (*from == '\\' && from[1]) {
			*to++ = *++from;
			continue;
		}
		if (*from == ':' || *from == '\0') {
			*rest = *from ? from + 1 : NULL;
			*to = '\0';
			return start;
		}
		*to++ = *from;
	}
}

/* The next option, whose value may have commas as "\,". */
static char *next_option(char **rest)
{
	char *start = *rest;

	if (!start || !*start)
		return NULL;
	for (char *at = start;; at++) {
		if (*at == '\\' && at[1]) {
			at++;
			continue;
		}
		if (*at == ',' || *at == '\0') {
			*rest = *at ? at + 1 : NULL;
			*at = '\0';
			return start;
		}
	}
}

enum { LONGEST_STRING = 256 };

struct layers {
	int (*whole)(void *data, const char *key, const char *paths, struct error *err);
	int (*layer)(void *data, const char *key, const char *path, struct error *err);
	int (*option)(void *data, const char *key, const char *value, struct error *err);
	void *data;
};

/* All in one string, as long as fsconfig(2) takes it: so mountinfo shows them as they were. */
static int each_layer(const struct layers *layers, const char *key, char *paths, struct error *err)
{
	if (layers->whole && strcmp(key, "lowerdir") == 0 && strlen(paths) < LONGEST_STRING)
		return layers->whole(layers->data, key, paths, err);
	for (char *rest = paths, *path; (path = next_layer(&rest));)
		/* An empty one stands between a lower layer and one of data only ("::"). */
		if (*path ? layers->layer(layers->data, "lowerdir+", path, err)
			  : fail(err, ERR_UNSUPPORTED_MOUNT, "it has layers of data only"))
			return -1;
	return 0;
}

static int each_option(const struct layers *layers, const char *options, struct error *err)
{
	autofree char *copy = strdup(options);
	int result = 0;

	for (char *rest = copy, *word; !result && (word = next_option(&rest));) {
		char *value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		if (value && (strcmp(word, "lowerdir") == 0 || strcmp(word, "lowerdir+") == 0))
			result = each_layer(layers, word, value, err);
		else if (value && (strcmp(word, "upperdir") == 0 || strcmp(word, "workdir") == 0))
			result = layers->layer(layers->data, word, value, err);
		else
			result =
				layers->option ? layers->option(layers->data, word, value, err) : 0;
	}
	return result;
}

static int look_at_layer(void *data, const char *key, const char *path, struct error *err)
{
	struct stat stat_;

	(void)data;
	(void)key;
	if (path[0] == '/' && stat(path, &stat_) == 0 && S_ISDIR(stat_.st_mode))
		return 0;
	return fail(err, ERR_UNSUPPORTED_MOUNT,
		    "its layer %s is no directory in nestor's mount namespace", path);
}

static int collect(const struct live_superblock *superblock, MntEntry *entry, struct error *err)
{
	const struct layers layers = { .layer = look_at_layer };

	return each_option(&layers, entry->options, err) ? fail_while(err, "%s", superblock->what)
							 : 0;
}

static int set_layer(void *data, const char *key, const char *path, struct error *err)
{
	return mount_set(*(const int *)data, key, path, err);
}

static int set_option(void *data, const char *key, const char *value, struct error *err)
{
	/* Shown, but none that can be given. */
	if (strcmp(key, "nouserxattr") == 0)
		return 0;
	return mount_set(*(const int *)data, key, value, err);
}

static int make(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	autoclose int context_fd = fsopen("overlay", FSOPEN_CLOEXEC);
	const struct layers layers = { set_layer, set_layer, set_option, &context_fd };

	(void)maker;
	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount an overlay");
	if (each_option(&layers, entry->options, err))
		return -1;
	return mount_finish(context_fd, entry, err);
}

const struct mount_kind overlay_mount_kind = {
	.type = "overlay",
	.fstype = FSTYPE__OVERLAYFS,
	.owned = true,
	.parts = true,
	.collect = collect,
	.make = make,
};
