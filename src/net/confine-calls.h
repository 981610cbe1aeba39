/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Loads the system call filter for all threads. Needs no_new_privs. 0 or negative errno. */
int confine_calls(void);
