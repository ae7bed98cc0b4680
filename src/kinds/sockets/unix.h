/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts of the kind in unix.c: names, queues and the order in which sockets are made. */
#ifndef NESTOR_KINDS_SOCKETS_UNIX_H
#define NESTOR_KINDS_SOCKETS_UNIX_H

#include "base/table.h"
#include "kernel/aside.h"
#include "kinds/kind.h"
#include "kinds/sockets/options.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

/*
 * uflags of a record that stands for a socket of somebody outside, and of one for a client that
 * waits to be accepted and is no more. The peer does not know the latter.
 */
enum { UNIX_OUTSIDE = 1, UNIX_GONE = 0x100 };

/* A socket that is being made. */
struct unix_end {
	const FileEntry *entry;
	const UnixSkEntry *sk;
	struct unix_end *peer;	   /* connected to; NULL: none in the tree */
	struct unix_end *listener; /* whose queue it waits in */
	bool made;		   /* then it is at its place: unix_end_fd */
	bool taken;		   /* by who asked for it to be opened: opener_file has it */
	bool named;		   /* in a file system: unix_end_name */
	bool bound;		   /* it has its name, and is nothing else yet */
	bool filled;		   /* what waits in it is there */
	size_t place, name_place;
	bool outside; /* not ours to make: others connect to its name */
	bool gone;    /* a client that waits; its end goes with what nobody takes */
	bool given;   /* by the caller: it is what it is */
	bool connected, gone_named;
	struct unix_end *claimant; /* connected to it, in a pair that it has left */
	size_t n_before;	   /* that are to be connected to it before it may be itself */
	bool new;		   /* of a pair, and nobody has set an option of it */
	int net;		   /* descriptor of its network namespace, -1: ours */
	int gone_fd;		   /* the other end of one whose peer is gone, while queues fill */
};

/* A task that has made a pair: of it and of its network namespace, and of ours. */
struct unix_maker {
	const struct task *task; /* NULL: there is none */
	int pidfd, own_net, our_net;
};

struct unix_world {
	struct file_opener *opener;
	struct unix_end *ends; /* by ino */
	size_t n_ends;
	bool made;
	bool fills_late, connected; /* what is in queues refers to other files */
	int hidden_root; /* a file system that nobody sees, for names that are gone; -1 */
	size_t n_hidden; /* directories in it */
	struct name_directory *directories; /* that names were given in */
	struct table tasks;		    /* by their number at level 0 */
	struct unix_end **listeners;	    /* by type and name */
	size_t n_listeners;
	struct unix_maker maker;   /* the last one */
	unsigned patience;	   /* how often a number that is taken is tried again, in all */
	struct socket_usual usual; /* of those of pairs of one type in one network namespace: */
	int usual_type, usual_net;
};

/*
 * unix-given-name.c: what stands there gives way; NULL with errno. Then, when the new one is there,
 * it is kept; where there is none, what stood there comes back: -1 with errno where it cannot yet,
 * which is tried again when all is undone.
 */
struct given_name *given_name_take(struct unix_world *world, int directory, const char *name);
int given_name_keep(struct given_name *given);
int given_name_refuse(struct given_name *given);

/* A call of which the kernel remembers who made it. */
enum unix_call { UNIX_CALL_PAIRS, UNIX_CALL_LISTEN, UNIX_CALL_CONNECT, UNIX_CALL_SEND };
enum { UNIX_FEW_PAIRS = 8, UNIX_MOST_PAIRS = 64 };
struct unix_request {
	enum unix_call call;
	int fd, type, backlog;
	size_t n_pairs;
	int pairs[UNIX_MOST_PAIRS][2];
	int name_fd; /* of the name that is connected to; -1: it is in the address */
	struct sockaddr_un address;
	socklen_t length;
	int (*send)(void *data);
	void *data;
};

/* unix-call.c: as somebody else; -1 with errno, or with err if that is set. */
enum { UNIX_MOST_OWN_GROUPS = 1024 };
int unix_call_as(struct unix_world *world, const PeerCredentialsEntry *who, int net,
		 struct unix_request *request, struct error *err);
/* How many pairs of theirs one request may be for. */
size_t unix_pairs_at_once(const struct unix_world *world, const PeerCredentialsEntry *who);
/* Nobody is asked any more, or not for now. */
void unix_calls_end(struct unix_world *world);
struct call_room unix_calls(struct plan *plan, const struct task *task);

/* Instead of an offset: what comes first, without one; what is not seen again. */
enum { UNIX_QUEUE_HEAD = -2, UNIX_QUEUE_NOWHERE = -3 };

/* unix-peers.c */
enum { UNIX_MOST_PID_NAMESPACES = 1024 };
struct unix_absent {
	PeerCredentialsEntry *entry; /* to be filled */
	const struct target *target; /* who has the socket, and its number there */
	uint32_t number;
	/* In the queue, of a message whose sender is meant, or UNIX_QUEUE_HEAD; -1: the peer. */
	int offset;
};
/* 1 or 0, which it is also where the kernel does not tell; -1 with errno. */
int unix_peer_has_ended(int fd);
int unix_name_absent(struct collect *collect, struct unix_absent *absent, size_t count,
		     struct error *err);

/* A process by its numbers in the pid namespaces that it is in, from the outermost on. */
struct unix_seen_pid {
	size_t levels;
	uint32_t numbers[MAX_PID_LEVELS + 1], inodes[MAX_PID_LEVELS + 1]; /* of the namespaces */
	pid_t here; /* its number in nestor's own; 0: none */
	bool has_ended;
};
/* Names it as far as somebody of the tree sees it. */
int unix_name_seen(struct collect *collect, const struct unix_seen_pid *seen,
		   PeerCredentialsEntry *entry, struct error *err);

/* unix-collect.c */
struct unix_known_end {
	const struct target *target;
	uint32_t number; /* of its descriptor there */
	pid_t peer;	 /* as we see it; 0: nobody that we see */
	bool peer_has_ended;
	uint32_t sent; /* and not read: memory it takes */
	UnixSkEntry *sk;
	const char *what;
};
/* When all have been read. */
struct unix_known_end *unix_known_end(struct collect *collect, uint32_t ino);
bool unix_end_is_refused(struct collect *collect, uint32_t ino);
void unix_set_pids(const struct collect *collect, const struct task *task, size_t *ret_n,
		   uint32_t **ret_pid);
int unix_collect(const struct open_file *file, FileEntry *entry, struct error *err);
int unix_complete(struct collect *collect, struct error *err);
/* Of a message that waits: its vector is told when all tasks have been read. */
void unix_note_sender(const struct open_file *file, SkPacketEntry *packet, pid_t sender,
		      int offset);

/* unix-backlog.c: who waits to be accepted by a listener, and what they have sent. */
int unix_note_backlog(struct collect *collect, const struct unix_known_end *listener,
		      const struct table *by_pid, struct error *err);

/*
 * unix-place.c: what has the name of a socket now (O_PATH): -2 where it has none any more. Its
 * place is recorded where the name alone does not lead there. `path_fd` is the name that was
 * bound, -1: it cannot be had, and all that is known of `inode` is its number.
 */
int unix_place_find(const struct open_file *file, UnixSkEntry *sk, int path_fd,
		    const struct stat *inode, struct error *err);

/* unix-queue.c */
int unix_queue_collect(const struct open_file *file, int fd, const UnixSkEntry *sk,
		       struct error *err);
/* Is anything in flight, to anybody? Then queues are filled when all files are open. */
bool unix_queues_have_rights(const struct snapshot *snapshot);
bool unix_queue_has_rights(const struct snapshot *snapshot, uint32_t file_id);
int unix_queue_check(const struct snapshot *snapshot, const UnixSkEntry *sk, struct error *err);
int unix_queue_fill(struct unix_world *world, struct unix_end *end, struct error *err);
/* Sends what a client has sent that waits to be accepted. */
int unix_queue_send(struct unix_world *world, struct unix_end *client, struct error *err);

/* unix-name.c */
bool unix_name_is_path(const UnixSkEntry *sk);
/* Can anybody have it? (unix.c) */
bool unix_name_is_sane(const ProtobufCBinaryData *name);
/* Is its name in a mount namespace of the tree? These are made late, and then so are sockets. */
bool unix_name_is_inside(const struct snapshot *snapshot, const UnixSkEntry *sk);
struct sockaddr_un unix_address(const UnixSkEntry *sk, socklen_t *ret_length);
/* Does sk->place end as the address does? Then what comes before, with room for PATH_MAX. */
bool unix_place_begins(const UnixSkEntry *sk, char *ret_start);
/*
 * Of an address that begins at a descriptor of the directory (/proc/self/fd/N/NAME), as those do
 * whose path would be too long: its number; -1: of any other.
 */
int unix_name_descriptor(const UnixSkEntry *sk);
/* Binds fd to its name, where that belongs; *ret_name_fd: see unix_end_name. */
int unix_bind(struct unix_world *world, const UnixSkEntry *sk, int fd, int *ret_name_fd,
	      struct error *err);
/* The same, with a name that nobody else sees. */
int unix_bind_hidden(struct unix_world *world, const UnixSkEntry *sk, int fd, int *ret_name_fd,
		     struct error *err);
/* Is there a place for the name, and nothing in it but what the dump left? */
int unix_verify_name(struct file_opener *opener, const UnixSkEntry *sk, struct error *err);
/* Somebody outside has the name, and the caller says that it may be connected to. */
int unix_verify_outside(struct file_opener *opener, const UnixSkEntry *sk, struct error *err);
/* connect(2) to a bound socket by its name_fd, or by its abstract name. */
int unix_connect(int fd, const UnixSkEntry *to, int name_fd);
/* The address for it. */
struct sockaddr_un unix_connect_address(const UnixSkEntry *to, int name_fd, socklen_t *ret_length);

/*
 * A descriptor of it, and one of its name (O_PATH); -1: there is none, or with errno. They are the
 * opener's, and good for the step that is being made.
 */
int unix_end_fd(const struct unix_world *world, const struct unix_end *end);
int unix_end_name(const struct unix_world *world, const struct unix_end *end);

/* unix-world.c: all of them, linked; NULL: what they say of each other does not fit. */
struct unix_world *unix_world_new(struct file_opener *opener, struct error *err);
struct unix_end *unix_world_find(const struct unix_world *world, uint32_t ino);
/* The listener that has the name of an accepted socket, if it is in the tree. */
struct unix_end *unix_world_listener(const struct unix_world *world, const struct unix_end *end);
/* Or a SOCK_SEQPACKET, which is connected like one. */
bool unix_is_stream(const UnixSkEntry *sk);

/*
 * unix-datagrams.c: what is connected without knowing it, and who sends to it. A half pair is the
 * end of a pair that the other has left.
 */
bool unix_is_datagram_pair(const struct unix_end *end);
bool unix_is_half_pair(const struct unix_end *end);
/* Made by socketpair, whose other end is gone, or of no concern any more. */
bool unix_wants_lone_pair(const struct unix_world *world, const struct unix_end *end);
int unix_link_datagrams(struct unix_world *world, struct error *err);
/* Leaves the other end of the pair that it was made in, where it has done so. */
int unix_leave_pair(struct unix_world *world, struct unix_end *end, struct error *err);
/* Gives the other end of a pair, which is to be gone, the name that it had. */
int unix_name_gone_peer(struct unix_world *world, struct unix_end *end, struct error *err);
struct unix_sender {
	const ProtobufCBinaryData *name; /* the last one's */
	struct unix_end *end;		 /* who has the name in the tree */
	int made;			 /* or else one for the purpose; -1: none */
	bool knows;			 /* it is connected to who receives it */
};
/* Who is to send what waits, so that its name is told; -1 with errno or err. */
int unix_datagram_sender(struct unix_world *world, struct unix_end *end,
			 const SkPacketEntry *packet, struct unix_sender *sender,
			 struct error *err);
int unix_connect_datagrams(struct unix_world *world, struct unix_end *end, struct error *err);

/* unix-make.c */
/* When all files of the tree are open. */
int unix_world_connect(struct unix_world *world, struct error *err);
/* Binds those whose names belong to what is mounted by now; 1: there are others, for later. */
int unix_world_bind(struct unix_world *world, struct error *err);
int unix_world_make(struct unix_world *world, struct error *err);
/* Its descriptor, once. */
int unix_world_take(struct unix_world *world, const FileEntry *entry);

#endif
