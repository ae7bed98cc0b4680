// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * /proc/sys/net at a restore. Writing "all" or "default" changes interfaces, too, so all are written
 * twice. The secret of addresses changes how they are made, and comes first.
 */
#include "kinds/net/net.h"

#include "base/cleanup.h"
#include "kinds/net/settings-told.h"
#include "kinds/net/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The one setting that holds ids (net/ipv4/sysctl_net_ipv4.c): read as those of nestor's user
 * namespace, written as those of the owner's. False where a group has no number there.
 */
static bool groups_inside(const struct namespace *namespace_, const NetSetting *setting,
			  char text[SETTING_VALUE_ROOM])
{
	uint32_t first, last;

	if (strcmp(setting->name, SETTING_OF_GROUPS) != 0) {
		snprintf(text, SETTING_VALUE_ROOM, "%s", setting->value);
		return true;
	}
	if (sscanf(setting->value, "%" SCNu32 "%" SCNu32, &first, &last) != 2 ||
	    !user_namespace_id_inside(namespace_->owner, true, first, &first) ||
	    !user_namespace_id_inside(namespace_->owner, true, last, &last))
		return false;
	snprintf(text, SETTING_VALUE_ROOM, "%" PRIu32 " %" PRIu32, first, last);
	return true;
}

/*
 * Whose addresses are made from a secret (addr_gen_mode 2) has one, or "default" has: else it was
 * set by way of "all", which it is no more (check_stable_privacy, net/ipv6/addrconf.c).
 */
static bool lacks_secret(const NetnsContents *net, const NetSetting *setting)
{
	const char *folder = settings_folders[SETTINGS_IPV6_CONF];
	const char *file = strrchr(setting->name, '/');
	char secret[SETTING_NAME_ROOM];

	if (strncmp(setting->name, folder, strlen(folder)) != 0 || !file ||
	    strcmp(file, "/addr_gen_mode") != 0 || atoi(setting->value) != 2 ||
	    strncmp(setting->name + strlen(folder), "all/", 4) == 0 ||
	    strncmp(setting->name + strlen(folder), "default/", 8) == 0)
		return false;
	snprintf(secret, sizeof secret, "%.*s/%s", (int)(file - setting->name), setting->name,
		 SETTING_SECRET);
	return !setting_is_recorded(net, secret) &&
	       !setting_is_recorded(net, "ipv6/conf/default/" SETTING_SECRET);
}

/* No part of it is empty or made of dots; an interface may well be called "a..b". */
static bool stays_inside(const char *name)
{
	for (;; name++) {
		size_t length = strcspn(name, "/");
		if (length <= 2 && strncmp(name, "..", length) == 0)
			return false;
		name += length;
		if (!*name)
			return true;
	}
}

/* No name may lead out of the folder. */
int settings_check(const struct namespace *namespace_, struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;
	char text[SETTING_VALUE_ROOM];

	for (size_t i = 0; i < net->n_settings; i++) {
		const char *name = net->settings[i]->name;
		if (!stays_inside(name) || strlen(name) >= SETTING_NAME_ROOM ||
		    strlen(net->settings[i]->value) >= SETTING_VALUE_ROOM)
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: no setting is called %s", namespace_->id,
				    name);
		if (lacks_secret(net, net->settings[i]))
			return fail(err, ERR_UNSUPPORTED_NAMESPACE,
				    "network namespace %u: %s says that addresses are made from a "
				    "secret, and there is none",
				    namespace_->id, name);
		if (!groups_inside(namespace_, net->settings[i], text))
			return fail(err, ERR_UNSUPPORTED_NAMESPACE,
				    "network namespace %u: groups of %s have no number in the user "
				    "namespace that owns it",
				    namespace_->id, name);
	}
	return 0;
}

static int write_setting(int directory, const struct namespace *namespace_,
			 const NetSetting *setting)
{
	autoclose int fd = openat(directory, setting->name, O_WRONLY | O_CLOEXEC);
	char text[SETTING_VALUE_ROOM];

	if (!groups_inside(namespace_, setting, text)) {
		errno = EINVAL;
		return -1;
	}
	size_t length = strlen(text);
	ssize_t written = fd < 0 ? -1 : write(fd, text, length);
	/* addrconf_sysctl_forward of older kernels leaves the end of the line. */
	return written > 0 && strcmp(text + written + (text[written] == '\n'), "") == 0 ? 0 : -1;
}

static bool ends_with(const char *name, const char *end)
{
	size_t length = strlen(name), end_length = strlen(end);

	return length >= end_length && strcmp(name + length - end_length, end) == 0;
}

static bool is_secret(const char *name)
{
	return ends_with(name, "/" SETTING_SECRET);
}

static bool is_other(const char *name)
{
	return !is_secret(name);
}

/* An interface that comes up takes that of the device instead (addrconf_notify). */
static bool is_mtu(const char *name)
{
	const char *folder = settings_folders[SETTINGS_IPV6_CONF];

	return strncmp(name, folder, strlen(folder)) == 0 && ends_with(name, "/mtu");
}

/* `patient`: what does not go with what another one still says is left to the next time. */
static int write_those(const struct namespace *namespace_, bool (*is_one)(const char *name),
		       bool patient, struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;
	autoclose int directory = open("/proc/sys/net", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < net->n_settings; i++)
		if (is_one(net->settings[i]->name) &&
		    write_setting(directory, namespace_, net->settings[i]) &&
		    !(patient && errno == EINVAL))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "network namespace %u: cannot set %s", namespace_->id,
					  net->settings[i]->name);
	return 0;
}

int settings_write(const struct namespace *namespace_, struct error *err)
{
	return write_those(namespace_, is_secret, false, err) ||
			       write_those(namespace_, is_other, true, err) ||
			       write_those(namespace_, is_other, false, err)
		       ? -1
		       : 0;
}

int settings_write_late(const struct namespace *namespace_, struct error *err)
{
	return write_those(namespace_, is_mtu, false, err);
}
