#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The bill of materials as SPDX 2.3, from what the build knows; the same input gives the same bytes.

    sbom.py VERSION CHANGELOG NAME=VERSION=LICENCE … WRAP …

NAME: libraries that are linked dynamically, by their pkg-config names; WRAP: sources that are linked into the node
firmware; CHANGELOG: debian/changelog, whose date is that of the document.
"""
import configparser
import email.utils
import hashlib
import json
import re
import sys
from datetime import timezone

WRAPPED = {"bearssl": "MIT", "tinyssh": "CC0-1.0"}


def package(name, version, licence, **more):
    return {"SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name), "name": name, "versionInfo": version,
            "licenseConcluded": licence, "licenseDeclared": licence, "copyrightText": "NOASSERTION",
            "downloadLocation": "NOASSERTION", "filesAnalyzed": False, **more}


def wrapped(path):
    wrap = configparser.ConfigParser()
    wrap.read(path, encoding="utf-8")
    source = wrap["wrap-file"]
    name, version = re.fullmatch(r"([a-z]+)_([^_]+)\.orig\.tar\.\w+", source["source_filename"]).groups()
    return package(name, version, WRAPPED[name], packageFileName=source["source_filename"],
                   checksums=[{"algorithm": "SHA256", "checksumValue": source["source_hash"]}])


def written(changelog):
    with open(changelog, encoding="utf-8") as f:
        date = re.search(r"^ -- .*>  (.*)$", f.read(), re.M)[1]
    return email.utils.parsedate_to_datetime(date).astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def main():
    version, changelog, *rest = sys.argv[1:]
    own = package("edgeferry", version, "Apache-2.0")
    linked = [package(*a.split("=")) for a in rest if "=" in a]
    inside = [wrapped(a) for a in rest if "=" not in a]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", own["SPDXID"])]
    relations += [(own["SPDXID"], "DYNAMIC_LINK", p["SPDXID"]) for p in linked]
    relations += [(own["SPDXID"], "STATIC_LINK", p["SPDXID"]) for p in inside]
    packages = [own, *sorted(linked + inside, key=lambda p: p["name"])]
    digest = hashlib.sha256(json.dumps(packages, sort_keys=True).encode()).hexdigest()
    json.dump({"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"edgeferry-{version}",
               "documentNamespace": f"https://edgeferry.github.io/spdx/edgeferry-{version}-{digest[:32]}",
               "creationInfo": {"created": written(changelog), "creators": ["Tool: edgeferry-sbom"]}, "packages": packages,
               "relationships": [{"spdxElementId": a, "relationshipType": r, "relatedSpdxElement": b}
                                 for a, r, b in sorted(relations)]}, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


main()
