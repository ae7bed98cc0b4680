// SPDX-License-Identifier: LGPL-2.1-or-later
/* Histories that random ones hardly ever come to; each leaves a tree that has to be planned. */
#include "rare.h"

const struct rare_history rare_histories[] = {
	{ "who leads the session was below the parent, and was adopted since", "root own\n"
									       "0 setsid\n"
									       "0 subreaper 1\n"
									       "0 fork 1\n"
									       "1 fork 2\n"
									       "2 fork 3\n"
									       "3 setsid\n"
									       "3 fork 4\n"
									       "4 fork 5\n"
									       "1 subreaper 1\n"
									       "4 exit 0\n"
									       "3 wait @4\n"
									       "1 subreaper 0\n"
									       "2 exit 0\n"
									       "1 wait @2\n"
									       "end\n" },
	{ "somebody from whom the leader comes was below the parent, and was adopted since",
	  "root own\n"
	  "0 setsid\n"
	  "0 subreaper 1\n"
	  "0 fork 1\n"
	  "1 fork 2\n"
	  "2 fork 3\n"
	  "3 fork 4\n"
	  "4 setsid\n"
	  "4 fork 5\n"
	  "5 fork 6\n"
	  "1 subreaper 1\n"
	  "5 exit 0\n"
	  "4 wait @5\n"
	  "1 subreaper 0\n"
	  "2 exit 0\n"
	  "1 wait @2\n"
	  "end\n" },
	{ "who is early for its session belongs to a namespace whose init cannot be early",
	  "root own\n"
	  "0 fork 1\n"
	  "1 fork 2\n"
	  "0 setsid\n"
	  "0 unshare\n"
	  "0 fork 3\n"
	  "0 fork 4\n"
	  "4 setsid\n"
	  "2 fork 5\n"
	  "4 fork 6 newpid\n"
	  "5 enter @6\n"
	  "5 fork 7\n"
	  "5 exit 0\n"
	  "end\n" },
};
const size_t n_rare_histories = sizeof rare_histories / sizeof *rare_histories;
