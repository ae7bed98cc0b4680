// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * When the settings of a namespace are read. Most of what a network namespace costs at a dump is
 * the kernel's work of finding and printing hundreds of files, and nothing is decided by it. So it
 * is left to the assistant, by whoever has read the rest, and waited for once all namespaces have
 * been read. Where there is no assistant, or who reads is a process of its own, it is done at once.
 */
#include "kinds/net/settings-read.h"

#include "base/arena.h"
#include "collect/assistant.h"
#include "collect/collect.h"
#include "kernel/aside.h"

#include <errno.h>

/* One namespace. */
struct ahead {
	struct errand errand;
	struct ahead *next;
	struct settings_state *state;
	int namespace_fd;
	NetnsContents *net, found;
	struct settings_reading reading;
	int result, failure;
};

struct settings_state {
	struct settings_shared shared;
	struct arena arenas[ASSISTANT_THREADS]; /* what each finds lies there to the end */
	struct ahead *first;
};

static struct settings_state *state_of(struct collect *collect)
{
	static const char owner;
	void **state = collect_state(collect, &owner);

	if (!*state)
		*state = arena_new(collect->arena, struct settings_state);
	return *state;
}

static int fail_settings(uint32_t id, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED,
			  "cannot read the settings of network namespace %u", id);
}

static int read_told(struct settings_reading *reading, struct netlink *netlink, struct arena *arena,
		     const NetnsContents *net, uint32_t id, struct error *err)
{
	reading->told = settings_told(netlink, arena, net);
	return reading->told ? 0
			     : fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot read the parameters of interfaces of network "
					  "namespace %u",
					  id);
}

int settings_collect(struct netlink *netlink, struct collect *collect, NetnsContents *net,
		     uint32_t id, struct error *err)
{
	struct settings_reading reading = {
		.arena = collect->arena,
		.net = net,
		.fresh = settings_fresh(collect, err),
		.shared = &state_of(collect)->shared,
	};

	if (!reading.fresh || read_told(&reading, netlink, collect->arena, net, id, err))
		return -1;
	return settings_read(&reading) < 0 ? fail_settings(id, err) : 0;
}

static int read_there(void *data)
{
	return settings_read(data);
}

static void read_ahead(struct errand *errand, enum assistant_thread thread)
{
	struct ahead *ahead = (struct ahead *)errand;

	ahead->reading.arena = &ahead->state->arenas[thread];
	ahead->result = aside_in_net(ahead->namespace_fd, read_there, &ahead->reading);
	ahead->failure = errno;
}

int settings_begin(struct netlink *netlink, struct collect *collect, int namespace_fd,
		   NetnsContents *net, uint32_t id, struct error *err)
{
	struct settings_state *state = state_of(collect);
	const NetnsContents *fresh = collect->assistant ? settings_fresh(collect, err) : NULL;

	if (!fresh)
		return settings_collect(netlink, collect, net, id, err);
	struct ahead *ahead = arena_new(collect->arena, struct ahead);
	*ahead = (struct ahead){ .errand.run = read_ahead,
				 .next = state->first,
				 .state = state,
				 .namespace_fd = namespace_fd,
				 .net = net,
				 .found = NETNS_CONTENTS__INIT };
	ahead->reading = (struct settings_reading){
		.net = &ahead->found,
		.fresh = fresh,
		.shared = &state->shared,
	};
	state->first = ahead;
	if (read_told(&ahead->reading, netlink, collect->arena, net, id, err))
		return -1;
	assistant_give(collect->assistant, &ahead->errand);
	return 0;
}

static void need_all(struct collect *collect)
{
	for (struct ahead *ahead = state_of(collect)->first; ahead; ahead = ahead->next)
		if (ahead->errand.state != ERRAND_NOT_GIVEN)
			assistant_need(collect->assistant, &ahead->errand);
}

/* Two that read at once hold more descriptors than one. */
static void read_alone(struct collect *collect, struct ahead *ahead)
{
	need_all(collect);
	ahead->found = (NetnsContents)NETNS_CONTENTS__INIT;
	read_ahead(&ahead->errand, THREAD_FIRST);
}

int settings_complete(struct collect *collect, NetnsContents *net, uint32_t id, struct error *err)
{
	const struct settings_list list = { collect->arena, net };
	struct ahead *ahead = state_of(collect)->first;

	while (ahead && ahead->net != net)
		ahead = ahead->next;
	if (!ahead || ahead->errand.state == ERRAND_NOT_GIVEN)
		return 0;
	assistant_need(collect->assistant, &ahead->errand);
	if (ahead->result < 0 && ahead->failure == EMFILE)
		read_alone(collect, ahead);
	errno = ahead->failure;
	if (ahead->result < 0)
		return fail_settings(id, err);
	for (size_t i = 0; i < ahead->found.n_settings; i++)
		settings_add(&list, ahead->found.settings[i]->name,
			     ahead->found.settings[i]->value);
	return 0;
}

void settings_end(struct collect *collect)
{
	struct settings_state *state = state_of(collect);

	need_all(collect);
	for (size_t i = 0; i < ASSISTANT_THREADS; i++)
		arena_done(&state->arenas[i]);
	*state = (struct settings_state){ 0 };
}
