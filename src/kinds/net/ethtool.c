// SPDX-License-Identifier: LGPL-2.1-or-later
/* See ethtool.h. Names of features are those of the kernel (net/ethtool/common.c). */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/ethtool.h"

#include "base/cleanup.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { MOST_FEATURES = 1024 };

int ethtool_open(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

int ethtool_ask(int fd, const char *interface, void *question)
{
	struct ifreq request = { .ifr_data = question };

	strncpy(request.ifr_name, interface, sizeof request.ifr_name - 1);
	return ioctl(fd, SIOCETHTOOL, &request);
}

static int count_features(int fd, const char *interface, uint32_t *ret_count)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t count;
	} question = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1 << ETH_SS_FEATURES } };

	if (ethtool_ask(fd, interface, &question) < 0)
		return -1;
	*ret_count = question.info.sset_mask ? question.count : 0;
	errno = EPROTO;
	return *ret_count <= MOST_FEATURES ? 0 : -1;
}

struct ethtool_gstrings *ethtool_feature_names(int fd, const char *interface)
{
	uint32_t count;

	if (count_features(fd, interface, &count) < 0)
		return NULL;
	autofree struct ethtool_gstrings *names =
		calloc(1, sizeof *names + (size_t)count * ETH_GSTRING_LEN);
	if (!names)
		return NULL;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = count;
	return ethtool_ask(fd, interface, names) < 0 ? NULL : take_ptr(names);
}

const char *ethtool_feature_name(const struct ethtool_gstrings *names, uint32_t at)
{
	return (const char *)names->data + (size_t)at * ETH_GSTRING_LEN;
}

static uint32_t blocks_of(uint32_t count)
{
	return (count + ETHTOOL_BITS - 1) / ETHTOOL_BITS;
}

struct ethtool_gfeatures *ethtool_features(int fd, const char *interface, uint32_t count)
{
	autofree struct ethtool_gfeatures *bits =
		calloc(1, sizeof *bits + blocks_of(count) * sizeof *bits->features);

	if (!bits)
		return NULL;
	bits->cmd = ETHTOOL_GFEATURES;
	bits->size = blocks_of(count);
	if (ethtool_ask(fd, interface, bits) < 0)
		return NULL;
	/* It tells how many it has, and fills no more than there was room for. */
	bits->size = blocks_of(count);
	return take_ptr(bits);
}

struct ethtool_sfeatures *ethtool_wish_new(uint32_t count)
{
	struct ethtool_sfeatures *wish =
		calloc(1, sizeof *wish + blocks_of(count) * sizeof *wish->features);

	if (wish) {
		wish->cmd = ETHTOOL_SFEATURES;
		wish->size = blocks_of(count);
	}
	return wish;
}

void ethtool_wish(struct ethtool_sfeatures *wish, uint32_t at, bool on)
{
	wish->features[at / ETHTOOL_BITS].valid |= 1U << at % ETHTOOL_BITS;
	wish->features[at / ETHTOOL_BITS].requested |= (uint32_t)on << at % ETHTOOL_BITS;
}
