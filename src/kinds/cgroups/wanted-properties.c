// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which properties of a cgroup are recorded: those of the table, by what their names begin with,
 * and what --cgroup-props says, in the form of criu(8):
 *
 *	"cpu":
 *	 - "strategy": "replace"
 *	 - "properties": ["cpu.shares"]
 *
 * The order of the table is that in which they are written: what others depend on comes first.
 */
#include "kinds/cgroups/wanted-properties.h"

#include "kinds/cgroups/cgroups.h"
#include "model/cgroups.h"

#include <string.h>

/* Of every hierarchy (v1), or of v2, which has the files of all of its controllers. */
static const char *const known[] = {
	"cgroup.type",
	"cpuset.cpus",
	"cpuset.mems",
	"cgroup.clone_children",
	"memory.use_hierarchy",
	CGROUP_PASSED_ON,
	"cgroup.max.descendants",
	"cgroup.max.depth",
	"notify_on_release",
	"cpuset.memory_migrate",
	"cpuset.cpu_exclusive",
	"cpuset.mem_exclusive",
	"cpuset.mem_hardwall",
	"cpuset.memory_spread_page",
	"cpuset.memory_spread_slab",
	"cpuset.sched_load_balance",
	"cpuset.sched_relax_domain_level",
	"cpuset.cpus.exclusive",
	"cpuset.cpus.partition",
	"cpu.shares",
	"cpu.cfs_period_us",
	"cpu.cfs_quota_us",
	"cpu.cfs_burst_us",
	"cpu.rt_period_us",
	"cpu.rt_runtime_us",
	"cpu.weight",
	"cpu.max",
	"cpu.max.burst",
	"cpu.idle",
	"cpu.uclamp.min",
	"cpu.uclamp.max",
	"memory.limit_in_bytes",
	"memory.memsw.limit_in_bytes",
	"memory.kmem.tcp.limit_in_bytes",
	"memory.soft_limit_in_bytes",
	"memory.swappiness",
	"memory.oom_control",
	"memory.min",
	"memory.low",
	"memory.high",
	"memory.max",
	"memory.swap.high",
	"memory.swap.max",
	"memory.zswap.max",
	"memory.zswap.writeback",
	"memory.oom.group",
	"blkio.weight",
	"blkio.bfq.weight",
	"blkio.throttle.read_bps_device",
	"blkio.throttle.write_bps_device",
	"blkio.throttle.read_iops_device",
	"blkio.throttle.write_iops_device",
	"io.weight",
	"io.bfq.weight",
	"io.max",
	"io.latency",
	"io.prio.class",
	"pids.max",
	"devices.list",
	"net_cls.classid",
	"net_prio.ifpriomap",
	"hugetlb.2MB.limit_in_bytes",
	"hugetlb.1GB.limit_in_bytes",
	"hugetlb.2MB.rsvd.limit_in_bytes",
	"hugetlb.1GB.rsvd.limit_in_bytes",
	"hugetlb.2MB.max",
	"hugetlb.1GB.max",
	"hugetlb.2MB.rsvd.max",
	"hugetlb.1GB.rsvd.max",
	"rdma.max",
	"misc.max",
	"cgroup.pressure",
};

/* The first ones of the table. */
static const char *const early[] = { "cgroup.type",	     "cpuset.cpus",
				     "cpuset.mems",	     "cgroup.clone_children",
				     "memory.use_hierarchy", CGROUP_PASSED_ON };

static const char *const harmful[] = { "cgroup.procs",	"cgroup.threads",
				       "tasks",		"cgroup.kill",
				       "release_agent", "cgroup.event_control",
				       "cgroup.freeze", "memory.force_empty",
				       "freezer.state" };

static bool is_among(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

bool cgroup_property_is_early(const char *name)
{
	return is_among(early, sizeof early / sizeof *early, name);
}

bool cgroup_property_is_harmless(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/') &&
	       !is_among(harmful, sizeof harmful / sizeof *harmful, name);
}

/* "cpu.shares" is of "cpu", "cgroup.type" and what has no dot of all. */
static bool is_of(const char *hierarchy, const char *name)
{
	char controller[32];
	size_t length = strcspn(name, ".");

	if (!*hierarchy || !name[length] || strncmp(name, "cgroup.", 7) == 0)
		return true;
	if (length >= sizeof controller)
		return false;
	memcpy(controller, name, length);
	controller[length] = '\0';
	return cgroup_hierarchy_has(hierarchy, controller);
}

/* ---- --cgroup-props ---- */

/* The next word, without its quotes; the punctuation between words says nothing that counts. */
static const char *next_word(struct arena *arena, const char **at)
{
	*at += strspn(*at, " \t\r\n\"'-:,[]{}");
	size_t length = strcspn(*at, " \t\r\n\"':,[]{}");
	const char *word = length ? arena_printf(arena, "%.*s", (int)length, *at) : NULL;

	*at += length;
	return word;
}

static int fail_form(const char *word, struct error *err)
{
	fail(err, ERR_USAGE, "--cgroup-props: \"%s\" is not expected there", word ? word : "");
	return fail_hint(err, "give NAME: - strategy: merge|replace - properties: [NAME, ...]");
}

struct wish {
	const char *controller;
	bool replaces;
	struct texts names;
};

/* Up to the next word that is followed by a list of its own; that is in *word then. */
static int parse_wish(struct arena *arena, const char **at, const char **word, struct wish *wish,
		      struct error *err)
{
	*wish = (struct wish){ .controller = *word };
	*word = next_word(arena, at);
	if (!*word || strcmp(*word, "strategy") != 0)
		return fail_form(*word, err);
	const char *strategy = next_word(arena, at);
	if (!strategy || (strcmp(strategy, "merge") != 0 && strcmp(strategy, "replace") != 0))
		return fail_form(strategy, err);
	wish->replaces = strcmp(strategy, "replace") == 0;
	*word = next_word(arena, at);
	if (!*word || strcmp(*word, "properties") != 0)
		return fail_form(*word, err);
	const char *end = strchr(*at, ']');
	if (!end)
		return fail_form(*word, err);
	while (*at < end && (*word = next_word(arena, at)) && *at <= end) {
		if (!cgroup_property_is_harmless(*word))
			return fail(err, ERR_USAGE, "--cgroup-props: %s is no property", *word);
		texts_add(&wish->names, arena, *word);
		*at += strspn(*at, " \t\r\n\"',");
	}
	*at = end;
	*word = next_word(arena, at);
	return 0;
}

/* ---- --cgroup-dump-controller ---- */

/* "cpu.max" is of "cpu". */
static bool is_named_after(const char *name, const char *controller)
{
	size_t length = strlen(controller);

	return length && strncmp(name, controller, length) == 0 && name[length] == '.';
}

/* Of a hierarchy that is chosen; of v2, which has many controllers, by the name. */
static bool is_chosen(const struct cgroup_wishes *wishes, const char *hierarchy, const char *name)
{
	for (size_t i = 0; i < wishes->controllers.count; i++) {
		const char *chosen = wishes->controllers.texts[i];
		if (cgroup_hierarchy_has(hierarchy, chosen) ||
		    (!*hierarchy && is_named_after(name, chosen)))
			return true;
	}
	return wishes->controllers.count == 0;
}

static bool is_controller(const CgSetEntry *set, const char *name)
{
	for (size_t i = 0; i < set->n_ctls; i++) {
		const char *hierarchy = set->ctls[i]->name;
		if (cgroup_hierarchy_has(hierarchy, name))
			return true;
		for (size_t k = 0; !*hierarchy && k < sizeof known / sizeof *known; k++)
			if (is_named_after(known[k], name))
				return true;
	}
	return false;
}

int cgroup_check_chosen(const struct cgroup_wishes *wishes, const CgSetEntry *set,
			struct error *err)
{
	for (size_t i = 0; i < wishes->controllers.count; i++)
		if (!is_controller(set, wishes->controllers.texts[i]))
			return fail(err, ERR_USAGE,
				    "--cgroup-dump-controller %s: the tree is in no cgroup of such "
				    "a controller",
				    wishes->controllers.texts[i]);
	return 0;
}

int cgroup_wanted_properties(struct arena *arena, const struct cgroup_wishes *wishes,
			     const char *hierarchy, struct texts *ret_names, struct error *err)
{
	const char *at = wishes->properties ? wishes->properties : "", *word;
	bool replaced = wishes->ignore_default_properties;
	struct texts own = { 0 };
	struct wish wish;

	for (word = next_word(arena, &at); word;) {
		if (parse_wish(arena, &at, &word, &wish, err))
			return -1;
		if (!cgroup_hierarchy_has(hierarchy, wish.controller))
			continue;
		replaced = replaced || wish.replaces;
		for (size_t i = 0; i < wish.names.count; i++)
			texts_add(&own, arena, wish.names.texts[i]);
	}
	*ret_names = (struct texts){ 0 };
	for (size_t i = 0; !replaced && i < sizeof known / sizeof *known; i++)
		if (is_of(hierarchy, known[i]) && is_chosen(wishes, hierarchy, known[i]))
			texts_add(ret_names, arena, known[i]);
	for (size_t i = 0; i < own.count; i++)
		if (is_chosen(wishes, hierarchy, own.texts[i]))
			texts_add(ret_names, arena, own.texts[i]);
	return 0;
}
