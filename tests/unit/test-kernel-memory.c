// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the kernel says of its structures, and what is in them. */
#include "kernel/btf.h"
#include "kernel/kernel-memory.h"
#include "kernel/kernel-pages.h"
#include "kernel/kernel-reader.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

/* struct one { int a; union { int b; }; int c:3; }; at bits 0, 32, 64 */
struct sample {
	struct btf_header header;
	struct btf_type number;
	uint32_t encoding;
	struct btf_type part;
	struct btf_member part_members[1];
	struct btf_type whole;
	struct btf_member members[3];
	char names[16];
};

static struct sample sample(void)
{
	struct sample ret = {
		.header = { .magic = BTF_MAGIC,
			    .version = 1,
			    .hdr_len = sizeof ret.header,
			    .type_len = offsetof(struct sample, names) - sizeof ret.header,
			    .str_off = offsetof(struct sample, names) - sizeof ret.header,
			    .str_len = sizeof ret.names },
		.number = { .name_off = 1, .info = BTF_KIND_INT << 24, .size = 4 },
		.part = { .info = BTF_KIND_UNION << 24 | 1, .size = 4 },
		.part_members = { { .name_off = 11, .type = 1 } },
		.whole = { .name_off = 5,
			   .info = BTF_KIND_STRUCT << 24 | 3 | 1U << 31,
			   .size = 12 },
		.members = { { .name_off = 9, .type = 1 },
			     { .type = 2, .offset = 32 },
			     { .name_off = 13, .type = 1, .offset = 3 << 24 | 64 } },
		.names = "\0int\0one\0a\0b\0c",
	};

	return ret;
}

static void members_are_found(void **state)
{
	struct btf_place places[] = { { "one", "a", 9, false, 0 }, { "one", "b", 9, false, 0 },
				      { "one", "c", 9, false, 0 }, { "one", "", 9, false, 0 },
				      { "one", "d", 9, false, 0 }, { "two", "a", 9, false, 0 },
				      { "int", "", 9, false, 0 } };
	struct sample bytes = sample();

	(void)state;
	assert_int_equal(btf_find_in(&bytes, sizeof bytes, places, 7), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_true(places[i].found);
		assert_int_equal(places[i].offset, 4 * i);
	}
	assert_true(places[3].found);
	assert_int_equal(places[3].offset, 12);
	for (size_t i = 4; i < 7; i++)
		assert_false(places[i].found);
}

static void an_anonymous_part_of_itself_ends(void **state)
{
	struct btf_place place = { "one", "d", 0, false, 0 };
	struct sample bytes = sample();

	(void)state;
	bytes.members[1].type = 3;
	assert_int_equal(btf_find_in(&bytes, sizeof bytes, &place, 1), 0);
	assert_false(place.found);
	bytes.members[1].type = 4;
	assert_int_equal(btf_find_in(&bytes, sizeof bytes, &place, 1), 0);
	assert_false(place.found);
}

static void what_is_cut_off_is_refused(void **state)
{
	struct btf_place place = { "one", "d", 0, false, 0 };
	struct sample bytes = sample();

	(void)state;
	for (size_t size = 0; size < sizeof bytes; size++) {
		errno = 0;
		assert_int_equal(btf_find_in(&bytes, size, &place, 1), -1);
		assert_int_equal(errno, EINVAL);
	}
	bytes.header.type_len -= 4;
	assert_int_equal(btf_find_in(&bytes, sizeof bytes, &place, 1), -1);
	bytes = sample();
	bytes.whole.info += 1;
	assert_int_equal(btf_find_in(&bytes, sizeof bytes, &place, 1), -1);
	bytes = sample();
	bytes.names[sizeof bytes.names - 1] = 'x';
	assert_int_equal(btf_find_in(&bytes, sizeof bytes, &place, 1), -1);
	bytes = sample();
	bytes.header.magic++;
	assert_int_equal(btf_find_in(&bytes, sizeof bytes, &place, 1), -1);
}

/* The name that this thread has. */
static void memory_is_read(void **state)
{
	struct btf_place comm = { "task_struct", "comm", 0, false, 0 };
	struct kernel_memory memory;
	char name[16], wanted[16] = "kernel-memory";
	uint64_t thread;

	(void)state;
	if (btf_find(&comm, 1) || kernel_memory_open(&memory))
		skip();
	assert_true(comm.found);
	assert_int_equal(prctl(PR_SET_NAME, wanted), 0);
	assert_int_equal(kernel_memory_thread(&memory, &thread), 0);
	assert_int_equal(kernel_memory_read(&memory, thread + comm.offset, name, sizeof name), 0);
	assert_memory_equal(name, wanted, sizeof name);
	uint8_t whole[9001];
	assert_true(comm.offset + sizeof name <= sizeof whole);
	assert_int_equal(kernel_memory_read(&memory, thread, whole, comm.offset + 16), 0);
	assert_memory_equal(whole + comm.offset, wanted, 16);
	assert_int_equal(kernel_memory_read(&memory, 0, name, 1), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(kernel_memory_read(&memory, 4096, name, 1), -1);
	assert_int_equal(errno, EFAULT);
	kernel_memory_close(&memory);
}

/* Whether they are right shows a message that lies in pages (scenario sockets-backlog). */
static void pages_are_found(void **state)
{
	const struct btf_place comm = { "task_struct", "comm", 0, false, 0 };
	const struct kernel_places places = { &comm, 1, 1 };
	struct kernel_reader reader = { 0 };
	struct kernel_memory memory = { 0 };
	struct kernel_pages pages;
	struct arena arena = { 0 };

	(void)state;
	if (kernel_reader_begin(&reader, &memory, &places, &arena))
		skip();
	assert_int_equal(kernel_pages_find(&reader, &pages), 0);
	uint64_t page = pages.vmemmap + 5 * pages.structure_size;
	assert_true(kernel_page_content(&pages, page) ==
		    pages.direct_map + 5 * (uint64_t)sysconf(_SC_PAGESIZE));
	assert_true(kernel_page_content(&pages, page + 8) == 0);
	assert_true(kernel_page_content(&pages, pages.vmemmap - pages.structure_size) == 0);
	assert_int_equal(kernel_reader_end(&reader), 0);
	kernel_memory_close(&memory);
	arena_done(&arena);
}

/* Two windows apart, and beyond any table: those of one file are the same, and the others not. */
static void files_are_found(void **state)
{
	static const struct btf_place none;
	const struct kernel_places places = { &none, 0, 0 };
	const uint32_t numbers[] = { 100, 101, 102, 700, 701, 1U << 30 };
	uint64_t files[6];
	struct kernel_reader reader = { 0 };
	struct kernel_memory memory = { 0 };
	struct arena arena = { 0 };

	(void)state;
	if (kernel_reader_begin(&reader, &memory, &places, &arena))
		skip();
	assert_int_equal(dup2(memory.map, 100), 100);
	assert_int_equal(dup2(memory.program, 101), 101);
	assert_int_equal(dup2(memory.map, 700), 700);
	close(102);
	close(701);
	int folder = open("/proc/thread-self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t thread = kernel_thread_of(&reader, folder);
	kernel_files_of(&reader, thread, numbers, 6, files);
	assert_int_equal(kernel_reader_end(&reader), 0);
	assert_true(thread == reader.thread);
	assert_true(files[0] && files[0] == files[3] && files[0] == kernel_file(&reader, 700));
	assert_true(files[1] && files[1] != files[0]);
	assert_true(!files[2] && !files[4] && !files[5]);
	assert_int_equal(kernel_reader_end(&reader), 0);
	close(folder);
	close(100);
	close(101);
	close(700);
	kernel_memory_close(&memory);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_found),
		cmocka_unit_test(an_anonymous_part_of_itself_ends),
		cmocka_unit_test(what_is_cut_off_is_refused),
		cmocka_unit_test(memory_is_read),
		cmocka_unit_test(pages_are_found),
		cmocka_unit_test(files_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
