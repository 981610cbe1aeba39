#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A slow line: what comes from the clients of one unix socket goes on to another, and back, a little at a time.

    slow.py LISTEN CONNECT BYTES-A-SECOND
"""
import os
import socket
import sys
import threading
import time

STEP = 0.05


def carry(source, target, rate):
    try:
        while data := source.recv(int(rate * STEP)):
            time.sleep(len(data) / rate)
            target.sendall(data)
    except OSError:
        pass
    for s in (source, target):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def main():
    listen, connect, rate = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with socket.socket(socket.AF_UNIX) as s:
        if os.path.exists(listen):
            os.unlink(listen)
        s.bind(listen)
        s.listen()
        while True:
            client, node = s.accept()[0], socket.socket(socket.AF_UNIX)
            node.connect(connect)
            both = [threading.Thread(target=carry, args=(*ends, rate)) for ends in ((client, node), (node, client))]
            for t in both:
                t.start()
            for t in both:
                t.join()
            client.close()
            node.close()


if __name__ == "__main__":
    main()
