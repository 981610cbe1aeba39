# SPDX-License-Identifier: Apache-2.0
"""Test Anything Protocol for scripts that look at many things in one scene: check(WHAT, GOOD, WHAT IS SHOWN IF NOT)."""


class Checks:
    def __init__(self):
        self.count = self.failed = 0

    def __call__(self, what, good, shown=""):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {what}", flush=True)
        if not good:
            print(f"# {shown}", flush=True)

    def end(self):
        """The exit code."""
        print(f"1..{self.count}", flush=True)
        return 1 if self.failed else 0
