/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A socket in the kernel's memory, from a descriptor of ours (kernel/kernel-reader.h). */
#ifndef NESTOR_KINDS_SOCKETS_KERNEL_SOCKET_H
#define NESTOR_KINDS_SOCKETS_KERNEL_SOCKET_H

#include "kernel/kernel-reader.h"

/* The first of a reader's places: */
#define SOCKET_PLACES(X)                        \
	X(FILE_DATA, "file", "private_data")    \
	X(SOCKET_FILE, "socket", "file")        \
	X(SOCKET_SK, "socket", "sk")            \
	X(SK_QUEUE, "sock", "sk_receive_queue") \
	X(SK_ERROR, "sock", "sk_err")           \
	X(SK_ENDED, "sock", "sk_shutdown")      \
	X(QUEUE_NEXT, "sk_buff_head", "next")   \
	X(QUEUE_LENGTH, "sk_buff_head", "qlen")

enum socket_place {
	SOCKET_PLACES(BTF_NUMBER) N_SOCKET_PLACES,
};

/* For who needs no others. */
extern const struct kernel_places kernel_socket_places;
/* Its struct sock. */
uint64_t kernel_socket(struct kernel_reader *by, int fd);

#endif
