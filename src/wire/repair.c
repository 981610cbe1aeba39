/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One wrong bit, found by the CRC. Its polynomial has the factor x + 1 and the order 32767: each of
 * the last 32767 bits leaves a remainder of its own, and two wrong bits never that of one. More may
 * look like one, so a bit is turned back only where a tag says afterwards whether that was right.
 */
#include "wire/cobs.h"
#include "wire/crc.h"
#include <edgeferry/session.h>
#include <edgeferry/smp.h>

#define POLYNOMIAL (0x1021u << 16) /* of crc16_xmodem */
#define CRC_SIZE 2u

bool frame_repairs(void)
{
	return true;
}

/*
 * The byte in which a bit, turned back, makes the remainder 0; NULL: there is none. In the upper
 * half of a word, so that the bit that is shifted out is its sign.
 */
static uint8_t *turn_back(uint8_t *frame, size_t size, uint16_t remainder)
{
	uint32_t r = POLYNOMIAL, wanted = (uint32_t)remainder << 16; /* r: of the last bit */

	for (size_t left = 8 * size; left; left--) {
		if (r == wanted) {
			uint8_t *at = frame + (left - 1) / 8;

			*at ^= (uint8_t)(1u << (-left & 7));
			return at;
		}
		r = (int32_t)r < 0 ? r << 1 ^ POLYNOMIAL : r << 1;
	}
	return NULL;
}

/*
 * Of a checked request all is proven by the tag or not needed any more. On a shared line the head
 * in front of a session's frame is not, nor is it without the CRC.
 */
static bool tag_decides(const uint8_t *frame, size_t size, const uint8_t *turned)
{
	const uint8_t *message = frame + EF_SHARED_HEAD;

	if (frame[0] == EF_SESSION_CHECKED)
		return true;
	return (frame[0] | 1) == EF_SHARED_FROM_NODE && ef_session_is_tagged(message) &&
	       turned >= message && turned < frame + size - CRC_SIZE;
}

bool frame_sound(uint8_t *frame, size_t size)
{
	uint16_t remainder = crc16_xmodem(0, frame, size);

	if (remainder) {
		const uint8_t *turned = turn_back(frame, size, remainder);

		if (!turned || !tag_decides(frame, size, turned))
			return false;
	}
	if (frame[0] == EF_SESSION_CHECKED)
		frame[0] = EF_SESSION_REQUEST;
	return true;
}
