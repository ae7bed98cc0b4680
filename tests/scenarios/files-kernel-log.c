// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-kernel-log
 * promise: whoever reads the kernel's log goes on with the record after the one that it has read,
 *	also if something was written meanwhile; who writes to it can
 * needs: device:kmsg initial-user-namespace
 * flavours: flat one three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 8192 };

/* Reads what there is; its numbers have to follow each other. Whether a text was among it. */
static bool read_all(int log, uint64_t *last, const char *text)
{
	char record[ROOM];
	bool found = false;

	for (;;) {
		uint64_t number;
		ssize_t length = read(log, record, sizeof record - 1);
		if (length < 0 && errno == EPIPE) {
			*last = 0; /* overwritten before it was read */
			continue;
		}
		if (length < 0) {
			scenario_check(errno == EAGAIN, "cannot read the log");
			return found;
		}
		record[length] = '\0';
		scenario_check(sscanf(record, "%*u,%" SCNu64, &number) == 1, "no record");
		scenario_check(!*last || number == *last + 1, "record %" PRIu64 " after %" PRIu64,
			       number, *last);
		*last = number;
		found |= text && strstr(record, text);
	}
}

static int reader(void *data)
{
	char text[64];
	uint64_t last = 0;
	bool found = false;
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	snprintf(text, sizeof text, "of a test: %s", (const char *)data);
	scenario_need(log >= 0, "the log cannot be read");
	read_all(log, &last, NULL);
	scenario_mark("reading");
	while (!scenario_is_restored()) {
		found |= read_all(log, &last, text);
		scenario_sleep_ms(5);
	}
	scenario_check(fcntl(log, F_GETFL) & O_NONBLOCK, "O_NONBLOCK is lost");
	scenario_wait_mark("written");
	found |= read_all(log, &last, text);
	scenario_check(found, "what was written does not come");
	return 0;
}

int main(int argc, char **argv)
{
	char name[32], text[64];

	scenario_begin(argc, argv);
	int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	scenario_need(log >= 0, "the log cannot be written");
	snprintf(name, sizeof name, "%d", getpid());
	pid_t child = scenario_child(reader, name);
	scenario_wait_mark("reading");

	scenario_ready();

	int length = snprintf(text, sizeof text, "<7>of a test: %s\n", name);
	scenario_check(write(log, text, (size_t)length) == length, "cannot write");
	scenario_mark("written");
	scenario_reap(child);
	return scenario_end();
}
