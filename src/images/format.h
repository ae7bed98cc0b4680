/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of image files: what each is called, which magic it starts with, which message its
 * records are. One row a kind; everything else in this folder asks the table.
 *
 * Framing of a file: the common magic, the magic of its kind (inventory.img has only its own),
 * then records of a 32-bit little-endian size and that many bytes of a message. Some records are
 * followed by raw bytes, see payload. A kind without a magic is raw from its first byte.
 */
#ifndef NESTOR_IMAGES_FORMAT_H
#define NESTOR_IMAGES_FORMAT_H

#include <protobuf-c/protobuf-c.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IMAGE_NAME_SIZE = 48, IMAGE_VERSION = 2, IMAGE_PAGE_SIZE = 4096 };

#define IMAGE_COMMON_MAGIC  0x54564319u
#define IMAGE_SERVICE_MAGIC 0x55105940u

/* In the order in which they are read: what others refer to comes first. */
enum image_kind {
	IMAGE_INVENTORY,
	IMAGE_PSTREE,
	IMAGE_NS,
	IMAGE_IDS,
	IMAGE_CORE,
	IMAGE_MM,
	IMAGE_VMAS,
	IMAGE_FS,
	IMAGE_FDINFO,
	IMAGE_FILES,
	IMAGE_REG_FILES,
	IMAGE_NS_FILES,
	IMAGE_PIPES,
	IMAGE_FIFO,
	IMAGE_PIPES_DATA,
	IMAGE_FIFO_DATA,
	IMAGE_MEMFD,
	IMAGE_REMAP_FPATH,
	IMAGE_GHOST_FILE,
	IMAGE_SECCOMP,
	IMAGE_PAGES,
	IMAGE_PAGEMAP,
	IMAGE_PAGEMAP_SHMEM,
	IMAGE_USERNS,
	IMAGE_STATS,
	IMAGE_KINDS,
};

/* What follows a record besides the next one. */
enum image_payload {
	PAYLOAD_NONE,
	PAYLOAD_BYTES, /* as many bytes as the record says */
	PAYLOAD_REST,  /* raw content up to the end of the file */
};

struct image_format {
	const char *prefix; /* up to the number; the whole name where there is none */
	char number;	    /* 'u' decimal, 'x' hexadecimal, 0 none */
	bool single;	    /* exactly one record */
	enum image_payload payload;
	uint32_t magic; /* 0: raw */
	const ProtobufCMessageDescriptor *record;
};

const struct image_format *image_format(enum image_kind kind);

/* Which kind a file name is of, and the number in it (0 where there is none). */
bool image_recognise(const char *name, enum image_kind *ret_kind, uint64_t *ret_number);

/* The file name of a kind; returns `name`. */
char *image_name(char name[IMAGE_NAME_SIZE], enum image_kind kind, uint64_t number);

#endif
