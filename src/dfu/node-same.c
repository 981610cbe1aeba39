/* SPDX-License-Identifier: Apache-2.0 */
/* Member by member: what lies between them is whatever was there. */
#include "dfu/node.h"
#include <string.h>

#define SAME(member) (a->member == b->member)
#define SAME_BYTES(member) (memcmp(a->member, b->member, sizeof(a->member)) == 0)

static bool same_slot(const struct node_slot *a, const struct node_slot *b)
{
	return SAME(present) && SAME(version.major) && SAME(version.minor) &&
	       SAME(version.revision) && SAME(version.build) && SAME_BYTES(hash) && SAME(pending) &&
	       SAME(confirmed) && SAME(active);
}

static bool same_body(const struct node_identity *a, const struct node_identity *b)
{
	return SAME(protocol) && SAME(plain) && SAME_BYTES(board) && SAME_BYTES(vendor) &&
	       SAME_BYTES(class_id) && SAME_BYTES(id) && SAME(hardware) &&
	       SAME_BYTES(boot_version) && SAME(buf) && SAME(window) && SAME(ahead) &&
	       SAME(slot_size) && SAME(address) && SAME(spread) && SAME(patch_models) &&
	       SAME(patch_page) && SAME(patch_memory);
}

static bool same_moment(const struct node_identity *a, const struct node_identity *b)
{
	return SAME(bootloader) && SAME(floor) && SAME(attempts) && SAME(cause) && SAME(battery) &&
	       SAME(external) && SAME(trial) && SAME(self_test) && SAME(reverted) &&
	       SAME(reserved) && SAME_BYTES(info);
}

bool node_identity_same(const struct node_identity *a, const struct node_identity *b)
{
	return same_body(a, b) && same_moment(a, b) && same_slot(&a->slots[0], &b->slots[0]) &&
	       same_slot(&a->slots[1], &b->slots[1]);
}
