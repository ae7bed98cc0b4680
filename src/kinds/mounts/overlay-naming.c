// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Layers of an overlay that are not where they were named (overlay-real.c), at a restore: they are
 * mounted there in a mount namespace that is gone with the deputy that has made it, so mountinfo
 * shows the same names. The upper one and that for work have to be on one mount (ovl_get_fs): the
 * directory above both is mounted beside, and their names are links that lead into it.
 */
#include "kinds/mounts/overlay.h"

#include "base/cleanup.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/make.h"
#include "model/records.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BESIDE "/.nestor-upper"

char *overlay_path_above(struct arena *arena, const char *one, const char *other)
{
	size_t length = 0;

	for (size_t i = 0; one[i] && one[i] == other[i]; i++)
		length = one[i] == '/' ? i : length;
	return length ? arena_printf(arena, "%.*s", (int)length, one) : arena_string(arena, "/");
}

static bool is_upper(const struct overlay_layers *layers, size_t index)
{
	return layers->has_upper && (index == 0 || index == layers->n - 1);
}

static int make_directories(const char *path, bool last)
{
	char *copy = strdupa(path);

	for (char *slash = copy; slash; *slash = '/') {
		slash = strchr(slash + 1, '/');
		if (!slash && !last)
			break;
		if (slash)
			*slash = '\0';
		if (mkdir(copy, 0755) && errno != EEXIST)
			return -1;
		if (!slash)
			break;
	}
	return 0;
}

/* What is taken of each; the last one is above the upper ones. */
struct naming {
	const struct overlay_layers *layers;
	const struct overlay_places *places;
	const char *above;
	int *fds;
};

static int make_name(const struct naming *naming, size_t index)
{
	const char *path = naming->layers->all[index].path;

	if (!is_upper(naming->layers, index))
		return make_directories(path, true);
	const char *below = naming->places->at[index] + strlen(naming->above);
	char *target = arena_printf(naming->layers->arena, BESIDE "/%s", below + (*below == '/'));
	return make_directories(path, false) || symlink(target, path) ? -1 : 0;
}

/* All names first: none of them is to be made in a layer. */
static int attach(const struct naming *naming)
{
	size_t n = naming->layers->n;

	for (size_t i = 0; i < n; i++)
		if (make_name(naming, i))
			return -1;
	if (naming->layers->has_upper && mkdir(BESIDE, 0755))
		return -1;
	for (size_t i = 0; i <= n; i++)
		if (naming->fds[i] >= 0 && move_mount(naming->fds[i], "", AT_FDCWD,
						      i < n ? naming->layers->all[i].path : BESIDE,
						      MOVE_MOUNT_F_EMPTY_PATH))
			return -1;
	return 0;
}

static int open_place(int hidden, const char *path)
{
	const char *below = path + strspn(path, "/");

	return hidden < 0 ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)
			  : mount_open_path(hidden, *below ? below : ".", O_PATH | O_DIRECTORY,
					    RESOLVE_BENEATH | RESOLVE_NO_XDEV);
}

static int fail_layer(const char *path, struct error *err)
{
	return fail_errno(err, errno == ENOENT ? ERR_FILE_MISSING : ERR_KERNEL_REFUSED,
			  "cannot use %.200s, a layer of an overlay", path);
}

/* `users`: a user namespace with the ids that it is to map; -1: none. */
static int take(const struct overlay_places *places, int hidden, const char *path, int users,
		struct error *err)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP };
	autoclose int at_fd = open_place(hidden, path);

	if (at_fd < 0)
		return fail_layer(path, err);
	autoclose int fd =
		open_tree(at_fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0 && errno == EINVAL && hidden >= 0) {
		fd = mount_shelf_copy(places->shelf, hidden, at_fd, err);
		if (fd < 0)
			return -1;
	}
	attributes.userns_fd = (uint64_t)users;
	if (fd < 0 || (users >= 0 && syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes,
					     sizeof attributes)))
		return fail_layer(path, err);
	return take_fd(&fd);
}

static int take_all(struct naming *naming, struct error *err)
{
	const struct overlay_layers *layers = naming->layers;
	const struct overlay_places *places = naming->places;

	for (size_t i = 0; i < layers->n; i++) {
		if (is_upper(layers, i))
			continue;
		naming->fds[i] =
			take(places, places->hidden[i], places->at[i], places->users[i], err);
		if (naming->fds[i] < 0)
			return -1;
	}
	if (!layers->has_upper)
		return 0;
	naming->fds[layers->n] = take(places, places->hidden[0], naming->above, -1, err);
	return naming->fds[layers->n] < 0 ? -1 : 0;
}

int overlay_name_layers(const struct overlay_layers *layers, const struct overlay_places *places,
			struct error *err)
{
	struct naming naming = {
		.layers = layers,
		.places = places,
		.above = layers->has_upper ? overlay_path_above(layers->arena, places->at[0],
								places->at[layers->n - 1])
					   : "/",
		.fds = arena_array(layers->arena, int, layers->n + 1),
	};

	for (size_t i = 0; i <= layers->n; i++)
		naming.fds[i] = -1;
	int result = take_all(&naming, err) || mount_go_bare(err) ? -1 : 0;
	if (!result && attach(&naming))
		result = fail_errno(err, ERR_KERNEL_REFUSED,
				    "cannot name layers of an overlay as before");
	for (size_t i = 0; i <= layers->n; i++)
		cleanup_close(&naming.fds[i]);
	return result;
}
