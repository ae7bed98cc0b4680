// SPDX-License-Identifier: LGPL-2.1-or-later
/* Unix sockets as CRIU writes them: what a relative name is relative to is told beside it. */
#include "kinds/sockets/socket.h"
#include "kinds/sockets/unix.h"

#include "model/mounts.h"

#include <string.h>

static void find_place(struct arena *arena, UnixSkEntry *sk)
{
	const char *name = (const char *)sk->name.data;
	int length = (int)strnlen(name, sk->name.len);
	char *path = NULL;

	if (name[0] == '/')
		path = arena_printf(arena, "%.*s", length, name);
	else if (sk->name_dir)
		path = arena_printf(arena, "%s/%.*s", sk->name_dir, length, name);
	if (path)
		sk->place = path_plain(arena, path);
}

static int adopt(struct snapshot *snapshot, const struct images *images, struct error *err)
{
	(void)images;
	(void)err;
	for (size_t i = 0; i < snapshot->n_files; i++) {
		UnixSkEntry *sk = snapshot->files[i]->usk;
		if (sk && unix_name_is_path(sk))
			find_place(snapshot->arena, sk);
	}
	return 0;
}

const struct tree_kind sockets_tree_kind = { .name = "sockets", .adopt = adopt };
