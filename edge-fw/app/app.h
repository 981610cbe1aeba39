/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/agent.h"

/* How a build of the application behaves, for tests and demonstrations: one behaviour-*.c is
 * linked. */
enum behaviour {
	BEHAVE_WELL,
	BEHAVE_NEVER_READY, /* the self-test never ends */
	BEHAVE_FAIL_TEST,   /* the self-test fails */
	BEHAVE_HANG,	    /* at once, without feeding the watchdog */
	BEHAVE_FAULT,	    /* as soon as the self-test has passed: an instruction that is none */
	BEHAVE_RELAPSE,	    /* well on trial, and once it is confirmed fails at every start */
};
enum behaviour behaviour(void);

_Noreturn void app_main(void);
