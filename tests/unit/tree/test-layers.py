#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Layers go one way: what each folder of src/ may include, and nothing else. TAP on standard output.

The shapes that the table allows stand in docs/DESIGN.md, "Layers".
"""
import pathlib
import re
import sys

MAY = {
    "wire": [],
    "util": [],
    "token": ["util"],
    "patch": ["wire"],
    "config": ["util"],
    "trust": ["util"],
    "bundle": ["util", "wire"],
    "sources": ["util"],
    "slots": ["util"],
    "links": ["util", "wire"],
    "dfu": ["util", "wire", "links"],
    "net": ["util", "token", "config", "sources"],
    "worker": ["util", "patch", "bundle", "net"],  # net: the datagram helpers of net/ipc.h
    "update": ["util", "wire", "config", "trust", "bundle", "slots", "links", "dfu", "net", "worker"],
    "bus": ["util", "wire", "config", "trust", "bundle", "slots", "links", "dfu", "net", "update"],
    "daemon": ["util", "config", "net", "update", "bus", "sources"],
    "doctor": ["util", "token", "config", "trust", "slots", "links", "dfu"],  # looks, and decides nothing
    "cli": ["util"],
    "repo": ["util", "token", "wire", "patch", "trust", "bundle", "dfu"],  # dfu: the image primitives and UUIDs
}
# Headers of net/ and worker/ that the core may see; the rest belongs to the other processes.
FACES = {
    ("update", "net"): {"net/client.h", "net/ipc.h"},
    ("bus", "net"): {"net/client.h"},
    ("daemon", "net"): {"net/client.h"},
    ("update", "worker"): {"worker/client.h", "worker/job.h"},
    ("worker", "net"): {"net/ipc.h"},
    ("daemon", "sources"): {"sources/source.h"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def main():
    src = pathlib.Path(sys.argv[1]) / "src"
    wrong, long_files = [], []
    for path in sorted(src.glob("*/*.[ch]")):
        own = path.parent.name
        text = path.read_text()
        if text.count("\n") > 600:
            long_files.append(f"{path}: {text.count(chr(10))} lines")
        for name in INCLUDE.findall(text):
            folder = name.split("/")[0] if "/" in name else own
            if folder == own:
                continue
            if folder not in MAY.get(own, []):
                wrong.append(f"{path}: {own} may not include {name}")
            elif (own, folder) in FACES and name not in FACES[own, folder]:
                wrong.append(f"{path}: {own} may not see {name}")
        if own == "wire" and re.search(r"#\s*include\s+<(stdio|stdlib|unistd|errno|sys/)", text):
            wrong.append(f"{path}: wire is freestanding")
    print("1..3")
    print("ok 1 - every folder is in the table" if {p.name for p in src.iterdir() if p.is_dir()} == set(MAY)
          else "not ok 1 - src/ has a folder that the table does not know")
    print("not ok 2 - layers" if wrong else "ok 2 - layers")
    print("not ok 3 - files under 600 lines" if long_files else "ok 3 - files under 600 lines")
    for line in wrong + long_files:
        print("#", line)


main()
