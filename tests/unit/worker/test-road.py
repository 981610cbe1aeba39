#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The whole road of a root filesystem, server to slot: edgeferry-net and edgeferry-worker as they are, and a
server that counts the bytes it sends and stops where it is told to. test-road.py BUILD LAB
"""
import os
import random
import shutil
import sys
import tempfile
import threading
import time

BUILD, LAB = sys.argv[1:3]
sys.path.insert(0, LAB)
from core import FAST, tap  # noqa: E402
from counting_server import CountingServer  # noqa: E402
from staging import Attempt, Release, same  # noqa: E402

ROOT = tempfile.mkdtemp(prefix="ef-road-")
os.chmod(ROOT, 0o755)
SLOT, RUNNING = f"{ROOT}/slot-b", f"{ROOT}/slot-a"
SEED = int(os.environ.get("ROAD_SEED", time.time()))
RNG = random.Random(SEED)
LIMITS = {**FAST, "backoff_ms": 8}
GAP = 256       # PLAN_GAP_MIN
REASON_OK, REASON_DIGEST = 0, 22
server = CountingServer(ROOT)
release = None      # of the image new
old = new = b""


def content(size, seed):
    """Text and noise and zeros, so that chunks are of all sizes."""
    rng, data = random.Random(seed), bytearray()
    while len(data) < size:
        kind = rng.randrange(8)
        if kind == 0:
            data += bytes(rng.randrange(1, 40000))
        elif kind < 4:
            data += rng.randbytes(rng.randrange(1, 20000))
        else:
            words = [rng.randbytes(3).hex() for _ in range(200)]
            data += " ".join(rng.choice(words) for _ in range(rng.randrange(1, 4000))).encode()
    return bytes(data[:size])


def put(path, data, size=None):
    with open(path, "wb") as f:
        f.write(data)
        f.truncate(size or len(data))


def get(path):
    with open(path, "rb") as f:
        return f.read()


def set_up():
    """old, and new: old with places changed, moved and added."""
    global release, old, new
    old = content(1 << 20, 1)
    data = bytearray(old)
    for at in range(20000, len(data), 30000):
        data[at:at + 100] = RNG.randbytes(100)
    data[300000:300000] = content(70001, 2)
    new = bytes(data)
    put(f"{ROOT}/image", new)
    release = Release(f"{BUILD}/src/repo/edgeferry-repo", ROOT, "new", f"{ROOT}/image")
    for what in ("index", "pack"):
        server.files["/objects/" + release.digest(what)] = get(release.path(what))
    server.start()


def pack():
    return "/objects/" + release.digest("pack")


def slots(running=b"", target=b""):
    put(RUNNING, running or bytes(4096))
    put(SLOT, target, len(new) + 8192)
    server.forget()
    server.ranges = server.parts = True


def attempt():
    a = Attempt(BUILD, server.url(), server.ca, limits=LIMITS)
    a.begin(release, SLOT, RUNNING)
    return a


def stage(expect=REASON_OK):
    """The outcomes of its fetches."""
    a = attempt()
    reason, detail = a.serve()
    a.end()
    a.net.close()
    assert reason == expect, (reason, detail, a.outcomes)
    if expect == REASON_OK:
        assert same(SLOT, f"{ROOT}/image")
    return a.outcomes


def needed(running=b"", target=b""):
    """Bytes of the pack that an undisturbed run fetches."""
    slots(running, target)
    stage()
    assert server.twice(pack()) == 0
    return sum(n for _, n in server.bytes(pack()))


def nothing_wrong(before):
    """S-09: each byte of the slot is the old one or the right one."""
    got, want = get(SLOT), new + bytes(8192)
    before = before + bytes(len(want) - len(before))
    for at in range(0, len(want), 4096):
        block = got[at:at + 4096]
        if block not in (want[at:at + 4096], before[at:at + 4096]):
            assert all(g in (w, b) for g, w, b in zip(block, want[at:at + 4096], before[at:at + 4096])), at


def cut_at(place):
    """The connection ends when so many bytes of the pack were sent, and once more before the next."""
    ended = []

    def limit(path, sent):
        if path != pack() or sent > place or ended:
            return None
        if sent == place:
            ended.append(True)
        return place - sent
    return limit


def cut_once():
    """F-08: wherever the connection ends, each byte comes once."""
    for running in (b"", old):
        total = needed(running)
        places = [0, 1, total - 1] + [RNG.randrange(total) for _ in range(4)]
        for at in places:
            slots(running)
            server.limit = cut_at(at)
            stage()
            assert server.twice(pack()) == 0 and sum(n for _, n in server.bytes(pack())) == total, (at, total)
    return "seed %d" % SEED


def cut_always():
    """F-08: every answer ends after some hundred bytes more than a kilobyte."""
    total = needed()
    slots()
    server.limit = lambda path, sent: 1024 + RNG.randrange(4000) if path == pack() else None
    stage()
    assert server.twice(pack()) == 0 and sum(n for _, n in server.bytes(pack())) == total
    return "%d requests, seed %d" % (len(server.requests), SEED)


def chunks():
    """[(offset in the image, size, offset in the pack, size there)], as the index says."""
    found = []
    data = server.files["/objects/" + release.digest("index")]

    def number(data, at):
        value = shift = 0
        while True:
            value |= (data[at] & 127) << shift
            shift += 7
            at += 1
            if data[at - 1] < 128:
                return value, at

    at, groups, offset, pack_offset = 96, [], 0, 0
    while at < len(data):
        size, at = number(data, at)
        packed, at = number(data, at)
        leaf = 0
        if packed:
            leaf, at = number(data, at)
            at += 32
        groups.append((offset, pack_offset, leaf))
        offset, pack_offset = offset + size, pack_offset + packed
    for offset, there, leaf in groups:
        data, pack_offset, at = server.files[pack()], pack_offset, 0
        while at < leaf:
            size, at_next = number(data, pack_offset + at)
            packed, at_next = number(data, at_next)
            if packed:
                found.append((offset, size, there, packed))
                at_next += 32
            offset, there, at = offset + size, there + packed, at_next - pack_offset
        pack_offset += leaf
    return found


def killed():
    """F-01, F-08: net and worker die after any byte; what is in the slot then is not fetched again."""
    listed = chunks()
    for running in (b"", old):
        total = needed(running)
        for at in [RNG.randrange(total) for _ in range(4)]:
            slots(running)
            server.hold = threading.Event()
            server.limit = cut_at(at)
            a = attempt()
            serving = threading.Thread(target=a.serve, daemon=True)
            serving.start()
            assert server.hold.wait(20)
            time.sleep(RNG.random() * 0.1)
            a.worker.kill()
            serving.join()
            a.kill()
            nothing_wrong(bytes(0))
            slot = get(SLOT)
            there = [(p, n) for offset, size, p, n in listed if slot[offset:offset + size] == new[offset:offset + size]]
            server.forget()
            stage()
            sent = server.bytes(pack())
            for p, n in there:
                again = sum(max(0, min(p + n, offset + size) - max(p, offset)) for offset, size in sent)
                assert again == 0 or n <= GAP, (at, p, n, again)
    return "seed %d" % SEED


def changed():
    """F-08: another file under the same address, with another tag or the same one: no wrong byte, and the right
    file again finishes it."""
    good = server.files[pack()]
    before = RNG.randbytes(len(new) + 8192)
    for etag in ('"one"', '"two"'):
        slots(target=before)

        def limit(path, sent):
            if path != pack():
                return None
            if sent >= 100000:
                server.files[path], server.etag = other, etag
            return 100000 - sent if sent < 100000 else None

        server.limit, other = limit, RNG.randbytes(len(good))
        a = attempt()
        reason, detail = a.serve()
        a.end()
        a.net.close()
        server.files[pack()], server.etag = good, '"one"'
        assert reason == REASON_DIGEST, (reason, detail)
        assert etag == '"one"' or any(o.reason == "net-http" and "changed" in o.detail for o in a.outcomes), a.outcomes
        nothing_wrong(before)
        server.forget()
        stage()
        assert sum(n for _, n in server.bytes(pack())) < len(good)


def seeds_not_trusted():
    """S-08: what runs and what was begun, damaged anywhere: more bytes fetched, never a wrong one."""
    most = needed()
    least = needed(old)
    fetched = []
    for _ in range(5):
        damaged = [bytearray(old), bytearray(new[:RNG.randrange(1, len(new))])]
        for data in damaged:
            for _ in range(RNG.randrange(1, 30)):
                at = RNG.randrange(len(data))
                data[at:at + 1] = RNG.randbytes(RNG.choice((1, 1, 1, 5000)))[:len(data) - at]
        slots(bytes(damaged[0]), bytes(damaged[1])[:len(new) + 8192])
        stage()
        fetched.append(sum(n for _, n in server.bytes(pack())))
        assert server.twice(pack()) == 0 and fetched[-1] <= most
    return "%s bytes of %d, %d with old undamaged, seed %d" % (fetched, most, least, SEED)


def few_requests():
    """What lacks in dozens of places comes in few requests over one connection."""
    total = needed(old)
    slots(old)
    stage()
    pieces, requests = len(server.bytes(pack())), [c for c, path in server.requests if path == pack()]
    assert len(requests) <= 3 and len(set(requests)) <= 2, server.requests
    server.forget()
    slots(old)
    server.parts = False        # one after the other, with what is between
    stage()
    singly = [c for c, path in server.requests if path == pack()]
    assert len(singly) <= pieces and len(set(singly)) <= 2
    return "%d bytes in %d ranges: %d requests; without multipart %d" % (total, pieces, len(requests), len(singly))


def no_ranges():
    """A server without ranges: the whole file, and the outcome says so."""
    slots(old)
    server.ranges = False
    outcomes = stage()
    assert any("no byte ranges" in o.detail for o in outcomes), outcomes


TESTS = [("F-08 cut once, anywhere", cut_once), ("F-08 cut again and again", cut_always),
         ("F-01 F-08 killed anywhere", killed), ("F-08 changed on the server", changed),
         ("S-08 seeds are not trusted", seeds_not_trusted), ("few requests, few connections", few_requests),
         ("a server without ranges", no_ranges)]

if __name__ == "__main__":
    only = sys.argv[3:]
    try:
        set_up()
        tap([t for t in TESTS if not only or any(o in t[0] for o in only)])
    finally:
        server.stop()
        shutil.rmtree(ROOT)
