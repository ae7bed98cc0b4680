// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * --cgroup-root: whatever names a cgroup by its path goes along; and which cgroups may count an
 * eventfd up.
 */
#include "kinds/cgroups/cgroups.h"

#include "base/arena.h"
#include "model/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of a tree in memory:/old/a, and in /old/b of version 2; the dumper is in /own of both. */
struct fixture {
	struct arena arena;
	struct snapshot snapshot;
	struct error err;
	FileEntry *eventfd;
};

static CgSetEntry *set_of(struct fixture *f, uint32_t id, const char *memory, const char *unified)
{
	CgSetEntry *set = snapshot_new(&f->snapshot, CG_SET_ENTRY, CgSetEntry);
	const char *const paths[] = { memory, unified };

	set->id = id;
	set->n_ctls = 2;
	set->ctls = arena_array(&f->arena, CgMemberEntry *, 2);
	for (size_t i = 0; i < 2; i++) {
		set->ctls[i] = snapshot_new(&f->snapshot, CG_MEMBER_ENTRY, CgMemberEntry);
		set->ctls[i]->name = arena_string(&f->arena, i ? "" : "memory");
		set->ctls[i]->path = arena_string(&f->arena, paths[i]);
	}
	return set;
}

static CgControllerEntry *controller_of(struct fixture *f, const char *name)
{
	CgControllerEntry *controller =
		snapshot_new(&f->snapshot, CG_CONTROLLER_ENTRY, CgControllerEntry);
	CgroupDirEntry *top = snapshot_new(&f->snapshot, CGROUP_DIR_ENTRY, CgroupDirEntry);
	CgroupDirEntry *empty = snapshot_new(&f->snapshot, CGROUP_DIR_ENTRY, CgroupDirEntry);

	top->dir_name = arena_string(&f->arena, "/old");
	empty->dir_name = arena_string(&f->arena, "empty");
	top->n_children = controller->n_dirs = controller->n_cnames = 1;
	top->children = arena_new(&f->arena, CgroupDirEntry *);
	*top->children = empty;
	controller->dirs = arena_new(&f->arena, CgroupDirEntry *);
	*controller->dirs = top;
	controller->cnames = arena_new(&f->arena, char *);
	*controller->cnames = arena_string(&f->arena, name);
	return controller;
}

static FileEntry *add_file(struct fixture *f)
{
	FileEntry *file = snapshot_new(&f->snapshot, FILE_ENTRY, FileEntry);

	file->id = (uint32_t)f->snapshot.n_files + 1;
	f->snapshot.files =
		arena_grow(&f->arena, f->snapshot.files, f->snapshot.n_files, sizeof file);
	f->snapshot.files[f->snapshot.n_files++] = file;
	return file;
}

static CgroupEventEntry *add_event(struct fixture *f, const char *path, const char *file,
				   const char *argument)
{
	EventfdFileEntry *efd = f->eventfd->efd;
	CgroupEventEntry *event = snapshot_new(&f->snapshot, CGROUP_EVENT_ENTRY, CgroupEventEntry);

	*event = (CgroupEventEntry){ .base = event->base,
				     .hierarchy = arena_string(&f->arena, "memory"),
				     .path = arena_string(&f->arena, path),
				     .file = arena_string(&f->arena, file),
				     .argument = arena_string(&f->arena, argument) };
	efd->cgroup_events =
		arena_grow(&f->arena, efd->cgroup_events, efd->n_cgroup_events, sizeof event);
	efd->cgroup_events[efd->n_cgroup_events++] = event;
	return event;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	arena_init(&f->arena);
	f->snapshot.arena = &f->arena;
	f->snapshot.n_tasks = 1;
	f->snapshot.inventory = snapshot_new(&f->snapshot, INVENTORY_ENTRY, InventoryEntry);
	f->snapshot.inventory->has_root_cg_set = true;
	f->snapshot.inventory->root_cg_set = 1;
	CgroupEntry *cgroups = snapshot_new(&f->snapshot, CGROUP_ENTRY, CgroupEntry);
	cgroups->n_sets = cgroups->n_controllers = 2;
	cgroups->sets = arena_array(&f->arena, CgSetEntry *, 2);
	cgroups->sets[0] = set_of(f, 1, "/own", "/own");
	cgroups->sets[1] = set_of(f, 2, "/old/a", "/old/b");
	cgroups->controllers = arena_array(&f->arena, CgControllerEntry *, 2);
	cgroups->controllers[0] = controller_of(f, "memory");
	cgroups->controllers[1] = controller_of(f, "");
	snapshot_add_record(&f->snapshot, IMAGE_CGROUP, 0, cgroups);
	f->eventfd = add_file(f);
	f->eventfd->efd = snapshot_new(&f->snapshot, EVENTFD_FILE_ENTRY, EventfdFileEntry);
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

static int move(struct fixture *f, const char *root)
{
	const char *const texts[] = { root };
	const struct texts roots = { .texts = (const char **)(uintptr_t)texts, .count = 1 };

	return cgroups_move_roots(&f->snapshot, &roots, &f->err);
}

static BpfProgramEntry *program(struct fixture *f, const char *path)
{
	BpfProgramEntry *made = snapshot_new(&f->snapshot, BPF_PROGRAM_ENTRY, BpfProgramEntry);

	made->n_attachments = 1;
	made->attachments = arena_new(&f->arena, BpfAttachmentEntry *);
	*made->attachments = snapshot_new(&f->snapshot, BPF_ATTACHMENT_ENTRY, BpfAttachmentEntry);
	(*made->attachments)->path = arena_string(&f->arena, path);
	return made;
}

static void all_that_has_a_path_moves(void **state)
{
	struct fixture *f = *state;
	FileEntry *file = add_file(f);
	BpfProgramEntry *held = program(f, "/old"), *linked = program(f, "/old/b/c");
	BpfmapDataEntry *data = snapshot_new(&f->snapshot, BPFMAP_DATA_ENTRY, BpfmapDataEntry);
	CgroupEventEntry *event = add_event(f, "/old/a", "memory.oom_control", "");
	CgroupEventEntry *other = add_event(f, "/older", "memory.oom_control", "");

	file->bpf_program = held;
	file->bpf_link = snapshot_new(&f->snapshot, BPF_LINK_ENTRY, BpfLinkEntry);
	file->bpf_link->path = arena_string(&f->arena, "/old/b");
	snapshot_add_record(&f->snapshot, IMAGE_BPF_PROGRAMS, 5, linked);
	data->n_cgroups = 1;
	data->cgroups = arena_new(&f->arena, BpfmapCgroupEntry *);
	*data->cgroups = snapshot_new(&f->snapshot, BPFMAP_CGROUP_ENTRY, BpfmapCgroupEntry);
	(*data->cgroups)->path = arena_string(&f->arena, "/old/b");
	snapshot_add_record(&f->snapshot, IMAGE_BPFMAP_DATA, 6, data);

	assert_int_equal(move(f, "/new"), 0);
	assert_string_equal(event->path, "/new/a");
	assert_string_equal(other->path, "/older");
	assert_string_equal((*held->attachments)->path, "/new");
	assert_string_equal((*linked->attachments)->path, "/new/b/c");
	assert_string_equal(file->bpf_link->path, "/new/b");
	assert_string_equal((*data->cgroups)->path, "/new/b");
	const CgroupEntry *cgroups = snapshot_cgroups(&f->snapshot);
	assert_string_equal(cgroups->sets[1]->ctls[0]->path, "/new/a");
	assert_string_equal(cgroups->sets[0]->ctls[0]->path, "/own");
	assert_string_equal(cgroups->controllers[1]->dirs[0]->dir_name, "/new");
}

static void only_the_named_hierarchy_moves(void **state)
{
	struct fixture *f = *state;
	FileEntry *file = add_file(f);
	CgroupEventEntry *event = add_event(f, "/old/a", "memory.oom_control", "");

	file->bpf_program = program(f, "/old/b");
	assert_int_equal(move(f, "memory:/own"), 0);
	assert_string_equal(event->path, "/own/a");
	assert_string_equal((*file->bpf_program->attachments)->path, "/old/b");
	assert_int_equal(move(f, "own"), -1);
	assert_int_equal(f->err.name, ERR_USAGE);
}

static enum error_name judge(struct fixture *f, const char *path, const char *file,
			     const char *argument)
{
	f->eventfd->efd->n_cgroup_events = 0;
	f->eventfd->efd->cgroup_events = NULL;
	add_event(f, path, file, argument);
	f->err = (struct error){ 0 };
	int result = cgroup_events_aspect.check(&f->snapshot, f->eventfd, &f->err);
	assert_int_equal(result, f->err.name == ERR_NONE ? 0 : -1);
	return f->err.name;
}

static void events_are_those_of_the_tree(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(judge(f, "/old/a", "memory.oom_control", ""), ERR_NONE);
	assert_int_equal(judge(f, "/old", "memory.usage_in_bytes", "4096"), ERR_NONE);
	assert_int_equal(judge(f, "/old/empty", "memory.memsw.usage_in_bytes", "0"), ERR_NONE);
	assert_int_equal(judge(f, "/old/a", "memory.pressure_level", "low,hierarchy"), ERR_NONE);
	assert_int_equal(judge(f, "/own", "memory.oom_control", ""), ERR_UNSUPPORTED_FILE);
	assert_int_equal(judge(f, "/", "memory.oom_control", ""), ERR_UNSUPPORTED_FILE);
	assert_int_equal(judge(f, "/old/none", "memory.oom_control", ""), ERR_UNSUPPORTED_FILE);
}

static void impossible_events_are_refused(void **state)
{
	static const struct {
		const char *path, *file, *argument;
	} rows[] = {
		{ "/old/a", "memory.oom_control", "1" },
		{ "/old/a", "memory.usage_in_bytes", "" },
		{ "/old/a", "memory.usage_in_bytes", "1 2" },
		{ "/old/a", "memory.usage_in_bytes", "123456789012345678901" },
		{ "/old/a", "memory.pressure_level", "low" },
		{ "/old/a", "memory.pressure_level", "low,else" },
		{ "/old/a", "cgroup.procs", "" },
		{ "/old/a/../..", "memory.oom_control", "" },
		{ "old/a", "memory.oom_control", "" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(judge(f, rows[i].path, rows[i].file, rows[i].argument),
				 ERR_IMAGE_INVALID);
	add_event(f, "/old/a", "memory.oom_control", "")->hierarchy = (char *)(uintptr_t) "cpu";
	f->eventfd->efd->cgroup_events++;
	f->eventfd->efd->n_cgroup_events = 1;
	assert_int_equal(cgroup_events_aspect.check(&f->snapshot, f->eventfd, &f->err), -1);
	assert_int_equal(f->err.name, ERR_IMAGE_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_that_has_a_path_moves, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_the_named_hierarchy_moves, set_up, tear_down),
		cmocka_unit_test_setup_teardown(events_are_those_of_the_tree, set_up, tear_down),
		cmocka_unit_test_setup_teardown(impossible_events_are_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
