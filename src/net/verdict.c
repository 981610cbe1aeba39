/* SPDX-License-Identifier: Apache-2.0 */
#include "net/verdict.h"
#include "util/time-util.h"
#include <openssl/x509_vfy.h>
#include <stdio.h>

const char *verdict_note(long verdict, int64_t now, int64_t built, char *out, size_t size)
{
	char stamp[21];

	if (verdict == X509_V_ERR_CERT_NOT_YET_VALID || verdict == X509_V_ERR_CERT_HAS_EXPIRED)
		snprintf(out, size, "; this gateway's clock says %s%s", time_format_utc(now, stamp),
			now < built ? ", which is wrong: set it" : "");
	else
		*out = '\0';
	return out;
}
