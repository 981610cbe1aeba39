# SPDX-License-Identifier: Apache-2.0
"""Test Anything Protocol: one line a case; what went wrong stands behind it, as a diagnosis."""
import sys
import time
import traceback


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def note(self, text):
        for line in str(text).splitlines() or [""]:
            print("# " + line, flush=True)

    def skip_all(self, why):
        print(f"1..0 # SKIP {why}", flush=True)
        sys.exit(0)

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {why}", flush=True)

    def case(self, name, function, *args):
        """True when it passed. Stops nothing: the next case says whether the stage still stands."""
        self.count += 1
        began = time.monotonic()
        try:
            function(*args)
        except Exception:   # noqa: BLE001: every kind of failure is a failed case
            self.failed += 1
            print(f"not ok {self.count} - {name}", flush=True)
            self.note(traceback.format_exc())
            return False
        print(f"ok {self.count} - {name}", flush=True)
        self.note("%.1f s" % (time.monotonic() - began))
        return True

    def end(self):
        print(f"1..{self.count}", flush=True)
        return 1 if self.failed else 0


def equal(have, want, what):
    if have != want:
        raise AssertionError(f"{what}: {have!r}, wanted {want!r}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)
