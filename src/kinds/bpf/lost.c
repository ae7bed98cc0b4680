// SPDX-License-Identifier: LGPL-2.1-or-later
/* BPF objects that cannot be made again. */
#include "kinds/bpf/bpf.h"

#include "base/log.h"
#include "collect/collect.h"
#include "collect/losses.h"

#include <fcntl.h>
#include <string.h>

int bpf_give_up(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct target *target = file->target;

	if (err->name != ERR_UNSUPPORTED_FILE || target->held_for)
		return -1;
	if (!loss_is_accepted(target->collect, LOSS_BPF)) {
		fail_hint(err,
			  "--force-lost bpf dumps without it: calls with the descriptor fail then");
		return fail_option(err, "--force-lost", "bpf");
	}
	loss_add(target, target->living, LOSS_BPF, "has descriptors that will have no effect");
	log_warning("collect", "bpf", "%s", err->text);
	*err = (struct error){ 0 };
	entry->type = FD_TYPES__EVENTFD;
	entry->efd = snapshot_new(target->collect->snapshot, EVENTFD_FILE_ENTRY, EventfdFileEntry);
	entry->efd->id = file->id;
	entry->efd->flags = O_RDWR | (file->flags & O_NONBLOCK);
	return 0;
}
