"""chaos_wire - wires that damage what runs through them, in a process of their own.

A wire listens at an address and carries each connection to another.  It knows which
process connects, because both ends are on this machine, so that one wire serves all
daemons and a fault can be one's alone.  Three kinds: "raw" bytes, "s3" (requests and
answers of HTTP, chaos_s3) and "zmtp" (whole messages of ZeroMQ, unencrypted).

Orders come as JSON lines on standard input, and each is answered with one:

    {"open": NAME, "kind": …, "listen": [HOST, PORT], "to": [HOST, PORT]}  -> {"port": N}
    {"rule": NAME, "pids": [..] or null, "what": {…}}       replaces the wire's rule
    {"stats": NAME}                                         -> what was done how often

Rules of all kinds:  "cut": "both" | "up" | "down"  nothing moves, as behind a firewall
                     that drops; what was sent arrives when the rule goes
                     "reject": true      connections are reset, new ones too
                     "delay_ms": D, "jitter_ms": J
of zmtp:             "twice", "later", "swap": shares of messages that come twice at
                     once, again up to 3 s later, or after the one that follows
"up" is from the one that connected.
"""
import asyncio
import collections
import json
import os
import random
import socket
import struct
import sys
import time

import chaos_s3

GREETING = 64                   # bytes of ZMTP 3 before the first frame
MORE, LONG, COMMAND = 1, 2, 4
CHUNK = 1 << 16
SWAP_S, LATER_S = 0.05, 3.0
READ_EVERY_S = 0.03             # the kernel's lists of sockets
STREAM = 1 << 20                # bytes a reader may hold


class Sockets:
    """Which process holds which connection.  The kernel's lists are long, so they are read
    at most so often; a connection too young for the last reading is nobody's as yet."""

    def __init__(self):
        self.by_ports, self.owners, self.read_at = {}, {}, -1.0
        self.about = None                       # generation of the rule, its processes

    def read(self, pids):
        with open("/proc/net/tcp", encoding="ascii") as f:
            lines = [line.split() for line in f.readlines()[1:]]
        self.by_ports = {(int(p[1][9:], 16), int(p[2][9:], 16)): p[9] for p in lines}
        self.owners = {}
        for pid in pids:
            try:
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    self.owners[os.readlink(f"/proc/{pid}/fd/{fd}")] = pid
            except OSError:
                continue                        # it has just ended
        self.read_at = time.monotonic()

    def owner(self, ports, pids, generation):
        """None: not known yet; 0: none of those."""
        age = time.monotonic() - self.read_at
        if (generation, tuple(pids)) != self.about or (ports not in self.by_ports and
                                                       age > READ_EVERY_S):
            self.about = generation, tuple(pids)
            self.read(pids)
        inode = self.by_ports.get(ports)
        return None if inode is None else self.owners.get(f"socket:[{inode}]", 0)


class Wire:
    def __init__(self, name, kind, to):
        self.name, self.kind, self.to = name, kind, to
        self.rule, self.pids = {}, None
        self.changed = asyncio.Event()
        self.stats = collections.Counter()
        self.links, self.generation = set(), 0
        self.memory, self.sockets = chaos_s3.Memory(), Sockets()

    def set(self, rule, pids):
        self.rule, self.pids = rule, pids
        self.generation += 1
        self.changed.set()
        self.changed = asyncio.Event()
        if rule.get("reject"):
            for link in list(self.links):
                if self.concerns(link):
                    link.reset()

    def concerns(self, link):
        if self.pids is None:
            return True
        if link.asked[0] != self.generation:
            owner = self.sockets.owner(link.ports, self.pids, self.generation)
            if owner is None:
                return False
            link.asked = self.generation, owner != 0
        return link.asked[1]

    async def accept(self, reader, writer):
        self.stats["connections"] += 1
        link = Link(self, reader, writer)
        if self.pids is not None:
            await asyncio.sleep(READ_EVERY_S)   # what is read after that has it
        if self.rule.get("reject") and self.concerns(link):
            self.stats["rejected"] += 1
            link.reset()
            return
        self.links.add(link)
        try:
            await link.run()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            link.close()
            self.links.discard(link)


class Link:
    """One connection through a wire."""

    def __init__(self, wire, reader, writer):
        self.wire, self.reader, self.writer = wire, reader, writer
        self.up_reader = self.up_writer = None
        self.ports = (writer.get_extra_info("peername")[1], writer.get_extra_info("sockname")[1])
        self.asked = 0, False                   # generation of the rule, is it about us

    def rule(self):
        """What holds for this connection now."""
        return self.wire.rule if self.wire.rule and self.wire.concerns(self) else {}

    async def run(self):
        if self.rule().get("cut"):              # behind a firewall it would never come about
            while self.rule().get("cut"):
                await self.wire.changed.wait()
            self.reset()
            return
        self.up_reader, self.up_writer = await asyncio.open_connection(*self.wire.to)
        for writer in (self.writer, self.up_writer):
            writer.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.wire.kind == "s3":
            await chaos_s3.serve(self)
            return
        pump = self.frames if self.wire.kind == "zmtp" else self.bytes
        ways = [asyncio.ensure_future(pump(self.reader, self.up_writer, "up")),
                asyncio.ensure_future(pump(self.up_reader, self.writer, "down"))]
        _, open_ways = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in open_ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    async def gate(self, way):
        """Wait while nothing may move this way."""
        while True:
            rule = self.rule()
            if rule.get("cut") not in ("both", way):
                break
            self.wire.stats["held"] += 1
            await self.wire.changed.wait()
        if rule.get("delay_ms"):
            spread = rule.get("jitter_ms", 0)
            await asyncio.sleep((rule["delay_ms"] + random.uniform(-spread, spread)) / 1000)

    async def bytes(self, reader, writer, way):
        while data := await reader.read(CHUNK):
            await self.gate(way)
            writer.write(data)
            await writer.drain()

    @staticmethod
    async def message(reader):
        """All frames of one message or one command; (bytes, is a command)."""
        data, flags = b"", MORE
        while flags & MORE:
            head = await reader.readexactly(2)
            flags, size = head
            if flags & LONG:
                rest = await reader.readexactly(7)
                head, size = head + rest, int.from_bytes(head[1:] + rest, "big")
            data += head + await reader.readexactly(size)
        return data, bool(flags & COMMAND)

    async def frames(self, reader, writer, way):
        left = GREETING                         # each side waits for parts of the other's
        while left:
            part = await reader.read(left)
            if not part:
                return
            left -= len(part)
            writer.write(part)
        queue = asyncio.Queue(64)

        async def fill():
            try:
                while True:
                    await queue.put(await self.message(reader))
            finally:
                await queue.put(None)
        filling = asyncio.ensure_future(fill())
        try:
            while (item := await queue.get()) is not None:
                await self.gate(way)
                await self.pass_on(item, queue, writer)
        finally:
            filling.cancel()

    async def pass_on(self, item, queue, writer):
        """One message, and what the rule makes of it."""
        data, is_command = item
        rule = {} if is_command else self.rule()
        if random.random() < rule.get("swap", 0):
            try:
                following = await asyncio.wait_for(queue.get(), SWAP_S)
                if following is None:
                    await queue.put(None)
                else:
                    self.wire.stats["swapped"] += 1
                    writer.write(following[0])
            except asyncio.TimeoutError:
                pass                            # nothing came to overtake it
        writer.write(data)
        if random.random() < rule.get("twice", 0):
            self.wire.stats["twice"] += 1
            writer.write(data)
        if random.random() < rule.get("later", 0):
            self.wire.stats["later"] += 1
            asyncio.get_running_loop().call_later(
                random.uniform(0.05, LATER_S),
                lambda: writer.is_closing() or writer.write(data))
        await writer.drain()

    def reset(self):
        """Both sides see the connection reset."""
        for writer in (self.writer, self.up_writer):
            if writer:
                sock = writer.get_extra_info("socket")
                if sock is not None and sock.fileno() >= 0:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                    struct.pack("ii", 1, 0))
                writer.transport.abort()

    def close(self):
        for writer in (self.writer, self.up_writer):
            if writer:
                writer.close()


# --- orders -----------------------------------------------------------------------------

class Wires:
    def __init__(self):
        self.by_name, self.servers = {}, []

    async def obey(self, order):
        if "open" in order:
            wire = Wire(order["open"], order["kind"], order["to"])
            server = await asyncio.start_server(wire.accept, *order["listen"], limit=STREAM)
            self.servers.append(server)
            self.by_name[wire.name] = wire
            return {"port": server.sockets[0].getsockname()[1]}
        if "rule" in order:
            self.by_name[order["rule"]].set(order["what"], order["pids"])
            return {}
        return dict(self.by_name[order["stats"]].stats)

    async def run(self):
        """Until standard input ends."""
        reader = asyncio.StreamReader(limit=STREAM)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            try:
                answer = await self.obey(json.loads(line))
            except OSError as why:
                answer = {"error": str(why)}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(Wires().run())
