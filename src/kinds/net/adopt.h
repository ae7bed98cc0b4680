/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What CRIU's images have of network namespaces in words of other programs; private to kinds/net.
 */
#ifndef NESTOR_KINDS_NET_ADOPT_H
#define NESTOR_KINDS_NET_ADOPT_H

#include "kinds/net/net.h"

/*
 * adopt-texts.c (pure). The first rule in what nft(8) or iptables-save(8) list, but for those that
 * CRIU locks the network with and what iptables has around them; NULL: none. The text is taken
 * apart.
 */
const char *nftables_first_rule(char *text);
const char *iptables_first_rule(char *text);

/*
 * adopt-texts.c (pure). Addresses, routes or rules as ip(8) saves them: a magic and messages of
 * rtnetlink. -1 where they are none.
 */
int netns_adopt_messages(NetnsContents *net, struct arena *arena, const void *bytes, size_t size);

#endif
