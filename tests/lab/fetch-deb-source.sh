#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fetch-deb-source.sh PACKAGE VERSION FILE SHA256 FOLDER
# fetch-deb-source.sh bearssl|tinyssh
# Brings one file of a Debian source package into FOLDER, from the archive that this machine's
# apt already uses. The machine's own configuration and package lists stay as they are: the
# source index goes into a private folder. Does nothing when the file is there with the right hash.
set -eu

case "$#${1-}" in
1bearssl)
	set -- bearssl 0.6+dfsg.1-3 bearssl_0.6+dfsg.1.orig.tar.xz \
		102a625bd8f6155260867a50c508df8d8c3f796985dd744df1a68e5cd1a79004 \
		"$(dirname "$0")/../../subprojects/packagecache"
	;;
1tinyssh)
	set -- tinyssh 20230101-1 tinyssh_20230101.orig.tar.gz \
		74a434389dd05bf421feb6b6fab241f763b78222750d21100bd81d9ba626b28c \
		"$(dirname "$0")/../../subprojects/packagecache"
	;;
esac
[ $# -eq 5 ] || { sed -n '3,4s/^# /usage: /p' "$0" >&2; exit 64; }
package=$1 version=$2 file=$3 hash=$4 folder=$5

has_hash() {
	[ -f "$1" ] && echo "$hash  $1" | sha256sum --check --status
}

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
has_hash "$folder/$file" && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/got"

# deb-src lines for Debian's own archives, as apt knows them; updates and security hold the
# same upstream tarballs, so the base suite is enough
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
signed=
[ -f "$keyring" ] && signed="[signed-by=$keyring] "
apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
	sort -u | while read -r origin uri suite component; do
	[ "$origin" = Debian ] && [ "$component" = main ] || continue
	case $suite in *security* | *updates* | *backports*) continue ;; esac
	echo "deb-src $signed$uri $suite main"
done >"$work/sources.list"
[ -s "$work/sources.list" ] || { echo "$0: apt knows no Debian archive; run apt-get update first" >&2; exit 1; }

get() {
	apt-get -q -q -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 "$@"
}
get update
# the pinned revision, or on another release whatever it has: the hash decides
cd "$work/got"
get source --download-only "$package=$version" >/dev/null 2>&1 ||
	get source --download-only "$package" >/dev/null
has_hash "$file" || { echo "$0: $file: not there or wrong SHA-256" >&2; exit 1; }
cp "$file" "$folder/.$file.$$"
mv "$folder/.$file.$$" "$folder/$file"
