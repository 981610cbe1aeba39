/* SPDX-License-Identifier: Apache-2.0 */
/* edgeferry-repo, the publisher's tool: keys, releases, repository, bundles. */
#include "repo/verbs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	EXIT_NOTHING = 2,
	EXIT_NOT_FOUND = 3,
	EXIT_ATTENTION = 4,
	EXIT_REFUSED = 5,
	EXIT_DENIED = 6,
	EXIT_USAGE = 64
};

static const struct verb verbs[] = {
	{"init", "PRODUCT [options]", 1, 1, "make a workspace: keys, roles and first metadata",
		"Roles are root, targets, releases, snapshot and timestamp. A key is made for each "
		"unless\n"
		"--key names one. 'edge' is the key that signs firmware images.",
		verb_init},
	{"key new", "NAME [options]", 1, 1, "make a key", NULL, verb_key_new},
	{"key add", "NAME URI", 2, 2, "use a key that exists: a file or a URI of OpenSSL's store",
		"pkcs11: works where OpenSSL has a provider for it.", verb_key_add},
	{"key list", "", 0, 0, "list keys, what they are for and whether they are at hand", NULL,
		verb_key_list},
	{"key public", "NAME|FILE [options]", 1, 1, "print the public part of a key", NULL,
		verb_key_public},
	{"add rootfs", "NAME IMAGE --compatible V,C --version V [options]", 2, 2,
		"stage a root filesystem image for the next release",
		"The image is cut into chunks of 64 KiB, each compressed by itself; holes cost "
		"nothing.",
		verb_add_rootfs},
	{"add mcu", "NAME FILE --compatible V,C [options]", 2, 2,
		"stage a firmware image for the next release",
		"A signed MCUboot image is taken as it is, with its own version and security "
		"version. Any\n"
		"other file is the payload of an image that is made and signed here.",
		verb_add_mcu},
	{"drop", "NAME", 1, 1, "take a component out of what is staged", NULL, verb_drop},
	{"image sign", "--key KEY --version V [options] IN OUT", 2, 2,
		"make and sign an MCUboot image from a binary", NULL, verb_image_sign},
	{"image inspect", "FILE [options]", 1, 1, "show what an MCUboot image says of itself", NULL,
		verb_image_inspect},
	{"image keys", "--set N --key KEY… --before KEY… FILE", 1, 1,
		"make the document that brings a bootloader its next key set",
		"Signed with the private keys at hand; run again where others are, on the same "
		"file,\n"
		"it adds theirs. Exit 4 while signatures are missing that are known to be needed.",
		verb_image_keys},
	{"patch", "OLD NEW [options]", 2, 2, "show what a patch from one firmware to another saves",
		"Makes it, applies it and compares the result. Any two files do.", verb_patch},
	{"release", "VERSION [options]", 1, 1, "make a release of what is staged",
		"Writes the manifest and the metadata to sign; 'sign' and 'publish' follow.",
		verb_release},
	{"sign export", "DIR", 1, 1, "write the exact bytes that lack signatures into a folder",
		"For keys that this machine never sees: ROLE.VERSION.bytes to sign, to-sign.json "
		"says by\n"
		"whom. 'sign attach' takes each signature back.",
		verb_sign_export},
	{"sign attach", "ROLE KEY FILE", 3, 3, "take a signature that was made elsewhere",
		"KEY is a name in the workspace or a key id; FILE is the bare signature. When it "
		"was "
		"the\n"
		"last one, 'sign' goes on.",
		verb_sign_attach},
	{"sign merge", "DIR", 1, 1, "take the signatures that another workspace has",
		"A copy of this workspace in which others have signed the same metadata.",
		verb_sign_merge},
	{"sign", "[options]", 0, 0, "sign what is pending with the keys at hand",
		"When nothing lacks signatures any more, snapshot and timestamp are made and "
		"signed too.",
		verb_sign},
	{"rotate", "ROLE [options]", 1, 1, "replace the keys of a role",
		"The new root is signed by the old root keys and the new ones. Keep an old root "
		"key until\n"
		"what 'sign' makes of it is published.",
		verb_rotate},
	{"key revoke", "NAME", 1, 1, "take a key away from its role",
		"The others have to suffice; to put a new one in its place, use 'rotate "
		"--replace'.",
		verb_key_revoke},
	{"status", "[options]", 0, 0, "show what expires when, what lacks signatures, keys at hand",
		"Exit 4 when something expires within --within days.", verb_status},
	{"rollout set", "VERSION --share PERCENT [options]", 1, 1,
		"let a share of the fleet take a release",
		"The share of a release never shrinks; 'rollout halt' stops it. Signed with the "
		"key "
		"of the\n"
		"role rollouts; 'publish' follows.",
		verb_rollout_set},
	{"rollout halt", "VERSION [options]", 1, 1, "stop a release: no device goes on with it",
		NULL, verb_rollout_halt},
	{"rollout renew", "[options]", 0, 0, "the same statement with a later expiry",
		"Expired means hold: have a timer renew it.", verb_rollout_renew},
	{"rollout show", "", 0, 0, "show the newest statement", NULL, verb_rollout_show},
	{"publish", "DIR [options]", 1, 1, "write what is signed into a folder for a web server",
		"Only what is new is written, and last what makes it count: cut off anywhere,\n"
		"what was published before stays valid. A hook carries it on, in the same order.",
		verb_publish},
	{"bundle", "VERSION FILE.ferry [options]", 2, 2, "write one release into one file", NULL,
		verb_bundle},
	{"inspect", "FILE|DIR", 1, 1, "show a bundle or a published folder, without verifying it",
		NULL, verb_inspect},
	{"verify", "FILE|DIR [options]", 1, 1,
		"verify a bundle or a published folder as a gateway would", NULL, verb_verify},
	{"export-root", "FILE", 1, 1, "write the newest root.json, for gateways to trust", NULL,
		verb_export_root},
};

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

/* How many words of args the name takes; 0 when it is another verb. */
static int matches(const struct verb *v, int n, char **args)
{
	const char *blank = strchr(v->name, ' ');
	size_t first = blank ? (size_t)(blank - v->name) : strlen(v->name);

	if (n < 1 || strlen(args[0]) != first || memcmp(args[0], v->name, first) != 0)
		return 0;
	if (!blank)
		return 1;
	return n >= 2 && strcmp(args[1], blank + 1) == 0 ? 2 : 0;
}

static void print_verbs(void)
{
	puts("Usage: edgeferry-repo VERB [options]\n\nVerbs:");
	for (size_t i = 0; i < VERBS; i++)
		printf("  %-14s %s\n", verbs[i].name, verbs[i].summary);
	puts("\n'edgeferry-repo VERB --help' tells more.");
}

static int exit_status(const struct invocation *i, enum ef_reason r)
{
	if (r == EF_REASON_OK)
		return i->attention	  ? EXIT_ATTENTION
		       : i->nothing_to_do ? EXIT_NOTHING
					  : EXIT_SUCCESS;
	if (r == EF_REASON_NOT_FOUND)
		return EXIT_NOT_FOUND;
	if (r == EF_REASON_USAGE)
		return EXIT_USAGE;
	if (r == EF_REASON_DENIED)
		return EXIT_DENIED;
	return r >= EF_REASON_NOT_COMPATIBLE && r <= EF_REASON_PROTOCOL ? EXIT_REFUSED
									: EXIT_FAILURE;
}

static int run(struct invocation *i)
{
	struct error e = {0};
	char text[1024];
	enum ef_reason r = i->verb->run(i, &e);

	if (!r && fflush(stdout) != 0)
		r = error_set(&e, EF_REASON_IO, "standard output");
	if (r) {
		if (!e.reason)
			e.reason = r;
		error_format(&e, text, sizeof(text));
		fprintf(stderr, "edgeferry-repo: %s\n", text);
		if (r == EF_REASON_USAGE)
			fprintf(stderr, "'edgeferry-repo %s --help' tells more.\n", i->verb->name);
	}
	return exit_status(i, r);
}

int main(int argc, char **argv)
{
	struct invocation invocation = {0};

	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
				 strcmp(argv[1], "help") == 0)) {
		print_verbs();
		return EXIT_SUCCESS;
	}
	if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
		puts("edgeferry-repo " EF_VERSION);
		return EXIT_SUCCESS;
	}
	for (size_t v = 0; v < VERBS; v++) {
		int words = matches(&verbs[v], argc - 1, argv + 1);
		if (words == 0)
			continue;
		invocation.verb = &verbs[v];
		invocation.n = argc - 1 - words;
		invocation.args = argv + 1 + words;
		return run(&invocation);
	}
	fprintf(stderr, "edgeferry-repo: %s%s\n'edgeferry-repo --help' lists the verbs.\n",
		argc >= 2 ? "no verb " : "a verb is needed", argc >= 2 ? argv[1] : "");
	return EXIT_USAGE;
}
