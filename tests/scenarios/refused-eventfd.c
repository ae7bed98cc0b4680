// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-eventfd
 * promise: an eventfd is refused by name, and keeps its count
 * flavours: flat one ordinary
 * refused: unsupported-file
 */
#include "scenario.h"

#include <sys/eventfd.h>

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	eventfd_t value = 0;
	int event = eventfd(5, EFD_SEMAPHORE);

	scenario_need(event >= 0, "no eventfd");

	scenario_ready();

	scenario_check(eventfd_read(event, &value) == 0 && value == 1, "the count is another one");
	return scenario_end();
}
