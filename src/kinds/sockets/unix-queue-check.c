// SPDX-License-Identifier: LGPL-2.1-or-later
/* What records say that waits in unix sockets: whether it can be so, and what refers to files. */
#include "kinds/sockets/unix.h"

enum { MOST_RIGHTS = 253 /* SCM_MAX_FD */ };

bool unix_queues_have_rights(const struct snapshot *snapshot)
{
	const struct records *records = snapshot_records(snapshot, IMAGE_SK_QUEUES);

	for (size_t i = 0; i < records->count; i++) {
		const SkPacketEntry *packet = records->records[i]->message;
		if (packet->n_scm)
			return true;
	}
	return false;
}

bool unix_queue_has_rights(const struct snapshot *snapshot, uint32_t file_id)
{
	const struct record *record = snapshot_record(snapshot, IMAGE_SK_QUEUES, file_id);

	while (record && !((const SkPacketEntry *)record->message)->n_scm)
		record = record->next;
	return record;
}

static bool sender_is_sane(const SkPacketEntry *packet)
{
	for (size_t i = 0; i < packet->n_sender_pid; i++)
		if (!packet->sender_pid[i] || packet->sender_pid[i] > INT32_MAX)
			return false;
	return packet->n_sender_pid <= MAX_PID_LEVELS && unix_name_is_sane(&packet->sender_name) &&
	       (!packet->has_sender_beside || (packet->n_sender_pid && packet->sender_beside));
}

/* The last byte that was sent so is the urgent one, and marks are of those before it. */
static bool urgent_is_sane(const UnixSkEntry *sk, const struct record *record, bool *had_one)
{
	const SkPacketEntry *packet = record->message;

	if (!packet->urgent)
		return true;
	if (sk->type != SOCK_STREAM || *had_one || record->payload_size > 1 ||
	    (!record->payload_size && packet->n_scm))
		return false;
	*had_one = record->payload_size == 1;
	return true;
}

int unix_queue_check(const struct snapshot *snapshot, const UnixSkEntry *sk, struct error *err)
{
	const uint32_t file_id = sk->id;
	const struct record *record = snapshot_record(snapshot, IMAGE_SK_QUEUES, file_id);
	bool had_urgent = false;

	for (; record; record = record->next) {
		const SkPacketEntry *packet = record->message;
		size_t count = 0;
		if (!sender_is_sane(packet))
			return fail(err, ERR_IMAGE_INVALID,
				    "socket %u: nobody can have sent what waits in it", file_id);
		if (!urgent_is_sane(sk, record, &had_urgent))
			return fail(err, ERR_IMAGE_INVALID,
				    "socket %u: what waits in it cannot be urgent", file_id);
		for (size_t i = 0; i < packet->n_scm; i++) {
			const ScmEntry *scm = packet->scm[i];
			if (scm->type != SCM_RIGHTS)
				return fail(err, ERR_IMAGE_UNSUPPORTED,
					    "socket %u: a message of type %u waits in it", file_id,
					    scm->type);
			count += scm->n_rights;
			for (size_t k = 0; k < scm->n_rights; k++)
				if (!snapshot_file(snapshot, scm->rights[k]))
					return fail(err, ERR_IMAGE_INVALID,
						    "socket %u: file %u, which is on its way to "
						    "it, is not there",
						    file_id, scm->rights[k]);
		}
		if (count > MOST_RIGHTS)
			return fail(err, ERR_IMAGE_INVALID,
				    "socket %u: so many descriptors cannot be on their way to it",
				    file_id);
	}
	return 0;
}
