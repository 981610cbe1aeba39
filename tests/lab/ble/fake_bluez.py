#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
org.bluez on a bus of the test's own, as BlueZ 5.66 shows it: one adapter, and devices whose GATT server is a node
(edgeferry-node --ble). Devices come into being when they are looked for, services when one is connected to.

  fake_bluez.py BUS-ADDRESS ADDRESS=SOCKET[=NAME]…

Commands on standard input, answered by one line each:
  set ADDRESS FAULT [N]   mute (Connect is not answered until there is another fault), refuse [N] (the first N fail),
                          unresolved, bare (no SMP service), calls (no descriptors), taken, flood (garbage and overlong values),
                          lose N (every Nth notification), away (not seen, not reached), slow (N values a second to the node),
                          paced MS N (a connection event every MS, with N link layer packets each way; before it is connected
                          to), well
  drop ADDRESS            the connection is cut    vanish ADDRESS    its services go, and others come    forget ADDRESS    its object
                          goes
  power on|off            the adapter's            plug in|out       the adapter, with every device on it
  longest ADDRESS         bytes of the longest value that went to the device
  most                    the most connections that there were at a time, and how often each device's notifications were opened
"""
import os
import socket
import sys
import time

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

PROPERTIES, MANAGER = "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.ObjectManager"
ADAPTER, DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
SERVICE, CHARACTERISTIC = "org.bluez.GattService1", "org.bluez.GattCharacteristic1"
SMP_SERVICE, SMP_CHARACTERISTIC = "8d53dc1d-1db7-4cd3-868b-8a527460aa84", "da2e7828-fbce-4e01-ae9e-260174997c48"
OTHER_SERVICE, OTHER_CHARACTERISTIC = "0000180a-0000-1000-8000-00805f9b34fb", "00002a29-0000-1000-8000-00805f9b34fb"
VALUE_MAX = 512
PACKET, AROUND = 251, 7     # bytes of a link layer packet; L2CAP and ATT around a value
MTU = int(os.environ.get("MTU", 247))


class Failed(dbus.DBusException):
    def __init__(self, name, text=""):
        super().__init__(text)
        self._dbus_error_name = f"org.bluez.Error.{name}"


class Root(dbus.service.Object):
    """The object manager, and every object of it."""

    def __init__(self, bus):
        super().__init__(bus, "/")
        self.bus, self.objects = bus, {}

    def add(self, o):
        self.objects[o.path] = o
        self.InterfacesAdded(o.path, {o.interface: o.properties()})

    def remove(self, o):
        if self.objects.pop(o.path, None):
            o.remove_from_connection()
            self.InterfacesRemoved(o.path, [o.interface])

    @dbus.service.method(MANAGER, out_signature="a{oa{sa{sv}}}")
    def GetManagedObjects(self):
        return {dbus.ObjectPath(o.path): {o.interface: o.properties()} for o in self.objects.values()}

    @dbus.service.signal(MANAGER, signature="oa{sa{sv}}")
    def InterfacesAdded(self, path, interfaces):
        pass

    @dbus.service.signal(MANAGER, signature="oas")
    def InterfacesRemoved(self, path, interfaces):
        pass


class Thing(dbus.service.Object):
    def __init__(self, root, path, interface, values):
        super().__init__(root.bus, path)
        self.root, self.path, self.interface, self.values = root, path, interface, values
        root.add(self)

    def properties(self):
        return dbus.Dictionary(self.values, signature="sv")

    def change(self, **values):
        self.values.update(values)
        self.PropertiesChanged(self.interface, values, [])

    @dbus.service.signal(PROPERTIES, signature="sa{sv}as")
    def PropertiesChanged(self, interface, changed, invalidated):
        pass


class Adapter(Thing):
    def __init__(self, root):
        self.looking = False
        super().__init__(root, "/org/bluez/hci0", ADAPTER,
                         {"Address": "DC:A6:32:01:02:03", "Powered": dbus.Boolean(True), "Discovering": dbus.Boolean(False)})

    @dbus.service.method(ADAPTER, in_signature="a{sv}")
    def SetDiscoveryFilter(self, filter):
        if filter.get("Transport") != "le":
            raise Failed("InvalidArguments", "this test wants LE")

    @dbus.service.method(ADAPTER)
    def StartDiscovery(self):
        if not self.values["Powered"]:
            raise Failed("NotReady", "Resource Not Ready")
        if self.looking:
            raise Failed("InProgress", "Operation already in progress")
        self.looking = True
        self.change(Discovering=dbus.Boolean(True))
        GLib.timeout_add(100, self.see)

    @dbus.service.method(ADAPTER)
    def StopDiscovery(self):
        if not self.looking:
            raise Failed("Failed", "No discovery started")
        self.looking = False
        self.change(Discovering=dbus.Boolean(False))

    def see(self):
        for d in air.values():
            if self.looking:
                d.seen()
        return self.looking


class Device(Thing):
    def __init__(self, air):
        self.air = air
        super().__init__(air.root, air.path, DEVICE, {
            "Address": air.address, "AddressType": "random", "Adapter": dbus.ObjectPath("/org/bluez/hci0"),
            "Paired": dbus.Boolean(False), "Connected": dbus.Boolean(False), "ServicesResolved": dbus.Boolean(False),
            "UUIDs": dbus.Array([SMP_SERVICE], signature="s"), "RSSI": dbus.Int16(-61), **({"Name": air.name, "Alias": air.name} if air.name else {})})

    @dbus.service.method(DEVICE, async_callbacks=("done", "failed"))
    def Connect(self, done, failed):
        self.air.connect(done, failed)

    @dbus.service.method(DEVICE)
    def Disconnect(self):
        if not self.values["Connected"] and not self.air.pending:
            raise Failed("NotConnected", "Not Connected")
        self.air.disconnect()


class Characteristic(Thing):
    def __init__(self, air, service, uuid, values):
        self.air = air
        super().__init__(air.root, f"{service}/char000b", CHARACTERISTIC, {
            "UUID": uuid, "Service": dbus.ObjectPath(service), "Notifying": dbus.Boolean(False),
            "Flags": dbus.Array(["write-without-response", "notify"], signature="s"), **values})

    def pipe(self, kind):
        if kind not in self.values:
            raise Failed("NotSupported", "Operation is not supported")
        if self.air.fault == "taken" or self.values[kind]:
            raise Failed("NotPermitted", f"{kind[:-8]} acquired")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self.change(**{kind: dbus.Boolean(True)})
        return ours, (dbus.types.UnixFd(theirs.detach()), dbus.UInt16(MTU))

    @dbus.service.method(CHARACTERISTIC, in_signature="a{sv}", out_signature="hq")
    def AcquireNotify(self, options):
        self.air.notifies, answer = self.pipe("NotifyAcquired")
        self.air.opened += 1
        GLib.io_add_watch(self.air.notifies.fileno(), GLib.IO_IN | GLib.IO_HUP, self.released, self.air.notifies)
        return answer

    def released(self, fd, condition, s):
        """Whoever had it has closed it."""
        if self.air.notifies is s:
            self.air.close("notifies")
            self.change(NotifyAcquired=dbus.Boolean(False))
        return False

    @dbus.service.method(CHARACTERISTIC, in_signature="a{sv}", out_signature="hq")
    def AcquireWrite(self, options):
        self.air.writes, answer = self.pipe("WriteAcquired")
        self.air.watch(self.air.writes, self.air.written)
        return answer

    @dbus.service.method(CHARACTERISTIC)
    def StartNotify(self):
        self.air.opened += 1
        self.change(Notifying=dbus.Boolean(True))

    @dbus.service.method(CHARACTERISTIC, in_signature="aya{sv}")
    def WriteValue(self, value, options):
        if options.get("type") != "command" or len(value) > MTU - 3:
            raise Failed("InvalidArguments", "Invalid arguments in method call")
        self.air.to_node(bytes(value))


class Air:
    """A node that advertises, or is connected."""

    def __init__(self, root, address, path, name):
        self.root, self.address, self.socket_path, self.name = root, address, path, name
        self.path = "/org/bluez/hci0/dev_" + address.replace(":", "_")
        self.device = self.wire = self.notifies = self.writes = None
        self.parts, self.fault, self.number, self.opened, self.notified, self.pending = [], "well", 0, 0, 0, None
        self.events, self.moved, self.longest = [], 0, 0

    def seen(self):
        if self.device is None and self.fault != "away" and os.path.exists(self.socket_path):
            self.device = Device(self)
        elif self.device and not self.wire:
            self.device.change(RSSI=dbus.Int16(-60))

    def connect(self, done, failed):
        if not adapter.values["Powered"]:
            return failed(Failed("NotReady", "Resource Not Ready"))
        if self.wire:
            return done()
        if self.pending:
            return failed(Failed("InProgress", "Operation already in progress"))
        if self.fault in ("mute", "away"):
            self.pending = done, failed
            return None
        if self.fault == "refuse" and self.number:
            self.number -= 1
            return failed(Failed("Failed", "le-connection-abort-by-local"))
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            s.connect(self.socket_path)
        except OSError:
            return failed(Failed("Failed", "le-connection-abort-by-local"))
        self.wire = s
        most[0] = max(most[0], sum(1 for d in air.values() if d.wire))
        self.watch(s, self.from_node)
        self.device.change(Connected=dbus.Boolean(True))
        done()
        GLib.timeout_add(20, self.resolve)
        return None

    def settle(self):
        pending, self.pending = self.pending, None
        return pending

    def resolve(self):
        if not self.wire or self.parts or self.fault == "unresolved":
            return False
        bare = self.fault == "bare"
        service = f"{self.path}/service000a"
        acquire = {} if self.fault == "calls" else {
            "WriteAcquired": dbus.Boolean(False), "NotifyAcquired": dbus.Boolean(False)}
        self.parts = [
            Characteristic(self, service, OTHER_CHARACTERISTIC if bare else SMP_CHARACTERISTIC,
                           {"MTU": dbus.UInt16(MTU), **acquire}),
            Thing(self.root, service, SERVICE, {"UUID": OTHER_SERVICE if bare else SMP_SERVICE,
                                                "Primary": dbus.Boolean(True), "Device": dbus.ObjectPath(self.path)})]
        self.device.change(ServicesResolved=dbus.Boolean(True))
        return False

    def close(self, *sockets):
        for name in sockets:
            s = getattr(self, name)
            if s:
                s.close()
            setattr(self, name, None)

    def vanish(self):
        for part in self.parts:
            self.root.remove(part)
        self.parts = []
        self.close("notifies", "writes")

    def disconnect(self):
        if self.pending:
            self.settle()[1](Failed("Failed", "le-connection-abort-by-local"))
        self.close("wire")
        self.close("notifies", "writes")
        if self.device and self.device.values["Connected"]:
            self.device.change(ServicesResolved=dbus.Boolean(False), Connected=dbus.Boolean(False))
        self.vanish()

    def forget(self):
        self.disconnect()
        if self.device:
            self.root.remove(self.device)
        self.device = None

    # ---- values ----
    def watch(self, s, handler):
        """Calls it for each value that comes, or in connection events."""
        room = [0]

        def event():
            room[0] = min(room[0], 0) + self.events[1]
            while room[0] > 0:
                self.moved = 0
                if not handler(s.fileno(), 0, s):
                    return False
                if not self.moved:
                    break
                room[0] -= -(-(self.moved + AROUND) // PACKET)
            return True
        if self.fault == "paced":
            GLib.timeout_add(self.events[0], event)
        else:
            GLib.io_add_watch(s.fileno(), GLib.IO_IN | GLib.IO_HUP, handler, s)

    def to_node(self, value):
        self.longest = max(self.longest, len(value))
        if self.wire:
            try:
                self.wire.send(value)
            except OSError:
                pass

    def written(self, fd, condition, s):
        if self.writes is not s:
            return False
        try:
            value = s.recv(VALUE_MAX)
        except BlockingIOError:
            return True
        except OSError:
            value = b""
        if not value:
            self.close("writes")
            if self.parts:
                self.parts[0].change(WriteAcquired=dbus.Boolean(False))
            return False
        self.moved = len(value)
        if self.fault == "slow":
            time.sleep(1 / self.number)
        if len(value) <= MTU - 3:       # ATT carries no longer one
            self.to_node(value)
        return True

    def from_node(self, fd, condition, s):
        if self.wire is not s:
            return False
        try:
            value = s.recv(VALUE_MAX)
        except BlockingIOError:
            return True
        except OSError:
            value = b""
        if not value:                   # the node was reset
            self.disconnect()
            return False
        self.moved = len(value)
        self.notified += 1
        if self.fault == "lose" and self.notified % self.number == 0:
            return True
        if self.fault == "flood":
            for junk in (b"", b"\xff", b"\xff" * 2000, b"\x0b\x00\xff\xff\x00\x00\x00\x00" + b"x" * 200, b"\xf0\x00\x00\x00",
                         b"\xf0\x00\xff\xff" + b"y" * 100):
                self.notify(junk)
            GLib.timeout_add(1100, self.notify, value)      # past the silence that ends what had begun
            return True
        self.notify(value)
        return True

    def notify(self, value):
        if self.notifies:
            try:
                if value:
                    self.notifies.send(value)
            except OSError:
                pass
        elif self.parts and self.parts[0].values["Notifying"]:
            self.parts[0].PropertiesChanged(CHARACTERISTIC, {"Value": dbus.Array(value, signature="y")}, [])
        return False


def power(on):
    for d in air.values():
        if not on:
            d.disconnect()
    adapter.looking = adapter.looking and on
    adapter.change(Powered=dbus.Boolean(on))


def plug(there):
    for d in air.values():
        d.forget()
    adapter.looking = False
    if there:
        adapter.add_to_connection(root.bus, adapter.path)
        root.add(adapter)
    else:
        root.remove(adapter)


def command(words):
    if words[0] == "power":
        power(words[1] == "on")
    elif words[0] == "plug":
        plug(words[1] == "in")
    elif words[0] == "vanish":
        air[words[1]].vanish()
        GLib.timeout_add(200, air[words[1]].resolve)
    elif words[0] == "longest":
        return str(air[words[1]].longest)
    elif words[0] == "most":
        return " ".join(str(n) for n in [most[0], *(d.opened for d in air.values())])
    elif words[0] == "set":
        d = air[words[1]]
        d.fault, d.number, d.events = words[2], int(words[3]) if len(words) > 3 else 0, [int(w) for w in words[3:]]
        if d.pending:
            d.connect(*d.settle())
    else:
        {"drop": Air.disconnect, "forget": Air.forget}[words[0]](air[words[1]])
    return "ok"


def on_command(fd, condition):
    line = sys.stdin.readline()
    if not line:
        loop.quit()
        return False
    print(command(line.split()), flush=True)
    return True


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
loop = GLib.MainLoop()
connection = dbus.bus.BusConnection(sys.argv[1])
root = Root(connection)
adapter = Adapter(root)
most = [0]
air = {}
for argument in sys.argv[2:]:
    address, path, *name = argument.split("=")
    air[address] = Air(root, address, path, name[0] if name else None)
owned = dbus.service.BusName("org.bluez", connection)
GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_IN | GLib.IO_HUP, on_command)
print("ready", flush=True)
loop.run()
