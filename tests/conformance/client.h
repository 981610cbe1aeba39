/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The conformance client as a process, against a web server on the loopback that serves a
 * repository in memory or a folder: exit codes, requests, files. One world a test.
 */
#include "repo.h"
#include "unit.h"

struct world {
	struct repo *repo;   /* what is served; its documents expire in the far future */
	const char *folder;  /* instead of it, with "metadata" and "targets" in it, when not NULL */
	int status;	     /* of every answer, when not 0 */
	char requests[8192]; /* paths that the last client asked for, each with a blank behind it */
	char dir[64];	     /* all that this test leaves on disk; in there: */
	char metadata[80], targets[80], root_file[80];
	char metadata_url[80], targets_url[80];
	int server;
};
extern struct world world;

#define FAR "2999-01-01T00:00:00Z"

TCase *world_case(const char *name); /* with the fixture */
struct repo *world_repo(void);	     /* one more such repository; caller frees */

/* Runs the client to its end; its exit code. */
int run(const char *const *args);
#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})
int init_with(const void *data, size_t size);
int init(void); /* with 1.root.json */
int refresh(void);
int download(const char *name);
int download_both(const char *one, const char *two);

/* What the client holds of a role; 0 when nothing. */
uint64_t version(const char *role);
int count(const char *folder); /* files in it */
void assert_versions(int root, int timestamp, int snapshot, int targets);
void assert_held(const char *role); /* byte by byte as it was published last */
void assert_target(const char *file, const char *want);
void assert_asked(const char *want); /* the names of metadata, without "/metadata/" */
void assert_asked_last(const char *want);

/* A target, signed by role and published; served is what the server has of it. */
void publish_target(const char *role, const char *path, const char *content, const char *served);
/* A new version of targets, and of snapshot and timestamp with it. */
void publish_all(void);
/* A role as repo_delegate makes it, that expires in the far future. */
json_t *delegate(const char *from, const char *to, int key, const char *path);
