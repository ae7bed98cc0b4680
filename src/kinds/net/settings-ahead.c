// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Settings are a third of what a dump of many small containers reads, and nothing depends on them:
 * the assistant reads those of the namespaces of tasks while the first thread reads the tasks. It
 * has arenas of its own, which are gone when all has been read. Where it may not enter a namespace,
 * whoever reads the rest finds out the same, and what can be done.
 */
#include "base/arena.h"
#include "collect/assistant.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/aside.h"
#include "kinds/net/net.h"

#include <errno.h>

struct ahead {
	struct errand errand;
	struct ahead *next;
	struct all_ahead *all;
	const struct surveyed_namespace *namespace_;
	struct arena *arena; /* of the thread that runs it */
	bool dropped;
	/* Once it is done: */
	bool is_read;
	NetnsContents net;
	struct error err;
};

struct all_ahead {
	struct settings_world *world;
	struct arena arenas[ASSISTANT_THREADS];
	struct ahead *first;
};

static struct all_ahead **all_of(struct collect *collect)
{
	return (struct all_ahead **)collect_state(collect, &settings_tree_kind);
}

static int read_there(void *data)
{
	struct ahead *ahead = data;
	struct netlink *netlink = netlink_open();

	if (!netlink)
		return fail_errno(&ahead->err, ERR_KERNEL_REFUSED, "cannot open rtnetlink");
	int result = links_look(netlink, ahead->arena, &ahead->net)
			     ? fail_errno(&ahead->err, ERR_KERNEL_REFUSED,
					  "cannot read the interfaces of network namespace %u",
					  ahead->namespace_->id)
			     : settings_collect(ahead->all->world, ahead->arena, netlink,
						&ahead->net, ahead->namespace_->id, &ahead->err);
	netlink_close(netlink);
	return result;
}

static void read_ahead(struct errand *errand, enum assistant_thread thread)
{
	struct ahead *ahead = (struct ahead *)errand;
	struct aside aside = ASIDE_HERE;

	if (__atomic_load_n(&ahead->dropped, __ATOMIC_RELAXED))
		return;
	ahead->arena = &ahead->all->arenas[thread];
	aside.net_namespace = ahead->namespace_->fd;
	ahead->is_read = aside_run(&aside, read_there, ahead) == 0;
}

/* Nothing that is in a namespace of somebody outside is looked at. */
static bool is_outside(const struct collect *collect, const struct surveyed_namespace *namespace_)
{
	return externals_find_number(collect->options->externals, EXTERNAL_NET, namespace_->inode);
}

static void give(struct collect *collect, struct all_ahead *all,
		 struct surveyed_namespace *namespace_)
{
	struct ahead *ahead = arena_new(collect->arena, struct ahead);

	ahead->errand.run = read_ahead;
	ahead->next = all->first;
	ahead->all = all;
	ahead->namespace_ = namespace_;
	netns_contents__init(&ahead->net);
	all->first = ahead;
	namespace_->content = ahead;
	assistant_give(collect->assistant, &ahead->errand);
}

/* What cannot be told here is met again, by who refuses it. */
static int start(struct collect *collect, struct error *err)
{
	(void)err;
	if (!collect->assistant || collect->looking)
		return 0;
	struct all_ahead *all = arena_new(collect->arena, struct all_ahead);
	all->world = settings_world(collect);
	for (size_t i = 0; i < ASSISTANT_THREADS; i++)
		arena_init(&all->arenas[i]);
	*all_of(collect) = all;
	for (size_t i = 0; i < collect->n_targets; i++) {
		struct target *target = &collect->targets[i];
		struct error unseen = { 0 };
		struct surveyed_namespace *met =
			target->zombie ? NULL : survey_add_task(target, NAMESPACE_NET, &unseen);
		if (met && !met->own && !met->content && !is_outside(collect, met))
			give(collect, all, met);
	}
	return 0;
}

int settings_take(struct collect *collect, const struct surveyed_namespace *namespace_,
		  NetnsContents *net, struct error *err)
{
	struct ahead *ahead = namespace_->content;

	if (!ahead)
		return 0;
	assistant_need(collect->assistant, &ahead->errand);
	if (ahead->err.name) {
		*err = ahead->err;
		return -1;
	}
	if (!ahead->is_read)
		return 0;
	net->n_settings = ahead->net.n_settings;
	net->settings = arena_array(collect->arena, NetSetting *, net->n_settings + 1);
	for (size_t i = 0; i < net->n_settings; i++) {
		const NetSetting *from = ahead->net.settings[i];
		NetSetting *setting = arena_copy(collect->arena, from, sizeof *setting);
		setting->name = arena_string(collect->arena, from->name);
		setting->value = arena_string(collect->arena, from->value);
		net->settings[i] = setting;
	}
	return 1;
}

/* Nobody reads any more, and what was read is copied. */
static void end(struct collect *collect)
{
	struct all_ahead *all = *all_of(collect);

	for (struct ahead *ahead = all ? all->first : NULL; ahead; ahead = ahead->next) {
		__atomic_store_n(&ahead->dropped, true, __ATOMIC_RELAXED);
		assistant_need(collect->assistant, &ahead->errand);
	}
	if (!all)
		return;
	settings_forget(all->world);
	for (size_t i = 0; i < ASSISTANT_THREADS; i++)
		arena_done(&all->arenas[i]);
	*all_of(collect) = NULL;
}

const struct tree_kind settings_tree_kind = {
	.name = "settings of networks",
	.read = start,
	.read_end = end,
};
