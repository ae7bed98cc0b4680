// SPDX-License-Identifier: LGPL-2.1-or-later
/* Dumps of ip(8), nft(8) and iptables-save(8) in images of CRIU; see adopt.h. */
#include "kinds/net/adopt.h"

#include <ctype.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>

enum { MAGIC_SIZE = 4 };

int netns_adopt_messages(NetnsContents *net, struct arena *arena, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	struct nlmsghdr header;

	if (size == 0)
		return 0;
	if (size < MAGIC_SIZE)
		return -1;
	for (at += MAGIC_SIZE, size -= MAGIC_SIZE; size >= sizeof header;) {
		memcpy(&header, at, sizeof header);
		size_t whole = NLMSG_ALIGN((size_t)header.nlmsg_len);
		if (header.nlmsg_len < sizeof header || whole > size)
			return -1;
		if (header.nlmsg_type != NLMSG_DONE &&
		    routes_adopt(net, arena, header.nlmsg_type, at + sizeof header,
				 header.nlmsg_len - sizeof header))
			return -1;
		at += whole;
		size -= whole;
	}
	return size ? -1 : 0;
}

/* ---- packet filters ---- */

/* A line without what is around it; NULL: there is none. */
static char *next_line(char **rest)
{
	char *line;

	while ((line = strsep(rest, "\n"))) {
		line += strspn(line, " \t");
		size_t length = strlen(line);
		while (length && isspace((unsigned char)line[length - 1]))
			line[--length] = '\0';
		if (*line)
			return line;
	}
	return NULL;
}

static bool begins(const char *line, const char *with)
{
	return strncmp(line, with, strlen(with)) == 0;
}

static bool ends(const char *line, const char *with)
{
	size_t length = strlen(line), end = strlen(with);

	return length >= end && strcmp(line + length - end, with) == 0;
}

/* How many there have been is no part of a rule: "counter packets 0 bytes 0 ". */
static void leave_out_counters(char *line)
{
	char *counter = strstr(line, "counter packets "), *end = counter;

	for (size_t words = 0; counter && words < 5; words++) {
		end += strcspn(end, " ");
		end += strspn(end, " ");
	}
	if (counter)
		memmove(counter, end, strlen(end) + 1);
}

/* Tables and chains as iptables makes them for a lock, and hooks that let everything pass. */
static bool is_around_lock(const char *line)
{
	static const char *const lines[] = { "table ip filter {",
					     "table ip6 filter {",
					     "chain CRIU {",
					     "chain INPUT {",
					     "chain OUTPUT {",
					     "chain FORWARD {",
					     "jump CRIU",
					     "}",
					     NULL };

	for (const char *const *known = lines; *known; known++)
		if (strcmp(line, *known) == 0)
			return true;
	return begins(line, "type ") && ends(line, "policy accept;");
}

static bool is_lock_of_chain(const char *line)
{
	return strcmp(line, "drop") == 0 || strcmp(line, "meta mark 0x0000c114 accept") == 0;
}

const char *nftables_first_rule(char *text)
{
	bool in_lock = false, in_locked_table = false;
	char *line;

	while ((line = next_line(&text))) {
		leave_out_counters(line);
		if (begins(line, "table "))
			in_locked_table = begins(line, "table inet CRIU-");
		if (begins(line, "chain "))
			in_lock = begins(line, "chain CRIU ");
		if (!in_locked_table && !is_around_lock(line) &&
		    !(in_lock && is_lock_of_chain(line)))
			return line;
	}
	return NULL;
}

static bool is_lock_of_iptables(const char *line)
{
	return ends(line, " -j CRIU") ? begins(line, "-A INPUT ") || begins(line, "-A OUTPUT ")
				      : begins(line, "-A CRIU ");
}

const char *iptables_first_rule(char *text)
{
	char *line;

	while ((line = next_line(&text))) {
		bool is_chain =
			line[0] == ':' && (strstr(line, " ACCEPT ") || begins(line, ":CRIU "));
		if (line[0] != '#' && line[0] != '*' && strcmp(line, "COMMIT") != 0 && !is_chain &&
		    !is_lock_of_iptables(line))
			return line;
	}
	return NULL;
}
