#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The flash map of each board: what port.h demands of it, and the same in port, SPEC-dfu.md and factory tool."""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(ROOT / "tests/lab"))
import factory  # noqa: E402

# port folder: (boards of the factory tool, column of the table in SPEC-dfu.md, section 6)
PORTS = {
    "nrf51-microbit": (["nrf51-microbit"], 1),
    "mps2": (["mps2-an385", "mps2-an505"], 2),
    "riscv-virt": (["riscv-virt"], 3),
}
TWO_PAGES = ("state", "keys", "secrets")
ROWS = {"recovery image": "recovery", "swap journal": "journal", "state": "state", "factory": "factory",
        "secrets (SPEC-session)": "secrets", "key sets": "keys", "slot 0": "slot 0",
        "slot 1, larger by the unit of a swap": "slot 1"}


def number(text, page):
    value = 1
    for factor in text.split("*"):
        value *= page if factor.strip() == "PAGE" else int(factor.strip().rstrip("u"), 0)
    return value


def read_port(folder):
    """page, {area: (offset, size)}"""
    text = (ROOT / "edge-fw/port" / folder / "port.c").read_text()
    page = number(re.search(r"#define PAGE (\w+)", text)[1], 0)
    body = re.search(r"struct port_board board = \{(.*?)\n\};", text, re.S)[1]
    slots = re.search(r"\.slot = (.*)", body)[1]
    areas = [("slot %d" % i, p) for i, p in enumerate(re.findall(r"\{([^{}]+), ([^{}]+)\}", slots))]
    areas += [(m[1], (m[2], m[3])) for m in re.finditer(r"\.(\w+) = \{([^{},]+), ([^{},]+)\}", body)]
    return page, {name: (number(at, page), number(size, page)) for name, (at, size) in areas}


def check_areas(page, areas):
    assert set(areas) == set(ROWS.values()), sorted(areas)
    end = 0
    for name, (at, size) in sorted(areas.items(), key=lambda a: a[1]):
        assert at >= end, f"{name} overlaps what is before it"
        assert at % page == 0 and size % page == 0, f"{name}: not whole pages"
        end = at + size
    assert all(areas[name][1] == 2 * page for name in TWO_PAGES), "not two pages"
    slot, unit = areas["slot 0"][1], areas["slot 1"][1] - areas["slot 0"][1]
    assert unit > 0 and slot % unit == 0, "unit of a swap"
    assert areas["journal"][1] >= slot // unit * 8, "journal"


def check_tool(page, areas, board):
    m = factory.MAPS[board]
    assert (m["page"], m["slot0"], m["slot"]) == (page, *areas["slot 0"]), board
    assert all(m[name] == areas[name][0] for name in ("recovery", "state", "factory", "secrets")), board
    assert m["size"] >= max(at + size for at, size in areas.values()), board


def check_spec(areas, column):
    seen = 0
    for line in (ROOT / "docs/SPEC-dfu.md").read_text().splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0] in ROWS and cells[1].startswith("0x"):
            at, size = areas[ROWS[cells[0]]]
            told = cells[column].split(", ")
            assert int(told[0], 16) == at, line
            assert "page" in told[1] or told[1] == f"{size >> 10} KiB", line
            seen += 1
    assert seen == len(ROWS), f"{seen} areas in the table"


def main():
    failed = 0
    print(f"1..{len(PORTS)}")
    for i, (folder, (boards, column)) in enumerate(PORTS.items(), 1):
        try:
            page, areas = read_port(folder)
            check_areas(page, areas)
            for board in boards:
                check_tool(page, areas, board)
            check_spec(areas, column)
            print(f"ok {i} - {folder}")
        except (AssertionError, KeyError, TypeError) as e:
            failed += 1
            print(f"# {e!r}\nnot ok {i} - {folder}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
