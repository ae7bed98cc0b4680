/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process that makes witnesses, and their end; see witness.h. */
#ifndef NESTOR_COLLECT_WITNESS_KEEPER_H
#define NESTOR_COLLECT_WITNESS_KEEPER_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Whom a witness is to be like. */
struct witness_wanted {
	pid_t tid; /* of whom it is to be like */
	bool is_thread;
	bool enters_user, enters_pid;
	bool has_ids;	   /* as we have: nothing to be taken */
	uint32_t uid, gid; /* as we see them */
	bool mapped;	   /* they have numbers inside too: */
	uint32_t inner_uid, inner_gid;
	pid_t number;  /* if it is free */
	size_t levels; /* of pid namespaces below ours */
};

struct witness_keeper {
	pid_t pid; /* 0: there is none */
	int fd;	   /* its other end is the keeper's; -1: it has been dismissed */
};

/* Where it fails there is none. */
void witness_keeper_start(struct witness_keeper *keeper);
/*
 * It makes witnesses in the order in which they were asked for, and says the number of each where
 * it was born, or the errno for which there is none, negative. Asking starts a keeper if there is
 * none; false means that it has ended, with all that it was asked for. No more than these may be
 * asked for before the first answer is taken.
 */
enum { WITNESSES_AT_ONCE = 192, NO_WITNESS = -EPERM };
bool witness_keeper_ask(struct witness_keeper *keeper, const struct witness_wanted *wanted);
bool witness_keeper_answer(struct witness_keeper *keeper, pid_t *ret_number);
/* After one of these has failed: what says that nobody knows whether there could be one. */
pid_t witness_unknown(void);
/* Has it end, and all of its witnesses, without waiting for that. */
void witness_keeper_dismiss(struct witness_keeper *keeper);
/* Ends it and all of its witnesses. They end with us too. */
void witness_keeper_end(struct witness_keeper *keeper);

#endif
