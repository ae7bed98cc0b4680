// SPDX-License-Identifier: LGPL-2.1-or-later
/* Mounts without privileges: reading mountinfo, the order of steps. */
#include "base/arena.h"
#include "kernel/listmount.h"
#include "kernel/mountinfo.h"
#include "kinds/mounts/groups.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/mounts.h"
#include "kinds/mounts/plan.h"
#include "kinds/mounts/survey.h"
#include "model/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct arena arena;
	struct error err;
	struct snapshot snapshot;
	struct mount_namespace namespace_, *list[1];
	struct user_namespace owner;
	MntEntry *entries[16];
	size_t n;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	arena_init(&f->arena);
	f->snapshot.arena = &f->arena;
	f->owner.depth = 1;
	f->namespace_ = (struct mount_namespace){ .id = 20, .owner = &f->owner };
	f->list[0] = &f->namespace_;
	f->snapshot.mount_namespaces = f->list;
	f->snapshot.n_mount_namespaces = 1;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	arena_done(&f->arena);
	free(f);
	return 0;
}

static MntEntry *add(struct fixture *f, uint32_t id, uint32_t parent, const char *path, bool locked)
{
	MntEntry *entry = snapshot_new(&f->snapshot, MNT_ENTRY, MntEntry);

	entry->mnt_id = id;
	entry->parent_mnt_id = parent;
	entry->mountpoint = arena_string(&f->arena, path);
	entry->root = arena_string(&f->arena, "/");
	entry->source = entry->options = arena_string(&f->arena, "");
	entry->locked = locked;
	f->entries[f->n++] = entry;
	return entry;
}

static int order(struct fixture *f)
{
	return mount_namespace_order(&f->namespace_, f->entries, f->n, &f->arena, &f->err);
}

/* ---- mountinfo ---- */

static void lines_are_read(void **state)
{
	struct fixture *f = *state;
	char text[] =
		"36 35 98:0 /a\\040b /mnt\\134x rw,noatime shared:7 master:1 unbindable - ext3 "
		"/dev/root rw,sync,errors=continue,x=a\\054b\n"
		"37 36 0:5 / / ro,nosuid,idmapped - tmpfs none rw\n";
	struct mount_line *lines;
	size_t n;

	assert_int_equal(mountinfo_parse(text, &f->arena, &lines, &n, &f->err), 0);
	assert_int_equal(n, 2);
	assert_string_equal(lines[0].root, "/a b");
	assert_string_equal(lines[0].mountpoint, "/mnt\\x");
	assert_int_equal(lines[0].shared_id, 7);
	assert_int_equal(lines[0].master_id, 1);
	assert_true(lines[0].unbindable);
	assert_int_equal(lines[0].flags, MS_NOATIME);
	assert_int_equal(lines[0].superblock_flags, MS_SYNCHRONOUS);
	assert_string_equal(lines[0].options, "errors=continue,x=a,b");
	assert_true(lines[1].idmapped);
	assert_int_equal(lines[1].flags, MS_RDONLY | MS_NOSUID);
	assert_string_equal(lines[1].options, "");
	char bad[] = "36 35 98:0 /\n";
	assert_int_equal(mountinfo_parse(bad, &f->arena, &lines, &n, &f->err), -1);
}

/* ---- order ---- */

static void hidden_ones_come_first(void **state)
{
	struct fixture *f = *state;

	add(f, 1, 99, "/", false);
	add(f, 2, 1, "/a", false); /* mounted after the next, and above its place */
	add(f, 3, 1, "/a/b", false);
	add(f, 4, 2, "/a/b", false);
	assert_int_equal(order(f), 0);
	assert_int_equal(f->namespace_.mounts[1]->mnt_id, 3);
	assert_int_equal(f->namespace_.mounts[2]->mnt_id, 2);
	assert_int_equal(f->namespace_.mounts[3]->mnt_id, 4);
}

static void what_is_no_tree_is_refused(void **state)
{
	struct fixture *f = *state;

	add(f, 1, 99, "/", false);
	add(f, 2, 3, "/a", false);
	add(f, 3, 2, "/a", false);
	assert_int_equal(order(f), -1);
	f->n = 0;
	f->namespace_.n_mounts = 0;
	add(f, 1, 99, "/", false);
	add(f, 2, 1, "/a", false);
	add(f, 3, 2, "/b", false);
	assert_int_equal(order(f), -1);
	assert_int_equal(f->err.name, ERR_IMAGE_INVALID);
}

static void paths_are_plain(void **state)
{
	(void)state;
	assert_true(path_is_plain("/"));
	assert_true(path_is_plain("/a/..b/c."));
	assert_false(path_is_plain("a"));
	assert_false(path_is_plain("/a/../b"));
	assert_false(path_is_plain("/a/."));
	assert_false(path_is_plain("/a//b"));
	assert_false(path_is_plain("/a/"));
	assert_string_equal(path_below("/a/b", "/a"), "b");
	assert_null(path_below("/ab", "/a"));
}

/* ---- steps ---- */

static size_t position(const struct mount_plan *plan, enum mount_step_kind kind, size_t mount)
{
	for (size_t i = 0; i < plan->n_steps; i++)
		if (plan->steps[i].kind == kind && plan->steps[i].mount == mount)
			return i;
	return SIZE_MAX;
}

static void clusters_are_copied_for_the_owner(void **state)
{
	struct fixture *f = *state;
	struct mount_plan plan;

	add(f, 1, 99, "/", false);
	add(f, 2, 1, "/a", true);
	add(f, 3, 2, "/a", false); /* on top, its owner's own */
	assert_int_equal(order(f), 0);
	assert_int_equal(mount_plan_make(&plan, &f->arena, &f->namespace_, &f->err), 0);
	size_t enter = position(&plan, MOUNT_ENTER_OWNER, 0);
	assert_true(position(&plan, MOUNT_STAGE, 0) < position(&plan, MOUNT_STAGE_BELOW, 1));
	assert_true(position(&plan, MOUNT_STAGE_BELOW, 1) < enter);
	assert_true(enter < position(&plan, MOUNT_TAKE, 0));
	assert_true(position(&plan, MOUNT_TAKE, 0) < position(&plan, MOUNT_FIND, 1));
	assert_true(position(&plan, MOUNT_FIND, 1) < position(&plan, MOUNT_ATTACH, 2));
	assert_int_equal(position(&plan, MOUNT_STAGE, 2), SIZE_MAX);
	assert_int_equal(position(&plan, MOUNT_PIVOT, 0), plan.n_steps - 1);
}

static void masters_come_before_slaves(void **state)
{
	struct fixture *f = *state;
	struct group_plan plan;

	f->owner.depth = 0;
	add(f, 1, 99, "/", false);
	MntEntry *slave = add(f, 2, 1, "/a", false);
	MntEntry *master = add(f, 3, 1, "/b", false);
	slave->shared_id = 4;
	slave->master_id = 5;
	master->shared_id = 5;
	assert_int_equal(order(f), 0);
	assert_int_equal(group_plan_make(&plan, &f->arena, &f->snapshot, &f->err), 0);
	assert_int_equal(plan.n_steps, 4);
	assert_int_equal(plan.steps[0].kind, GROUP_SHARED);
	assert_int_equal(plan.steps[1].kind, GROUP_JOIN);
	assert_int_equal(plan.steps[2].kind, GROUP_SLAVE);
	assert_int_equal(plan.steps[3].kind, GROUP_SHARED);
	master->master_id = 4;
	assert_int_equal(group_plan_make(&plan, &f->arena, &f->snapshot, &f->err), -1);
	master->master_id = 77;
	assert_int_equal(group_plan_make(&plan, &f->arena, &f->snapshot, &f->err), -1);
}

/* ---- what hides others ---- */

/* As mounts.c has them: in the same parent, at a directory on the way. */
static bool lies_over(const struct mount_namespace *namespace_, size_t over, size_t at)
{
	const char *path = namespace_->mounts[at]->mountpoint;
	const char *other = namespace_->mounts[over]->mountpoint;

	return mount_is_on_top(namespace_, over, namespace_->parents[at]) ||
	       (namespace_->parents[over] == namespace_->parents[at] && strcmp(path, other) != 0 &&
		path_below(path, other));
}

static bool is_covered(const struct mount_namespace *namespace_, size_t index, const bool *stays)
{
	for (size_t i = index + 1; i < namespace_->n_mounts; i++)
		if (stays[i] && mount_is_on_top(namespace_, i, index))
			return true;
	for (size_t at = index; at > 0; at = namespace_->parents[at])
		for (size_t i = at + 1; i < namespace_->n_mounts; i++)
			if (stays[i] && lies_over(namespace_, i, at))
				return true;
	return false;
}

/* From the last to the first, as it is asked for; by place it is the same as by asking all. */
static void covers_are_found_by_place(void **state)
{
	struct fixture *f = *state;
	unsigned draw = 1;

	for (unsigned run = 0; run < 300; run++) {
		bool stays[16] = { false };
		f->n = f->namespace_.n_mounts = 0;
		add(f, 1, 900, "/", false);
		for (uint32_t i = 2; i <= 16; i++) {
			char path[64] = "";
			draw = draw * 1103515245 + 12345;
			const MntEntry *parent = f->entries[(draw >> 16) % f->n];
			const char *above =
				strcmp(parent->mountpoint, "/") ? parent->mountpoint : "";
			draw = draw * 1103515245 + 12345;
			snprintf(path, sizeof path, "%.50s%s", above,
				 (const char *[]){ "", "/a", "/a/b", "/ab" }[(draw >> 16) % 4]);
			add(f, i, parent->mnt_id, *path ? path : "/", false);
		}
		assert_int_equal(
			mount_namespace_order(&f->namespace_, f->entries, f->n, &f->arena, &f->err),
			0);
		struct mount_covers *covers = mount_covers_new(&f->arena, &f->namespace_);
		for (size_t i = f->n; i-- > 0;) {
			bool expected = is_covered(&f->namespace_, i, stays);
			assert_int_equal(mount_is_covered(covers, i, stays), expected);
			draw = draw * 1103515245 + 12345;
			stays[i] = (draw >> 16) % 2;
		}
	}
}

static void nothing_else_lies_below_the_root(void **state)
{
	struct fixture *f = *state;
	MntEntry *root = add(f, 1, 900, "/", false);
	MntRevealedEntry one = MNT_REVEALED_ENTRY__INIT, other = MNT_REVEALED_ENTRY__INIT;
	MntRevealedEntry *list[] = { &one, &other, &one };

	root->revealed = list;
	root->n_revealed = 2;
	one.type = "proc";
	other.type = "proc";
	assert_int_equal(mount_revealed_check(root, &f->err), -1);
	other.type = "sysfs";
	one.flags = MS_NOSUID;
	assert_int_equal(mount_revealed_check(root, &f->err), 0);
	one.flags = MS_BIND;
	assert_int_equal(mount_revealed_check(root, &f->err), -1);
	one.flags = 0;
	one.type = "tmpfs";
	assert_int_equal(mount_revealed_check(root, &f->err), -1);
	one.type = "proc";
	root->n_revealed = 3;
	assert_int_equal(mount_revealed_check(root, &f->err), -1);
}

static size_t count_reached(struct fixture *f)
{
	f->namespace_.n_mounts = 0;
	assert_int_equal(order(f), 0);
	return mounts_count_reached(&f->namespace_);
}

/* What is on its way, and not above it, may hide a mount from a path. */
static void paths_lead_to_most(void **state)
{
	struct fixture *f = *state;

	add(f, 1, 900, "/", false);
	add(f, 2, 1, "/a", false);
	add(f, 3, 2, "/a/b", false);
	add(f, 4, 1, "/ab", false);
	assert_int_equal(count_reached(f), 3);
	/* On top of /a; one of what it has is at the place of another, and not sure to be met. */
	add(f, 5, 2, "/a", false);
	add(f, 6, 5, "/a/b", false);
	assert_int_equal(count_reached(f), 2);
	MntEntry *last = add(f, 7, 1, "/auto", false);
	last->fsname = "autofs";
	assert_int_equal(count_reached(f), 0);
}

static size_t descriptors_with(struct fixture *f, const char *type, const char *root,
			       uint32_t depth, bool known)
{
	MntEntry *mount = f->entries[1];

	mount->fsname = arena_string(&f->arena, type);
	mount->root = arena_string(&f->arena, root);
	mount->bound_depth = depth;
	mount->has_bound_carried = known;
	return mounts_tree_kind.descriptors(&f->snapshot);
}

/* What may be unmounted outside before the tree has it is held until then, carried or not. */
static void what_is_held_outside_is_counted(void **state)
{
	struct fixture *f = *state;

	add(f, 1, 900, "/", false);
	add(f, 2, 1, "/shm", false)->bound_path = arena_string(&f->arena, "/run/shm");
	assert_int_equal(order(f), 0);
	size_t usual = descriptors_with(f, "ext4", "/", 0, false);
	assert_int_equal(descriptors_with(f, "tmpfs", "/", 0, true), usual + 1);
	assert_int_equal(descriptors_with(f, "tmpfs", "/", 0, false), usual);
	assert_int_equal(descriptors_with(f, "tmpfs", "/", 1, true), usual);
	assert_int_equal(descriptors_with(f, "tmpfs", "/below", 0, true), usual);
	assert_int_equal(descriptors_with(f, "overlay", "/", 0, false), usual + 1);
	assert_int_equal(descriptors_with(f, "ext4", "/", 0, true), usual);
}

/* All mounts of a namespace while it is made, each file system once, and the namespace twice. */
static void file_systems_are_counted_once(void **state)
{
	struct fixture *f = *state;

	add(f, 1, 900, "/", false)->root_dev = 5;
	add(f, 2, 1, "/a", false)->root_dev = 6;
	add(f, 3, 1, "/b", false)->root_dev = 5;
	assert_int_equal(order(f), 0);
	assert_int_equal(mounts_tree_kind.descriptors(&f->snapshot), 3 + 2 + 2);
	f->entries[2]->root_dev = 7;
	assert_int_equal(mounts_tree_kind.descriptors(&f->snapshot), 3 + 3 + 2);
}

/* Of each mount that is in no table is told why it cannot be made, where that is known. */
static void reasons_are_of_their_mounts(void **state)
{
	struct unmade_mount unmade[] = { { 7, "is of the first sort" }, { 9, "is of another" } };
	const struct mount_survey survey = { .unmade = unmade, .n_unmade = 2 };

	(void)state;
	assert_string_equal(mount_unmounted_why(&survey, 7), unmade[0].why);
	assert_string_equal(mount_unmounted_why(&survey, 9), unmade[1].why);
	assert_string_equal(mount_unmounted_why(&survey, 8),
			    "is in no mount namespace of the tree");
}

/* ---- two ways to read what is mounted ---- */

static void read_mountinfo(struct fixture *f, struct mount_line **ret_lines, size_t *ret_n)
{
	size_t size = 0, room = 1 << 20;
	char *text = arena_array(&f->arena, char, room);
	FILE *file = fopen("/proc/self/mountinfo", "re");

	assert_non_null(file);
	size = fread(text, 1, room - 1, file);
	assert_true(size > 0 && size < room - 1);
	fclose(file);
	assert_int_equal(mountinfo_parse(text, &f->arena, ret_lines, ret_n, &f->err), 0);
}

static bool is_same_text(const char *one, const char *other)
{
	return other && strcmp(one, other) == 0;
}

/* A file system of another one's type (fuse.sshfs) is told in two parts. */
static bool is_same_status(const struct mount_line *line, const struct mount_status *status)
{
	enum { SHOWN = MS_RDONLY };

	return line->parent_id == status->parent_id && line->device == status->device &&
	       line->flags == status->flags && line->shared_id == status->shared_id &&
	       line->master_id == status->master_id && line->unbindable == status->unbindable &&
	       line->idmapped == status->idmapped &&
	       (line->superblock_flags & SHOWN) == (status->superblock_flags & SHOWN) &&
	       strncmp(line->type, status->type, strlen(status->type)) == 0 &&
	       is_same_text(line->root, status->root) &&
	       is_same_text(line->mountpoint, status->mountpoint);
}

/* NULL, or what is not the same. */
static const char *compare_mounts(struct fixture *f, uint64_t number)
{
	struct mount_line *lines;
	uint64_t *ids;
	size_t n_lines, n;

	read_mountinfo(f, &lines, &n_lines);
	if (mount_list(number, &f->arena, &ids, &n))
		return errno == ENOSYS || errno == EINVAL ? NULL : "list";
	for (size_t i = 0; i < n_lines; i++) {
		bool found = false;
		for (size_t k = 0; k < n && !found; k++) {
			struct mount_status status;
			if (mount_stat(number, ids[k], &f->arena, &status) ||
			    status.id != lines[i].id)
				continue;
			found = true;
			if (!is_same_status(&lines[i], &status))
				return lines[i].mountpoint;
		}
		if (!found)
			return lines[i].mountpoint;
	}
	return NULL;
}

/* Somebody else may be mounting something meanwhile. */
static void statmount_is_mountinfo(void **state)
{
	struct fixture *f = *state;
	const char *wrong = NULL;
	uint64_t number;
	int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	if (mount_namespace_number(fd, &number) == 0)
		for (int i = 0; i < 5; i++) {
			wrong = compare_mounts(f, number);
			if (!wrong)
				break;
		}
	close(fd);
	if (wrong)
		fail_msg("%s is not the same", wrong);
}

/* Of several that are mounted and hung up each has the name that was found for it. */
static void terminals_have_their_own_names(void **state)
{
	static const struct {
		uint32_t device;
		uint64_t inode;
		const char *number, *name;
	} known[] = {
		{ 5, 10, "3", "7" }, { 5, 10, "4", "8" }, { 5, 11, "3", "9" }, { 6, 10, "3", "10" }
	};
	enum { COUNT = sizeof known / sizeof *known };
	MntEntry mounts[COUNT + 1];
	MntOriginEntry origins[COUNT + 1];
	struct made_terminal terminals[COUNT];
	const struct made_superblocks made = { .terminals = terminals, .n_terminals = COUNT };

	(void)state;
	for (size_t i = 0; i <= COUNT; i++) {
		const size_t k = i % COUNT;
		mounts[i] = (MntEntry)MNT_ENTRY__INIT;
		origins[i] = (MntOriginEntry)MNT_ORIGIN_ENTRY__INIT;
		mounts[i].root_dev = known[k].device;
		mounts[i].carried_as = (char *)(uintptr_t)known[k].number;
		mounts[i].origin = &origins[i];
		origins[i].inode = known[k].inode;
		if (i < COUNT)
			terminals[i] = (struct made_terminal){ &mounts[i], known[i].name, -1 };
	}
	for (size_t i = 0; i < COUNT; i++)
		assert_string_equal(mount_terminal_name(&made, &mounts[i]), known[i].name);
	/* Another mount of the first; and one of a terminal that was not made. */
	assert_string_equal(mount_terminal_name(&made, &mounts[COUNT]), "7");
	origins[COUNT].inode = 12;
	assert_string_equal(mount_terminal_name(&made, &mounts[COUNT]), "3");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_are_read),
		TEST(statmount_is_mountinfo),
		TEST(hidden_ones_come_first),
		TEST(covers_are_found_by_place),
		TEST(nothing_else_lies_below_the_root),
		TEST(paths_lead_to_most),
		TEST(what_is_held_outside_is_counted),
		TEST(file_systems_are_counted_once),
		TEST(reasons_are_of_their_mounts),
		TEST(what_is_no_tree_is_refused),
		TEST(paths_are_plain),
		TEST(clusters_are_copied_for_the_owner),
		TEST(masters_come_before_slaves),
		TEST(terminals_have_their_own_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
