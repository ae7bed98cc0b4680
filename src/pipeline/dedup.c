// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pages that a later dump does not need of earlier ones; see images/dedup.c. */
#include "base/log.h"
#include "images/images.h"
#include "pipeline/pipeline.h"
#include "pipeline/session.h"

#include <inttypes.h>

static int dedup(const struct session *session, struct error *err)
{
	uint64_t pages = 0;
	int result = images_dedup(session->images_fd, &pages, err);

	log_info("dedup", "nestor", "%" PRIu64 " pages removed from earlier dumps", pages);
	return result;
}

int pipeline_dedup(const struct pipeline_options *options, struct error *err)
{
	struct session session;

	if (session_open(&session, "dedup", options, err) == 0)
		dedup(&session, err);
	return session_close(&session, err);
}

void session_dedup(const struct session *session)
{
	struct error err = { 0 };

	if (session->options->auto_dedup && dedup(session, &err) < 0)
		log_warning("dump", "earlier dumps", "%s: pages are left there", err.text);
}
