/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What ethtool(8) asks of an interface, in the network namespace of `fd`, any socket. */
#ifndef NESTOR_KINDS_NET_ETHTOOL_H
#define NESTOR_KINDS_NET_ETHTOOL_H

#include <linux/ethtool.h>
#include <stdbool.h>
#include <stdint.h>

int ethtool_open(void);
/* `question` begins with its command. -1 with errno. */
int ethtool_ask(int fd, const char *interface, void *question);

/* The names of all features that the kernel knows, to be freed; NULL with errno. */
struct ethtool_gstrings *ethtool_feature_names(int fd, const char *interface);
/* Whether each of `count` can be changed, is asked for and is on; to be freed. NULL with errno. */
struct ethtool_gfeatures *ethtool_features(int fd, const char *interface, uint32_t count);
/* Asks for one feature, or does so no more, by its place among the names; all at once. */
struct ethtool_sfeatures *ethtool_wish_new(uint32_t count);
void ethtool_wish(struct ethtool_sfeatures *wish, uint32_t at, bool on);

const char *ethtool_feature_name(const struct ethtool_gstrings *names, uint32_t at);

enum { ETHTOOL_BITS = 32 };

static inline bool ethtool_bit(uint32_t block, uint32_t at)
{
	return block >> at % ETHTOOL_BITS & 1;
}

#endif
