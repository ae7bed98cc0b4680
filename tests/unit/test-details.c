// SPDX-License-Identifier: LGPL-2.1-or-later
/* Each thing of a tree is told once, of whom it is, with every word that belongs to it. */
#include "base/arena.h"
#include "model/records.h"
#include "pipeline/details.h"
#include "sample-snapshot.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include <cmocka.h>

struct fixture {
	struct arena arena;
	struct snapshot snapshot;
	struct details details;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	struct error err = { 0 };

	memset(&fixture, 0, sizeof fixture);
	arena_init(&fixture.arena);
	sample_snapshot(&fixture.snapshot, &fixture.arena);
	if (snapshot_index(&fixture.snapshot, &err))
		fail_msg("%s", err.text);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	arena_done(&fixture->arena);
	return 0;
}

/* Those of a category, in order; `of`: the pid, or the namespace's id. */
static void expect(struct fixture *f, enum detail_category category, uint32_t of,
		   const char *const (*rows)[2], size_t n)
{
	size_t found = 0;

	details_make(&f->details, &f->arena, &f->snapshot);
	for (size_t i = 0; i < f->details.n; i++) {
		const struct detail *detail = &f->details.list[i];
		if (detail->category != category ||
		    (detail->task ? detail->task->pstree->pid : detail->namespace_id) != of)
			continue;
		if (found < n) {
			assert_string_equal(detail->key, rows[found][0]);
			assert_string_equal(detail->text, rows[found][1]);
		}
		found++;
	}
	assert_int_equal(found, n);
}

#define EXPECT(f, category, of, ...)                                       \
	do {                                                               \
		static const char *const rows[][2] = { __VA_ARGS__ };      \
		expect(f, category, of, rows, sizeof rows / sizeof *rows); \
	} while (0)

static struct mount_namespace *add_mounts(struct fixture *f, uint32_t id, MntEntry *entries,
					  size_t n)
{
	struct mount_namespace *namespace_ = arena_new(&f->arena, struct mount_namespace);

	namespace_->id = id;
	namespace_->n_mounts = n;
	namespace_->mounts = arena_array(&f->arena, MntEntry *, n);
	for (size_t i = 0; i < n; i++)
		namespace_->mounts[i] = &entries[i];
	return namespace_;
}

static MntEntry mount_at(const char *path, const char *fsname)
{
	MntEntry entry = MNT_ENTRY__INIT;

	entry.mountpoint = (char *)(uintptr_t)path;
	entry.fsname = (char *)(uintptr_t)fsname;
	entry.source = "none";
	entry.root = "/";
	return entry;
}

static void mounts_are_of_their_namespaces(void **state)
{
	struct fixture *f = *state;
	MntEntry first[3] = { mount_at("/", "ext4"), mount_at("/a", "tmpfs"),
			      mount_at("/b", NULL) };
	MntEntry other[2] = { mount_at("/", "tmpfs"), mount_at("/c", "proc") };
	struct mount_namespace *list[2] = { add_mounts(f, 21, first, 3),
					    add_mounts(f, 22, other, 2) };

	first[0].has_shared_id = true;
	first[0].shared_id = 5;
	first[1].has_master_id = true;
	first[1].flags = MS_RDONLY;
	first[1].root = "/part";
	first[2].has_shared_id = first[2].has_master_id = true;
	first[2].bound_path = "/elsewhere";
	other[0].locked = true;
	other[1].deleted = true;
	f->snapshot.mount_namespaces = list;
	f->snapshot.n_mount_namespaces = 2;
	EXPECT(f, DETAIL_MOUNT, 21, { "/", "ext4 none, shared" },
	       { "/a", "tmpfs /part of none, read-only, slave" },
	       { "/b", "? none, found at /elsewhere, shared and slave" });
	EXPECT(f, DETAIL_MOUNT, 22, { "/", "tmpfs none, locked" }, { "/c", "proc none, removed" });
	const struct detail *const *met;
	for (size_t i = 0; i < f->details.n; i++)
		if (f->details.list[i].category == DETAIL_MOUNT)
			assert_string_equal(f->details.list[i].meets,
					    f->details.list[i].namespace_id == 21 &&
							    !strcmp(f->details.list[i].key, "/")
						    ? "mounts 5"
					    : !strcmp(f->details.list[i].key, "/b") ? "mounts 0"
										    : "");
	assert_int_equal(details_meeting(&f->details, &f->details.list[0], &met), 0);
}

static VmaEntry area_of(uint64_t start, uint64_t end, uint32_t status, uint32_t prot)
{
	VmaEntry area = VMA_ENTRY__INIT;

	area.start = start;
	area.end = end;
	area.status = status;
	area.prot = prot;
	return area;
}

/* The root has two pages at 0x10000 and three at 0x14000. */
static void pages_are_counted_by_area(void **state)
{
	struct fixture *f = *state;
	struct task *root = &f->snapshot.tasks[0];
	VmaEntry areas[] = {
		area_of(0xf000, 0x10000, VMA_ANON_PRIVATE, PROT_READ),
		area_of(0x10000, 0x11000, VMA_HEAP, PROT_READ | PROT_WRITE),
		area_of(0x11000, 0x16000, VMA_STACK, PROT_WRITE),
		area_of(0x16000, 0x17000, VMA_VDSO, PROT_EXEC),
		area_of(0x17000, 0x19000, 0, 0),
	};
	VmaEntry *list[5];

	for (size_t i = 0; i < 5; i++)
		list[i] = &areas[i];
	areas[0].flags = MAP_SHARED;
	areas[2].anon_name = "named";
	root->mm->vmas = list;
	root->mm->n_vmas = 5;
	EXPECT(f, DETAIL_AREA, SAMPLE_ROOT, { "f000-10000", "r--s anonymous, 4 KiB" },
	       { "10000-11000", "rw-p heap, 4 KiB, 1 pages in the images" },
	       { "11000-16000", "-w-p stack, 20 KiB, \"named\", 3 pages in the images" },
	       { "16000-17000", "--xp vdso, 4 KiB, 1 pages in the images" },
	       { "17000-19000", "---p other, 8 KiB" });
}

static void namespaces_are_told_once(void **state)
{
	struct fixture *f = *state;

	f->snapshot.namespaces[1]->has_userns_id = true;
	f->snapshot.namespaces[1]->userns_id = 30;
	details_make(&f->details, &f->arena, &f->snapshot);
	size_t n = 0;
	for (size_t i = 0; i < f->details.n; i++)
		if (f->details.list[i].category == DETAIL_NAMESPACE) {
			const struct detail *detail = &f->details.list[i];
			assert_int_equal(detail->namespace_id, f->snapshot.namespaces[n]->id);
			assert_int_equal(strstr(detail->text, "below ") != NULL, n == 1);
			assert_int_equal(strstr(detail->text, ", of user:30") != NULL, n == 1);
			n++;
		}
	assert_int_equal(n, 2);
}

static void state_is_told(void **state)
{
	struct fixture *f = *state;
	CoreEntry *core = f->snapshot.tasks[0].core;
	uint32_t groups[] = { 7, 9 }, capabilities[] = { 0x10, 0x2 };
	CredsEntry creds = CREDS_ENTRY__INIT;

	creds.uid = 1;
	creds.euid = 2;
	creds.suid = 3;
	creds.gid = 4;
	creds.egid = 5;
	creds.sgid = 6;
	creds.groups = groups;
	creds.cap_eff = capabilities;
	core->thread_core->creds = &creds;
	static const char *const words[] = { "uid 1 2 3, gid 4 5 6",
					     "uid 1 2 3, gid 4 5 6, groups 7 9" };
	for (size_t n = 0; n < 2; n++) {
		const char *ids = NULL, *caps = NULL;
		creds.n_groups = n ? 2 : 0;
		creds.n_cap_eff = n ? 2 : 1;
		creds.no_new_privs = n;
		details_make(&f->details, &f->arena, &f->snapshot);
		for (size_t i = 0; i < f->details.n; i++)
			if (f->details.list[i].task == &f->snapshot.tasks[0]) {
				if (!strcmp(f->details.list[i].key, "ids"))
					ids = f->details.list[i].text;
				if (!strcmp(f->details.list[i].key, "capabilities"))
					caps = f->details.list[i].text;
			}
		assert_string_equal(ids, words[n]);
		assert_string_equal(caps, n ? "0000000200000010, no new ones" : "0000000000000010");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mounts_are_of_their_namespaces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pages_are_counted_by_area, set_up, tear_down),
		cmocka_unit_test_setup_teardown(namespaces_are_told_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(state_is_told, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
