// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * No process has more descriptors than its limit. Where all sources at once would be too many, they
 * are opened batch by batch, each kept by a holder of its own, and all are fetched; then no number
 * is needed above those of the tree but for what is always inherited. What is opened late, and what
 * a kind makes all at once, is left to holders as well, which come to be as they are needed
 * (run/holders.c).
 */
#include "base/compare.h"
#include "base/table.h"
#include "model/records.h"
#include "plan/lower/build.h"

#include <inttypes.h>
#include <sys/resource.h>

enum {
	/* Of the coordinator: log, images, and what it opens for a moment. */
	OWN_DESCRIPTORS = 24,
	LARGEST_BATCH = 16384,
	FEWEST_FETCHED = 16,   /* of the coordinator */
	FEW_BESIDES = 4,       /* who sends a message, who gets it */
	FEWEST_HERE = 24,      /* before some are left to a holder */
	ROOM_BESIDE_HERE = 24, /* what a kind makes before it asks for room again */
	MORE_HOLDERS = 4,      /* that get less, as tasks are about to fetch it */
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
	uint64_t for_all;   /* for early ones */
	uint64_t left;	    /* of late ones, and for all of a kind: what holders take over */
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
		demand.meanwhile = max(demand.meanwhile, cost.meanwhile);
		if (source->way == FILE_EARLY) {
			demand.n_early++;
			demand.kept += cost.kept;
			demand.for_all += cost.for_all;
			demand.left += cost.for_all;
		} else {
			demand.n_late++;
			demand.late += 1 + cost.kept + cost.for_all;
			/* It may be left twice: by its kind, and when it is open. */
			demand.left += 2 + cost.kept + cost.for_all;
		}
		demand.pinned += cost.pinned;
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

/* How the coordinator uses what it has beside `fixed`. */
struct shares {
	uint64_t here;	  /* of what is left to holders as they are needed */
	uint64_t holders; /* these, at most */
	uint64_t fetched; /* once more from holders */
};

/* Of what is there at least seven eighths are left at a time (run/holders.c). */
static void share_out(struct shares *shares, uint64_t here, uint64_t left)
{
	shares->here = left ? here : 0;
	shares->holders = left ? left / (here * 7 / 8) + MORE_HOLDERS : 0;
}

/* With batches that are as large as can be; how many descriptors that takes. */
static uint64_t try_shares(struct plan *plan, uint64_t fixed, const struct shares *shares)
{
	uint64_t limit = descriptor_limit(plan), most;
	uint64_t here = shares->here ? shares->here + ROOM_BESIDE_HERE : 0;
	uint64_t besides = fixed + here + shares->holders;

	/* Smaller batches are more of them, and more pidfds. */
	uint64_t room = besides < limit ? (limit - besides) / 4 * 3 : 0;
	do {
		most = give_to_holders(plan, room < LARGEST_BATCH ? room : LARGEST_BATCH);
		most = besides + (most > shares->fetched ? most : shares->fetched) +
		       plan->n_holders;
		room = room / 3 * 2;
	} while (most > limit && room);
	return most;
}

static int choose_shares(struct plan *plan, const struct demand *demand, uint64_t fixed,
			 struct error *err)
{
	uint64_t limit = descriptor_limit(plan), needed = UINT64_MAX;
	struct shares shares = { .fetched = most_rights_in_flight(plan->snapshot) + FEW_BESIDES };

	shares.fetched = max(shares.fetched, FEWEST_FETCHED);
	uint64_t most_here = limit / 2 > FEWEST_HERE ? limit / 2 : FEWEST_HERE;
	for (uint64_t here = most_here; needed > limit && here >= FEWEST_HERE;
	     here = here / 4 * 3) {
		share_out(&shares, here, demand->left);
		uint64_t takes = try_shares(plan, fixed, &shares);
		needed = takes < needed ? takes : needed;
		plan->here_at_once = (uint32_t)(here < LARGEST_BATCH ? here : LARGEST_BATCH);
		if (!demand->left)
			break;
	}
	if (needed > limit)
		return fail_at_once(plan, needed, err);
	plan->fetched_at_once = (uint32_t)shares.fetched;
	plan->holder_slots = arena_array(plan->arena, uint64_t, plan->n_holders + 1);
	return 0;
}

static uint64_t needed_by_trees(const struct plan *plan)
{
	uint64_t needed = 0;

	for (const struct tree_kind *const *tree = plan->kinds->trees; tree && *tree; tree++)
		if ((*tree)->descriptors)
			needed += (*tree)->descriptors(plan->snapshot);
	return needed;
}

/* How many holders it takes; 0: who makes the first task can have all. */
int sources_choose_holders(struct plan *plan, struct error *err)
{
	const struct demand demand = sum_demand(plan);
	uint64_t limit = descriptor_limit(plan), own;

	own = OWN_DESCRIPTORS + demand.meanwhile + needed_by_trees(plan);
	uint64_t kept_apart = demand.n_held_back - demand.n_late;
	uint64_t all = demand.pinned + demand.for_all + demand.late + own;

	if (sources_end(plan) + FETCH_ROOM <= limit && demand.n_early + demand.kept + all <= limit)
		return 0;
	uint64_t needed = plan->first_source + kept_apart + FETCH_ROOM;
	if (needed > limit)
		return fail_limit(plan, needed, err);
	/* A pidfd of each holder, and one batch at a time. */
	return choose_shares(plan, &demand, own + kept_apart + demand.pinned + most_together(plan),
			     err);
}
