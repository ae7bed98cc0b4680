// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-packet-rings
 * promise: a packet socket is refused by name whose ring has sent, or of which a part is mapped,
 *	or that no descriptor leads to, or that has received where lo is down; they go on working
 * flavours: flat three user
 * needs: initial-user-namespace
 * arguments: sent-ring part-ring lost-ring down-ring
 * refused: unsupported-file
 * unseen: what rings hold is read when the tree stands still
 */
#include "scenario.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int fd;

static void set_loopback(bool up)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = up ? IFF_UP : 0 };
	int control = socket(AF_INET, SOCK_DGRAM, 0);

	scenario_need(ioctl(control, SIOCSIFFLAGS, &request) == 0, "lo: %m");
	close(control);
}

/* One that has received a packet, which is given back, or has sent it. */
static volatile struct tpacket_hdr *make_ring(const char *which)
{
	struct tpacket_req request = {
		.tp_block_size = 4096, .tp_block_nr = 2, .tp_frame_size = 2048, .tp_frame_nr = 4
	};
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_halen = 6 };
	bool sends = !strcmp(which, "sent-ring");

	scenario_need(unshare(CLONE_NEWNET) == 0, "no network namespace: %m");
	set_loopback(true);
	at.sll_ifindex = (int)if_nametoindex("lo");
	fd = socket(AF_PACKET, SOCK_DGRAM, 0);
	scenario_need(fd >= 0 && setsockopt(fd, SOL_PACKET, sends ? PACKET_TX_RING : PACKET_RX_RING,
					    &request, sizeof request) == 0,
		      "no ring: %m");
	volatile struct tpacket_hdr *frame =
		mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	scenario_need(frame != MAP_FAILED, "no memory of it: %m");
	if (sends) {
		frame->tp_len = 60;
		frame->tp_status = TP_STATUS_SEND_REQUEST;
		scenario_need(sendto(fd, NULL, 0, 0, (struct sockaddr *)&at, sizeof at) == 60,
			      "cannot send: %m");
	} else {
		int other = socket(AF_PACKET, SOCK_DGRAM, 0);
		scenario_need(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
				      sendto(other, "x", 1, 0, (struct sockaddr *)&at, sizeof at) ==
					      1,
			      "cannot send: %m");
		close(other);
		for (int i = 0; i < 1000 && !frame->tp_status; i++)
			usleep(1000);
		frame->tp_status = TP_STATUS_KERNEL;
	}
	if (!strcmp(which, "part-ring"))
		munmap((char *)frame + 4096, 4096);
	if (!strcmp(which, "lost-ring"))
		close(fd);
	if (!strcmp(which, "down-ring"))
		set_loopback(false);
	return frame;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	volatile struct tpacket_hdr *frame = make_ring(argv[2]);

	scenario_ready();

	scenario_check(frame->tp_len && frame->tp_status == 0, "the ring is gone");
	return scenario_end();
}
