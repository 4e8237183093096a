"""chaos_s3 - an S3 server's bad days, between the daemons and a good one.

Requests are read whole and sent on unchanged (their signature covers path and host),
but one in so many meets a fault:

    "fail": share       500 or 503 instead of doing it
    "reset": share      done, and the connection is reset instead of an answer
    "flip": share       one bit of an object's bytes is another
    "cut_short": share  an object ends early, with or without a header that admits it
    "late_s": [a, b]    every put is taken, its connection reset, and it lands that
                        much later; "late": share of puts this is done to (default 1)
    "lag_s": S          lists leave out what was put less than S seconds ago
"""
import asyncio
import random
import re
import time

BUSY = (b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>%s</Code>"
        b"<Message>try again</Message></Error>")
CONTENTS = re.compile(rb"<Contents>.*?</Contents>", re.S)
KEY = re.compile(rb"<Key>(.*?)</Key>")


class Memory:
    """What was put when: lists forget what is younger than they are allowed to know."""

    def __init__(self):
        self.put = {}


class Message:
    """A request or an answer: first line, headers as they came, body."""

    def __init__(self, head, body):
        self.head, self.body = head, body
        self.first = head.split(b"\r\n", 1)[0].decode()

    def header(self, name):
        found = re.search(rb"\r\n" + name + rb":[ \t]*([^\r]*)", self.head, re.I)
        return found.group(1) if found else None

    def bytes(self):
        return self.head + self.body

    def with_body(self, body):
        head = re.sub(rb"\r\nContent-Length:[^\r]*", b"\r\nContent-Length: %d" % len(body),
                      self.head, flags=re.I)
        return Message(head, body)


async def chunks(reader):
    """A body that tells its length piece by piece, as it came."""
    whole = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        whole += line + await reader.readexactly(size + 2)
        if size == 0:
            return whole


async def read_message(reader, bodiless=False):
    head = await reader.readuntil(b"\r\n\r\n")
    message = Message(head, b"")
    if bodiless:
        return message
    if (message.header(b"Transfer-Encoding") or b"").lower() == b"chunked":
        message.body = await chunks(reader)
    elif message.header(b"Content-Length"):
        message.body = await reader.readexactly(int(message.header(b"Content-Length")))
    return message


async def ask(up, request):
    """Send it to the server; its answer."""
    reader, writer = up
    writer.write(request.bytes())
    await writer.drain()
    method = request.first.split()[0]
    while True:
        answer = await read_message(reader, bodiless=method == "HEAD")
        status = int(answer.first.split()[1])
        if status in (204, 304):
            answer.body = b""
        if status != 100:
            return answer


def busy():
    code, word = random.choice([(500, b"InternalError"), (503, b"SlowDown")])
    body = BUSY % word
    return b"HTTP/1.1 %d Sorry\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s" \
        % (code, len(body), body)


def hit(rule, fault):
    return random.random() < rule.get(fault, 0)


async def land_late(wire, request, after):
    """A put that its sender gave up arrives after all."""
    await asyncio.sleep(after)
    up = await asyncio.open_connection(*wire.to)
    try:
        answer = await ask(up, request)
        wire.stats["landed " + answer.first.split()[1]] += 1
    finally:
        up[1].close()


def without_young(wire, answer, lag_s):
    """A list that does not know yet what was put a moment ago."""
    young = {key for key, at in wire.memory.put.items() if time.monotonic() - at < lag_s}

    def judge(match):
        key = KEY.search(match.group(0)).group(1)
        if key not in young:
            return match.group(0)
        wire.stats["left out"] += 1
        return b""
    return answer.with_body(CONTENTS.sub(judge, answer.body))


def damaged(wire, rule, answer):
    """(answer, whether the connection ends behind it): bytes of an object go bad."""
    if hit(rule, "flip"):
        wire.stats["flipped"] += 1
        at, bad = random.randrange(len(answer.body)), bytearray(answer.body)
        bad[at] ^= 1 << random.randrange(8)
        return answer.with_body(bytes(bad)), False
    if hit(rule, "cut_short"):
        wire.stats["cut short"] += 1
        part = answer.body[:random.randrange(len(answer.body))]
        if random.random() < 0.5:
            return answer.with_body(part), False
        return Message(answer.head, part), True
    return answer, False


async def serve(link):
    """All requests of one connection."""
    wire, up = link.wire, (link.up_reader, link.up_writer)
    while True:
        request = await read_message(link.reader)
        await link.gate("up")
        wire.stats["requests"] += 1
        method, path = request.first.split()[:2]
        key = path.split("?")[0].split("/", 2)[-1].encode()
        rule = link.rule()
        if hit(rule, "fail"):
            wire.stats["failed"] += 1
            link.writer.write(busy())
            continue
        if method == "PUT" and rule.get("late_s") and random.random() < rule.get("late", 1):
            wire.stats["late"] += 1
            asyncio.ensure_future(land_late(wire, request, random.uniform(*rule["late_s"])))
            link.reset()
            return
        answer = await ask(up, request)
        if method == "PUT" and answer.first.split()[1] == "200":
            wire.memory.put[key] = time.monotonic()
        await link.gate("down")
        if hit(rule, "reset"):
            wire.stats["reset"] += 1
            link.reset()
            return
        is_list = method == "GET" and ("prefix=" in path or key == b"")
        ended = False
        if is_list:
            answer = without_young(wire, answer, rule.get("lag_s", 0))
        elif method == "GET" and answer.body and answer.first.split()[1] in ("200", "206"):
            answer, ended = damaged(wire, rule, answer)
        link.writer.write(answer.bytes())
        await link.writer.drain()
        if ended or (answer.header(b"Connection") or b"").lower() == b"close":
            return
