// SPDX-License-Identifier: LGPL-2.1-or-later
/* See examine.h. */
#include "pipeline/examine.h"

#include "base/cleanup.h"
#include "images/images.h"
#include "pipeline/load.h"

#include <fcntl.h>

struct snapshot *examine_images(const char *dir, struct arena *arena, struct error *err)
{
	autoclose int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct snapshot *snapshot = arena_new(arena, struct snapshot);

	if (dir_fd < 0) {
		fail_errno(err, ERR_IO, "cannot open the images directory %s", dir);
		return NULL;
	}
	snapshot->arena = arena;
	struct images *images = load_images(dir_fd, arena, snapshot, err);
	if (!images)
		return NULL;
	images_free(images);
	return snapshot;
}
