#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The bill of materials names every library that the programs are linked with, and what is inside the node firmware. TAP.

    test-sbom.py SBOM PROGRAM…
"""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from checks import Checks  # noqa: E402

# part of every program, or brought by a library of the list
SYSTEM = {"libc", "libm", "libpthread", "ld-linux-x86-64", "ld-linux-aarch64", "ld-linux-armhf", "libgcc_s", "libasan", "libubsan"}
SONAMES = {"libsqlite3": "sqlite3", "libcrypto": "libcrypto", "libjansson": "jansson"}
check = Checks()


def needed(program):
    out = subprocess.run(["readelf", "--dynamic", program], capture_output=True, text=True, check=True).stdout
    return {SONAMES.get(n, n) for n in re.findall(r"\(NEEDED\).*\[([\w-]+)\.so", out)} - SYSTEM


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        document = json.load(f)
    names = [p["name"] for p in document["packages"]]
    linked = set().union(*(needed(p) for p in sys.argv[2:]))
    check("every library is there", linked and linked <= set(names), f"{linked - set(names)} {names}")
    check("what is inside the firmware is there, with its digest", all(
        len(p["checksums"][0]["checksumValue"]) == 64 for p in document["packages"] if p["name"] in ("bearssl", "tinyssh")) and
        {"bearssl", "tinyssh"} <= set(names), names)
    ids = {p["SPDXID"] for p in document["packages"]} | {"SPDXRef-DOCUMENT"}
    check("each has one id, a version, a licence, and a relation", len(ids) == len(names) + 1 and all(
        p["versionInfo"] and p["licenseDeclared"] for p in document["packages"]) and
        {r[k] for r in document["relationships"] for k in ("spdxElementId", "relatedSpdxElement")} == ids, document)
    check("it says of when it is", re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["creationInfo"]["created"]))
    return check.end()


sys.exit(main())
