// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which cgroups of v1 count an eventfd up: neither the cgroup nor the eventfd tells. In the
 * kernel's memory such a cgroup is one of those who wait at the eventfd, within a structure that
 * leads back to it (memcg_write_event_control, mm/memcontrol-v1.c). What for is in one of four
 * lists of the cgroup; all that wait have to be found there. Where nobody may look it is lost.
 */
#include "kinds/cgroups/events.h"

#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"
#include "kinds/cgroups/cgroups.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* To see that there is one, */
#define NEEDED(X)                                    \
	X(FILE_DATA, "file", "private_data")         \
	X(EVENTFD_WAITERS, "eventfd_ctx", "wqh")     \
	X(WAITERS_LIST, "wait_queue_head", "head")   \
	X(LIST_NEXT, "list_head", "next")            \
	X(WAITER_ENTRY, "wait_queue_entry", "entry") \
	X(EVENT_OF, "mem_cgroup_event", "eventfd")   \
	X(EVENT_WAITER, "mem_cgroup_event", "wait")  \
	X(EVENT_CGROUP, "mem_cgroup_event", "memcg")

/* and what for. */
#define PLACES(X)                                            \
	X(USAGE, "mem_cgroup", "thresholds")                 \
	X(SWAP_USAGE, "mem_cgroup", "memsw_thresholds")      \
	X(OOM_LIST, "mem_cgroup", "oom_notify")              \
	X(PRESSURE, "mem_cgroup", "vmpressure")              \
	X(TABLE, "mem_cgroup_thresholds", "primary")         \
	X(TABLE_SIZE, "mem_cgroup_threshold_ary", "size")    \
	X(TABLE_ROWS, "mem_cgroup_threshold_ary", "entries") \
	X(ROW_SIZE, "mem_cgroup_threshold", "")              \
	X(ROW_OF, "mem_cgroup_threshold", "eventfd")         \
	X(ROW_PAGES, "mem_cgroup_threshold", "threshold")    \
	X(OOM_LINKS, "mem_cgroup_eventfd_list", "list")      \
	X(OOM_OF, "mem_cgroup_eventfd_list", "eventfd")      \
	X(PRESSURE_LIST, "vmpressure", "events")             \
	X(PRESSURE_LINKS, "vmpressure_event", "node")        \
	X(PRESSURE_OF, "vmpressure_event", "efd")            \
	X(PRESSURE_LEVEL, "vmpressure_event", "level")       \
	X(PRESSURE_MODE, "vmpressure_event", "mode")         \
	X(STATE, "mem_cgroup", "css")                        \
	X(STATE_CGROUP, "cgroup_subsys_state", "cgroup")     \
	X(CGROUP_NODE, "cgroup", "kn")                       \
	X(NODE_NUMBER, "kernfs_node", "id")

enum before { NEEDED(BTF_NUMBER) N_NEEDED };
KERNEL_PLACES_AFTER(NEEDED, N_NEEDED, PLACES, N_NEEDED);
enum { MOST_IN_LIST = 10000 };

const char *const pressure_levels[] = { "low", "medium", "critical" };
const char *const pressure_modes[] = { "default", "hierarchy", "local" };

struct reading {
	const struct open_file *file;
	struct kernel_reader *by;
	const char *hierarchy;
	uint64_t eventfd;
	uint64_t *cgroups; /* of each that waits, its mem_cgroup */
	size_t n_cgroups;
	EventfdFileEntry *record;
};

/* *ret: the hierarchy of v1 that has the controller; NULL: there is none. */
static int find_hierarchy(struct collect *collect, const char **ret, struct error *err)
{
	char *text;

	*ret = NULL;
	if (procfs_read(collect->arena, AT_FDCWD, "/proc/self/cgroup", &text) < 0)
		return errno == ENOENT ? 0
				       : fail_errno(err, ERR_KERNEL_REFUSED,
						    "cannot read /proc/self/cgroup");
	const CgSetEntry *own = cgroup_parse_set(collect->snapshot, text, 0, err);
	if (!own)
		return -1;
	for (size_t i = 0; i < own->n_ctls; i++)
		if (cgroup_hierarchy_has(own->ctls[i]->name, EVENTS_CONTROLLER))
			*ret = own->ctls[i]->name;
	return 0;
}

struct events {
	const char *hierarchy;
	bool unseen; /* there are eventfds, and nobody may look */
};

static struct events **state_of(struct collect *collect)
{
	static const char owner;

	return (struct events **)collect_state(collect, &owner);
}

/* Looked for once in a dump; NULL with err. */
static struct events *events_of(struct collect *collect, struct error *err)
{
	struct events **known = state_of(collect);
	const char *name;

	if (!*known && !find_hierarchy(collect, &name, err)) {
		*known = arena_new(collect->arena, struct events);
		(*known)->hierarchy = name;
	}
	return *known;
}

static uint64_t container_of(const struct kernel_reader *by, uint64_t inside, size_t place)
{
	return inside - kernel_inside(by, 0, place);
}

/*
 * From one link of a list, or its head, to what holds the next; 0 at the end. `n` counts those
 * that were there.
 */
static uint64_t next_in_list(struct kernel_reader *by, uint64_t head, uint64_t *link, size_t place,
			     size_t *n)
{
	*link = kernel_pointer(by, *link, LIST_NEXT);
	if (++*n > MOST_IN_LIST)
		kernel_has_changed(by);
	return by->failure || *link == head ? 0 : container_of(by, *link, place);
}

/* ---- who waits ---- */

static void find_waiting(struct reading *reading)
{
	struct kernel_reader *by = reading->by;
	uint64_t head = kernel_inside(by, kernel_inside(by, reading->eventfd, EVENTFD_WAITERS),
				      WAITERS_LIST);
	uint64_t link = head, waiter;
	size_t n = 0;

	while ((waiter = next_in_list(by, head, &link, WAITER_ENTRY, &n))) {
		uint64_t event = container_of(by, waiter, EVENT_WAITER);
		if (kernel_pointer(by, event, EVENT_OF) != reading->eventfd || by->failure)
			continue;
		reading->cgroups = arena_grow(by->arena, reading->cgroups, reading->n_cgroups,
					      sizeof *reading->cgroups);
		reading->cgroups[reading->n_cgroups++] = kernel_pointer(by, event, EVENT_CGROUP);
	}
}

/* ---- what for ---- */

static void add(struct reading *reading, const char *name, const char *argument)
{
	struct snapshot *snapshot = reading->file->target->collect->snapshot;
	EventfdFileEntry *record = reading->record;
	CgroupEventEntry *event = snapshot_new(snapshot, CGROUP_EVENT_ENTRY, CgroupEventEntry);

	event->hierarchy = arena_string(snapshot->arena, reading->hierarchy);
	event->file = arena_string(snapshot->arena, name);
	event->argument = arena_string(snapshot->arena, argument);
	record->cgroup_events = arena_grow(snapshot->arena, record->cgroup_events,
					   record->n_cgroup_events, sizeof event);
	record->cgroup_events[record->n_cgroup_events++] = event;
}

static void add_thresholds(struct reading *reading, uint64_t thresholds, const char *name)
{
	struct kernel_reader *by = reading->by;
	uint64_t table = kernel_pointer(by, thresholds, TABLE);
	uint32_t size = table ? kernel_number(by, table, TABLE_SIZE) : 0;

	if (size > MOST_IN_LIST)
		kernel_has_changed(by);
	for (uint32_t i = 0; i < size && !by->failure; i++) {
		uint64_t row = kernel_inside(by, table, TABLE_ROWS) +
			       i * (uint64_t)by->places[ROW_SIZE].offset;
		if (kernel_pointer(by, row, ROW_OF) != reading->eventfd)
			continue;
		uint64_t bytes = kernel_pointer(by, row, ROW_PAGES) * (uint64_t)getpagesize();
		add(reading, name, arena_printf(by->arena, "%" PRIu64, bytes));
	}
}

static void add_oom(struct reading *reading, uint64_t cgroup)
{
	struct kernel_reader *by = reading->by;
	uint64_t head = kernel_inside(by, cgroup, OOM_LIST), link = head, listed;
	size_t n = 0;

	while ((listed = next_in_list(by, head, &link, OOM_LINKS, &n)))
		if (kernel_pointer(by, listed, OOM_OF) == reading->eventfd)
			add(reading, EVENTS_OOM, "");
}

static void add_pressure(struct reading *reading, uint64_t cgroup)
{
	struct kernel_reader *by = reading->by;
	uint64_t head = kernel_inside(by, kernel_inside(by, cgroup, PRESSURE), PRESSURE_LIST);
	uint64_t link = head, listed;
	size_t n = 0;

	while ((listed = next_in_list(by, head, &link, PRESSURE_LINKS, &n))) {
		if (kernel_pointer(by, listed, PRESSURE_OF) != reading->eventfd)
			continue;
		uint32_t level = kernel_number(by, listed, PRESSURE_LEVEL);
		uint32_t mode = kernel_number(by, listed, PRESSURE_MODE);
		if (level >= PRESSURE_LEVELS || mode >= PRESSURE_MODES)
			kernel_has_changed(by);
		else
			add(reading, EVENTS_PRESSURE,
			    arena_printf(by->arena, "%s,%s", pressure_levels[level],
					 pressure_modes[mode]));
	}
}

static uint64_t number_of(struct kernel_reader *by, uint64_t cgroup)
{
	uint64_t state = kernel_inside(by, cgroup, STATE);
	uint64_t node = kernel_pointer(by, kernel_pointer(by, state, STATE_CGROUP), CGROUP_NODE);

	return kernel_pointer(by, node, NODE_NUMBER);
}

static int fail_unseen(const struct reading *reading, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot see whether a cgroup counts it up",
			  reading->file->what);
}

/* All of one cgroup, that `wait` of them wait for. */
static int read_cgroup(struct reading *reading, uint64_t cgroup, size_t wait, struct error *err)
{
	struct kernel_reader *by = reading->by;
	size_t before = reading->record->n_cgroup_events;
	char *path;

	add_thresholds(reading, kernel_inside(by, cgroup, USAGE), EVENTS_USAGE);
	add_thresholds(reading, kernel_inside(by, cgroup, SWAP_USAGE), EVENTS_SWAP_USAGE);
	add_oom(reading, cgroup);
	add_pressure(reading, cgroup);
	uint64_t number = number_of(by, cgroup);
	if (reading->record->n_cgroup_events - before != wait)
		kernel_has_changed(by);
	if (kernel_reader_end(by))
		return fail_unseen(reading, err);
	if (cgroup_path_by_number(reading->file, reading->hierarchy,
				  "an eventfd that is counted up by", number, &path, err))
		return -1;
	for (size_t i = before; i < reading->record->n_cgroup_events; i++)
		reading->record->cgroup_events[i]->path = path;
	return 0;
}

static bool all_places_are_found(const struct kernel_reader *by)
{
	for (size_t i = 0; i < N_PLACES; i++)
		if (!by->places[i].found)
			return false;
	return true;
}

static int read_cgroups(struct reading *reading, struct error *err)
{
	if (reading->n_cgroups && !all_places_are_found(reading->by))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an eventfd that a cgroup of v1 counts up (cgroup.event_control), "
			    "this kernel does not show what for",
			    reading->file->what);
	for (size_t i = 0; i < reading->n_cgroups; i++) {
		uint64_t cgroup = reading->cgroups[i];
		size_t wait = 1;
		if (!cgroup)
			continue;
		for (size_t k = i + 1; k < reading->n_cgroups; k++)
			if (reading->cgroups[k] == cgroup) {
				reading->cgroups[k] = 0;
				wait++;
			}
		if (read_cgroup(reading, cgroup, wait, err))
			return -1;
	}
	return 0;
}

int cgroup_events_read(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct reading reading = { .file = file, .record = entry->efd };
	struct events *events = events_of(collect, err);

	if (!events || !events->hierarchy)
		return events ? 0 : -1;
	reading.hierarchy = events->hierarchy;
	int cannot = collect_read_kernel(collect, &places, &reading.by);
	if (cannot > 0) {
		events->unseen = true;
		return 0;
	}
	if (cannot)
		return fail_unseen(&reading, err);
	uint64_t address = target_file_address(file->target, file->number);
	int fd = address ? -1 : collect_borrow_file(file, err);
	if (!address && fd < 0)
		return -1;
	if (!address)
		address = kernel_file(reading.by, fd);
	reading.eventfd = kernel_pointer(reading.by, address, FILE_DATA);
	find_waiting(&reading);
	return kernel_reader_end(reading.by) ? fail_unseen(&reading, err)
					     : read_cgroups(&reading, err);
}

void cgroup_events_warn(struct collect *collect, const CgroupEntry *cgroups)
{
	const struct events *events = *state_of(collect);

	if (!events || !events->unseen)
		return;
	const CgMemberEntry *own = cgroup_member(cgroups->sets[0], events->hierarchy);
	for (size_t i = 1; own && i < cgroups->n_sets; i++) {
		const CgMemberEntry *at = cgroup_member(cgroups->sets[i], events->hierarchy);
		if (!at || strcmp(at->path, own->path) == 0)
			continue;
		log_warning("collect", "cgroups",
			    "cannot see whether %s counts eventfds up (cgroup.event_control), "
			    "which takes CAP_BPF and CAP_PERFMON: it counts none up after a "
			    "restore",
			    at->path);
		return;
	}
}
