// SPDX-License-Identifier: LGPL-2.1-or-later
/* See kernel-socket.h. */
#include "kinds/sockets/kernel-socket.h"

static const struct btf_place all_places[] = { SOCKET_PLACES(BTF_PLACE) };
const struct kernel_places kernel_socket_places = { all_places, N_SOCKET_PLACES, N_SOCKET_PLACES };

uint64_t kernel_socket(struct kernel_reader *by, int fd)
{
	uint64_t file = kernel_file(by, fd);
	uint64_t socket = kernel_pointer(by, file, FILE_DATA);

	if (kernel_pointer(by, socket, SOCKET_FILE) != file)
		kernel_has_changed(by);
	return kernel_pointer(by, socket, SOCKET_SK);
}
