/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app.h"

enum behaviour behaviour(void)
{
	return BEHAVE_RELAPSE;
}
