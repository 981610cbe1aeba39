/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A client key in a token, opened as edgeferry-net opens it. */
#include "doctor/doctor.h"
#include <openssl/evp.h>

/* NULL, and said why, when it cannot be used. A PIN that the daemon was refused is not tried again.
 */
EVP_PKEY *client_token(struct doctor *d, const char *section, const char *uri);

/* Where a file of the configuration is, root included; a credential, while the service runs. */
void find_secret(const struct doctor *d, const char *where, char out[PATH_MAX]);
/* Whether others than its owner can read it; what systemd keeps to the service they cannot. */
bool others_read(const char *where, const char *path);
