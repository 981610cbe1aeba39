/* SPDX-License-Identifier: Apache-2.0 */
#include <edgeferry/smp.h>

void ef_smp_header_encode(const struct ef_smp_header *h, uint8_t out[EF_SMP_HEADER_SIZE])
{
	out[0] = (uint8_t)((h->op & 7) | (h->version & 3) << 3);
	out[1] = 0;
	out[2] = (uint8_t)(h->length >> 8);
	out[3] = (uint8_t)h->length;
	out[4] = (uint8_t)(h->group >> 8);
	out[5] = (uint8_t)h->group;
	out[6] = h->seq;
	out[7] = h->command;
}

bool ef_smp_header_decode(const uint8_t *buf, size_t size, struct ef_smp_header *ret)
{
	if (size < EF_SMP_HEADER_SIZE || buf[0] & 0xe0 || buf[1])
		return false;
	ret->op = buf[0] & 7;
	ret->version = buf[0] >> 3 & 3;
	ret->length = (uint16_t)(buf[2] << 8 | buf[3]);
	ret->group = (uint16_t)(buf[4] << 8 | buf[5]);
	ret->seq = buf[6];
	ret->command = buf[7];
	return true;
}
