// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Network namespaces, network_namespaces(7): interfaces, addresses, routes, rules, neighbours and
 * settings. A namespace is read by a thread of ours that enters it, and filled by a process that
 * has made it from inside its owner, in this order: interfaces, settings, addresses, up, routes: a
 * route needs the interface that it leaves by up, and the address that it goes out with. What
 * looks at packets comes last.
 */
#include "kinds/net/net.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/whole.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/aside.h"
#include "kernel/visit.h"
#include "model/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct reading {
	struct collect *collect;
	struct arena *arena;
	NetnsContents *net;
	uint32_t id;
	struct error *err;
	int namespace_fd; /* -1: what is left to others would not come back to us */
	int own_fd;	  /* where we are at home */
	bool is_begun;	  /* interfaces and settings have been */
};

static int read_filters(const struct reading *reading)
{
	NetnsContents *net = reading->net;
	struct netlink *netlink;
	int there = netlink_open_if_there(NETLINK_NETFILTER, &netlink);

	if (there <= 0)
		return there ? fail_errno(reading->err, ERR_KERNEL_REFUSED,
					  "cannot open a netfilter socket")
			     : 0;
	int result = ipsets_collect(netlink, reading->arena, net, reading->id, reading->err) ||
		     xtables_collect(reading->arena, net, reading->id, reading->err) ||
		     filters_collect(reading->arena, net, reading->id, reading->err) ||
		     connections_collect(netlink, reading->arena, net, reading->id, reading->err);
	netlink_close(netlink);
	return result ? -1 : 0;
}

static int make_filters(const NetnsContents *net, uint32_t id, struct error *err)
{
	struct netlink *netlink;

	/* Others come first that rules refer to; labels of connections are there with rules. */
	if (!net->n_ipsets && !net->n_xtables && !net->n_filters && !net->n_connections &&
	    !net->n_expectations)
		return 0;
	netlink = netlink_open_protocol(NETLINK_NETFILTER);
	if (!netlink)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open a netfilter socket");
	int result = ipsets_make(netlink, net, id, err) || xtables_make(net, id, err) ||
		     filters_make(net, id, err) || connections_make(netlink, net, id, err);
	netlink_close(netlink);
	return result ? -1 : 0;
}

static int read_settings(const struct reading *reading, struct netlink *netlink)
{
	return reading->namespace_fd < 0
		       ? settings_collect(netlink, reading->collect, reading->net, reading->id,
					  reading->err)
		       : settings_begin(netlink, reading->collect, reading->namespace_fd,
					reading->net, reading->id, reading->err);
}

static int read_links(const struct reading *reading, struct netlink *netlink)
{
	return links_collect(netlink, reading->collect, reading->net, reading->id, reading->err) ||
			       read_settings(reading, netlink)
		       ? -1
		       : 0;
}

static int read_beginning(void *data)
{
	const struct reading *reading = data;
	struct netlink *netlink = netlink_open();

	if (!netlink)
		return fail_errno(reading->err, ERR_KERNEL_REFUSED, "cannot open rtnetlink");
	int result = read_links(reading, netlink);
	netlink_close(netlink);
	return result;
}

static int read_content(void *data)
{
	struct reading *reading = data;
	struct netlink *netlink = netlink_open();
	NetnsContents *net = reading->net;
	int result;

	if (!netlink)
		return fail_errno(reading->err, ERR_KERNEL_REFUSED, "cannot open rtnetlink");
	result = (!reading->is_begun && read_links(reading, netlink)) ||
		 lost_refuse(reading->collect, reading->id, reading->err) ||
		 traffic_collect(netlink, reading->arena, net, reading->id, reading->err) ||
		 tuns_collect(reading->arena, net, reading->id, reading->err) ||
		 features_collect(reading->arena, net, reading->id, reading->err) ||
		 peers_collect(netlink, reading->collect, reading->own_fd, net, reading->id,
			       reading->err) ||
		 routes_collect(netlink, reading->arena, net, reading->id, reading->err) ||
		 labels_collect(netlink, reading->arena, net, reading->id, reading->err) ||
		 groups_collect(netlink, reading->arena, net, reading->id, reading->err) ||
		 generic_collect(reading->collect, net, reading->id, reading->err) ||
		 read_filters(reading) || trial_run(net, reading->id, reading->err);
	netlink_close(netlink);
	return result ? -1 : 0;
}

/*
 * Who has no rights in it but by making the user namespace that it belongs to enters that first,
 * which takes a process of its own. What that has read comes back in a file.
 */
struct reading_there {
	const struct reading *reading;
	int fd;
};

static int read_there(struct visitor *visitor, void *data, struct error *err)
{
	const struct reading_there *there = data;
	struct reading reading = *there->reading;

	(void)visitor;
	reading.err = err;
	reading.namespace_fd = -1;
	if (read_content(&reading))
		return -1;
	size_t size = netns_contents__get_packed_size(reading.net);
	uint8_t *packed = arena_alloc(reading.arena, size);
	netns_contents__pack(reading.net, packed);
	return write_whole(there->fd, packed, size) == 0
		       ? 0
		       : fail_errno(err, ERR_IO, "cannot hand over what was read");
}

/* What names users and groups was seen as the owner has them. */
static int refuse_ids(const struct reading *reading)
{
	const NetnsContents *net = reading->net;
	bool has_some = net->n_tuns > 0;

	for (size_t i = 0; i < net->n_settings; i++)
		has_some |= strcmp(net->settings[i]->name, SETTING_OF_GROUPS) == 0;
	return has_some ? fail(reading->err, ERR_NO_PRIVILEGE,
			       "network namespace %u has a tun, or a range of groups for pings, "
			       "which "
			       "to read takes CAP_SYS_ADMIN",
			       reading->id)
			: 0;
}

static int read_as_owner(struct reading *reading, int namespace_fd)
{
	autoclose int fd = memfd_create("nestor-net", MFD_CLOEXEC);
	struct reading_there there = { reading, fd };
	const struct visit inside = {
		.what = "reads a network namespace",
		.namespaces = &namespace_fd,
		.n_namespaces = 1,
		.as_owner = true,
		.function = read_there,
		.data = &there,
		.size = sizeof there,
	};

	if (visit(&inside, NULL, 0, reading->err))
		return -1;
	reading->net =
		unpack_handed_over(reading->arena, &netns_contents__descriptor, fd, reading->err);
	return reading->net ? refuse_ids(reading) : -1;
}

static int read_one(struct reading *reading, int namespace_fd)
{
	if (aside_in_net(namespace_fd, read_content, reading) == 0)
		return 0;
	if (reading->err->name)
		return -1;
	return errno == EPERM ? read_as_owner(reading, namespace_fd)
			      : fail_errno(reading->err, ERR_KERNEL_REFUSED,
					   "cannot enter network namespace %u", reading->id);
}

static struct reading reading_of(struct collect *collect,
				 const struct surveyed_namespace *namespace_, struct error *err)
{
	return (struct reading){
		.collect = collect,
		.arena = collect->arena,
		.net = namespace_->content
			       ? namespace_->content
			       : snapshot_new(collect->snapshot, NETNS_CONTENTS, NetnsContents),
		.id = namespace_->id,
		.err = err,
		.namespace_fd = namespace_->fd,
		.own_fd = -1,
		.is_begun = namespace_->content != NULL,
	};
}

/* Who may not enter it just so begins nothing. */
static int begin(struct collect *collect, struct surveyed_namespace *namespace_, struct error *err)
{
	struct reading reading = reading_of(collect, namespace_, err);

	if (!collect->assistant)
		return 0;
	if (settings_prepare(collect, err))
		return -1;
	if (aside_in_net(namespace_->fd, read_beginning, &reading))
		return err->name ? -1
		       : errno == EPERM
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED,
					    "cannot enter network namespace %u", namespace_->id);
	namespace_->content = reading.net;
	return 0;
}

static int collect(struct collect *collect, struct surveyed_namespace *namespace_,
		   struct error *err)
{
	autoclose int own_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct reading reading = reading_of(collect, namespace_, err);

	if (own_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open our own network namespace");
	reading.own_fd = own_fd;
	if (settings_prepare(collect, err) || read_one(&reading, namespace_->fd))
		return -1;
	namespace_->entry->net = reading.net;
	return 0;
}

static int complete(struct collect *collect, struct surveyed_namespace *namespace_,
		    struct error *err)
{
	NetnsContents *net = namespace_->entry->net;

	return net ? settings_complete(collect, net, namespace_->id, err) : 0;
}

static int check(const struct snapshot *snapshot, const struct namespace *namespace_,
		 struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;

	if (namespace_->entry->ext_key)
		return net ? fail(err, ERR_IMAGE_INVALID,
				  "network namespace %u is outside of the tree, and has content",
				  namespace_->id)
			   : 0;
	if (!net)
		return fail(err, ERR_IMAGE_INVALID, "network namespace %u has no content",
			    namespace_->id);
	return links_check(net, namespace_->id, err) || peers_check(snapshot, namespace_, err) ||
			       tuns_check(snapshot, namespace_, err) ||
			       features_check(net, namespace_->id, err) ||
			       routes_check(net, namespace_->id, err) ||
			       labels_check(net, namespace_->id, err) ||
			       groups_check(net, namespace_->id, err) ||
			       traffic_check(net, namespace_->id, err) ||
			       settings_check(namespace_, err) || generic_check(namespace_, err) ||
			       filters_check(net, namespace_->id, err) ||
			       xtables_check(net, namespace_->id, err) ||
			       ipsets_check(net, namespace_->id, err) ||
			       connections_check(net, namespace_->id, err)
		       ? -1
		       : 0;
}

static int fill(const struct namespace *namespace_, struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;
	uint32_t id = namespace_->id;
	struct netlink *netlink = netlink_open();

	if (!netlink)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open rtnetlink");
	int result = tuns_make(namespace_, err) || links_make(netlink, net, id, err) ||
		     settings_write(namespace_, err) || generic_make(net, id, err) ||
		     addresses_make(netlink, net, false, id, err) ||
		     labels_make(netlink, net, id, err) || features_make(net, id, err) ||
		     links_bring_up(netlink, net, id, err) ||
		     settings_write_late(namespace_, err) || groups_make(netlink, net, id, err) ||
		     addresses_make(netlink, net, true, id, err) ||
		     routes_make(netlink, net, id, err) ||
		     (!peers_are_there(namespace_) && next_hops_make(netlink, net, id, err)) ||
		     traffic_make(netlink, net, id, err) || make_filters(net, id, err);
	netlink_close(netlink);
	return result ? -1 : 0;
}

/* Whose peers are down has no carrier, and takes no next hops: all are up now. */
static int finish(const struct namespace *namespace_, struct error *err)
{
	struct netlink *netlink = netlink_open();

	if (!netlink)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open rtnetlink");
	int result = next_hops_make(netlink, namespace_->entry->net, namespace_->id, err);
	netlink_close(netlink);
	return result;
}

static void describe(const NsEntry *entry, struct text *text)
{
	if (entry->net)
		links_describe(entry->net, text);
}

static int look_inside(void *data)
{
	struct text *text = data;
	struct netlink *netlink = netlink_open();
	NetnsContents *net = arena_new(text->arena, NetnsContents);

	if (!netlink)
		return -1;
	netns_contents__init(net);
	int result = links_look(netlink, text->arena, net), failure = errno;
	if (result == 0)
		links_describe(net, text);
	netlink_close(netlink);
	errno = failure;
	return result;
}

static int look(int fd, pid_t member, struct text *text, struct error *err)
{
	struct aside aside = ASIDE_HERE;

	(void)member;
	aside.net_namespace = fd;
	return aside_run(&aside, look_inside, text) < 0
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at a net namespace")
		       : 0;
}

const struct namespace_kind net_namespace_kind = {
	.type = NAMESPACE_NET,
	.collect = collect,
	.begin = begin,
	.complete = complete,
	.collect_end = settings_end,
	.check = check,
	.find = peers_find,
	.is_joined = peers_are_there,
	.stands_on = peers_stand_on,
	.join = peers_make,
	.join_late = peers_make_above,
	.fill = fill,
	.finish = finish,
	.before_release = peers_before_release,
	.describe = describe,
	.look = look,
};
