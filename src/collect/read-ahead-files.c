// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What /proc shows of descriptors, where a task has many: half of what a descriptor costs is the
 * kernel's work of finding and printing it. The descriptors are shared out in pieces among both
 * threads, and each piece is read once for all who ask (mounts, files). The tree stands still, so
 * what is shown does not change; but for what tells how time goes on (timerfd), and what others
 * change meanwhile, which is read when it is asked for.
 */
#include "collect/read-ahead.h"

#include "base/arena.h"
#include "base/cleanup.h"
	struct files_ahead *piece = target->files_ahead[i / PIECE];
	if (piece->errand.state != ERRAND_DONE)
		assistant_need(target->collect->assistant, &piece->errand);
	*ret_place = i % PIECE;
	return piece;
}

const struct descriptor_ahead *read_ahead_descriptor(struct target *target, uint32_t number)
{
	size_t place;
	struct files_ahead *piece = find_piece(target, number, &place);

	return piece ? &piece->rows[place] : NULL;
}

const void *read_ahead_asked(struct target *target, uint32_t number)
{
	size_t place;
	struct files_ahead *piece = find_piece(target, number, &place);

	if (!piece || !is_socket(&piece->rows[place]))
		return NULL;
	if (piece->asking.state != ERRAND_DONE)
		assistant_need(target->collect->assistant, &piece->asking);
	return piece->answers[place];
}

void read_ahead_forget_descriptors(struct target *target)
{
	for (size_t i = 0; target->files_ahead && i < target->n_descriptors; i++) {
		free(target->files_ahead[i / PIECE]->answers[i % PIECE]);
		target->files_ahead[i / PIECE]->answers[i % PIECE] = NULL;
	}
}
