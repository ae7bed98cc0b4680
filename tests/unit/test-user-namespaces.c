// SPDX-License-Identifier: LGPL-2.1-or-later
/* User namespaces in the snapshot: linked, seen from inside, and refused where they cannot be. */
#include "model-fixture.h"

#include "plan/lower/build.h"
#include "plan/search/tree.h"

#include <linux/sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { DUMPER_USERS = 9, USERS = 10, LOWER_USERS = 11, OTHER_USERS = 12 };

static NsEntry *add_users(struct snapshot *snapshot, uint32_t id, uint32_t parent)
{
	NsEntry *entry = snapshot_new(snapshot, NS_ENTRY, NsEntry);

	entry->id = id;
	entry->ns_cflag = CLONE_NEWUSER;
	entry->has_parent_id = true;
	entry->parent_id = parent;
	entry->has_owner_uid = true;
	entry->user_ext = snapshot_new(snapshot, USERNS_ENTRY, UsernsEntry);
	snapshot_add_namespace(snapshot, entry);
	return entry;
}

/* The same extent in both maps. */
static void add_extent(struct snapshot *snapshot, UsernsEntry *maps, uint32_t first,
		       uint32_t lower_first, uint32_t count)
{
	UidGidExtent *extent = snapshot_new(snapshot, UID_GID_EXTENT, UidGidExtent);
	size_t n = maps->n_uid_map;

	*extent = (UidGidExtent){
		.base = extent->base, .first = first, .lower_first = lower_first, .count = count
	};
	maps->uid_map = arena_grow(snapshot->arena, maps->uid_map, n, sizeof extent);
	maps->gid_map = arena_grow(snapshot->arena, maps->gid_map, n, sizeof extent);
	maps->uid_map[n] = maps->gid_map[n] = extent;
	maps->n_uid_map = maps->n_gid_map = n + 1;
}

/*
 * The tree of fixture_make_tree; its last two tasks are in LOWER_USERS, which owns INNER, is owned
 * by uid 1 of USERS and has two extents. OTHER_USERS is not mapped.
 */
static NsEntry *make_users(struct snapshot *snapshot, struct arena *arena)
{
	fixture_make_tree(snapshot, arena);
	NsEntry *lower = add_users(snapshot, LOWER_USERS, USERS); /* before its parent */
	NsEntry *users = add_users(snapshot, USERS, DUMPER_USERS);
	TaskKobjIdsEntry *dumper = snapshot->inventory->root_ids;

	add_users(snapshot, OTHER_USERS, USERS)->owner_uid = 100000;
	dumper->has_user_ns_id = true;
	dumper->user_ns_id = DUMPER_USERS;
	add_extent(snapshot, users->user_ext, 0, 100000, 65536);
	add_extent(snapshot, lower->user_ext, 0, 1000, 10);
	add_extent(snapshot, lower->user_ext, 50, 5000, 100);
	lower->owner_uid = 100001;
	snapshot->namespaces[0]->has_userns_id = true;
	snapshot->namespaces[0]->userns_id = LOWER_USERS;
	snapshot->namespaces[1]->has_userns_id = true;
	snapshot->namespaces[1]->userns_id = DUMPER_USERS;
	for (size_t i = 0; i < 4; i++) {
		snapshot->tasks[i].ids->has_user_ns_id = true;
		snapshot->tasks[i].ids->user_ns_id = i < 2 ? DUMPER_USERS : LOWER_USERS;
	}
	return lower;
}

static UserLimit *add_limit(struct snapshot *s)
{
	UserLimit *limit = snapshot_new(s, USER_LIMIT, UserLimit);
	NsEntry *entry = s->namespaces[2];

	limit->name = arena_string(s->arena, "max_net_namespaces");
	entry->user_limits =
		arena_grow(s->arena, entry->user_limits, entry->n_user_limits, sizeof limit);
	entry->user_limits[entry->n_user_limits++] = limit;
	return limit;
}

static void links_user_namespaces(void **state)
{
	struct arena arena;
	struct snapshot snapshot;
	struct error err = { 0 };
	uint32_t inside;

	(void)state;
	make_users(&snapshot, &arena);
	add_limit(&snapshot)->value = 5;
	if (snapshot_index(&snapshot, &err))
		fail_msg("%s", err.text);
	const struct user_namespace *lower = snapshot_user_namespace(&snapshot, LOWER_USERS);
	const struct user_namespace *users = snapshot_user_namespace(&snapshot, USERS);
	assert_int_equal(snapshot.n_user_namespaces, 4);
	assert_int_equal(lower->depth, 2);
	assert_ptr_equal(lower->parent, users);
	assert_ptr_equal(users->parent, snapshot.user_namespaces[0]);
	assert_ptr_equal(snapshot.tasks[1].user_namespace, snapshot.user_namespaces[0]);
	assert_ptr_equal(snapshot.tasks[3].user_namespace, lower);
	assert_ptr_equal(snapshot.pid_namespaces[0]->base.owner, snapshot.user_namespaces[0]);
	assert_ptr_equal(snapshot.pid_namespaces[1]->base.owner, lower);
	assert_true(user_namespace_is_within(lower, users));
	assert_true(user_namespace_is_within(lower, lower));
	assert_false(user_namespace_is_within(users, lower));
	assert_false(
		user_namespace_is_within(lower, snapshot_user_namespace(&snapshot, OTHER_USERS)));
	assert_true(user_namespace_id_inside(lower, false, 105007, &inside));
	assert_int_equal(inside, 57);
	assert_true(user_namespace_id_inside(users, true, 165535, &inside));
	assert_int_equal(inside, 65535);
	assert_false(user_namespace_id_inside(users, true, 165536, &inside));
	assert_false(user_namespace_id_inside(lower, false, 101010, &inside));
	assert_false(user_namespace_id_inside(users->parent, false, UINT32_MAX, &inside));
	arena_done(&arena);
}

static void sees_all_from_inside_a_user_namespace(void **state)
{
	struct arena arena;
	struct snapshot snapshot;
	struct error err = { 0 };

	(void)state;
	NsEntry *lower = make_users(&snapshot, &arena);
	NsEntry *other_entry = snapshot.namespaces[snapshot.n_namespaces - 1];
	for (size_t i = 0; i < 4; i++) {
		snapshot.tasks[i].ids->has_user_ns_id = true;
		snapshot.tasks[i].ids->user_ns_id = i < 2 ? USERS : LOWER_USERS;
	}
	CredsEntry *creds = snapshot_new(&snapshot, CREDS_ENTRY, CredsEntry);
	creds->uid = 100007;
	creds->euid = 5;
	creds->gid = 165535;
	uint32_t groups[] = { 100001, 0 };
	creds->groups = groups;
	creds->n_groups = 2;
	snapshot.tasks[0].threads[0]->thread_core->creds = creds;
	assert_int_equal(snapshot_index(&snapshot, &err), 0);
	struct user_namespace *users = snapshot_user_namespace(&snapshot, USERS);
	/* The outermost pid namespace is not theirs. */
	assert_false(user_namespace_holds_tree(&snapshot, users));
	snapshot.namespaces[1]->userns_id = USERS;
	assert_int_equal(snapshot_index(&snapshot, &err), 0);
	users = snapshot_user_namespace(&snapshot, USERS);
	assert_true(user_namespace_holds_tree(&snapshot, users));
	/* Nor is one beside it, which is only held. */
	other_entry->parent_id = DUMPER_USERS;
	assert_int_equal(snapshot_index(&snapshot, &err), 0);
	users = snapshot_user_namespace(&snapshot, USERS);
	assert_false(user_namespace_holds_tree(&snapshot, users));
	other_entry->parent_id = USERS;
	assert_int_equal(snapshot_index(&snapshot, &err), 0);
	users = snapshot_user_namespace(&snapshot, USERS);
	if (snapshot_rebase(&snapshot, users, &err))
		fail_msg("%s", err.text);
	assert_int_equal(snapshot.n_user_namespaces, 3);
	assert_int_equal(snapshot.user_namespaces[0]->base.id, USERS);
	assert_ptr_equal(snapshot.tasks[0].user_namespace, snapshot.user_namespaces[0]);
	assert_int_equal(snapshot.tasks[3].user_namespace->depth, 1);
	assert_int_equal(lower->owner_uid, 1);
	assert_int_equal(creds->uid, 7);
	assert_int_equal(creds->euid, 65534);
	assert_int_equal(creds->gid, 65535);
	assert_int_equal(groups[0], 1);
	assert_int_equal(groups[1], 65534);
	arena_done(&arena);
}

/* What images that do not know of user namespaces, or of others than the dumper's, mean. */
static void takes_the_dumpers_user_namespace(void **state)
{
	struct arena arena;
	struct snapshot snapshot;
	struct error err = { 0 };

	(void)state;
	fixture_make_tree(&snapshot, &arena);
	snapshot.tasks[1].ids->has_user_ns_id = true;
	snapshot.tasks[1].ids->user_ns_id = 77;
	assert_int_equal(snapshot_index(&snapshot, &err), 0);
	assert_ptr_equal(snapshot.tasks[1].user_namespace, snapshot.user_namespaces[0]);
	snapshot.inventory->root_ids->has_user_ns_id = true;
	snapshot.inventory->root_ids->user_ns_id = 77;
	assert_int_equal(snapshot_index(&snapshot, &err), 0);
	assert_ptr_equal(snapshot.tasks[1].user_namespace, snapshot.user_namespaces[0]);
	assert_int_equal(snapshot.user_namespaces[0]->base.id, 77);
	arena_done(&arena);
}

static UidGidExtent *extent_of(const struct snapshot *s, size_t which)
{
	return s->namespaces[2]->user_ext->uid_map[which];
}

/* namespaces: INNER, OUTER, LOWER_USERS, USERS, OTHER_USERS. */
static void break_users_parent(struct snapshot *s)
{
	s->namespaces[3]->parent_id = 55;
}
static void break_users_cycle(struct snapshot *s)
{
	s->namespaces[3]->parent_id = LOWER_USERS;
}
static void break_users_self(struct snapshot *s)
{
	s->namespaces[3]->parent_id = USERS;
}
static void break_users_orphan(struct snapshot *s)
{
	s->namespaces[3]->has_parent_id = 0;
}
static void break_users_twice(struct snapshot *s)
{
	s->namespaces[4]->id = USERS;
}
static void break_users_dumper(struct snapshot *s)
{
	s->namespaces[4]->id = DUMPER_USERS;
}
static void break_users_task(struct snapshot *s)
{
	s->tasks[3].ids->user_ns_id = INNER;
}
static void break_owner(struct snapshot *s)
{
	s->namespaces[0]->userns_id = 55;
}
static void break_owner_uid(struct snapshot *s)
{
	s->namespaces[2]->owner_uid = 99999;
}
static void break_owner_nobody(struct snapshot *s)
{
	s->namespaces[3]->owner_uid = UINT32_MAX;
}
static void break_owner_unmapped(struct snapshot *s)
{
	s->namespaces[3]->user_ext = NULL;
}
static void break_extent_empty(struct snapshot *s)
{
	extent_of(s, 0)->count = 0;
}
static void break_extent_wraps(struct snapshot *s)
{
	extent_of(s, 1)->first = UINT32_MAX - 99;
}
static void break_extent_lower(struct snapshot *s)
{
	extent_of(s, 1)->lower_first = 1009;
}
static void break_extent_meets(struct snapshot *s)
{
	extent_of(s, 1)->first = 9;
}
static void break_extent_more(struct snapshot *s)
{
	extent_of(s, 1)->lower_first = 65437;
}

/* The owner of a namespace below belongs above the owner of the one it is in. */
static void break_owner_order(struct snapshot *s)
{
	s->namespaces[1]->userns_id = OTHER_USERS;
}

static void break_owner_untold(struct snapshot *s)
{
	s->namespaces[3]->has_owner_uid = false;
}
static void break_pid_owner_untold(struct snapshot *s)
{
	s->namespaces[0]->has_userns_id = false;
}
static void break_task_untold(struct snapshot *s)
{
	s->tasks[2].ids->has_user_ns_id = false;
}
static void break_dumper_untold(struct snapshot *s)
{
	s->inventory->root_ids->has_user_ns_id = false;
	s->n_namespaces = 2;
	s->namespaces[0]->has_userns_id = s->namespaces[1]->has_userns_id = false;
}
static void break_users_zero(struct snapshot *s)
{
	s->namespaces[4]->id = 0;
}
static void break_setgroups(struct snapshot *s)
{
	s->namespaces[3]->has_setgroups_denied = s->namespaces[3]->setgroups_denied = true;
}
static void break_group_of_owner(struct snapshot *s)
{
	s->namespaces[3]->user_ext->n_gid_map = 0;
	for (size_t i = 2; i < 5; i++)
		s->namespaces[i]->user_ext->n_gid_map = 0;
}

static void break_limit_value(struct snapshot *s)
{
	add_limit(s)->value = 1U << 31;
}

static void break_limit_name(struct snapshot *s)
{
	add_limit(s)->name = arena_string(s->arena, "../kernel/pid_max");
}

/* All of it is there, but in two extents. */
static void break_extent_spans(struct snapshot *s)
{
	UsernsEntry *maps = s->namespaces[3]->user_ext;

	maps->uid_map[0]->count = maps->gid_map[0]->count = 5050;
	add_extent(s, maps, 5050, 200000, 1000);
}

static void break_extent_number(struct snapshot *s)
{
	UsernsEntry *maps = s->namespaces[3]->user_ext;

	for (uint32_t i = 0; i < 340; i++)
		add_extent(s, maps, 200000 + 2 * i, 200000 + 2 * i, 1);
}

static void break_gid_map(struct snapshot *s)
{
	UsernsEntry *maps = s->namespaces[2]->user_ext;

	maps->gid_map[1] = snapshot_new(s, UID_GID_EXTENT, UidGidExtent);
}

static void break_users_depth(struct snapshot *s)
{
	for (uint32_t i = 0; i < 33; i++) {
		NsEntry *entry = add_users(s, 100 + i, i ? 99 + i : USERS);
		entry->owner_uid = 100000;
		add_extent(s, entry->user_ext, 0, 0, 1);
	}
}

/* As deep as it goes. */
static void takes_33_levels(void **state)
{
	struct arena arena;
	struct snapshot snapshot;
	struct error err = { 0 };

	(void)state;
	make_users(&snapshot, &arena);
	break_users_depth(&snapshot);
	snapshot.n_namespaces--;
	assert_int_equal(snapshot_index(&snapshot, &err), 0);
	assert_int_equal(snapshot_user_namespace(&snapshot, 131)->depth, 33);
	arena_done(&arena);
}

static void refuses_user_namespaces_that_cannot_be(void **state)
{
	static void (*const breaks[])(struct snapshot *) = {
		break_users_parent,	break_users_cycle,    break_users_self,
		break_users_orphan,	break_users_twice,    break_users_dumper,
		break_users_task,	break_owner,	      break_owner_uid,
		break_owner_nobody,	break_owner_unmapped, break_extent_empty,
		break_extent_wraps,	break_extent_lower,   break_extent_meets,
		break_extent_more,	break_owner_order,    break_extent_spans,
		break_extent_number,	break_gid_map,	      break_users_depth,
		break_owner_untold,	break_limit_value,    break_limit_name,
		break_pid_owner_untold, break_task_untold,    break_dumper_untold,
		break_users_zero,	break_setgroups,      break_group_of_owner,
	};

	(void)state;
	for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
		struct arena arena;
		struct snapshot snapshot;
		struct error err = { 0 };
		make_users(&snapshot, &arena);
		breaks[i](&snapshot);
		if (snapshot_index(&snapshot, &err) != -1)
			fail_msg("break number %zu went unnoticed", i);
		assert_int_equal(err.name, ERR_IMAGE_INVALID);
		assert_non_null(strstr(err.text, "user namespace") ?: strstr(err.text, "owner"));
		arena_done(&arena);
	}
}

/* What somebody without rights may make: of their own, and with nobody but themselves in it. */
static void own_users_take_no_rights(void **state)
{
	enum { UID = 1000, GID = 1001 };
	struct arena arena;
	struct snapshot snapshot = { .arena = &arena };
	struct user_namespace outer = { 0 }, own = { .depth = 1 };
	struct user_namespace *users[] = { &outer, &own };
	const struct facts facts = { .uids = { 7, UID, 7, 7 }, .gids = { 7, GID, 7, 7 } };
	const struct plan plan = { .arena = &arena, .snapshot = &snapshot, .facts = &facts };
	const struct tree tree = { .arena = &arena, .snapshot = &snapshot };
	struct error err = { 0 };

	(void)state;
	arena_init(&arena);
	NsEntry *entry = own.base.entry = add_users(&snapshot, USERS, DUMPER_USERS);
	snapshot.user_namespaces = users;
	snapshot.n_user_namespaces = 2;
	UsernsEntry *maps = entry->user_ext;
	entry->owner_uid = UID;
	entry->user_ext = NULL;
	assert_int_equal(user_namespaces_check(&plan, &tree, &err), 0);
	entry->user_ext = maps;
	assert_int_equal(user_namespaces_check(&plan, &tree, &err), 0);
	add_extent(&snapshot, maps, 0, UID, 1);
	maps->n_gid_map = 0;
	assert_int_equal(user_namespaces_check(&plan, &tree, &err), 0);
	maps->n_gid_map = 1;
	maps->gid_map[0] = arena_copy(&arena, maps->gid_map[0], sizeof *maps->gid_map[0]);
	maps->gid_map[0]->lower_first = GID;
	entry->setgroups_denied = true;
	assert_int_equal(user_namespaces_check(&plan, &tree, &err), 0);
	/* Each of these takes rights. */
	uint32_t *const numbers[] = { &entry->owner_uid, &maps->uid_map[0]->lower_first,
				      &maps->gid_map[0]->lower_first, &maps->uid_map[0]->count,
				      &maps->gid_map[0]->count };
	for (size_t i = 0; i <= sizeof numbers / sizeof *numbers; i++) {
		bool is_number = i < sizeof numbers / sizeof *numbers;
		if (is_number)
			++*numbers[i];
		else
			entry->setgroups_denied = false;
		err = (struct error){ 0 };
		assert_int_equal(user_namespaces_check(&plan, &tree, &err), -1);
		assert_int_equal(err.name, ERR_NO_PRIVILEGE);
		if (is_number)
			--*numbers[i];
	}
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_user_namespaces),
		cmocka_unit_test(sees_all_from_inside_a_user_namespace),
		cmocka_unit_test(takes_the_dumpers_user_namespace),
		cmocka_unit_test(takes_33_levels),
		cmocka_unit_test(own_users_take_no_rights),
		cmocka_unit_test(refuses_user_namespaces_that_cannot_be),
	};

	return cmocka_run_group_tests_name("user-namespaces", tests, NULL, NULL);
}
