#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the unit of edgeferry-net lets its process do, tried from inside: run by it in place of the program. S-29

Prints "NAME: WHAT CAME OF IT" for each attempt; who compares it is confined.
"""
import errno
import os
import socket
import sys


def opened(path, flags=os.O_RDONLY):
    return lambda: os.close(os.open(path, flags))


def listener():
    with socket.socket(socket.AF_INET) as s:
        s.bind(("0.0.0.0", 8080))
        s.listen()


def connection():
    with socket.socket(socket.AF_INET) as s:
        try:
            s.connect(("127.0.0.1", 9))
        except ConnectionRefusedError:
            pass    # it got as far as that


def bus():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("/run/dbus/system_bus_socket")


attempts = {
    "user": lambda: os.getuid() == int(sys.argv[1]) or sys.exit("another user"),
    "slot": opened("/srv/slot.img", os.O_RDWR),
    "serial": opened(sys.argv[2], os.O_RDWR),
    "node-key": opened("/etc/edgeferry/keys/meter"),
    "made-key": opened("/var/lib/edgeferry/keys/meter"),
    "database": opened("/var/lib/edgeferry/state.db"),
    "others-file": opened("/home/somebody/diary"),
    "file-open-to-all": opened("/srv/open", os.O_WRONLY),
    "new-file": opened("/srv/folder/new", os.O_WRONLY | os.O_CREAT),
    "listener": listener,
    "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "bus": bus,
    "root": lambda: os.setuid(0),
    "core": lambda: os.kill(int(sys.argv[3]), 0),
    "clock": lambda: __import__("time").clock_settime(0, 0),
    "connection": connection,
    "certificates": opened("/etc/ssl/openssl.cnf"),
    "password": opened("/etc/edgeferry/secrets/password"),
}

for name, attempt in attempts.items():
    try:
        attempt()
        print(f"{name}: works")
    except OSError as e:
        print(f"{name}: {errno.errorcode[e.errno]}")
