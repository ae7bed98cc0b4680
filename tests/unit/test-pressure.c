// SPDX-License-Identifier: LGPL-2.1-or-later
/* Files of pressure as images may name them (kinds/files/pressure.h), and fewer rights. */
#include "kinds/files/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static RegFileEntry reg;
static PressureEntry pressure;

static int fill(void **state)
{
	(void)state;
	reg = (RegFileEntry)REG_FILE_ENTRY__INIT;
	pressure = (PressureEntry)PRESSURE_ENTRY__INIT;
	reg.name = (char *)"/proc/pressure/memory";
	reg.flags = O_RDWR;
	reg.pressure = &pressure;
	pressure.has_threshold = pressure.has_window = true;
	pressure.threshold = 2000000;
	pressure.window = 2000000;
	return 0;
}

static int check(void)
{
	struct error err = { 0 };

	return pressure_check(&reg, &err) ? err.name == ERR_IMAGE_INVALID : -1;
}

static void limits_are_the_kernels(void **state)
{
	(void)state;
	assert_int_equal(check(), -1);
	pressure.threshold++;
	assert_int_equal(check(), 1);
	pressure.threshold = 0;
	assert_int_equal(check(), 1);
	pressure.threshold = 1;
	pressure.window = 499999;
	assert_int_equal(check(), 1);
	pressure.window = 500000;
	assert_int_equal(check(), -1);
	pressure.window = 10000000;
	assert_int_equal(check(), -1);
	pressure.window++;
	assert_int_equal(check(), 1);
	fill(NULL);
	pressure.has_window = false;
	pressure.window = 0;
	assert_int_equal(check(), 1);
	pressure.has_threshold = false;
	assert_int_equal(check(), -1);
}

static void only_who_writes_waits(void **state)
{
	(void)state;
	reg.flags = O_RDONLY;
	assert_int_equal(check(), 1);
	reg.flags = O_RDWR | O_PATH;
	assert_int_equal(check(), 1);
	reg.flags = O_WRONLY;
	assert_int_equal(check(), -1);
}

static enum error_name give(int fd)
{
	struct error err = { 0 };

	return pressure_give(&reg, fd, &err) ? err.name : ERR_NONE;
}

/* Whatever an image names as one is not written to. */
static void nothing_else_is_written_to(void **state)
{
	char content[8], path[] = "/tmp/nestor-unit-pressure-XXXXXX";
	int file = mkstemp(path), pipe_fds[2];
	int setting = open("/proc/self/oom_score_adj", O_RDONLY);

	(void)state;
	assert_int_equal(give(file), ERR_FILE_CHANGED);
	assert_int_equal(lseek(file, 0, SEEK_END), 0);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(give(pipe_fds[1]), ERR_FILE_CHANGED);
	close(pipe_fds[1]);
	assert_int_equal(read(pipe_fds[0], content, sizeof content), 0);
	assert_int_equal(give(setting), ERR_FILE_CHANGED);
	close(pipe_fds[0]);
	assert_int_equal(give(pipe_fds[0]), ERR_KERNEL_REFUSED);
	close(setting);
	close(file);
	unlink(path);
}

static uint32_t effective(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { 0 };

	assert_int_equal(syscall(SYS_capget, &header, sets), 0);
	return sets[0].effective;
}

static void a_right_is_left_for_a_while(void **state)
{
	uint32_t own = effective();
	struct made_as before;

	(void)state;
	for (unsigned capability = 0; capability < 32; capability++) {
		assert_int_equal(made_as_without(capability, &before), 0);
		assert_int_equal(effective(), own & ~CAP_TO_MASK(capability));
		made_as_end(&before);
		assert_int_equal(effective(), own);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(limits_are_the_kernels, fill),
		cmocka_unit_test_setup(only_who_writes_waits, fill),
		cmocka_unit_test_setup(nothing_else_is_written_to, fill),
		cmocka_unit_test(a_right_is_left_for_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
