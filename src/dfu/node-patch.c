/* SPDX-License-Identifier: Apache-2.0 */
/* An image that the node makes out of what it runs (docs/SPEC-dfu.md, "Patch"). */
#include "dfu/node-internal.h"
#include "dfu/smp-map.h"
#include "util/time-util.h"

#define PATCH_MODEL_AT 3u /* docs/SPEC-patch.md, section 1 */
/* How long an image of so many bytes may take: five times what the slowest core takes for one. */
#define MADE_LEAST_US (60 * USEC_PER_SEC)
#define MADE_BYTE_US USEC_PER_MSEC
#define LOOK_US                                                                           \
	(100 * USEC_PER_MSEC) /* between two looks; on a shared line as for anything else \
			       */

uint32_t node_patch_room(const struct node_identity *id, uint32_t image_size)
{
	uint32_t page = id->patch_page, pages;

	if (!id->patch_models || page == 0 || page > id->slot_size || image_size > id->slot_size)
		return 0;
	pages = image_size / page + (image_size % page != 0);
	/* beside the image there always is a page for the swap */
	return pages < id->slot_size / page ? id->slot_size - pages * page : page;
}

static bool model_known(const struct node *n)
{
	uint8_t model = n->op.patch->data[PATCH_MODEL_AT];

	return model < 32 && n->identity.patch_models >> model & 1;
}

void step_patch(struct node *n)
{
	const struct node_patch *p = n->op.patch;
	uint32_t room = node_patch_room(&n->identity, n->op.info.total_size);

	if (!p)
		node_next(n);
	else if (!n->identity.patch_models)
		node_fail(n, EF_REASON_PATCH, "the node takes none");
	else if (p->size <= PATCH_MODEL_AT || !model_known(n))
		node_fail(n, EF_REASON_PATCH, "the node does not know its model");
	else if (!node_holds(n, 0, p->base))
		node_fail(n, EF_REASON_PATCH, "the node runs another image than it was made for");
	else if (p->size > room)
		node_fail(n, EF_REASON_PATCH, "patch of %zu bytes, room for %u", p->size, room);
	else
		node_next(n);
}

/* Made: the node is asked how far it is, until the image has come out */

static void made_answer(struct node *n, const uint8_t *body, size_t size)
{
	struct node_made answer;

	if (!node_parse_made(body, size, &answer) || answer.size != n->op.info.total_size) {
		node_fail(n, EF_REASON_NODE_PROTOCOL, "patch: malformed answer");
		return;
	}
	node_progressed(n, n->op.patch->size + answer.made);
	if (answer.match)
		node_next(n);
	else if (now_monotonic_us() >= n->op.made_until_us)
		node_fail(n, EF_REASON_PATCH, "the node has made %u of %u bytes of it in time",
			(unsigned)answer.made, (unsigned)answer.size);
	else
		n->op.wake_us = now_monotonic_us() + (n->spec.shared ? n->timing.poll_us : LOOK_US);
}

/* A node that was reset knows of none, and goes on when it is told of it again. */
static void made_silent(struct node *n, const uint8_t *body, size_t size)
{
	struct error e = {0};
	bool unsupported;

	if (!body)
		node_fail(n, EF_REASON_NODE_UNREACHABLE, "patch: no answer");
	else if (smp_body_status(body, size, "patch", &unsupported, &e) == EF_REASON_NODE_PROTOCOL)
		node_again(n, &e);
	else
		node_fail_with(n, &e);
}

void step_made(struct node *n)
{
	/* The last thing it does is to check the image, which takes seconds on a slow core. */
	const struct node_request request = {
		.what = "patch",
		.op = EF_SMP_READ,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_PATCH,
		.total_us = n->timing.slow_us,
		.then = made_answer,
		.silent = made_silent,
		.optional = true,
	};
	uint8_t body[NODE_BODY_MAX];

	if (!n->op.patch) {
		node_next(n);
		return;
	}
	if (!n->op.made_until_us)
		n->op.made_until_us =
			now_monotonic_us() + MADE_LEAST_US + n->op.info.total_size * MADE_BYTE_US;
	node_send(n, &request, body, node_put_empty(body, sizeof body));
}
