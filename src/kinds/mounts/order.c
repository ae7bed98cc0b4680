// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The order in which mount namespaces are made; pure. One that shows others by mounts of nsfs has
 * to be older than these (held.c). Where just the file of a unix socket is mounted, the socket has
 * to be bound before, on a mount of a namespace that is there: flatpak mounts that of a proxy,
 * which is in a sandbox of its own. Where both cannot be, the first goes before, and who has such a
 * socket is told (mounts_show_before).
 */
#include "kinds/mounts/plan.h"

#include "base/names.h"
#include "base/table.h"
#include "kinds/places.h"
#include "model/snapshot.h"

#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

struct edge {
	struct edge *next;
	size_t to;
};

struct graph {
	const struct snapshot *snapshot;
	struct arena *arena;
	struct edge **after; /* of each namespace those that come later */
	size_t *above;	     /* how many have to come before each */
};

static size_t index_of(const struct snapshot *snapshot, uint32_t id)
{
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		if (snapshot->mount_namespaces[i]->id == id)
			return i;
	return SIZE_MAX;
}

static void add_edge(struct graph *graph, size_t from, size_t to)
{
	struct edge *edge = arena_new(graph->arena, struct edge);

	*edge = (struct edge){ graph->after[from], to };
	graph->after[from] = edge;
	graph->above[to]++;
}

static void add_held(struct graph *graph)
{
	const struct snapshot *snapshot = graph->snapshot;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			const MntEntry *mount = snapshot->mount_namespaces[i]->mounts[k];
			size_t shown = mount_is_late(mount) ? index_of(snapshot, mount->held->ns_id)
							    : SIZE_MAX;
			if (shown != SIZE_MAX)
				add_edge(graph, i, shown);
		}
}

/* ---- Files of sockets ---- */

/* A mount that shows a part of its file system only. */
struct part {
	struct part *next; /* of the same key */
	const MntEntry *mount;
	size_t namespace_;
};

static uint64_t key_of(uint32_t device, const char *directory, const char *below)
{
	uint64_t key = UINT64_C(0xcbf29ce484222325) ^ device;

	for (; *directory; directory++)
		key = (key ^ (uint8_t)*directory) * UINT64_C(0x100000001b3);
	key = *below ? (key ^ '/') * UINT64_C(0x100000001b3) : key;
	for (; *below; below++)
		key = (key ^ (uint8_t)*below) * UINT64_C(0x100000001b3);
	return key;
}

static void list_parts(const struct graph *graph, struct table *parts)
{
	const struct snapshot *snapshot = graph->snapshot;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			const MntEntry *mount = snapshot->mount_namespaces[i]->mounts[k];
			if (strcmp(mount->root, "/") == 0)
				continue;
			uint64_t key = key_of(mount->root_dev, mount->root, "");
			struct part *part = arena_new(graph->arena, struct part);
			struct part *first = table_find(parts, key);
			*part = (struct part){ first ? first->next : NULL, mount, i };
			if (first)
				first->next = part;
			else
				table_add(parts, graph->arena, key, part);
		}
}

static bool is_bound_early(const FileEntry *entry)
{
	return entry->type == FD_TYPES__UNIXSK && entry->usk && entry->usk->place &&
	       !entry->usk->deleted && entry->usk->mnt_id >= 0 &&
	       (entry->usk->type == SOCK_DGRAM || entry->usk->state != TCP_ESTABLISHED);
}

/* Keys of two files may be the same: then one namespace comes later than it had to. */
static void add_shown(struct graph *graph, const struct table *parts, const UnixSkEntry *sk)
{
	struct mount_namespace *namespace_;
	const MntEntry *mount =
		snapshot_mount(graph->snapshot, (uint32_t)sk->mnt_id, &namespace_, NULL);
	const char *below = mount ? path_below(sk->place, mount->mountpoint) : NULL;

	if (!below)
		return;
	const char *root = strcmp(mount->root, "/") == 0 ? "" : mount->root;
	size_t own = index_of(graph->snapshot, namespace_->id);
	for (const struct part *part = table_find(parts, key_of(mount->root_dev, root, below));
	     part; part = part->next)
		if (part->namespace_ != own)
			add_edge(graph, own, part->namespace_);
}

static void add_sockets(struct graph *graph)
{
	const struct snapshot *snapshot = graph->snapshot;
	struct table parts = { 0 };

	if (snapshot->n_mount_namespaces < 2)
		return;
	list_parts(graph, &parts);
	for (size_t i = 0; i < snapshot->n_files; i++)
		if (is_bound_early(snapshot->files[i]))
			add_shown(graph, &parts, snapshot->files[i]->usk);
}

/* ---- The order ---- */

/* NULL where they go round in a circle. */
static const size_t *sort(const struct graph *graph)
{
	size_t n = graph->snapshot->n_mount_namespaces, done = 0;
	size_t *order = arena_array(graph->arena, size_t, n + 1);

	for (size_t i = 0; i < n; i++)
		if (!graph->above[i])
			order[done++] = i;
	for (size_t i = 0; i < done; i++)
		for (const struct edge *edge = graph->after[order[i]]; edge; edge = edge->next)
			if (--graph->above[edge->to] == 0)
				order[done++] = edge->to;
	return done == n ? order : NULL;
}

static struct graph new_graph(const struct snapshot *snapshot, struct arena *arena)
{
	struct graph graph = { .snapshot = snapshot, .arena = arena };

	graph.after = arena_array(arena, struct edge *, snapshot->n_mount_namespaces + 1);
	graph.above = arena_array(arena, size_t, snapshot->n_mount_namespaces + 1);
	add_held(&graph);
	return graph;
}

const size_t *mount_namespaces_in_order(const struct snapshot *snapshot, struct arena *arena)
{
	struct graph graph = new_graph(snapshot, arena);

	add_sockets(&graph);
	const size_t *order = sort(&graph);
	if (order)
		return order;
	graph = new_graph(snapshot, arena);
	return sort(&graph);
}
