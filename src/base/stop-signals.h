/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The signals that ask nestor to stop. Who works blocks them, and looks at them where it can stop.
 */
#ifndef NESTOR_BASE_STOP_SIGNALS_H
#define NESTOR_BASE_STOP_SIGNALS_H

#include <signal.h>

/* SIGINT, SIGTERM, SIGHUP and SIGQUIT. */
void stop_signals(sigset_t *ret_set);

/* One of them that is pending and not ignored; 0: none. */
int stop_signal_pending(void);

#endif
