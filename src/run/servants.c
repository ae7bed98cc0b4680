// SPDX-License-Identifier: LGPL-2.1-or-later
/* What programs ask of the coordinator while it waits: a row for each kind of service. */
#include "run/state.h"

static int (*const servants[SERVICE_KINDS])(struct run *run, const void *what,
					    struct error *err) = {
	[SERVICE_FILL] = run_fill,
	[SERVICE_GUIDE] = run_guide,
	[SERVICE_TIME] = run_fill_made_namespace,
};

static bool may_be_served(const struct service *service)
{
	return !service->after_word ||
	       __atomic_load_n(word_at(service->after_word), __ATOMIC_ACQUIRE) >= service->n_after;
}

static int serve(struct run *run, enum service_kind kind, struct error *err)
{
	const struct service *service = &run->plan->services[kind];

	if (!service->word || !may_be_served(service))
		return 0;
	if (!run->served[kind])
		run->served[kind] = arena_array(run->arena, bool, service->n_requests + 1);
	for (size_t i = 0; i < service->n_requests; i++) {
		const struct request *request = &service->requests[i];

		if (run->served[kind][i] ||
		    !__atomic_load_n(word_at(request->ready_word), __ATOMIC_SEQ_CST))
			continue;
		run->served[kind][i] = true;
		if (servants[kind](run, request->what, err) < 0)
			return -1;
	}
	return 0;
}

int run_serve(struct run *run, struct error *err)
{
	for (int kind = 0; kind < SERVICE_KINDS; kind++)
		if (serve(run, (enum service_kind)kind, err))
			return -1;
	return 0;
}
