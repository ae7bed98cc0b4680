// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-features
 * promise: features of interfaces that somebody has switched on or off are as they were, of pairs,
 *	bridges, taps, vxlans and lo; and so are those that nobody has touched, how many of its
 *	queues a pair uses, and speed and patience of a tap
 * flavours: flat one three user user-three
 * needs: program:ip
 * not-shifted: /dev/net/tun is not for everybody
 */
#include <net/if.h>

#include "scenario.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCKS = 2, BITS = 32, MASKS = 3 * 127, SPEED = 2500, FRAMES = 9, LEVEL = 5 };

/* Those of the kernel's numbers (netdev_features.h) that all of these interfaces may change. */
enum { SCATTER_GATHER = 0, GENERIC_SEGMENTS = 11, GENERIC_RECEIVE = 14 };

static const char *const interfaces[] = { "lo", "ve0", "ve1", "ve2", "ve3", "br0", "tap7", "vx0" };

enum { INTERFACES = sizeof interfaces / sizeof *interfaces };

struct seen {
	struct ethtool_get_features_block features[BLOCKS];
	struct ethtool_channels channels;
};

static int ask(const char *interface, void *question)
{
	struct ifreq request = { .ifr_data = question };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	strcpy(request.ifr_name, interface);
	int result = ioctl(fd, SIOCETHTOOL, &request);
	close(fd);
	return result;
}

static void change(const char *interface, unsigned at, bool on)
{
	struct {
		struct ethtool_sfeatures head;
		struct ethtool_set_features_block blocks[BLOCKS];
	} wish = { .head = { .cmd = ETHTOOL_SFEATURES, .size = BLOCKS } };

	wish.blocks[at / BITS].valid = 1U << at % BITS;
	wish.blocks[at / BITS].requested = (uint32_t)on << at % BITS;
	scenario_need(ask(interface, &wish) >= 0, "cannot change %s", interface);
}

static struct seen look(const char *interface)
{
	struct {
		struct ethtool_gfeatures head;
		struct ethtool_get_features_block blocks[BLOCKS];
	} question = { .head = { .cmd = ETHTOOL_GFEATURES, .size = BLOCKS } };
	struct seen seen = { .channels.cmd = ETHTOOL_GCHANNELS };

	scenario_need(ask(interface, &question) == 0, "no features of %s", interface);
	memcpy(seen.features, question.blocks, sizeof question.blocks);
	/* Where it has some. */
	if (ask(interface, &seen.channels) < 0)
		seen.channels = (struct ethtool_channels){ 0 };
	return seen;
}

static bool is_on(const struct seen *seen, unsigned at)
{
	return seen->features[at / BITS].active >> at % BITS & 1;
}

/* Where ethtool(8) has words for a tap. */
struct words {
	struct ethtool_link_settings settings;
	uint32_t masks[MASKS];
};

static struct words read_words(void)
{
	struct words words = { .settings.cmd = ETHTOOL_GLINKSETTINGS };

	scenario_need(ask("tap7", &words) == 0, "no settings");
	int8_t count = (int8_t)-words.settings.link_mode_masks_nwords;
	words.settings = (struct ethtool_link_settings){ .cmd = ETHTOOL_GLINKSETTINGS,
							 .link_mode_masks_nwords = count };
	scenario_need(ask("tap7", &words) == 0, "no settings");
	return words;
}

static void set_up(void)
{
	static const char command[] =
		"set -e; ip link set lo up; ip link add ve0 type veth peer name ve1;"
		"ip link add ve2 numtxqueues 4 numrxqueues 4 type veth peer name ve3;"
		"ip link add br0 type bridge; ip link set ve1 master br0; ip link set br0 up;"
		"ip link set ve0 up; ip link set ve1 up;"
		"ip tuntap add tap7 mode tap;"
		"ip link add vx0 type vxlan id 5 dstport 4789";
	struct ethtool_channels queues = { .cmd = ETHTOOL_GCHANNELS };
	struct ethtool_coalesce frames = { .cmd = ETHTOOL_SCOALESCE,
					   .rx_max_coalesced_frames = FRAMES };
	struct ethtool_value level = { .cmd = ETHTOOL_SMSGLVL, .data = LEVEL };

	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace");
	scenario_need(system(command) == 0, "cannot set it up");
	change("lo", GENERIC_SEGMENTS, false);
	change("ve0", GENERIC_RECEIVE, true);
	change("ve0", SCATTER_GATHER, false);
	change("ve3", GENERIC_SEGMENTS, false);
	change("br0", GENERIC_SEGMENTS, false);
	change("tap7", GENERIC_RECEIVE, false);
	change("vx0", SCATTER_GATHER, false);
	scenario_need(ask("ve2", &queues) == 0, "no queues");
	queues.cmd = ETHTOOL_SCHANNELS;
	queues.rx_count = 2;
	queues.tx_count = 3;
	scenario_need(ask("ve2", &queues) == 0, "cannot change queues");
	scenario_need(system("ip link set ve2 up") == 0, "cannot set it up");
	scenario_need(ask("tap7", &frames) == 0 && ask("tap7", &level) == 0, "no words for a tap");
	struct words words = read_words();
	words.settings.cmd = ETHTOOL_SLINKSETTINGS;
	words.settings.speed = SPEED;
	words.settings.duplex = DUPLEX_HALF;
	scenario_need(ask("tap7", &words) == 0, "cannot set a speed");
}

/* ve2 is up and its other end is not: whether there is a carrier is told of what is up. */
static bool has_carrier(void)
{
	struct ethtool_value link = { .cmd = ETHTOOL_GLINK };

	scenario_need(ask("ve2", &link) == 0, "no carrier is told");
	return link.data;
}

static void check_words(void)
{
	struct ethtool_coalesce frames = { .cmd = ETHTOOL_GCOALESCE };
	struct ethtool_value level = { .cmd = ETHTOOL_GMSGLVL };
	struct words words = read_words();

	scenario_need(ask("tap7", &frames) == 0 && ask("tap7", &level) == 0, "no words of a tap");
	scenario_check(frames.rx_max_coalesced_frames == FRAMES && level.data == LEVEL &&
			       words.settings.speed == SPEED &&
			       words.settings.duplex == DUPLEX_HALF,
		       "of the tap: frames %u, level %u, speed %u, duplex %u",
		       frames.rx_max_coalesced_frames, level.data, words.settings.speed,
		       words.settings.duplex);
}

int main(int argc, char **argv)
{
	struct seen before[INTERFACES];

	scenario_begin(argc, argv);
	set_up();
	for (unsigned i = 0; i < INTERFACES; i++)
		before[i] = look(interfaces[i]);
	scenario_need(!is_on(&before[0], GENERIC_SEGMENTS) && is_on(&before[1], GENERIC_RECEIVE) &&
			      !is_on(&before[1], SCATTER_GATHER),
		      "nothing has changed");
	scenario_need(!has_carrier(), "ve2 has a carrier");

	scenario_ready();

	for (unsigned i = 0; i < INTERFACES; i++) {
		struct seen after = look(interfaces[i]);
		for (unsigned k = 0; k < BLOCKS; k++)
			scenario_check(memcmp(&after.features[k], &before[i].features[k],
					      sizeof after.features[k]) == 0,
				       "%s: wished %x, on %x, were %x, %x", interfaces[i],
				       after.features[k].requested, after.features[k].active,
				       before[i].features[k].requested,
				       before[i].features[k].active);
		scenario_check(
			memcmp(&after.channels, &before[i].channels, sizeof after.channels) == 0,
			"%s uses %u and %u queues, not %u and %u", interfaces[i],
			after.channels.rx_count, after.channels.tx_count,
			before[i].channels.rx_count, before[i].channels.tx_count);
	}
	scenario_check(!has_carrier(), "ve2 has a carrier, and its other end is down");
	check_words();
	return scenario_end();
}
