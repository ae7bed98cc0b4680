// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-packet-private
 * promise: a private mapping of the ring of a packet socket shows the ring, but where it was
 *	written to, which is its own, also in a child
 * flavours: flat three user user-three
 */
#include "own-network.h"
#include "scenario.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, BLOCKS = 3, SIZE = PAGE * BLOCKS, FRAME = 2048, PORT = 4850 };

static int make_ring(void)
{
	struct tpacket_req request = { .tp_block_size = PAGE,
				       .tp_block_nr = BLOCKS,
				       .tp_frame_size = FRAME,
				       .tp_frame_nr = SIZE / FRAME };
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP),
				  .sll_ifindex = (int)if_nametoindex("lo") };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	scenario_need(fd >= 0 && setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request,
					    sizeof request) == 0,
		      "no ring: %s", strerror(errno));
	scenario_need(bind(fd, (struct sockaddr *)&at, sizeof at) == 0, "cannot bind: %s",
		      strerror(errno));
	return fd;
}

static volatile uint8_t *map(int fd, int type, int protection)
{
	void *at = mmap(NULL, SIZE, protection, type, fd, 0);

	scenario_need(at != MAP_FAILED, "cannot map: %s", strerror(errno));
	return at;
}

static void say(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(PORT),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	scenario_check(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1, "no packet");
	close(fd);
}

static unsigned long status_of(const volatile uint8_t *frame)
{
	unsigned long status;

	memcpy(&status, (const void *)(uintptr_t)frame, sizeof status);
	return status;
}

static bool is_text(const volatile uint8_t *at, const char *text)
{
	return memcmp((const void *)(uintptr_t)at, text, strlen(text)) == 0;
}

/* The child has another text at the same place, which it looks at when it is
 * told to. */
static int child(volatile uint8_t *own, int go, int told)
{
	char byte = 0;

	memcpy((void *)(uintptr_t)(own + 2 * PAGE), "the child", 9);
	if (write(told, "r", 1) != 1 || read(go, &byte, 1) != 1)
		return 1;
	return is_text(own + PAGE, "of both") && is_text(own + 2 * PAGE, "the child") ? 0 : 2;
}

int main(int argc, char **argv)
{
	int go[2], told[2], status = 0;
	char byte;

	scenario_begin(argc, argv);
	own_network();
	int fd = make_ring();
	volatile uint8_t *own = map(fd, MAP_PRIVATE, PROT_READ | PROT_WRITE),
			 *seen = map(fd, MAP_SHARED, PROT_READ),
			 *read_only = map(fd, MAP_PRIVATE, PROT_READ);
	memcpy((void *)(uintptr_t)(own + PAGE), "of both", 7);
	scenario_need(!seen[PAGE] && pipe(go) == 0 && pipe(told) == 0, "not private");
	pid_t pid = fork();
	if (!pid)
		_exit(child(own, go[0], told[1]));
	scenario_need(pid > 0 && read(told[0], &byte, 1) == 1, "no child");
	memcpy((void *)(uintptr_t)(own + 2 * PAGE), "the parent", 10);

	scenario_ready();

	scenario_check(is_text(own + PAGE, "of both") && is_text(own + 2 * PAGE, "the parent"),
		       "what was written is gone");
	scenario_check(!seen[PAGE] && !seen[2 * PAGE] && !read_only[PAGE],
		       "what was written is in the ring");
	scenario_check(!status_of(own), "a packet has come already");
	say();
	scenario_check(status_of(seen) & TP_STATUS_USER && status_of(own) == status_of(seen) &&
			       status_of(read_only) == status_of(seen),
		       "the ring has %lx, and it shows %lx and %lx", status_of(seen),
		       status_of(own), status_of(read_only));
	own[PAGE - 1] = 7;
	scenario_check(own[PAGE - 1] == 7 && !seen[PAGE - 1], "what is written is not private");
	scenario_check(write(go[1], "g", 1) == 1 && waitpid(pid, &status, 0) == pid &&
			       WIFEXITED(status) && WEXITSTATUS(status) == 0,
		       "the child ends with %x", (unsigned)status);
	return scenario_end();
}
