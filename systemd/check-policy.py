#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""S-30: the D-Bus policy names the methods of the interface, the polkit policy its actions, no more and no less."""
import re
import sys
import xml.etree.ElementTree as ET

interface, bus, polkit = sys.argv[1:4]
tree = ET.parse(interface).getroot()
documented = {(i.get("name"), m.get("name")) for i in tree.iter("interface") for m in i.iter("method")}
rules = [r for p in ET.parse(bus).getroot().iter("policy") if p.get("context") == "default" for r in p.iter("allow")]
allowed = {(r.get("send_interface"), r.get("send_member")) for r in rules}
own = {r for r in allowed if r[0].startswith("io.github.edgeferry1")}
actions = {a.get("id") for a in ET.parse(polkit).getroot().iter("action")}
with open(interface) as f:
    named = set(re.findall(r"\bio\.github\.edgeferry1\.[a-z]+\b", f.read()))
results = [
    ("methods of the interface and of the bus policy", own == documented, own ^ documented),
    ("every rule says where, what and which", all(r.get("send_destination") and r.get("send_interface") and
                                                  r.get("send_member") for r in rules), rules),
    ("actions of the interface and of polkit", actions == named, actions ^ named),
]
print("1..%d" % len(results))
for n, (what, good, difference) in enumerate(results, 1):
    print("%s %d - %s" % ("ok" if good else "not ok", n, what))
    if not good:
        print("#", difference)
sys.exit(not all(r[1] for r in results))
