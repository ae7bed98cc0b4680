// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * No process has more descriptors than its limit. Where all sources at once would be too many, they
 * are opened batch by batch, each kept by a holder of its own, and all are fetched; then no number
 * is needed above those of the tree but for what is always inherited.
 */
#include "base/table.h"
#include "model/records.h"
#include "plan/lower/build.h"

#include <inttypes.h>
#include <sys/resource.h>

enum {
	/* Of the coordinator: log, images, and what kinds keep for a while. */
	OWN_DESCRIPTORS = 128,
	LARGEST_BATCH = 16384,
	FEWEST_FETCHED = 16, /* of the coordinator */
	MOST_FETCHED = 256,
};

/* Of one message: whoever sends it has all of them. */
static uint64_t most_rights_in_flight(const struct snapshot *snapshot)
{
	const struct records *packets = snapshot_records(snapshot, IMAGE_SK_QUEUES);
	uint64_t most = 0;

	for (size_t i = 0; i < packets->count; i++) {
		const SkPacketEntry *packet = packets->records[i]->message;
		uint64_t rights = 0;
		for (size_t k = 0; k < packet->n_scm; k++)
			rights += packet->scm[k]->n_rights;
		most = rights > most ? rights : most;
	}
	return most;
}

/* What a process may have open; no more is ever needed than the tree itself and its sources. */
static uint64_t descriptor_limit(const struct plan *plan)
{
	const struct rlimit *limit = &plan->facts->rlimits[RLIMIT_NOFILE];

	/* Not known: plans made for tests. */
	return limit->rlim_max ? limit->rlim_max : UINT64_MAX;
}

static int fail_limit(const struct plan *plan, uint64_t needed, struct error *err)
{
	fail(err, ERR_LIMIT_TOO_LOW,
	     "making the tree takes %" PRIu64 " descriptors in one process, the limit is %" PRIu64,
	     needed, descriptor_limit(plan));
	return fail_hint(err, "raise the hard limit of open files (ulimit -Hn)");
}

/* What the coordinator has of one kind at once, whatever holders there are. */
struct share {
	const struct file_kind *kind;
	uint64_t descriptors;
};

/* The kind to which most of that goes, for people: what they would have to have less of. */
static struct share largest_share(const struct plan *plan)
{
	struct share largest = { 0 };

	for (const struct file_kind *const *kind = plan->kinds->files; kind && *kind; kind++) {
		struct share share = { *kind, 0 };
		for (size_t i = 0; i < plan->n_sources; i++) {
			const struct source *source = &plan->sources[i];
			if (!source->file || kind_of_file(plan->kinds, source->file) != *kind)
				continue;
			struct file_cost cost =
				file_cost(plan->kinds, plan->snapshot, source->file);
			share.descriptors += cost.pinned;
			if (source->way != FILE_EARLY)
				share.descriptors += 1 + cost.kept;
		}
		if (share.descriptors > largest.descriptors)
			largest = share;
	}
	return largest;
}

static int fail_at_once(const struct plan *plan, uint64_t needed, struct error *err)
{
	struct share share = largest_share(plan);

	if (!share.descriptors)
		return fail_limit(plan, needed, err);
	fail(err, ERR_LIMIT_TOO_LOW,
	     "making the tree takes %" PRIu64 " descriptors in one process, %" PRIu64
	     " of them at once for all files of the kind \"%s\", the limit is %" PRIu64,
	     needed, share.descriptors, share.kind->name, descriptor_limit(plan));
	return fail_hint(err, "raise the hard limit of open files (ulimit -Hn)");
}

/* Who stays with the coordinator, however many holders there are. */
static bool is_held_back(const struct source *source)
{
	return source_is_always_inherited(source) || source->way != FILE_EARLY;
}

/* What all of it takes of the coordinator's descriptors. */
struct demand {
	uint64_t n_early, n_late, n_held_back;
	uint64_t kept;	    /* for early ones, besides these */
	uint64_t pinned;    /* the same, and no holder takes it over */
	uint64_t late;	    /* for late ones, with these */
	uint64_t meanwhile; /* for one at a time */
};

static struct file_cost cost_of(const struct plan *plan, const struct source *source)
{
	return source->file ? file_cost(plan->kinds, plan->snapshot, source->file)
			    : (struct file_cost){ 0 };
}

/* How many are opened at once because they are of one object, at most. */
static uint64_t most_together(const struct plan *plan)
{
	const struct snapshot *snapshot = plan->snapshot;
	struct table counts = { 0 };
	uint64_t most = 0;

	for (size_t i = 0; i < snapshot->n_files; i++) {
		const FileEntry *file = snapshot->files[i];
		struct file_cost cost = file_cost(plan->kinds, snapshot, file);
		if (!cost.together)
			continue;
		uint64_t key = (uint64_t)file->type << 32 | cost.object;
		uint64_t *count = table_find(&counts, key);
		if (!count) {
			count = arena_new(plan->arena, uint64_t);
			table_add(&counts, plan->arena, key, count);
		}
		most = ++*count > most ? *count : most;
	}
	return most;
}

static struct demand sum_demand(const struct plan *plan)
{
	struct demand demand = { 0 };

	for (size_t i = 0; i < plan->n_sources; i++) {
		const struct source *source = &plan->sources[i];
		struct file_cost cost = cost_of(plan, source);
		demand.n_held_back += is_held_back(source);
		if (cost.meanwhile > demand.meanwhile)
			demand.meanwhile = cost.meanwhile;
		if (source->way == FILE_EARLY) {
			demand.n_early++;
			demand.kept += cost.kept;
			demand.pinned += cost.pinned;
		} else {
			demand.n_late++;
			demand.late += 1 + cost.kept + cost.pinned;
		}
	}
	return demand;
}

/* Deals out what is open at one time, up to `room`; returns how much the largest batch takes. */
static uint64_t give_to_holders(struct plan *plan, uint64_t room)
{
	uint64_t load = 0, largest = 0;
	uint32_t holder = 1;

	for (size_t i = 0; i < plan->n_sources; i++) {
		struct source *source = &plan->sources[i];
		source->holder = 0;
		if (is_held_back(source))
			continue;
		uint64_t takes = 1 + cost_of(plan, source).kept;
		if (load && load + takes > room) {
			holder++;
			load = 0;
		}
		load += takes;
		largest = load > largest ? load : largest;
		source->holder = holder;
	}
	plan->n_holders = holder;
	return largest;
}

/* How many holders it takes; 0: who makes the first task can have all. */
int sources_choose_holders(struct plan *plan, struct error *err)
{
	const struct demand demand = sum_demand(plan);
	uint64_t limit = descriptor_limit(plan), own = OWN_DESCRIPTORS + demand.meanwhile;
	uint64_t kept_apart = demand.n_held_back - demand.n_late;

	/* The coordinator has the early ones above the numbers that they get. */
	if (plan->first_source + 2 * demand.n_early + demand.late + own <= limit &&
	    demand.n_early + demand.kept + demand.pinned + demand.late + own <= limit)
		return 0;
	uint64_t needed = plan->first_source + kept_apart + FETCH_ROOM;
	/* A pidfd of each holder, and one batch at a time, and when all are away what is late. */
	uint64_t fixed = own + kept_apart + demand.pinned + most_together(plan);
	uint64_t fetched = most_rights_in_flight(plan->snapshot) + 1;
	if (fetched < FEWEST_FETCHED)
		fetched = FEWEST_FETCHED;
	uint64_t at_end = demand.late + fetched;
	if (needed > limit || fixed + at_end + 2 > limit)
		return needed > fixed + at_end + 2 ? fail_limit(plan, needed, err)
						   : fail_at_once(plan, fixed + at_end + 2, err);
	/* Smaller batches are more of them, and more pidfds. */
	uint64_t room = (limit - fixed) / 4 * 3, most;
	do {
		most = give_to_holders(plan, room < LARGEST_BATCH ? room : LARGEST_BATCH);
		most = fixed + (most > at_end ? most : at_end) + plan->n_holders;
		room = room / 3 * 2;
	} while (most > limit && room);
	if (most > limit)
		return fail_at_once(plan, most, err);
	fetched += limit - fixed - at_end - plan->n_holders;
	plan->fetched_at_once = (uint32_t)(fetched < MOST_FETCHED ? fetched : MOST_FETCHED);
	plan->holder_slots = arena_array(plan->arena, uint64_t, plan->n_holders + 1);
	return 0;
}
