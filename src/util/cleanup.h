/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Scope-bound release of what a function holds (GCC's cleanup attribute). */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(ef_freep)
#define _cleanup_close_ _cleanup_(ef_closep)
#define _cleanup_fclose_ _cleanup_(ef_fclosep)

/* Hands a resource over: yields its value and leaves the variable empty. */
#define TAKE_PTR(p)                    \
	({                             \
		typeof(p) take_ = (p); \
		(p) = NULL;            \
		take_;                 \
	})
#define TAKE_FD(fd)               \
	({                        \
		int take_ = (fd); \
		(fd) = -1;        \
		take_;            \
	})

/* static inline void TYPEp(TYPE *p): for functions that accept NULL. */
#define DEFINE_CLEANUP(type, func)          \
	static inline void func##p(type *p) \
	{                                   \
		if (*p)                     \
			func(*p);           \
	}

static inline void ef_freep(void *p)
{
	free(*(void **)p);
}

/* errno survives, so that "return -errno" after a failed call stays right. */
int ef_close(int fd); /* ignores fd < 0; always returns -1: fd = ef_close(fd) */

static inline void ef_closep(int *fd)
{
	ef_close(*fd);
}

/* Of files that are read: who writes closes by itself, and looks. */
static inline void ef_fclosep(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}
