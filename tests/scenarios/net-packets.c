// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-packets
 * promise: tables of the older iptables come back with their counters, ipsets with their elements
 *	and under the index that rules know them by, and connections that the kernel has tracked,
 *	with marks, zones and translations: what is established passes where nothing new may;
 *	among them what the kernel itself has sent, and sends again in the meantime (IGMP)
 * flavours: flat one three user user-three
 * needs: program:ip program:nft program:iptables-legacy
 * not-shifted: the lock of iptables is not for everybody
 */
#include "scenario.h"
#include "shown.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 4711, ROOM = 65536, CONNECTIONS = 8000, RETRY_SECONDS = 3, MANY = 900 };

/* ---- ipset(8) by hand ---- */

struct message {
	struct nlmsghdr header;
	struct nfgenmsg netfilter;
	uint8_t attributes[1024];
};

static struct rtattr *put(struct message *message, unsigned short type, const void *data,
			  size_t size)
{
	struct rtattr *at = (void *)((char *)message + message->header.nlmsg_len);

	at->rta_type = type;
	at->rta_len = (unsigned short)RTA_LENGTH(size);
	if (size)
		memcpy(RTA_DATA(at), data, size);
	message->header.nlmsg_len += RTA_SPACE(size);
	return at;
}

static void end(const struct message *message, struct rtattr *at)
{
	at->rta_len =
		(unsigned short)((const char *)message + message->header.nlmsg_len - (char *)at);
}

static struct message begin(uint16_t command, uint16_t flags, const char *name)
{
	const uint8_t protocol = IPSET_PROTOCOL;
	struct message message = {
		.header = { .nlmsg_len = NLMSG_LENGTH(sizeof message.netfilter),
			    .nlmsg_type = (uint16_t)(NFNL_SUBSYS_IPSET << 8 | command),
			    .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) },
		.netfilter = { .nfgen_family = AF_INET },
	};

	put(&message, IPSET_ATTR_PROTOCOL, &protocol, sizeof protocol);
	if (name)
		put(&message, IPSET_ATTR_SETNAME, name, strlen(name) + 1);
	return message;
}

/* Returns the error, or how much was answered. */
static int tell(const struct message *message, uint8_t *answer)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	int size = 0;

	scenario_need(fd >= 0 && send(fd, message, message->header.nlmsg_len, 0) > 0,
		      "cannot speak with netfilter");
	for (;;) {
		ssize_t length = recv(fd, answer + size, ROOM - (size_t)size, 0);
		struct nlmsghdr *header = (void *)(answer + size);
		scenario_need(length >= (ssize_t)sizeof *header, "no answer");
		if (header->nlmsg_type == NLMSG_ERROR) {
			size = ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
			break;
		}
		/* Who asks and how often is not of the set. */
		for (size_t left = (size_t)length; NLMSG_OK(header, left);
		     header = NLMSG_NEXT(header, left)) {
			header->nlmsg_pid = 0;
			size += header->nlmsg_type == NLMSG_DONE ? 0 : (int)header->nlmsg_len;
			if (header->nlmsg_type == NLMSG_DONE)
				length = 0;
		}
		if (!length)
			break;
	}
	close(fd);
	return size;
}

static int do_ipset(const struct message *message)
{
	static uint8_t answer[ROOM];

	return tell(message, answer);
}

/* With that the order of its elements is the same each time. */
static void put_hash(struct message *message)
{
	const uint32_t most = htonl(4242), start = htonl(17);
	const uint8_t bucket = 8;

	put(message, IPSET_ATTR_MAXELEM | NLA_F_NET_BYTEORDER, &most, sizeof most);
	put(message, IPSET_ATTR_INITVAL | NLA_F_NET_BYTEORDER, &start, sizeof start);
	put(message, IPSET_ATTR_BUCKETSIZE, &bucket, sizeof bucket);
}

static int create_set(const char *name, const char *type, uint8_t revision)
{
	const uint8_t family = AF_INET;
	struct message message =
		begin(IPSET_CMD_CREATE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, name);
	const uint32_t flags = htonl(IPSET_FLAG_WITH_COUNTERS);

	put(&message, IPSET_ATTR_TYPENAME, type, strlen(type) + 1);
	put(&message, IPSET_ATTR_REVISION, &revision, sizeof revision);
	put(&message, IPSET_ATTR_FAMILY, &family, sizeof family);
	struct rtattr *data = put(&message, IPSET_ATTR_DATA | NLA_F_NESTED, NULL, 0);
	if (strcmp(type, "hash:ip") == 0)
		put_hash(&message);
	put(&message, IPSET_ATTR_CADT_FLAGS | NLA_F_NET_BYTEORDER, &flags, sizeof flags);
	end(&message, data);
	return do_ipset(&message);
}

static void add_address(const char *name, const char *address)
{
	struct message message = begin(IPSET_CMD_ADD, NLM_F_ACK | NLM_F_EXCL, name);
	struct in_addr number;

	inet_pton(AF_INET, address, &number);
	struct rtattr *data = put(&message, IPSET_ATTR_DATA | NLA_F_NESTED, NULL, 0);
	struct rtattr *ip = put(&message, IPSET_ATTR_IP | NLA_F_NESTED, NULL, 0);
	put(&message, IPSET_ATTR_IPADDR_IPV4 | NLA_F_NET_BYTEORDER, &number, sizeof number);
	end(&message, ip);
	end(&message, data);
	scenario_need(do_ipset(&message) == 0, "cannot add to a set");
}

static void add_set(const char *name, const char *other)
{
	struct message message = begin(IPSET_CMD_ADD, NLM_F_ACK | NLM_F_EXCL, name);

	struct rtattr *data = put(&message, IPSET_ATTR_DATA | NLA_F_NESTED, NULL, 0);
	put(&message, IPSET_ATTR_NAME, other, strlen(other) + 1);
	end(&message, data);
	scenario_need(do_ipset(&message) == 0, "cannot add to a list of sets");
}

static void remove_set(const char *name)
{
	struct message message = begin(IPSET_CMD_DESTROY, NLM_F_ACK, name);

	scenario_need(do_ipset(&message) == 0, "cannot remove a set");
}

/* More than the kernel tells in one message; of the other sets it does. */
static void add_many(const char *name)
{
	char address[20];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(address, sizeof address, "10.3.%u.%u", i / 250, i % 250);
		add_address(name, address);
	}
}

/* False: this kernel has none, or older ones. */
static bool make_sets(void)
{
	int result = create_set("first", "hash:ip", 6);

	if (result == -EINVAL || result == -EOPNOTSUPP || result <= -IPSET_ERR_PRIVATE)
		return false;
	scenario_need(result == 0, "cannot make a set: %d", result);
	scenario_need(create_set("gone", "hash:ip", 6) == 0 &&
			      create_set("all", "list:set", 3) == 0 &&
			      create_set("third", "hash:ip", 6) == 0,
		      "cannot make more sets");
	remove_set("gone");
	add_address("first", "10.0.0.1");
	add_address("first", "10.0.0.2");
	add_many("third");
	add_set("all", "third");
	add_set("all", "first");
	return true;
}

static int show_sets(uint8_t *answer)
{
	const struct message message = begin(IPSET_CMD_LIST, NLM_F_DUMP, NULL);

	memset(answer, 0, ROOM);
	return tell(&message, answer);
}

/* ---- connections ---- */

static int connect_tcp(int *ret_other)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, "127.0.0.1", &name.sin_addr);
	scenario_need(bind(listener, (void *)&name, sizeof name) == 0 && listen(listener, 1) == 0 &&
			      connect(fd, (void *)&name, sizeof name) == 0,
		      "cannot connect");
	*ret_other = accept(listener, NULL, NULL);
	close(listener);
	return fd;
}

static void send_udp(const char *address)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, address, &name.sin_addr);
	scenario_need(sendto(fd, "x", 1, 0, (void *)&name, sizeof name) == 1, "cannot send to %s",
		      address);
	close(fd);
}

/* So many that the kernel says in the meantime which groups it is in. */
static void send_to_many(void)
{
	struct sockaddr_in name = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, "127.0.0.9", &name.sin_addr);
	for (int i = 0; i < CONNECTIONS; i++) {
		name.sin_port = htons((uint16_t)(20000 + i));
		/* Nobody listens, as the answer to the one before says. */
		sendto(fd, "x", 1, 0, (void *)&name, sizeof name);
	}
	close(fd);
}

/* Without how long each is kept, and groups of multicast, which are told of at any time. */
static const char show_connections[] =
	"sed -E -e 's/^(ipv. +[0-9]+ [a-z]+ +[0-9]+) [0-9]+/\\1/' "
	"/proc/net/nf_conntrack | grep -v -e dst=224 -e dst=127.0.0.9 | sort";
/* A bridge is in a group of multicast, and says so once it is up. */
static const char has_report[] = "test $(grep -c dst=224.0.0.22 /proc/net/nf_conntrack) = 25";
/* Connections are made again by packets, which are counted. */
static const char show_tables[] =
	"iptables-legacy-save -c | sed -e '/^#/d' -e '/^:/s/ .[0-9]*:[0-9]*.$//'";

int main(int argc, char **argv)
{
	static const char setting[] =
		"set -e; ip link set lo up; ip link add d0 type bridge; ip addr add 10.9.0.1/16 "
		"dev "
		"d0; ip link set d0 up;"
		"for i in $(seq 24); do echo link add b$i type bridge; echo addr add 10.8.$i.1/24 "
		"dev b$i; echo link set b$i up; done | ip -batch -;"
		"ip neigh add 10.9.9.9 lladdr 02:00:00:00:00:09 dev d0;"
		"nft -f - <<'X'\n"
		"table ip t {\n"
		"  chain raw { type filter hook output priority raw; udp dport 4711 ct zone set 3; "
		"}\n"
		"  chain out { type filter hook output priority 0;\n"
		"    udp dport 4711 ct mark set 7\n"
		"    ct state established accept\n"
		"  }\n"
		"  chain post { type nat hook postrouting priority 100;\n"
		"    oifname d0 udp dport 4711 snat to 10.9.0.7:2000-2999; }\n"
		"}\n"
		"X\n"
		"iptables-legacy -A INPUT -p tcp --dport 80 -m comment --comment hi -j ACCEPT;"
		"iptables-legacy -A INPUT -p udp -m multiport --dports 1,2,3 -c 5 500 -j DROP;"
		"iptables-legacy -P FORWARD DROP; iptables-legacy -t mangle -L >/dev/null";
	static uint8_t sets_before[ROOM], sets_after[ROOM];
	int other;

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace");
	scenario_need(system(setting) == 0, "cannot set it up");
	bool has_sets = make_sets();
	scenario_need(!has_sets || system("iptables-legacy -A OUTPUT -m set --match-set third dst "
					  "-j DROP; iptables-legacy -A OUTPUT -m set --match-set "
					  "first dst -j ACCEPT") == 0,
		      "cannot ask sets");
	int fd = connect_tcp(&other);
	send_udp("10.9.9.9");
	send_to_many();
	scenario_need(system("nft add rule ip t out tcp dport 4711 drop") == 0, "cannot drop");
	bool has_list = access("/proc/net/nf_conntrack", R_OK) == 0;
	for (int tries = 0; has_list && tries < 300 && system(has_report) != 0; tries++)
		usleep(10000);
	char *connections = has_list ? shown(show_connections) : NULL;
	char *tables = shown(show_tables);
	int size = has_sets ? show_sets(sets_before) : 0;

	scenario_ready();

	if (has_list)
		shown_compare("connections", show_connections, connections, 0);
	shown_compare("tables", show_tables, tables, 0);
	int size_after = has_sets ? show_sets(sets_after) : 0, at = 0;
	while (at < size && sets_before[at] == sets_after[at])
		at++;
	scenario_check(size_after == size && at == size,
		       "sets are others: %d bytes, were %d; from byte %d on", size_after, size, at);
	const struct timeval timeout = { .tv_sec = RETRY_SECONDS };
	char byte = 0;
	setsockopt(other, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	scenario_check(write(fd, "x", 1) == 1 && read(other, &byte, 1) == 1 && byte == 'x',
		       "what was established does not pass");
	return scenario_end();
}
