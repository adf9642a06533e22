#!/usr/bin/env python3
"""A Synapse P2P peer in one file: Python 3.9 or later, nothing but the standard library.

It was written from docs/PROTOCOL.md alone, as a guide for whoever writes a node in another language; "section N" below
is a section of that page. It speaks version 1 without TLS, names the feature "relay", and knows two application types:
CHAT {"text"}, and ASK {"question"}, a request that is answered with {"answer": the question in capitals}.

    python3 examples/peer.py --listen 127.0.0.1:19000 --id alice
    python3 examples/peer.py --connect 127.0.0.1:19000 --id bob --say hello --ask alice "who are you" --seconds 5 --json

On standard input it takes the lines: say TEXT, ask NODE TEXT, peers, quit. Left out to keep it short: section 9,
the protocol's DATA_SYNC (section 6), healing beyond the target (section 5), and telling from repeated duplicates that
two other nodes share an id (end of section 3).
"""
from __future__ import annotations

import argparse
import asyncio
import calendar
import ipaddress
import json
import math
import random
import re
import secrets
import signal
import sys
import threading
import time
import uuid
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Callable, Coroutine, Iterator

MAX_MESSAGE_BYTES, HANDSHAKE_BYTES, FRAME_TIMEOUT = 1 << 20, 8192, 30.0  # section 1
MAX_INVALID, BAN_DURATION = 10, 300.0  # section 2
VERSION, HANDSHAKE_TIMEOUT, DRAIN_TIMEOUT, RELAY = 1, 5.0, 5.0, "relay"  # section 3
HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, SLOW_CONSUMER_TIMEOUT, MAX_ANSWERS = 5.0, 15.0, 60.0, 1024  # section 4
DISCOVERY_INTERVAL, HEALING_INTERVAL, MAX_LISTED, LEFT_SECONDS = 10.0, 30.0, 256, 30.0  # section 5, 7
CLOSE_TIMEOUT = 2.0  # section 7
TTL, SEEN_SECONDS, SEEN_IDS, SEEN_PER_SENDER = 8, 120.0, 65_536, 8_192  # section 8
# What the page leaves to the implementation:
TARGET_PEERS, MAX_CONNECTIONS, MAX_ENTRIES, HINTS_PER_TELLER, MAX_QUEUED = 4, 64, 1024, 128, 16 << 20
DIAL_TIMEOUT, MAX_BACK_OFF, REQUEST_TIMEOUT, GRACE = 5.0, 30.0, 10.0, 5.0

LINK_TYPES = {"HELLO", "HEARTBEAT", "PEER_LIST", "ERROR"}  # section 8: these belong to one link
COUNTED = {"MALFORMED_FRAME", "FRAME_TOO_LARGE", "INVALID_MESSAGE"}  # section 7
ENDS = {"SHUTTING_DOWN": "left", "DISCONNECTED": "disconnected"}  # section 7: any other end is "dead"
DIAL_AGAIN = {  # section 7: seconds until an address is dialed again; by back-off after any other end
    "SELF_CONNECTION": math.inf, "VERSION_MISMATCH": HEALING_INTERVAL, "NETWORK_MISMATCH": HEALING_INTERVAL,
    "UNAUTHORIZED": HEALING_INTERVAL, "SHUTTING_DOWN": HEALING_INTERVAL, "BANNED": BAN_DURATION, "DISCONNECTED": 60.0,
    "DUPLICATE_CONNECTION": HEARTBEAT_TIMEOUT,
}
Address = tuple[str, int]
Message = dict[str, Any]
Rule = Callable[[Any], bool]
Rules = dict[str, tuple[bool, Rule]]  # member: (required, what its value must satisfy)


class Refusal(Exception):
    """Something that section 7 has a code for."""

    def __init__(self, code: str, text: str, about: Message | None = None, fatal: bool = False, **more: Any):
        super().__init__(text)
        self.code, self.text, self.fatal, self.more = code, text, fatal, more
        self.reply_to = about["id"] if about and is_id(about.get("id")) else None
        self.answered = not about or about.get("type") != "ERROR"  # an ERROR is never answered


# ---- Section 1: frames ---------------------------------------------------------------------------------------------

def encode(message: Message) -> bytes:
    """Length and body. ValueError for what is not I-JSON: a number beyond the doubles, a lone surrogate."""
    body = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    return len(body).to_bytes(4, "big") + body


class FrameDecoder:
    """Cuts a stream of bytes, in whatever pieces it comes, into bodies."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.limit = HANDSHAKE_BYTES  # raised when the other side's HELLO has been accepted
        self.begun_at = 0.0  # when the first byte of the frame in the buffer came

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self.buffer:
            self.begun_at = time.monotonic()
        self.buffer += data
        while len(self.buffer) >= 4:
            length = self.length()
            if length == 0:
                raise Refusal("MALFORMED_FRAME", "a frame of length 0", fatal=True)
            if length > self.limit:
                raise Refusal("FRAME_TOO_LARGE", f"a frame may have {self.limit} bytes", fatal=True)
            if len(self.buffer) < 4 + length:
                return
            body = bytes(self.buffer[4:4 + length])
            del self.buffer[:4 + length]
            self.begun_at = time.monotonic()
            yield body

    def length(self) -> int:
        return int.from_bytes(self.buffer[:4], "big") if len(self.buffer) >= 4 else 0

    def overdue(self) -> bool:
        return bool(self.buffer) and time.monotonic() - self.begun_at > FRAME_TIMEOUT + self.length() / 16384


def too_deep(text: str) -> bool:
    """More than 64 levels of brackets, found without parsing: take the strings out, count the rest."""
    if text.count("{") + text.count("[") <= 64:
        return False
    depth = 0
    for bracket in re.findall(r"[][{}]", re.sub(r'"[^"]*"?', "", re.sub(r"\\.", "", text, flags=re.DOTALL))):
        depth += 1 if bracket in "[{" else -1
        if depth > 64:
            return True
    return False


def as_double(text: str) -> int | float:
    """Numbers are IEEE doubles, however they are written: 8.0 and 8e0 are the integer 8, 1e999 is infinity."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2 ** 53 else value


def no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")  # Python would take NaN and Infinity


def parse_body(body: bytes) -> Message:
    """A valid message; the checks run in the order of section 1."""
    try:
        text = body.decode("utf-8")
        if text.startswith("\ufeff"):
            raise ValueError("byte order mark")
        if too_deep(text):
            raise Refusal("INVALID_MESSAGE", "nested deeper than 64 levels")
        message = json.loads(text, parse_int=as_double, parse_float=as_double, parse_constant=no_constant)
    except ValueError:
        raise Refusal("MALFORMED_FRAME", "the body is not JSON in plain UTF-8", fatal=True) from None
    if not isinstance(message, dict):
        raise Refusal("MALFORMED_FRAME", "the body is not an object", fatal=True)
    check(ENVELOPE, message, message)
    if "ttl" in message:  # it may be passed on, so it must survive that
        try:
            encode(message)
        except ValueError:
            raise invalid("a number or a string that is not I-JSON", message) from None
    return message


# ---- Section 2: the envelope; sections 3 and 7: the payloads of HELLO and ERROR --------------------------------------

def matches(pattern: str) -> Rule:
    whole = re.compile(pattern)
    return lambda value: isinstance(value, str) and whole.fullmatch(value) is not None


def integer(low: int, high: float = math.inf) -> Rule:
    return lambda value: type(value) is int and low <= value <= high  # isinstance would take True for 1


def string(max_bytes: float = math.inf) -> Rule:
    return lambda value: isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) <= max_bytes


def list_of(most: int, valid: Rule) -> Rule:
    return lambda value: isinstance(value, list) and len(value) <= most and all(map(valid, value))


def is_object(value: Any) -> bool:
    return isinstance(value, dict)


def is_text(value: Any) -> bool:
    """A string without lone surrogates: one that can be sent again."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def is_timestamp(value: Any) -> bool:
    found = TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    return found is not None and 1 <= int(found[3]) <= calendar.monthrange(int(found[1]), int(found[2]))[1]


def is_address(value: Any) -> bool:
    if not is_object(value) or not is_text(value.get("host")):
        return False
    return string(253)(value["host"]) and integer(0, 65535)(value.get("port"))


def are_tags(value: Any) -> bool:
    strings = is_object(value) and all(isinstance(tag, str) for tag in value.values())
    return strings and string(512)(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


TIMESTAMP = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])-([0-9]{2})T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
                       r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])")
is_id, is_node_id = matches(r"[!-~]{1,128}"), matches(r"[A-Za-z0-9._:-]{1,128}")
ENVELOPE: Rules = {
    "type": (True, matches(r"[A-Z][A-Z0-9_]{0,63}")), "id": (True, is_id), "sender": (True, is_node_id),
    "timestamp": (True, is_timestamp), "payload": (True, is_object), "recipient": (False, is_node_id),
    "ttl": (False, integer(0, 255)), "replyTo": (False, is_id), "expectsReply": (False, lambda value: value is True),
    "signature": (False, is_object),
}
HELLO: Rules = {
    "version": (True, integer(1)), "minVersion": (True, integer(1)), "network": (True, matches(r"(?s).{1,128}")),
    "listen": (True, list_of(16, is_address)), "features": (True, list_of(32, string(64))), "session": (False, is_id),
    "observed": (False, is_address), "agent": (False, string(256)), "maxMessageBytes": (False, integer(65536)),
    "tags": (False, are_tags), "proof": (False, string()),
}
ERROR: Rules = {"code": (True, string()), "message": (True, string()),
                "fatal": (True, lambda value: isinstance(value, bool))}


def invalid(text: str, message: Message) -> Refusal:
    return Refusal("INVALID_MESSAGE", text, message)


def check(rules: Rules, members: Message, message: Message) -> None:
    for name, (required, valid) in rules.items():
        if not valid(members[name]) if name in members else required:
            raise invalid(f"{name}: missing or against its rule", message)


def new_id() -> str:
    """A UUIDv7: 48 bits of milliseconds, then version, chance, variant, chance."""
    milliseconds, high, low = int(time.time() * 1000), secrets.randbits(12), secrets.randbits(62)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low))


def now_text() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain_host(host: str) -> str:
    """Section 3: IPv6 without brackets (nor zone), mapped IPv4 as IPv4."""
    host = host.strip("[]").split("%")[0]
    return host[7:] if host.lower().startswith("::ffff:") and "." in host else host


def is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_link_local
    except ValueError:
        return host == "localhost"


# ---- What a peer remembers -------------------------------------------------------------------------------------------

@dataclass
class Entry:
    """An address to dial. While `teller` is set it is no more than that node's hint (section 5)."""
    address: Address
    node_id: str | None = None
    teller: str | None = None
    bootstrap: bool = False
    not_before: float = 0.0
    failures: int = 0


@dataclass
class Node:
    """A node that this peer itself shook hands with."""
    status: str
    addresses: list[Address]
    left_at: float = -math.inf


@dataclass
class Request:
    type: str
    recipient: str
    neighbours: set[str]  # to whom it was given


class SeenIds:
    """Section 8: (sender, id) of what came with a ttl, bounded in time, in all, and per sender."""

    def __init__(self) -> None:
        self.times: OrderedDict[tuple[str, str], float] = OrderedDict()
        self.by_sender: dict[str, deque[str]] = {}

    def is_new(self, sender: str, message_id: str) -> bool:
        now = time.monotonic()
        while self.times and (len(self.times) >= SEEN_IDS or now - next(iter(self.times.values())) > SEEN_SECONDS):
            self.forget_oldest_of(next(iter(self.times))[0])  # the oldest of all is the oldest of its sender
        if (sender, message_id) in self.times:
            return False
        if len(self.by_sender.get(sender, ())) >= SEEN_PER_SENDER:
            self.forget_oldest_of(sender)
        self.by_sender.setdefault(sender, deque()).append(message_id)
        self.times[sender, message_id] = now
        return True

    def forget_oldest_of(self, sender: str) -> None:
        del self.times[sender, self.by_sender[sender].popleft()]
        if not self.by_sender[sender]:
            del self.by_sender[sender]


class Connection:
    """One TCP connection: its queues, and how it is closed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, entry: Entry | None):
        self.reader, self.writer, self.entry = reader, writer, entry  # entry: what was dialed; None if accepted
        self.transport = writer.transport
        host, port = writer.get_extra_info("peername")[:2]
        self.remote: Address = (plain_host(host), port)
        self.decoder = FrameDecoder()
        self.node_id = ""  # until the other side's HELLO has been accepted
        self.session: str | None = None
        self.relays, self.their_limit = False, HANDSHAKE_BYTES
        self.hello_id, self.list_request = new_id(), ""
        self.control: deque[bytes] = deque()  # overtakes what waits in `data`
        self.data: deque[bytes] = deque()
        self.wake = asyncio.Event()
        self.closing = self.deaf = self.suspect = False  # deaf: what still comes is discarded
        self.end_code, self.retry_after = "", None
        self.waits_for: Connection | None = None  # section 3, rule 2: a loser that is still to be emptied
        self.held: list[Message] = []
        self.ready_at = self.last_byte = self.last_ping = self.last_progress = time.monotonic()
        self.ping_seq = self.unwritten = 0
        # With a limit of 0 drain() waits until the operating system has taken the frame, so that a heartbeat waits for
        # one frame at most (section 4).
        self.transport.set_write_buffer_limits(high=0)

    def encode(self, message: Message) -> bytes:
        """A list of peers is cut to fit (section 1)."""
        peers = message["payload"].get("peers") if message["type"] in LINK_TYPES else None
        while peers and len(encode(message)) - 4 > self.their_limit:
            del peers[len(peers) // 2:]
        return encode(message)

    def send(self, message: Message) -> bool:
        """False where the link is closing or full, or the message longer than the peer takes (section 3)."""
        frame, control = self.encode(message), message["type"] in LINK_TYPES and "ttl" not in message
        full = not control and sum(map(len, self.data)) + len(frame) > MAX_QUEUED
        if self.closing or full or len(frame) - 4 > self.their_limit:
            return False
        (self.control if control else self.data).append(frame)
        self.wake.set()
        return True

    def close(self, code: str, last: Message | None = None) -> None:
        """Section 7: what is queued, an ERROR that says why, FIN; what then comes is discarded until the peer's FIN.
        Only what still arrives on a duplicate is delivered (section 3)."""
        if not self.closing:
            self.data.extend([self.encode(last)] if last else [])
            self.closing, self.end_code, self.deaf = True, code, code != "DUPLICATE_CONNECTION"
            self.wake.set()

    def take_unsent(self) -> list[bytes]:
        unsent = list(self.data)
        self.data.clear()
        return unsent

    async def write_loop(self) -> None:
        try:
            while self.control or self.data or not self.closing:
                if self.control or self.data:
                    self.writer.write((self.control or self.data).popleft())
                    await self.writer.drain()
                else:
                    self.wake.clear()
                    await self.wake.wait()
            self.writer.write_eof()
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.transport.abort)
        except OSError:
            self.transport.abort()

    def overloaded(self) -> bool:
        """Section 4: unsent answers are bounded; beyond, reading stops."""
        return max(len(self.control), len(self.held)) > MAX_ANSWERS or sum(map(len, self.control)) > 1 << 20


# ---- The peer --------------------------------------------------------------------------------------------------------

class Peer:
    def __init__(self, options: argparse.Namespace):
        self.id: str = options.id or f"py-{secrets.token_hex(4)}"
        self.session, self.network, self.json = new_id(), options.network, options.json
        self.listen: Address = options.listen
        self.connections: set[Connection] = set()
        self.links: dict[str, list[Connection]] = {}  # by NodeId: those with both HELLOs exchanged, the one in use last
        self.nodes: dict[str, Node] = {}
        self.book = {address: Entry(address, bootstrap=True) for address in options.connect}
        self.dialing: set[Address] = set()
        self.bans: dict[tuple[str, str], float] = {}  # ("ip" or "id", which): until when
        self.invalid_times: dict[str, deque[float]] = {}
        self.seen = SeenIds()
        self.routes: dict[str, Connection] = {}  # where a message of that node last arrived
        self.requests: dict[str, Request] = {}
        self.fresh: set[str] = set()  # connected since the last announcement
        self.tasks: set[asyncio.Task[None]] = set()
        self.first_peer, self.stop = asyncio.Event(), asyncio.Event()

    def emit(self, event: str, **fields: Any) -> None:
        """One thing that happened. What others wrote is shown without control characters."""
        fields = {name: value for name, value in fields.items() if value not in (None, "")}
        if "address" in fields:
            fields["address"] = "{}:{}".format(*fields["address"])
        if self.json:
            print(json.dumps({"event": event, **fields}), flush=True)
        else:
            line = event.ljust(13) + " ".join(f"{name}={value}" for name, value in fields.items())
            print("".join(char if char.isprintable() else "?" for char in line), flush=True)

    def message(self, kind: str, payload: Message, **members: Any) -> Message:
        message = {"type": kind, "id": new_id(), "sender": self.id, "timestamp": now_text(), "payload": payload}
        return {**message, **{name: value for name, value in members.items() if value is not None}}

    def error(self, refusal: Refusal, fatal: bool = True) -> Message:
        payload = {"code": refusal.code, "message": refusal.text, "fatal": fatal, **refusal.more}
        return self.message("ERROR", payload, replyTo=refusal.reply_to)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def neighbours(self) -> list[Connection]:
        return [links[-1] for links in self.links.values()]

    # -- The life of a connection

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.start(self.serve(Connection(reader, writer, None)))

    async def dial(self, entry: Entry) -> None:
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(*entry.address), DIAL_TIMEOUT)
        except (OSError, ValueError, asyncio.TimeoutError) as reason:
            self.emit("unreachable", address=entry.address, reason=str(reason) or "no answer")
            self.plan_dial(entry, "", None)
        else:
            await self.serve(Connection(reader, writer, entry))

    async def serve(self, conn: Connection) -> None:
        self.connections.add(conn)
        writing = asyncio.ensure_future(conn.write_loop())
        timer = asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT, self.handshake_timeout, conn)
        if conn.entry:
            conn.send(self.hello(conn))  # section 3: the dialer speaks first
        try:
            while data := await conn.reader.read(65536):
                await self.receive(conn, data)
        except OSError:
            pass  # reset: an end like any other
        finally:
            timer.cancel()
            self.connections.discard(conn)
            self.ended(conn)
        if not conn.closing:  # section 7, a FIN received: finish the frame begun, FIN, close
            conn.take_unsent()
            conn.close("")
        await asyncio.wait({writing}, timeout=CLOSE_TIMEOUT)
        conn.transport.close() if writing.done() else conn.transport.abort()

    async def receive(self, conn: Connection, data: bytes) -> None:
        conn.last_byte = time.monotonic()  # section 4: any byte proves the peer alive
        if conn.suspect:
            self.set_suspect(conn, False)
        bodies = conn.decoder.feed(data)
        while not conn.deaf:
            try:
                body = next(bodies, None)
                if body is None:
                    return
                self.handle(conn, parse_body(body))
            except Refusal as refusal:
                self.refuse(conn, refusal)
            while conn.overloaded() and not conn.transport.is_closing():
                await asyncio.sleep(0.05)
                conn.last_byte = conn.decoder.begun_at = time.monotonic()  # these clocks stand still meanwhile

    def refuse(self, conn: Connection, refusal: Refusal) -> None:
        """Answers what is wrong with an ERROR; in the handshake, or if it is fatal, that ends the connection."""
        if refusal.code in COUNTED and self.count_invalid(conn):
            refusal = Refusal("BANNED", "too many invalid messages", fatal=True, retryAfterMs=int(BAN_DURATION * 1000))
        fatal = refusal.fatal or not conn.node_id
        self.emit("refused" if fatal else "error", by=self.id, peer=conn.node_id, address=conn.remote,
                  code=refusal.code, text=refusal.text)
        if fatal:
            conn.close(refusal.code, self.error(refusal) if refusal.answered else None)
            conn.deaf = True
        elif refusal.answered:
            conn.send(self.error(refusal, fatal=False))

    def count_invalid(self, conn: Connection) -> bool:
        """Section 2: the tenth invalid message from one IP address within a minute is the last."""
        now, host = time.monotonic(), conn.remote[0]
        self.invalid_times = {ip: times for ip, times in self.invalid_times.items() if now - times[-1] < 60}
        times = self.invalid_times.setdefault(host, deque(maxlen=MAX_INVALID))
        times.append(now)
        if len(times) < MAX_INVALID or now - times[0] > 60:
            return False
        self.bans["ip", host] = now + BAN_DURATION
        if conn.node_id:
            self.bans["id", conn.node_id] = now + BAN_DURATION
        return True

    def ban_left(self, kind: str, which: str) -> float:
        return max(0.0, self.bans.get((kind, which), 0.0) - time.monotonic())

    def handle(self, conn: Connection, message: Message) -> None:
        """What each kind of message may carry (section 8), and who handles it."""
        kind, payload = message["type"], message["payload"]
        routed_error = kind == "ERROR" and "ttl" in message
        if kind == "ERROR":
            check(ERROR, payload, message)
        if routed_error and (payload["fatal"] or "recipient" not in message or "replyTo" not in message):
            raise invalid("a routed ERROR is not fatal and has recipient and replyTo", message)
        if kind in LINK_TYPES and not routed_error:
            if "recipient" in message or "ttl" in message or conn.node_id not in ("", message["sender"]):
                raise invalid(f"{kind} belongs to one link and is the other end's", message)
        if kind == "ERROR" and not routed_error:
            self.handle_error(conn, message)
        elif not conn.node_id:
            self.handle_hello(conn, message)
        elif kind == "HELLO":
            raise invalid("a second HELLO", message)
        elif kind == "HEARTBEAT":
            self.handle_heartbeat(conn, message)
        elif kind == "PEER_LIST":
            self.handle_peer_list(conn, message)
        else:
            self.handle_application(conn, message)

    # -- Section 3: the handshake

    def hello(self, conn: Connection, reply_to: str | None = None) -> Message:
        payload = {
            "version": VERSION, "minVersion": VERSION, "network": self.network, "session": self.session,
            "listen": [{"host": self.listen[0], "port": self.listen[1]}], "features": [RELAY], "agent": "peer.py/1",
            "observed": {"host": conn.remote[0], "port": conn.remote[1]}, "maxMessageBytes": MAX_MESSAGE_BYTES,
        }
        return {**self.message("HELLO", payload, replyTo=reply_to), "id": conn.hello_id}

    def handshake_timeout(self, conn: Connection) -> None:
        if not conn.node_id and not conn.closing:
            self.refuse(conn, Refusal("HANDSHAKE_TIMEOUT", f"no HELLO within {HANDSHAKE_TIMEOUT:g} s", fatal=True))

    def handle_hello(self, conn: Connection, message: Message) -> None:
        sender, hello = message["sender"], message["payload"]
        if message["type"] != "HELLO":
            raise Refusal("HANDSHAKE_REQUIRED", "HELLO comes first", message)
        check(HELLO, hello, message)
        if conn.entry and message.get("replyTo") != conn.hello_id:
            raise invalid("replyTo: not our HELLO", message)
        if min(VERSION, hello["version"]) < max(VERSION, hello["minVersion"]):
            raise Refusal("VERSION_MISMATCH", f"version {VERSION} is spoken here", message)
        if hello["network"] != self.network:
            raise Refusal("NETWORK_MISMATCH", "another network", message)
        if sender == self.id:
            if hello.get("session") != self.session:
                self.emit("conflict", peer=sender, address=conn.remote, text="a second node has this node's id")
            raise Refusal("SELF_CONNECTION", "this is the same node", message)
        banned = max(self.ban_left("id", sender), 0.0 if conn.entry else self.ban_left("ip", conn.remote[0]))
        if banned:
            raise Refusal("BANNED", "banned", message, retryAfterMs=int(banned * 1000))
        if len(self.links) >= MAX_CONNECTIONS and sender not in self.links and not conn.entry:
            raise Refusal("TOO_MANY_CONNECTIONS", "full", message, peers=self.sample(conn, 16))
        conn.node_id, conn.session, conn.relays = sender, hello.get("session"), RELAY in hello["features"]
        conn.their_limit, conn.decoder.limit = hello.get("maxMessageBytes", MAX_MESSAGE_BYTES), MAX_MESSAGE_BYTES
        conn.ready_at = conn.last_ping = time.monotonic()
        if not conn.entry:
            conn.send(self.hello(conn, reply_to=message["id"]))
        self.remember(conn, hello)
        newcomer = sender not in self.links
        self.settle_duplicates(conn)
        if newcomer:
            self.emit("connected", peer=sender, address=conn.remote, dialed=conn.entry is not None)
            self.fresh.add(sender)
            self.first_peer.set()
            self.ask_for_peers(conn)

    def remember(self, conn: Connection, hello: Message) -> None:
        """Where the node can be found: the addresses that it names, and the one dialed (section 5)."""
        unspecified = ("0.0.0.0", "::", "")
        named = [(plain_host(address["host"]), address["port"]) for address in hello["listen"] if address["port"]]
        addresses = [(conn.remote[0] if host in unspecified else host, port) for host, port in named]
        if conn.entry:  # if a hint promised another node, it is dropped by this
            conn.entry.node_id, conn.entry.teller, conn.entry.failures = conn.node_id, None, 0
            self.dialing.discard(conn.entry.address)
            addresses.append(conn.entry.address)
        self.nodes[conn.node_id] = Node("connected", list(dict.fromkeys(addresses))[:8])  # this also ends `left`
        for address in self.nodes[conn.node_id].addresses:
            self.book.setdefault(address, Entry(address, conn.node_id))
        for entry in [entry for entry in self.book.values() if not entry.bootstrap][:-MAX_ENTRIES]:
            del self.book[entry.address]  # bounded: the oldest go
        for node_id in [node_id for node_id in self.nodes if node_id not in self.links][:-MAX_ENTRIES]:
            del self.nodes[node_id]

    def settle_duplicates(self, newer: Connection) -> None:
        """Two connections between two nodes: rules 1 to 3 of section 3."""
        links = self.links.setdefault(newer.node_id, [])
        links.append(newer)
        for older in links[:-1]:
            both_at_once = newer.ready_at - older.ready_at <= 2 * HANDSHAKE_TIMEOUT
            if None not in (older.session, newer.session) and older.session != newer.session:
                rule, loser, survivor = 1, older, newer
            elif bool(older.entry) != bool(newer.entry) and both_at_once:
                ours, theirs = (older, newer) if older.entry else (newer, older)
                rule, loser, survivor = (2, theirs, ours) if self.id < newer.node_id else (2, ours, theirs)
            elif not newer.entry:
                rule, loser, survivor = 3, older, newer
            else:
                continue  # rule 3 again: the acceptor decides, which is the other end; both are read until then
            unsent = loser.take_unsent()
            if rule == 1:
                self.fail_requests(newer.node_id, "the peer has restarted")
            else:
                survivor.data.extendleft(reversed(unsent))
                survivor.wake.set()
            if rule == 2:  # what still arrives on the loser comes before what the survivor brings
                survivor.waits_for = loser
                asyncio.get_running_loop().call_later(DRAIN_TIMEOUT, self.release, survivor)
            links.remove(loser)
            loser.close("DUPLICATE_CONNECTION", self.error(Refusal("DUPLICATE_CONNECTION", f"by rule {rule}")))

    def release(self, survivor: Connection) -> None:
        survivor.waits_for, survivor.held, held = None, [], survivor.held
        for message in held:
            self.handle_application(survivor, message)

    # -- Section 7: errors, the end of a connection, and what follows from it

    def handle_error(self, conn: Connection, message: Message) -> None:
        error, fatal = message["payload"], message["payload"]["fatal"] or not conn.node_id
        if error["code"] not in ("DUPLICATE_CONNECTION", *ENDS) and message.get("replyTo") not in self.requests:
            self.emit("refused" if fatal else "error", by=message["sender"], address=conn.remote, code=error["code"],
                      text=error["message"])
        if not fatal:
            self.settle_request(message)
            return
        if conn.entry and not conn.node_id:  # so that a node that refuses a duplicate is not dialed again beside it
            conn.entry.node_id = message["sender"]
        conn.retry_after = error.get("retryAfterMs")
        if error["code"] == "DUPLICATE_CONNECTION" and len(self.links.get(conn.node_id, [])) > 1:
            self.links[conn.node_id].remove(conn)
            self.links[conn.node_id][-1].data.extendleft(reversed(conn.take_unsent()))
            self.links[conn.node_id][-1].wake.set()
        conn.take_unsent()
        conn.close(error["code"])  # nothing more to say: FIN
        conn.deaf = True

    def ended(self, conn: Connection) -> None:
        node_id, code = conn.node_id, conn.end_code
        links = self.links.get(node_id, [])
        if not node_id and not code:
            self.emit("unreachable", address=conn.remote, reason="closed in the handshake")
        if conn in links:
            links.remove(conn)
        for link in [link for link in links if link.waits_for is conn]:
            self.release(link)
        self.routes = {sender: link for sender, link in self.routes.items() if link is not conn}
        if node_id and not links and not self.stop.is_set():
            self.links.pop(node_id, None)
            node = self.nodes[node_id]
            if code == "DUPLICATE_CONNECTION":  # the other one serves, if it comes; the status does not flicker
                asyncio.get_running_loop().call_later(HEARTBEAT_TIMEOUT, self.gone, node_id, "dead")
            else:
                self.gone(node_id, ENDS.get(code, "dead"))
            for address in node.addresses:
                if address in self.book:
                    self.plan_dial(self.book[address], code, conn.retry_after)
        elif conn.entry and not node_id:
            self.plan_dial(conn.entry, code, conn.retry_after)

    def gone(self, node_id: str, status: str) -> None:
        node = self.nodes.get(node_id)
        if node and node_id not in self.links and node.status in ("connected", "suspect"):
            node.status, node.left_at = status, time.monotonic() if status == "left" else -math.inf
            self.emit(status, peer=node_id)
            self.fail_requests(node_id, "the connection ended")

    def plan_dial(self, entry: Entry, code: str, retry_after: Any) -> None:
        """The column "dial again" of the table; a hint that led nowhere is forgotten."""
        self.dialing.discard(entry.address)
        entry.failures += 1
        back_off = min(MAX_BACK_OFF, 2.0 ** min(entry.failures, 9)) * random.uniform(0.5, 1)
        wait = retry_after / 1000 if integer(0)(retry_after) else DIAL_AGAIN.get(code, back_off)
        entry.not_before = time.monotonic() + wait
        mismatch = code in ("VERSION_MISMATCH", "NETWORK_MISMATCH", "UNAUTHORIZED")
        if not entry.bootstrap and (mismatch or (entry.teller and not code)):
            self.book.pop(entry.address, None)

    # -- Section 4: liveness

    def handle_heartbeat(self, conn: Connection, message: Message) -> None:
        kind, seq = message["payload"].get("kind"), message["payload"].get("seq")
        if not isinstance(kind, str) or (kind in ("ping", "pong") and not integer(0)(seq)):
            raise invalid("payload: kind is no string, or seq no integer", message)
        if kind == "ping":
            conn.send(self.message("HEARTBEAT", {"kind": "pong", "seq": seq}, replyTo=message["id"]))

    def set_suspect(self, conn: Connection, suspect: bool) -> None:
        conn.suspect = suspect
        if self.links.get(conn.node_id, [None])[-1] is conn:
            self.nodes[conn.node_id].status = "suspect" if suspect else "connected"
            self.emit("suspect" if suspect else "alive", peer=conn.node_id)

    def check_alive(self, conn: Connection) -> None:
        now = time.monotonic()
        silence = now - conn.last_byte
        if conn.node_id and silence > HEARTBEAT_TIMEOUT:
            conn.transport.abort()  # no ERROR: nobody is there to read it
        elif conn.node_id and silence > HEARTBEAT_TIMEOUT / 2 and not conn.suspect:
            self.set_suspect(conn, True)
        if conn.decoder.overdue() and not conn.deaf:
            self.refuse(conn, Refusal("MALFORMED_FRAME", "a frame was not complete in time", fatal=True))
        if conn.node_id and now - conn.last_ping >= HEARTBEAT_INTERVAL:
            conn.last_ping, conn.ping_seq = now, conn.ping_seq + 1
            conn.send(self.message("HEARTBEAT", {"kind": "ping", "seq": conn.ping_seq}))
        waiting = conn.transport.get_write_buffer_size()  # what the operating system has not taken
        if waiting == 0 or waiting != conn.unwritten:
            conn.unwritten, conn.last_progress = waiting, now
        elif now - conn.last_progress > SLOW_CONSUMER_TIMEOUT:
            conn.transport.abort()

    async def keep_time(self) -> None:
        announce_at = discover_at = time.monotonic()
        while True:
            await asyncio.sleep(0.25)
            now = time.monotonic()
            for conn in list(self.connections):
                self.check_alive(conn)
            self.dial_due()
            if now >= announce_at:
                announce_at = now + 1
                self.announce()
            if now >= discover_at:
                discover_at = now + DISCOVERY_INTERVAL * random.uniform(0.8, 1.2)
                for conn in random.sample(self.neighbours(), min(3, len(self.links))):
                    self.ask_for_peers(conn)

    # -- Section 5: discovery

    def sample(self, conn: Connection, limit: int) -> list[Message]:
        """Nodes that are connected here, with the addresses that the receiver of the list may see."""
        entries = []
        for node_id in self.links.keys() - {conn.node_id}:
            addresses = [{"host": host, "port": port} for host, port in self.nodes[node_id].addresses
                         if is_local(conn.remote[0]) or not is_local(host)]
            if addresses and not self.ban_left("id", node_id):
                entries.append({"id": node_id, "addresses": addresses, "lastSeen": now_text()})
        return random.sample(entries, min(limit, len(entries), MAX_LISTED))

    def announce(self) -> None:
        """Nodes just connected, gathered, to up to 8 random peers."""
        for conn in random.sample(self.neighbours(), min(8, len(self.links))) if self.fresh else []:
            peers = [entry for entry in self.sample(conn, MAX_LISTED) if entry["id"] in self.fresh]
            if peers:
                conn.send(self.message("PEER_LIST", {"kind": "announce", "peers": peers}))
        self.fresh.clear()

    def ask_for_peers(self, conn: Connection) -> None:
        request = self.message("PEER_LIST", {"kind": "request", "limit": 32})
        conn.list_request = request["id"]
        conn.send(request)

    def handle_peer_list(self, conn: Connection, message: Message) -> None:
        payload, kind = message["payload"], message["payload"].get("kind")
        if kind == "request":
            check({"limit": (False, integer(0))}, payload, message)
            peers = self.sample(conn, payload.get("limit", MAX_LISTED))
            conn.send(self.message("PEER_LIST", {"kind": "response", "peers": peers}, replyTo=message["id"]))
        elif kind == "announce" or (kind == "response" and message.get("replyTo") == conn.list_request):
            check({"peers": (True, lambda value: isinstance(value, list))}, payload, message)
            for hint in payload["peers"][:MAX_LISTED]:
                self.take_hint(hint, conn.node_id)
        elif not isinstance(kind, str):
            raise invalid("kind: not a string", message)

    def take_hint(self, hint: Any, teller: str) -> None:
        """A bad one is skipped; a good one is only something to dial."""
        if not is_object(hint) or not is_node_id(hint.get("id")) or not list_of(8, is_address)(hint.get("addresses")):
            return
        known = self.nodes.get(hint["id"])
        just_left = known is not None and time.monotonic() - known.left_at < LEFT_SECONDS
        tellers = [entry.teller for entry in self.book.values()]
        full = len(tellers) >= MAX_ENTRIES or tellers.count(teller) >= HINTS_PER_TELLER
        for address in [] if hint["id"] == self.id or just_left or full else hint["addresses"]:
            host, port = plain_host(address["host"]), address["port"]
            if port and host not in ("0.0.0.0", "::", ""):
                self.book.setdefault((host, port), Entry((host, port), hint["id"], teller))

    def dial_due(self) -> None:
        """Bootstrap addresses always (which is half of section 5's healing), others up to the target."""
        for entry in random.sample(list(self.book.values()), len(self.book)):
            if (entry.bootstrap or len(self.links) + len(self.dialing) < TARGET_PEERS) and self.may_dial(entry):
                self.dialing.add(entry.address)
                self.start(self.dial(entry))

    def may_dial(self, entry: Entry) -> bool:
        """No address twice, no node twice, and none before its time."""
        being_dialed = {self.book[address].node_id for address in self.dialing if address in self.book} - {None}
        busy = entry.address in self.dialing | {self.listen} or entry.node_id in self.links.keys() | being_dialed
        return not busy and time.monotonic() >= entry.not_before and not self.ban_left("id", entry.node_id or "")

    # -- Section 8: routing

    def handle_application(self, conn: Connection, message: Message) -> None:
        sender, recipient, ttl = message["sender"], message.get("recipient"), message.get("ttl")
        if sender != conn.node_id and (ttl is None or not conn.relays):
            raise invalid("sender: not the other end, without ttl or relay", message)
        if ttl is None and recipient not in (None, self.id):
            raise invalid("recipient: somebody else, without ttl", message)
        if ttl is not None and recipient is None and "expectsReply" in message:
            raise invalid("expectsReply: on a broadcast", message)
        if conn.waits_for:
            conn.held.append(message)
            return
        if ttl is not None:
            if sender == self.id or not self.seen.is_new(sender, message["id"]):
                return
            self.routes[sender] = conn
            passed_to = self.pass_on(message, conn) if recipient != self.id and ttl > 0 else set()
            if recipient not in (None, self.id):
                if not passed_to and sender == conn.node_id and message["type"] != "ERROR":
                    self.answer_error(conn, message, "NO_ROUTE", "nobody to pass it to")
                return
        self.deliver(conn, message)

    def pass_on(self, message: Message, came_from: Connection | None = None) -> set[str]:
        """To whom it was given. Nothing waits for room: a full link is skipped."""
        recipient, own = message.get("recipient", ""), came_from is None
        links = [link for link in self.neighbours() if not came_from or link.node_id != came_from.node_id]
        links = [link for link in links if link.relays or (own and recipient in ("", link.node_id))]
        straight = [link for link in links if link.node_id == recipient]
        learned = [link for link in links if link is self.routes.get(recipient)]
        onward = message if own else {**message, "ttl": message["ttl"] - 1}
        without_ttl = {name: value for name, value in message.items() if name != "ttl"}
        return {link.node_id for link in straight or learned or links  # one's own broadcast, to one without relay: bare
                if link.send(onward if link.relays or recipient else without_ttl)}

    def deliver(self, conn: Connection, message: Message) -> None:
        kind, payload = message["type"], message["payload"]
        text = payload.get("text" if kind == "CHAT" else "question")
        broadcast = "ttl" in message and "recipient" not in message
        if kind == "ERROR" or "replyTo" in message:
            self.settle_request(message)
        elif kind in ("CHAT", "ASK"):
            if is_text(text):  # what the application's own schema refuses is not INVALID_MESSAGE (section 2)
                self.emit("message", type=kind, sender=message["sender"], via=conn.node_id, broadcast=broadcast,
                          text=text)
            else:
                self.emit("dropped", type=kind, sender=message["sender"], text="it lacks its text")
            if "expectsReply" in message and kind == "ASK" and is_text(text):
                self.answer(conn, message, "ASK", {"answer": text.upper()})
            elif "expectsReply" in message:
                self.answer_error(conn, message, "REQUEST_FAILED", "only an ASK with a question is answered")
        elif not kind.startswith("SYNAPSE_") and not broadcast:  # those are room to grow
            self.answer_error(conn, message, "UNSUPPORTED_TYPE", "nobody listens for this type here")

    def answer(self, conn: Connection, message: Message, kind: str, payload: Message) -> None:
        """With ttl if the request had one, else over the link (one in use, should this one have lost)."""
        ttl = TTL if "ttl" in message else None
        recipient = None if kind == "ERROR" and ttl is None else message["sender"]
        reply = self.message(kind, payload, replyTo=message["id"], recipient=recipient, ttl=ttl)
        if ttl:
            self.pass_on(reply)
        else:
            self.links.get(conn.node_id, [conn])[-1].send(reply)

    def answer_error(self, conn: Connection, message: Message, code: str, text: str) -> None:
        self.answer(conn, message, "ERROR", {"code": code, "message": text, "fatal": False})

    def settle_request(self, message: Message) -> None:
        """Only what a request waits for, from whom it waits for it (NO_ROUTE: from all to whom it was given)."""
        sender, payload, request_id = message["sender"], message["payload"], message.get("replyTo", "")
        request = self.requests.get(request_id)
        if request and message["type"] == request.type and sender == request.recipient:
            del self.requests[request_id]
            answer = payload.get("answer")
            self.emit("reply", id=request_id, peer=sender, answer=answer if is_text(answer) else None)
        elif request and message["type"] == "ERROR":
            request.neighbours.discard(sender)
            if sender == request.recipient or (payload["code"] == "NO_ROUTE" and not request.neighbours):
                self.fail(request_id, payload["code"], payload["message"])
        elif message["type"] != "ERROR":
            self.emit("dropped", type=message["type"], sender=sender, text="nothing waits for this answer")

    def fail(self, request_id: str, code: str, text: str) -> None:
        request = self.requests.pop(request_id, None)
        if request:
            self.emit("failed", id=request_id, peer=request.recipient, code=code, text=text)

    def fail_requests(self, node_id: str, text: str) -> None:
        """A neighbour is gone: with it, the requests that nobody else was given."""
        for request_id, request in list(self.requests.items()):
            request.neighbours.discard(node_id)
            if not request.neighbours:
                self.fail(request_id, "LOST", text)

    # -- What the person at the keyboard may do

    def say(self, text: str) -> None:
        self.emit("said", text=text, to=sorted(self.pass_on(self.message("CHAT", {"text": text}, ttl=TTL))))

    def ask(self, node_id: str, question: str) -> None:
        """Straight to a neighbour, else with a ttl by way of the others."""
        ttl = None if node_id in self.links else TTL
        request = self.message("ASK", {"question": question}, recipient=node_id, ttl=ttl, expectsReply=True)
        self.requests[request["id"]] = Request("ASK", node_id, self.pass_on(request))
        if not self.requests[request["id"]].neighbours:
            self.fail(request["id"], "NO_ROUTE", "nobody to give it to")
        asyncio.get_running_loop().call_later(REQUEST_TIMEOUT, self.fail, request["id"], "TIMEOUT", "no answer in time")

    def command(self, line: str) -> None:
        word, _, rest = line.strip().partition(" ")
        node_id, _, question = rest.partition(" ")
        if word == "say" and rest:
            self.say(rest)
        elif word == "ask" and is_node_id(node_id) and question:
            self.ask(node_id, question)
        elif word == "peers":
            for peer, node in self.nodes.items():
                addresses = [f"{host}:{port}" for host, port in node.addresses]
                self.emit("peer", peer=peer, status=node.status, addresses=addresses)
        elif word == "quit":
            self.stop.set()
        elif word:
            self.emit("help", text="say TEXT | ask NODE TEXT | peers | quit")

    async def run(self, options: argparse.Namespace) -> None:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self.accept, *options.listen)
        self.listen = (options.listen[0], server.sockets[0].getsockname()[1])
        self.emit("listening", id=self.id, address=self.listen, network=self.network)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(self.stop.set))
        if options.seconds:
            loop.call_later(options.seconds, self.stop.set)
        threading.Thread(target=read_lines, args=(loop, self.command), daemon=True).start()
        background = [asyncio.ensure_future(work) for work in (self.keep_time(), self.open_with(options))]
        await self.stop.wait()
        # Section 7, leaving: SHUTTING_DOWN on every connection after what was queued, within the grace period.
        server.close()
        for conn in self.connections:
            conn.close("SHUTTING_DOWN", self.error(Refusal("SHUTTING_DOWN", "this node stops")))
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=GRACE)
        for task in background:
            task.cancel()
        self.emit("stopped")

    async def open_with(self, options: argparse.Namespace) -> None:
        await self.first_peer.wait()
        await asyncio.sleep(1)  # for the other connections
        if options.say:
            self.say(options.say)
        if options.ask:
            self.ask(*options.ask)


def read_lines(loop: asyncio.AbstractEventLoop, command: Callable[[str], None]) -> None:
    with open(0, "rb", buffering=0, closefd=False) as lines:
        for line in lines:
            loop.call_soon_threadsafe(command, line.decode("utf-8", "replace"))


def address_argument(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError("HOST:PORT expected")
    return plain_host(host), int(port)


async def run(options: argparse.Namespace) -> None:
    await Peer(options).run(options)


def main() -> None:
    parser = argparse.ArgumentParser(description="A Synapse P2P peer (docs/PROTOCOL.md, version 1, without TLS).")
    parser.add_argument("--connect", metavar="HOST:PORT", type=address_argument, action="append", default=[])
    parser.add_argument("--listen", metavar="HOST:PORT", type=address_argument, default=("127.0.0.1", 0))
    parser.add_argument("--id", metavar="NAME", help="this node's id; random if absent")
    parser.add_argument("--network", metavar="NAME", default="synapse")
    parser.add_argument("--say", metavar="TEXT", help="broadcast a CHAT when connected")
    parser.add_argument("--ask", metavar=("NODE", "TEXT"), nargs=2, help="send a request when connected")
    parser.add_argument("--seconds", metavar="N", type=float, help="leave after so long")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    if not is_node_id(options.id or "-"):
        parser.error("--id: 1 to 128 of A-Z a-z 0-9 . _ : -")
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
