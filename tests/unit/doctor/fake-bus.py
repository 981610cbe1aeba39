#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""edgeferryd and BlueZ on a bus of the test's own, as far as edgeferry-doctor asks them: fake-bus.py ADDRESS FOLDER

FOLDER/status is what GetStatus answers; FOLDER/adapters a list of JSON booleans, one an adapter: whether it is on. Both
are read anew for each call.
"""
import json
import sys

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

ADDRESS, FOLDER = sys.argv[1:]
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.bus.BusConnection(ADDRESS)


def read(name):
    with open(f"{FOLDER}/{name}", encoding="utf-8") as f:
        return f.read()


class Manager(dbus.service.Object):
    @dbus.service.method("io.github.edgeferry1.Manager", out_signature="s")
    def GetStatus(self):
        return read("status")


class Bluez(dbus.service.Object):
    @dbus.service.method("org.freedesktop.DBus.ObjectManager", out_signature="a{oa{sa{sv}}}")
    def GetManagedObjects(self):
        adapters = {f"/org/bluez/hci{i}": {
            "org.freedesktop.DBus.Introspectable": {},
            "org.bluez.Adapter1": {"Address": "DC:A6:32:01:02:03", "UUIDs": dbus.Array(["a"], "s"), "Powered": on}}
            for i, on in enumerate(json.loads(read("adapters")))}
        return {dbus.ObjectPath(path): {i: dbus.Dictionary(p, "sv") for i, p in interfaces.items()}
                for path, interfaces in {"/org/bluez": {"org.bluez.AgentManager1": {}}, **adapters}.items()}


names = [dbus.service.BusName(n, bus) for n in ("io.github.edgeferry1", "org.bluez")]
objects = Manager(bus, "/io/github/edgeferry1"), Bluez(bus, "/")
print("ready", flush=True)
GLib.MainLoop().run()
