// SPDX-License-Identifier: LGPL-2.1-or-later
/* See prctl.h. */
#include "kinds/task/prctl.h"

#include <string.h>
#include <sys/syscall.h>

struct question prctl_ask(struct probe *probe, const char *name, uint64_t option, uint64_t buffer)
{
	return (struct question){
		.name = name,
		.call = probe_ask(probe, SYS_prctl, option, buffer, 0, 0, 0),
		.buffer = buffer,
	};
}

int prctl_answer(const struct probe *probe, struct target *target, size_t thread,
		 const struct question *question, enum loss loss, uint64_t *ret_value,
		 struct error *err)
{
	int64_t result = probe_result(probe, question->call);
	int32_t written;

	*ret_value = 0;
	if (result == PROBE_FORBIDDEN) {
		loss_forbidden(target, thread, loss);
		return 0;
	}
	if (result < 0)
		return fail(err, ERR_PROBE_FAILED, "thread %d: %s: %s", target->threads[thread].tid,
			    question->name, strerror((int)-result));
	if (question->buffer) {
		memcpy(&written, probe_bytes(probe, question->buffer), sizeof written);
		*ret_value = (uint64_t)written;
	} else {
		*ret_value = (uint64_t)result;
	}
	return 1;
}
