// SPDX-License-Identifier: LGPL-2.1-or-later
/* See ids.h. The schema says by the names of members which numbers are users and groups. */
#include "model/ids.h"

#include <string.h>

struct walk {
	id_visit *visit;
	void *data;
	const char *what;
};

static bool is_called(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	protobuf_c_boolean has = false;

	if (field->label == PROTOBUF_C_LABEL_REQUIRED)
		return true;
	if (field->label != PROTOBUF_C_LABEL_OPTIONAL)
		return false;
	memcpy(&has, (const char *)message + field->quantifier_offset, sizeof has);
	return has;
}

static int walk_number(const struct walk *walk, ProtobufCMessage *message,
		       const ProtobufCFieldDescriptor *field)
{
	static const char *const users[] = { "uid", "euid", "cuid", NULL };
	static const char *const groups[] = { "gid", "egid", "cgid", NULL };
	bool group = is_called(field->name, groups);

	if ((!group && !is_called(field->name, users)) || !is_set(message, field))
		return 0;
	return walk->visit(walk->data, group, (uint32_t *)(void *)((char *)message + field->offset),
			   walk->what);
}

static int walk_message(const struct walk *walk, ProtobufCMessage *message);

static int walk_messages(const struct walk *walk, ProtobufCMessage *message,
			 const ProtobufCFieldDescriptor *field)
{
	void *place = (char *)message + field->offset;
	size_t count = 1;
	ProtobufCMessage **inner = place;

	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		memcpy(&count, (char *)message + field->quantifier_offset, sizeof count);
		memcpy(&inner, place, sizeof inner);
	}
	for (size_t i = 0; i < count; i++) {
		int result = inner[i] ? walk_message(walk, inner[i]) : 0;
		if (result)
			return result;
	}
	return 0;
}

static int walk_message(const struct walk *walk, ProtobufCMessage *message)
{
	/* Nobody owns it (F_SETOWN), and the zeroes are nobody's. */
	if (message->descriptor == &fown_entry__descriptor && !((FownEntry *)message)->pid)
		return 0;
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		int result = 0;
		if (field->type == PROTOBUF_C_TYPE_UINT32)
			result = walk_number(walk, message, field);
		else if (field->type == PROTOBUF_C_TYPE_MESSAGE)
			result = walk_messages(walk, message, field);
		if (result)
			return result;
	}
	return 0;
}

int snapshot_each_id(struct snapshot *snapshot, id_visit *visit, void *data)
{
	struct walk walk = { visit, data, "file" };
	int result = 0;

	for (size_t i = 0; i < snapshot->n_files && !result; i++)
		result = walk_message(&walk, &snapshot->files[i]->base);
	walk.what = "ipc namespace";
	for (size_t i = 0; i < snapshot->n_namespaces && !result; i++)
		if (snapshot->namespaces[i]->ipc)
			result = walk_message(&walk, &snapshot->namespaces[i]->ipc->base);
	for (enum image_kind kind = 0; kind < IMAGE_KINDS && !result; kind++) {
		const struct records *list = snapshot_records(snapshot, kind);
		for (size_t i = 0; i < list->count && !result; i++) {
			ProtobufCMessage *message = list->records[i]->message;
			walk.what = message->descriptor->name;
			result = walk_message(&walk, message);
		}
	}
	return result;
}
