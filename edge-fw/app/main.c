/* SPDX-License-Identifier: Apache-2.0 */
/* The application as an image of its own, on a board. */
#include "app/app.h"

int main(void);
int main(void)
{
	app_main();
}
