// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: ipc-settings
 * promise: of several ipc namespaces without objects each keeps its settings, and those of a new
 *	one where they were not changed
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

enum { NAMESPACES = 6 };

static const struct {
	const char *path, *value;
} changed[NAMESPACES] = {
	{ "/proc/sys/kernel/msgmax", "100" },
	{ NULL, NULL },
	{ "/proc/sys/kernel/shm_rmid_forced", "1" },
	{ "/proc/sys/kernel/sem", "300\t2000\t30\t40" },
	{ "/proc/sys/kernel/msg_next_id", "77" },
	{ "/proc/sys/fs/mqueue/msg_max", "9" },
};

static void read_setting(size_t which, char value[64])
{
	int fd = open(changed[which].path, O_RDONLY);

	memset(value, 0, 64);
	scenario_need(fd >= 0 && read(fd, value, 63) > 0, "cannot read %s: %s", changed[which].path,
		      strerror(errno));
	value[strcspn(value, "\n")] = '\0';
	close(fd);
}

static void change(size_t which)
{
	int fd = open(changed[which].path, O_WRONLY);
	ssize_t length = (ssize_t)strlen(changed[which].value);

	scenario_need(fd >= 0 && write(fd, changed[which].value, (size_t)length) == length,
		      "cannot write %s: %s", changed[which].path, strerror(errno));
	close(fd);
}

int main(int argc, char **argv)
{
	char new[NAMESPACES][64] = { 0 }, value[64];
	int kept[NAMESPACES];

	scenario_begin(argc, argv);
	for (size_t i = 0; i < NAMESPACES; i++) {
		scenario_need(unshare(CLONE_NEWIPC) == 0, "cannot unshare");
		for (size_t k = 0; i == 0 && k < NAMESPACES; k++)
			if (changed[k].path)
				read_setting(k, new[k]);
		if (changed[i].path)
			change(i);
		kept[i] = open("/proc/self/ns/ipc", O_RDONLY);
	}

	scenario_ready();

	for (size_t i = 0; i < NAMESPACES; i++) {
		scenario_check(setns(kept[i], CLONE_NEWIPC) == 0, "cannot enter one of them");
		for (size_t k = 0; k < NAMESPACES; k++) {
			if (!changed[k].path)
				continue;
			read_setting(k, value);
			scenario_check(strcmp(value, i == k ? changed[k].value : new[k]) == 0,
				       "namespace %zu: %s is %s", i, changed[k].path, value);
		}
	}
	return scenario_end();
}
