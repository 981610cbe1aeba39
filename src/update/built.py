#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seconds since 1970 before which no clock can be right (S-19): when this source was made.

The same source gives the same number: SOURCE_DATE_EPOCH, or the last commit, or the changelog.
"""
import email.utils
import os
import pathlib
import subprocess
import sys

root = pathlib.Path(sys.argv[1])


def from_environment():
    return int(os.environ['SOURCE_DATE_EPOCH'])


def from_commit():
    if not (root / '.git').exists():
        raise ValueError('not a checkout')
    return int(subprocess.run(['git', '-C', root, 'log', '-1', '--format=%ct'], check=True,
                              capture_output=True, text=True).stdout)


def from_changelog():
    for line in (root / 'debian' / 'changelog').read_text().splitlines():
        if line.startswith(' -- '):
            return int(email.utils.parsedate_to_datetime(line.split('>  ', 1)[1]).timestamp())
    raise ValueError('no date')


for source in (from_environment, from_commit, from_changelog):
    try:
        print(source())
        break
    except (KeyError, OSError, ValueError, subprocess.CalledProcessError):
        continue
else:
    sys.exit('neither SOURCE_DATE_EPOCH nor a commit nor debian/changelog says when this was made')
