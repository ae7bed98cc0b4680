// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Into a FUSE only who mounted it gets, if not all may (fuse_permissible_uidgid), whatever his
 * capabilities are. So who enters a directory of it, or is to execute a file of it, has his ids
 * meanwhile; securebits keep the rights of who changes these.
 */
#include "plan/plan.h"

#include "kernel/facts.h"

#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void plan_ids(struct program *program, const uint32_t *uids, const uint32_t *gids)
{
	program_call(program, SYS_setresgid, gids[0], gids[1], gids[2]);
	program_call(program, SYS_setresuid, uids[0], uids[1], uids[2]);
}

static bool has_ids(const uint32_t *ids, uint32_t wanted)
{
	return ids[0] == wanted && ids[1] == wanted && ids[2] == wanted;
}

static bool lets_in(const struct facts *facts, const FuseFileEntry *fuse)
{
	return !fuse || !fuse->has_uid ||
	       (has_ids(facts->uids, fuse->uid) && has_ids(facts->gids, fuse->gid));
}

void plan_let_in(struct plan *plan, struct program *program, uint32_t file_id, plan_entering *enter,
		 const void *data)
{
	const FileEntry *file = snapshot_file(plan->snapshot, file_id);
	const FuseFileEntry *fuse = file->reg ? file->reg->fuse : NULL;
	const struct facts *facts = plan->facts;

	if (lets_in(facts, fuse)) {
		enter(plan, program, file_id, data);
		return;
	}
	const uint32_t uids[] = { fuse->uid, fuse->uid, fuse->uid };
	const uint32_t gids[] = { fuse->gid, fuse->gid, fuse->gid };
	program_call(program, SYS_prctl, PR_SET_SECUREBITS,
		     facts->securebits | SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
	plan_ids(program, uids, gids);
	enter(plan, program, file_id, data);
	plan_ids(program, facts->uids, facts->gids);
	program_call(program, SYS_prctl, PR_SET_SECUREBITS, facts->securebits, 0, 0, 0);
}
