// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-full
 * promise: terminals whose output nobody reads, so that who writes there waits, keep all of it,
 *	however it was written, and who waits goes on when it is read
 * flavours: one three user user-three
 * rounds: 5
 * alone: terminal numbers are one for all
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

/* More than a terminal holds, and by how much at once it is written. */
enum { TOTAL = 40000 };
static const size_t pieces[] = { TOTAL, 1, 80, 256, 300, 1000, 1700, 2048, 3000 };
enum { TERMINALS = sizeof pieces / sizeof pieces[0] };

static struct terminal {
	int master, slave;
	size_t piece, written;
	pthread_t writer;
} terminals[TERMINALS];

static uint8_t text[TOTAL + 23];

static uint8_t byte_at(size_t position)
{
	return (uint8_t)('a' + position % 23);
}

static void *write_much(void *data)
{
	struct terminal *terminal = data;

	while (terminal->written < TOTAL) {
		size_t left = TOTAL - terminal->written, first = terminal->written % 23;
		ssize_t put = write(terminal->slave, text + first,
				    left < terminal->piece ? left : terminal->piece);
		scenario_check(put > 0, "a writer of %zu: errno %d", terminal->piece, errno);
		if (put <= 0)
			break;
		terminal->written += (size_t)put;
	}
	return NULL;
}

static void start(struct terminal *terminal, size_t piece)
{
	struct termios modes;

	terminal->piece = piece;
	terminal->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	scenario_need(terminal->master >= 0 && !grantpt(terminal->master) &&
			      !unlockpt(terminal->master),
		      "no terminal: errno %d", errno);
	terminal->slave = open(ptsname(terminal->master), O_RDWR | O_NOCTTY);
	scenario_need(terminal->slave >= 0 && !tcgetattr(terminal->slave, &modes), "no slave");
	cfmakeraw(&modes);
	tcsetattr(terminal->slave, TCSANOW, &modes);
	scenario_need(!pthread_create(&terminal->writer, NULL, write_much, terminal),
		      "pthread_create");
}

static void read_all(const struct terminal *terminal)
{
	static uint8_t bytes[TOTAL];
	size_t got = 0;

	for (int idle = 0; got < TOTAL && idle < 2000;) {
		ssize_t more = read(terminal->master, bytes, sizeof bytes);
		if (more <= 0) {
			idle++;
			scenario_sleep_ms(1);
			continue;
		}
		idle = 0;
		for (ssize_t i = 0; i < more; i++, got++)
			if (bytes[i] != byte_at(got)) {
				scenario_check(false, "written by %zu: another byte at %zu",
					       terminal->piece, got);
				return;
			}
	}
	scenario_check(got == TOTAL, "written by %zu: %zu bytes came", terminal->piece, got);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = byte_at(i);
	for (size_t i = 0; i < TERMINALS; i++)
		start(&terminals[i], pieces[i]);
	scenario_sleep_ms(200);

	scenario_ready();

	for (size_t i = 0; i < TERMINALS; i++)
		read_all(&terminals[i]);
	for (size_t i = 0; i < TERMINALS; i++)
		pthread_join(terminals[i].writer, NULL);
	return scenario_end();
}
