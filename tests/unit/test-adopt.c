// SPDX-License-Identifier: LGPL-2.1-or-later
/* What becomes of terminals, cgroups and names of sockets in images of CRIU. */
#include "kinds/cgroups/cgroups.h"
#include "kinds/sockets/socket.h"
#include "kinds/ttys/ttys.h"

#include "base/arena.h"
#include "model/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

enum { MASTER = 1, SLAVE = 2, MASTER_NAME = 11, SLAVE_NAME = 12, INDEX = 7, SESSION = 40 };

struct fixture {
	struct arena arena;
	struct snapshot snapshot;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	arena_init(&f->arena);
	f->snapshot.arena = &f->arena;
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

static TtyInfoEntry *add_info(struct fixture *f, uint32_t id, TtyType type, dev_t rdev)
{
	TtyInfoEntry *info = snapshot_new(&f->snapshot, TTY_INFO_ENTRY, TtyInfoEntry);

	info->id = id;
	info->type = type;
	info->rdev = (uint32_t)rdev;
	if (type == TTY_TYPE__PTY) {
		info->pty = snapshot_new(&f->snapshot, TTY_PTY_ENTRY, TtyPtyEntry);
		info->pty->index = INDEX;
	}
	snapshot_add_record(&f->snapshot, IMAGE_TTY_INFO, id, info);
	return info;
}

static void add_name(struct fixture *f, uint32_t id, const char *path)
{
	FileEntry *file = snapshot_new(&f->snapshot, FILE_ENTRY, FileEntry);

	file->id = id;
	file->type = FD_TYPES__REG;
	file->reg = snapshot_new(&f->snapshot, REG_FILE_ENTRY, RegFileEntry);
	file->reg->id = id;
	file->reg->name = arena_string(&f->arena, path);
	snapshot_add_file(&f->snapshot, file);
}

static TtyFileEntry *add_file(struct fixture *f, uint32_t id, uint32_t name)
{
	FileEntry *file = snapshot_new(&f->snapshot, FILE_ENTRY, FileEntry);

	file->id = id;
	file->type = FD_TYPES__TTY;
	file->tty = snapshot_new(&f->snapshot, TTY_FILE_ENTRY, TtyFileEntry);
	file->tty->id = file->tty->tty_info_id = id;
	file->tty->has_regf_id = true;
	file->tty->regf_id = name;
	snapshot_add_file(&f->snapshot, file);
	return file->tty;
}

static void both_sides_have_one_record(void **state)
{
	struct fixture *f = *state;
	TtyInfoEntry *master = add_info(f, MASTER, TTY_TYPE__PTY, makedev(5, 2));
	TtyInfoEntry *slave = add_info(f, SLAVE, TTY_TYPE__PTY, makedev(136, INDEX));

	master->packet_mode = master->locked = slave->exclusive = true;
	master->sid = SESSION;
	master->pgrp = SESSION + 1;
	add_name(f, MASTER_NAME, "/dev/ptmx");
	add_name(f, SLAVE_NAME, "/dev/pts/7");
	TtyFileEntry *one = add_file(f, MASTER, MASTER_NAME);
	TtyFileEntry *other = add_file(f, SLAVE, SLAVE_NAME);
	assert_int_equal(terminals_tree_kind.adopt(&f->snapshot, NULL, NULL), 0);

	assert_int_equal(one->tty_info_id, SLAVE);
	assert_int_equal(other->tty_info_id, SLAVE);
	assert_true(one->has_master && one->master && other->has_master && !other->master);
	assert_string_equal(slave->ptmx, "/dev/ptmx");
	assert_true(slave->packet_mode && slave->locked && slave->slave_exclusive);
	assert_false(slave->exclusive);
	assert_int_equal(slave->sid, SESSION);
	assert_int_equal(slave->pgrp, SESSION + 1);
	assert_int_equal(master->sid, 0);
	/* Names are no files of their own any more. */
	assert_int_equal(f->snapshot.n_files, 2);
	assert_null(snapshot_file(&f->snapshot, MASTER_NAME));
	assert_non_null(snapshot_file(&f->snapshot, MASTER));
}

static void a_master_may_be_alone(void **state)
{
	struct fixture *f = *state;
	TtyInfoEntry *master = add_info(f, MASTER, TTY_TYPE__PTY, makedev(5, 2));
	TtyInfoEntry *alias = add_info(f, SLAVE, TTY_TYPE__CTTY, makedev(5, 0));

	master->sid = alias->sid = SESSION;
	alias->exclusive = true;
	add_name(f, MASTER_NAME, "/dev/ptmx");
	add_name(f, SLAVE_NAME, "/dev/tty");
	TtyFileEntry *one = add_file(f, MASTER, MASTER_NAME);
	TtyFileEntry *other = add_file(f, SLAVE, SLAVE_NAME);
	assert_int_equal(terminals_tree_kind.adopt(&f->snapshot, NULL, NULL), 0);

	assert_int_equal(one->tty_info_id, MASTER);
	assert_string_equal(master->ptmx, "/dev/ptmx");
	assert_string_equal(other->path, "/dev/tty");
	assert_true(alias->has_terminal);
	assert_int_equal(alias->terminal, MASTER);
	assert_true(master->slave_exclusive);
}

static void a_slave_alone_is_outside(void **state)
{
	struct fixture *f = *state;
	TtyInfoEntry *slave = add_info(f, SLAVE, TTY_TYPE__PTY, makedev(136, INDEX));

	add_name(f, SLAVE_NAME, "/dev/pts/7");
	add_file(f, SLAVE, SLAVE_NAME);
	assert_int_equal(terminals_tree_kind.adopt(&f->snapshot, NULL, NULL), 0);
	assert_int_equal(slave->type, TTY_TYPE__EXT_TTY);
	assert_true(slave->of_caller);
}

/* Images that anybody may have written. */
static void nonsense_stays_nonsense(void **state)
{
	struct fixture *f = *state;
	TtyInfoEntry *bare = add_info(f, MASTER, TTY_TYPE__PTY, makedev(5, 2));
	TtyInfoEntry *twice = add_info(f, SLAVE, TTY_TYPE__PTY, makedev(136, INDEX));
	TtyInfoEntry *again = add_info(f, SLAVE + 1, TTY_TYPE__PTY, makedev(136, INDEX));

	bare->pty = NULL;
	add_file(f, MASTER, MASTER_NAME); /* there is no such name */
	add_file(f, SLAVE, MASTER);	  /* that is no name */
	add_file(f, 99, SLAVE);		  /* there is no such terminal */
	assert_int_equal(terminals_tree_kind.adopt(&f->snapshot, NULL, NULL), 0);
	assert_int_equal(f->snapshot.n_files, 3);
	assert_null(bare->ptmx);
	assert_int_equal(twice->type, TTY_TYPE__EXT_TTY);
	assert_int_equal(again->type, TTY_TYPE__PTY);
	assert_null(again->ptmx);
}

static CgControllerEntry *new_controller(struct fixture *f, const char *const *names, size_t n)
{
	CgControllerEntry *controller =
		snapshot_new(&f->snapshot, CG_CONTROLLER_ENTRY, CgControllerEntry);

	controller->dirs = arena_array(&f->arena, CgroupDirEntry *, n);
	for (; controller->n_dirs < n; controller->n_dirs++) {
		CgroupDirEntry *directory =
			snapshot_new(&f->snapshot, CGROUP_DIR_ENTRY, CgroupDirEntry);
		directory->dir_name = arena_string(&f->arena, names[controller->n_dirs]);
		controller->dirs[controller->n_dirs] = directory;
	}
	return controller;
}

static void add_cgroups(struct fixture *f, CgControllerEntry **controllers, size_t n)
{
	CgroupEntry *cgroups = snapshot_new(&f->snapshot, CGROUP_ENTRY, CgroupEntry);

	cgroups->n_controllers = n;
	cgroups->controllers = controllers;
	snapshot_add_record(&f->snapshot, IMAGE_CGROUP, 0, cgroups);
	f->snapshot.inventory = snapshot_new(&f->snapshot, INVENTORY_ENTRY, InventoryEntry);
}

static void cgroups_have_paths(void **state)
{
	static const char *const given[] = { "", "a/b", "/c" };
	static const char *const wanted[] = { "/", "/a/b", "/c" };
	struct fixture *f = *state;
	CgControllerEntry *controllers[] = { new_controller(f, given, 3),
					     new_controller(f, given + 1, 2) };

	add_cgroups(f, controllers, 2);
	f->snapshot.inventory->has_root_cg_set = true;
	f->snapshot.inventory->root_cg_set = 1;
	assert_int_equal(cgroups_tree_kind.adopt(&f->snapshot, NULL, NULL), 0);

	for (size_t i = 0; i < 3; i++)
		assert_string_equal(controllers[0]->dirs[i]->dir_name, wanted[i]);
	for (size_t i = 0; i < 2; i++)
		assert_string_equal(controllers[1]->dirs[i]->dir_name, wanted[i + 1]);
	const CgSetEntry *own = snapshot_cgroup_set(&f->snapshot, 1);
	assert_non_null(own);
	assert_int_equal(own->n_ctls, 0);
}

/* What CRIU says of the state of the freezer's owner was never set. */
static void states_of_freezers_have_no_owner(void **state)
{
	static const char *const name[] = { "a" };
	struct fixture *f = *state;
	CgControllerEntry *controller = new_controller(f, name, 1);
	CgroupPropEntry *properties[2];
	CgroupDirEntry *below = new_controller(f, name, 1)->dirs[0];

	for (size_t i = 0; i < 2; i++) {
		properties[i] = snapshot_new(&f->snapshot, CGROUP_PROP_ENTRY, CgroupPropEntry);
		properties[i]->perms = snapshot_new(&f->snapshot, CGROUP_PERMS, CgroupPerms);
	}
	properties[0]->name = arena_string(&f->arena, "freezer.state");
	properties[1]->name = arena_string(&f->arena, "cpu.shares");
	below->properties = properties;
	below->n_properties = 2;
	controller->dirs[0]->children = &below;
	controller->dirs[0]->n_children = 1;
	add_cgroups(f, &controller, 1);
	assert_int_equal(cgroups_tree_kind.adopt(&f->snapshot, NULL, NULL), 0);
	assert_null(properties[0]->perms);
	assert_non_null(properties[1]->perms);
}

static UnixSkEntry *add_socket(struct fixture *f, const char *name, size_t length,
			       const char *directory)
{
	FileEntry *file = snapshot_new(&f->snapshot, FILE_ENTRY, FileEntry);
	UnixSkEntry *sk = snapshot_new(&f->snapshot, UNIX_SK_ENTRY, UnixSkEntry);

	file->id = (uint32_t)f->snapshot.n_files + 1;
	file->type = FD_TYPES__UNIXSK;
	file->usk = sk;
	sk->name.data = arena_copy(&f->arena, name, length);
	sk->name.len = length;
	sk->name_dir = directory ? arena_string(&f->arena, directory) : NULL;
	snapshot_add_file(&f->snapshot, file);
	return sk;
}

static void names_of_sockets_have_places(void **state)
{
	struct fixture *f = *state;

	add_name(f, 50, "no socket");
	const UnixSkEntry *whole = add_socket(f, "/run//a", 8, "/elsewhere");
	const UnixSkEntry *relative = add_socket(f, "./a", 4, "/run/b");
	const UnixSkEntry *from_nowhere = add_socket(f, "a", 2, NULL);
	const UnixSkEntry *abstract = add_socket(f, "\0/a", 3, "/run");
	const UnixSkEntry *nameless = add_socket(f, "", 0, NULL);
	assert_int_equal(sockets_tree_kind.adopt(&f->snapshot, NULL, NULL), 0);
	assert_string_equal(whole->place, "/run/a");
	assert_string_equal(relative->place, "/run/b/a");
	assert_null(from_nowhere->place);
	assert_null(abstract->place);
	assert_null(nameless->place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(both_sides_have_one_record, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_master_may_be_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_slave_alone_is_outside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nonsense_stays_nonsense, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cgroups_have_paths, set_up, tear_down),
		cmocka_unit_test_setup_teardown(names_of_sockets_have_places, set_up, tear_down),
		cmocka_unit_test_setup_teardown(states_of_freezers_have_no_owner, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
