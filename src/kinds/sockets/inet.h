/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts of the kind in inet.c: addresses, options, and the state of TCP connections. */
#ifndef NESTOR_KINDS_SOCKETS_INET_H
#define NESTOR_KINDS_SOCKETS_INET_H

#include "kernel/net-lock.h"
#include "kinds/kind.h"

#include <netinet/in.h>
#include <sys/socket.h>

union inet_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* inet-options.c: numbers of ip(7), ipv6(7), tcp(7), udp(7). */
/* inet-chooser.c; its options are known. */
int inet_refuse_chooser(struct collect *collect, int fd, const InetSkEntry *sk, const char *what,
			struct error *err);
int inet_options_collect(struct snapshot *snapshot, int fd, InetSkEntry *sk, const char *what,
			 struct error *err);
int inet_options_check(const InetSkEntry *sk, struct error *err);
/* Those that decide whether a bind is allowed; the others. */
int inet_options_apply(const InetSkEntry *sk, int fd, bool before_bind, struct error *err);

/* inet-multicast.c: groups that a socket has joined. */
int multicast_collect(struct collect *collect, int fd, InetSkEntry *sk, const char *what,
		      struct error *err);
int multicast_check(const InetSkEntry *sk, struct error *err);
int multicast_join(const InetSkEntry *sk, int fd, struct error *err);

/* inet-shared.c: options that it needs to be bound with others, and has no more. */
struct inet_share {
	const InetSkEntry *sk;
	bool by_address, by_port;
};
void inet_find_shares(struct arena *arena, struct inet_share *all, size_t count);

/* inet-flow-labels.c: what of them is lost. */
int inet_flow_labels_collect(const struct open_file *file, int fd, const InetSkEntry *sk,
			     struct error *err);

/* inet-unassigned.c: sockets whose address is not there. Its options are known. */
int inet_unassigned_collect(int fd, InetSkEntry *sk, const char *what, struct error *err);
int inet_unassigned_check(const InetSkEntry *sk, struct error *err);
/* To the address of any socket; -1 with errno. */
int inet_bind(const InetSkEntry *sk, int fd, const union inet_address *at, socklen_t length);

/* inet-raw.c: sockets without ports. */
bool inet_is_raw(const InetSkEntry *sk);
/* Of any kind, as socket_make has it; -1 with errno. */
int inet_new_socket(const InetSkEntry *sk, const InodeOwnerEntry *owner);
int inet_raw_collect(struct collect *collect, int fd, InetSkEntry *sk, const char *what,
		     struct error *err);
/* As it has left its peer, before it has an address; -1 with errno. */
int inet_raw_leave_peer(const InetSkEntry *sk, int fd);
/* An address of AF_INET in one of AF_INET6. */
bool inet_is_mapped(const uint32_t words[4]);
/* Its address comes with its peer. */
bool inet_raw_is_mapped(const InetSkEntry *sk);
int inet_raw_check(const InetSkEntry *sk, struct error *err);
int inet_raw_apply(const InetSkEntry *sk, int fd, struct error *err);

/*
 * inet-waiting.c: connections that wait to be accepted. The caller is in the network namespace of
 * the listener. Those that share its address are asked once, for all that wait at any of them.
 */
struct inet_backlog {
	struct collect *collect;
	const InetSkEntry *listener;
	const char *what;
	bool skip;	   /* --skip-in-flight */
	uint32_t expected; /* how many wait */
	const int *fds;	   /* descriptors of ours of those that share its address */
	size_t n_fds;
	InetSkEntry *const *all; /* the sockets of the tree */
	size_t count;
};
int inet_waiting_collect(const struct inet_backlog *backlog, struct error *err);
/*
 * Of who has connected, before who waits is looked at: is something still left of what it has sent?
 * By a descriptor of ours; it is given some time to come, in pauses, of which all together have so
 * many. Then it is refused.
 */
enum { INET_WAITING_PAUSES = 250 };
int inet_waiting_left(int fd, int *pauses, const char *what, bool *ret_left, struct error *err);
int inet_waiting_refuse_left(const char *what, struct error *err);
int inet_waiting_check(const struct snapshot *snapshot, const InetSkEntry *sk, struct error *err);
int inet_waiting_connect(const struct snapshot *snapshot, const InetSkEntry *sk, int fd,
			 const int *listeners, size_t count, struct error *err);
/* Is the other one a listener at the same address (SO_REUSEPORT), or the same? */
bool inet_waiting_shares(const InetSkEntry *listener, const InetSkEntry *other);

/* udp-queue.c: what waits to be received. */
int udp_queue_collect(struct collect *collect, int fd, const InetSkEntry *sk, const char *what,
		      struct error *err);
int udp_queue_check(const struct snapshot *snapshot, const InetSkEntry *sk, struct error *err);
int udp_queue_restore(struct file_opener *opener, const InetSkEntry *sk, int fd, struct error *err);

/* inet-ends.c */
struct inet_ends;
struct inet_ends *inet_ends_new(struct arena *arena, size_t room);
void inet_ends_add(struct inet_ends *ends, const InetSkEntry *sk, void *owner);
bool inet_ends_has_other(struct inet_ends *ends, const InetSkEntry *sk);
/*
 * What was added with the other end, in the same network namespace if several have these addresses;
 * NULL: it cannot be told.
 */
void *inet_ends_other(struct inet_ends *ends, const InetSkEntry *sk);
bool inet_ends_meet(const InetSkEntry *one, const InetSkEntry *other);
void inet_end_of(const InetSkEntry *sk, struct net_lock_end *ret);

/* tcp-lock.c: connections with the outside, and the lock of the network for them. */
enum { NETWORK_LOCK_IPTABLES = 1, NETWORK_LOCK_NFTABLES = 2, NETWORK_LOCK_SKIP = 3 };
struct tcp_outsider {
	const InetSkEntry *sk;
	int net; /* its network namespace, borrowed; -1: ours */
	/* At dump: who has it. */
	const struct target *target;
	uint32_t number;
	int lock; /* at a restore: the socket that locks its network; whoever holds it has it */
};
struct tcp_lock {
	struct tcp_outsider *outsiders;
	size_t count;
	int *fds; /* whoever has them open has the lock */
	size_t n_fds;
	char *staying_name; /* of the lock that outlasts the dump; NULL: none */
};
int tcp_lock_begin(struct collect *collect, struct tcp_lock *lock, struct error *err);
int tcp_lock_name(struct collect *collect, struct tcp_lock *lock, struct error *err);
/* The tree is about to be ended: what is to be so until a restore; and when it is. */
int tcp_lock_stay(struct collect *collect, const struct tcp_lock *lock, struct error *err);
int tcp_lock_silence(const struct tcp_lock *lock, struct error *err);
void tcp_lock_end(struct tcp_lock *lock);
int tcp_lock_again(struct file_opener *opener, struct tcp_outsider *outsiders, size_t count,
		   struct error *err);
int tcp_unlock_staying(const struct file_opener *opener, const struct tcp_outsider *outsiders,
		       size_t count, struct error *err);

/* tcp-guard.c: around repair mode at dump, so that a killed nestor leaves no socket in it. */
struct tcp_guarded {
	int fd, reuse, channel;
};
int tcp_guard(struct collect *collect, int fd, struct tcp_guarded *ret); /* -1 with errno */
/* Out of repair mode, and no longer guarded; -1 with errno. */
int tcp_unguard(const struct tcp_guarded *guarded);
/* Waits until it has let go of all of them. */
void tcp_guard_end(struct collect *collect);

/* tcp-repair.c: connections, by the repair mode of tcp(7). */
/* Does the connection have a peer to which sequence numbers have to be told again? */
bool tcp_is_connected(uint32_t state);
/* Has the end itself said that it will send no more; has the other? */
bool tcp_has_sent_end(uint32_t state);
bool tcp_has_seen_end(uint32_t state);
/*
 * What is under way goes on to arrive while the tree stands still. So all connections are asked for
 * what they have sent before any is asked for what it has received: then what the one side no
 * longer has, the other has got.
 */
struct tcp_queue {
	uint8_t *bytes;
	uint32_t length, sequence;
};
struct tcp_stream {
	TcpStreamEntry *entry;
	struct tcp_queue in, out;
	uint32_t unsent; /* of out */
	uint32_t state;
};
/*
 * What is received is read from its first byte on, wherever a program has looked last (SO_PEEK_OFF,
 * which TCP has since 6.9). 1: until peek_end; 0: nothing is to be put back; -1 with err.
 */
int tcp_peek_begin(struct collect *collect, int fd, const char *what, struct error *err);
int tcp_collect_out(struct collect *collect, int fd, const InetSkEntry *sk,
		    struct tcp_stream *stream, const char *what, struct error *err);
int tcp_collect_in(struct collect *collect, int fd, const InetSkEntry *sk,
		   struct tcp_stream *stream, const char *what, struct error *err);
/* Of two ends, read one after the other (pure): what one has received, the other has sent. */
void tcp_settle(const InetSkEntry *sk, TcpStreamEntry *entry, const InetSkEntry *peer,
		const TcpStreamEntry *of_peer);
int tcp_collect_content(struct collect *collect, const InetSkEntry *sk,
			const struct tcp_stream *stream, struct error *err);
/* Into repair mode, with the numbers as they were, connected to its peer. */
int tcp_restore(struct file_opener *opener, const InetSkEntry *sk, int fd, struct error *err);
/* tcp-room.c: room for so many bytes, and the end of it when they are there. -1 with errno */
int tcp_make_room(int fd, size_t in, size_t out);
int tcp_end_room(int fd);
/* The other end of one whose peer is gone. */
int tcp_restore_peer(struct file_opener *opener, const InetSkEntry *sk, int fd, struct error *err);
/* When all of them are out of repair mode. */
int tcp_send_rest(struct file_opener *opener, const InetSkEntry *sk, int fd, struct error *err);
int tcp_end_repair(const InetSkEntry *sk, int fd, struct error *err);
/* Once closed it says no word; -1 with errno. */
int tcp_silence(int fd);
/*
 * Before the task ends: silenced, or, where the kernel alone has the other end, which nobody else
 * would end for a minute, with a word that ends that as well (RST).
 */
int tcp_prepare_end(const InetSkEntry *sk, int fd);
/* The same by the finisher, should we be gone. */
int tcp_prepare_end_later(struct collect *collect, const struct target *target, uint32_t number,
			  const InetSkEntry *sk, struct error *err);
/* The end that the peer had sent and we had acknowledged: it will not send it again. */
int tcp_see_end(struct file_opener *opener, const InetSkEntry *sk, int fd, struct error *err);

/* inet-collect.c */
int inet_collect(const struct open_file *file, FileEntry *entry, struct error *err);
/* inet-streams.c: when all are known */
int inet_complete(struct collect *collect, struct error *err);
int inet_before_end(struct collect *collect, struct error *err);
int inet_at_end(struct collect *collect, struct error *err);
void inet_done(struct collect *collect);

/* inet-make.c */
struct file_cost inet_cost(const struct snapshot *snapshot, const FileEntry *entry);
int inet_open(struct file_opener *opener, const FileEntry *entry, struct error *err);
int inet_connect(struct file_opener *opener, const FileEntry *entry, int fd, struct error *err);
int inet_before_release(struct file_opener *opener, struct error *err);
void inet_give_up(const FileEntry *entry, int fd);

/* tcp-closed.c: as if it had ended; and a socket of TCP without a connection. */
struct tcp_info;
void inet_record_closed(InetSkEntry *sk);
int tcp_closed_collect(struct collect *collect, int fd, const struct tcp_info *info,
		       InetSkEntry *sk, const char *what, struct error *err);

/* tcp-ended.c: what one that has ended still has to tell its program. */
bool tcp_has_ended(const InetSkEntry *sk);
int tcp_ended_check(const struct snapshot *snapshot, const InetSkEntry *sk, struct error *err);
/* Has it anything? Then it has to have been a connection, and a new socket becomes one again. */
bool tcp_ended_tells(const struct snapshot *snapshot, const InetSkEntry *sk);
int tcp_ended_make(const struct snapshot *snapshot, const InetSkEntry *sk, int fd,
		   struct error *err);

/* inet.c */
bool inet_is_tcp(const InetSkEntry *sk); /* MPTCP, too */
bool inet_is_mptcp(const InetSkEntry *sk);
bool inet_is_udp(const InetSkEntry *sk);    /* UDP-Lite, too */
bool inet_is_any(const InetSkEntry *sk);    /* bound to no address, or to all */
bool inet_is_stream(const InetSkEntry *sk); /* a TCP connection that was accepted */
/* 0 with errno: ENODEV where the interface of its scope is not there. */
socklen_t inet_source(const InetSkEntry *sk, union inet_address *ret);
socklen_t inet_destination(const InetSkEntry *sk, union inet_address *ret);

#endif
