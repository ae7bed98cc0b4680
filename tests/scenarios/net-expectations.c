// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-expectations
 * promise: a connection that the kernel expects, since it has seen another one announce it (FTP),
 *	is expected after the restore: by the same entry, and it passes as related when it comes
 * flavours: flat one three user user-three
 * needs: initial-user-namespace program:nft
 */
#include "own-network.h"
#include "scenario.h"
#include "shown.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONTROL = 21, DATA = 1025, PATIENCE = 10000 };

/* Without the seconds that are left, which come before the protocol. */
static const char show[] = "sed 's/^ *[0-9]* //' /proc/net/nf_conntrack_expect; echo that";

static const char count_related[] =
	"nft list chain ip t out | grep -o 'related counter packets [0-9]*'";

static int listener(int port)
{
	struct sockaddr_in name = { .sin_family = AF_INET,
				    .sin_port = htons((uint16_t)port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	scenario_need(bind(fd, (void *)&name, sizeof name) == 0 && listen(fd, 4) == 0, "no port");
	return fd;
}

static int connected(int port)
{
	struct sockaddr_in name = { .sin_family = AF_INET,
				    .sin_port = htons((uint16_t)port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return connect(fd, (void *)&name, sizeof name) == 0 ? fd : -1;
}

int main(int argc, char **argv)
{
	static const char rules[] = "nft -f - <<'X'\n"
				    "table ip t {\n"
				    "  ct helper files { type \"ftp\" protocol tcp; }\n"
				    "  chain out { type filter hook output priority 0;\n"
				    "    tcp dport 21 ct helper set \"files\"\n"
				    "    ct state related counter\n"
				    "  }\n"
				    "}\n"
				    "X\n";
	/* Looked for after the end of a line that was seen; 4 * 256 + 1 */
	static const char *const lines[] = { "USER x\r\n", "PORT 127,0,0,1,4,1\r\n" };
	char text[64] = "";

	scenario_begin(argc, argv);
	own_network();
	scenario_need(system(rules) == 0, "nft takes no rules");
	int control = listener(CONTROL), data = listener(DATA);
	int client = connected(CONTROL), server = accept(control, NULL, NULL);
	scenario_need(client >= 0 && server >= 0, "no connection");
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		scenario_need(write(client, lines[i], strlen(lines[i])) > 0 &&
				      read(server, text, sizeof text) > 0,
			      "nothing passes");
	char *before = shown(show);
	scenario_need(strstr(before, "1025") != NULL, "nothing is expected: %s", before);

	scenario_ready();

	shown_compare("what is expected", show, before, PATIENCE);
	int transfer = connected(DATA);
	scenario_check(transfer >= 0 && accept(data, NULL, NULL) >= 0, "it does not come");
	char *seen = shown(count_related);
	scenario_check(strstr(seen, "packets 0") == NULL, "it is not related: %s", seen);
	free(seen);
	scenario_check(write(server, "200 ok\r\n", 8) == 8 && read(client, text, 8) == 8 &&
			       memcmp(text, "200 ok", 6) == 0,
		       "the first one does not go on");
	return scenario_end();
}
