#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Manual pages and templates against the program: test-man.py SOURCE EDGEFERRY (TAP)."""

import re
import subprocess
import sys

SOURCE, CLI = sys.argv[1:3]


def read(path):
    with open(f"{SOURCE}/{path}", encoding="utf-8") as f:
        return f.read()


def program_help(*verb):
    return subprocess.run([CLI, *verb, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout


def known_keys(node):
    """(section, key, default) from the tables that the reader uses."""
    return [k[:3] for k in key_table() if (k[0] == "Node") == node]


def key_table():
    text = read("src/config/keys.c")
    found = re.findall(r'\{"(\w+)", "(\w+)", \w+,\s+\w+(?:\(\w+\))?,\s+(NULL|"[^"]*"),\s+CONFIG_(\w+)\}', text)
    assert len(found) == len(re.findall(r'^\t\{"[A-Z]', text, re.M)), "a line of the tables that is not understood"
    return [(s, k, None if d == "NULL" else d[1:-1], when) for s, k, d, when in found]


def sections(text, pattern):
    """Parts of a text by the section titles that pattern finds, in lower case."""
    parts = re.split(pattern, text, flags=re.M)
    return dict(zip((p.lower() for p in parts[1::2]), parts[2::2]))


def check_page(page, keys):
    parts = sections(read(page), r"^# \[?([A-Z]+)\]?$")
    for section, key, default in keys:
        text = parts[section.lower()]
        assert f"*{key}=*" in text, f"{page} lacks {key}= in [{section}]"
        if default is not None:
            about = text[text.index(f"*{key}=*"):].split("\n\n")[0]
            assert default in about, f"{page}: {key}= does not name its default {default}"
    named = {(s, k) for s, t in parts.items() for line in re.findall(r"^\*\w+=\*.*", t, re.M)
             for k in re.findall(r"\*(\w+)=\*", line)}
    extra = named - {(s.lower(), k) for s, k, _ in keys}
    assert not extra, f"{page} names what is unknown: {extra}"


def test_gateway_keys():
    keys = known_keys(False)
    assert len(keys) > 20
    check_page("docs/man/edgeferry.conf.5.scd", keys)


def test_node_keys():
    keys = known_keys(True)
    assert len(keys) > 5
    check_page("docs/man/edgeferry-nodes.conf.5.scd", keys)


def test_keys_that_need_a_restart():
    """The pages say it of whole sections."""
    at_start = {s for s, _, _, when in key_table() if when == "START"}
    assert all(when == "START" for s, _, _, when in key_table() if s in at_start)
    said = "keys of *[" + "]* and *[".join(sorted(at_start)) + "]*"
    for page in ("edgeferry.conf.5", "edgeferryd.8"):
        assert f"{said} count" in read(f"docs/man/{page}.scd").replace("Keys", "keys"), page


def test_template_names_every_key():
    parts = sections(read("conf/edgeferry.conf"), r"^\[(\w+)\]$")
    for section, key, default in known_keys(False):
        assert f"\n#{key}={default or ''}\n" in parts[section.lower()], f"[{section}] {key}="


def test_verbs_and_options():
    page = read("docs/man/edgeferry.1.scd")
    text = program_help()
    verbs = re.findall(r"^  ([a-z]+) ", text.split("Options:")[0], re.M)
    assert len(verbs) >= 12
    listed = re.findall(r"^\*([a-z]+)\*", sections(page, r"^# ([A-Z]+)$")["verbs"], re.M)
    assert verbs == listed, f"{verbs} {listed}"
    options = set(re.findall(r"--[a-z-]+", text))
    for verb in verbs:
        options |= set(re.findall(r"--[a-z-]+", program_help(verb)))
    for option in options:
        assert f"*{option}*" in page, f"{option} is missing"


def test_exit_codes():
    page = sections(read("docs/man/edgeferry.1.scd"), r"^# ([A-Z ]+)$")["exit status"]
    codes = re.findall(r"EXIT_\w+ = (\d+)", read("src/cli/cli.h"))
    assert re.findall(r"^\*(\d+)\*$", page, re.M) == codes


def main():
    tests = [(n[5:], f) for n, f in globals().items() if n.startswith("test_")]
    failed = 0
    print(f"1..{len(tests)}")
    for i, (name, test) in enumerate(tests, 1):
        try:
            test()
            print(f"ok {i} - {name}")
        except Exception as e:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {i} - {name}\n# {type(e).__name__}: {e}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
