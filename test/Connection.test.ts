import { assert, describe, it } from "@effect/vitest"
import type { Owner } from "../src/Connection.js"
import { Connection } from "../src/Connection.js"
import * as Frame from "../src/Frame.js"
import { windowBytes } from "../src/internal/Flight.js"
import type { Outgoing } from "../src/internal/Outbox.js"
import { sliceBytes } from "../src/internal/Outbox.js"
import * as NetworkError from "../src/NetworkError.js"
import * as NodeId from "../src/NodeId.js"
import * as PeerAddress from "../src/PeerAddress.js"
import * as MemoryTransport from "../src/testing/MemoryTransport.js"
import type { Link } from "../src/Transport.js"
import { manualDeadlines } from "./utils/manualDeadlines.js"
import { ManualLink, takeAll, turn } from "./utils/ManualLink.js"

const settings = {
  maxMessageBytes: 65_536,
  outbound: { messages: 100, bytes: 1_000_000 },
  inbound: { messages: 4, bytes: 1_000_000 },
  closeTimeout: 2_000
}

const identity = {
  id: NodeId.make("peer"),
  session: "s",
  relay: true,
  maxMessageBytes: 65_536,
  listen: [],
  agent: undefined,
  tags: {}
}

const address = PeerAddress.make("10.0.0.2", 9470)

const goodbye = new NetworkError.Disconnected({ address, origin: "local", detail: "" })
const theirGoodbye = new NetworkError.ShuttingDown({ address, origin: "remote", detail: "" })

const text = (id: string): string =>
  JSON.stringify({ type: "CHAT", id, sender: "peer", timestamp: "2026-11-22T14:00:00Z", payload: {} })

const frame = (id: string): Uint8Array => Frame.encode(text(id))

/** What a connection says to its owner, in order. `receive` and the like may be given to do something then. */
const make = <L extends Link>(link: L, reactions: Partial<Owner> = {}, dialed?: PeerAddress.PeerAddress) => {
  const { advance, deadlines } = manualDeadlines()
  const log: Array<string> = []
  const unsent: Array<Outgoing> = []
  const owner: Owner = {
    receive: (connection, envelope, bytes) => {
      log.push(`message ${envelope.id}`)
      reactions.receive?.(connection, envelope, bytes)
    },
    arrived: (connection) => reactions.arrived?.(connection),
    invalid: (connection, detail, about) => {
      log.push(`invalid ${detail} ${about.type} ${about.id}`)
      reactions.invalid?.(connection, detail, about)
    },
    fault: (connection, fault) => {
      log.push(`fault ${fault.code}`)
      reactions.fault?.(connection, fault)
    },
    ended: (_, error, rest) => {
      log.push(`ended ${error._tag}`)
      unsent.push(...rest)
    },
    recovered: () => {
      log.push("recovered")
    },
    closed: () => {
      log.push("closed")
    }
  }
  const connection = new Connection({
    link,
    owner,
    settings,
    deadlines,
    ping: (seq) => Frame.encode(`{"ping":${seq}}`),
    ...(dialed === undefined ? {} : { dialed })
  })
  return { connection, link, log, unsent, advance, deadlines }
}

const opened = (reactions: Partial<Owner> = {}) => {
  const made = make(new ManualLink(), reactions)
  made.connection.attach(5_000, () => made.log.push("late"))
  made.connection.open(identity, 0)
  return made
}

/** An owner that puts what comes into the inbox. */
const intoInbox: Partial<Owner> = {
  receive: (connection, envelope, bytes) => connection.inbox.push(envelope, bytes)
}

const decode = (bytes: Uint8Array): ReadonlyArray<string> => {
  const decoder = new Frame.Decoder(1_000_000)
  decoder.push(bytes)
  const found: Array<string> = []
  for (let next = decoder.next(); next !== undefined; next = decoder.next()) {
    assert.isFalse(Frame.isFault(next))
    if (!Frame.isFault(next)) found.push((JSON.parse(new TextDecoder().decode(next)) as { readonly id: string }).id)
  }
  assert.isFalse(decoder.isMidFrame)
  return found
}

/** The bodies of all frames. */
const bodies = (bytes: Uint8Array): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (let at = 0; at < bytes.length;) {
    const end = at + 4 + Buffer.from(bytes).readUInt32BE(at)
    found.push(Buffer.from(bytes).toString("utf8", at + 4, end))
    at = end
  }
  return found
}

describe("Connection, reading", () => {
  it("hands over messages in order and counts frames and bytes", () => {
    const { connection, link, log } = opened()
    link.data(frame("1"), frame("2"), frame("3").subarray(0, 10))
    assert.deepStrictEqual(log, ["message 1", "message 2"])
    assert.isTrue(connection.isMidFrame)
    assert.strictEqual(connection.frameLength, text("3").length)
    link.data(frame("3").subarray(10))
    assert.deepStrictEqual(log, ["message 1", "message 2", "message 3"])
    assert.strictEqual(connection.framesIn, 3)
    assert.strictEqual(connection.bytesIn, 3 * frame("1").length)
    assert.isFalse(connection.isMidFrame)
  })

  it("knows its ends, and who dialed", () => {
    const { connection, link } = make(new ManualLink())
    assert.strictEqual(connection.direction, "inbound")
    assert.strictEqual(connection.remote, link.remote)
    assert.strictEqual(connection.local, link.local)
    assert.isTrue(connection.isHeld)
    assert.strictEqual(make(new ManualLink(), {}, address).connection.direction, "outbound")
  })

  it("says when all that one read brought is handed over, whatever came of it", () => {
    const { connection, link, log } = opened({
      receive: (at, { id }) => {
        assert.isTrue(at.isArriving)
        if (id === "bad") throw new Error("no")
      },
      arrived: (at) => {
        log.push(`arrived ${at.isArriving}`)
      }
    })
    link.data(frame("1"), frame("2"))
    assert.throws(() => link.data(frame("bad")))
    assert.deepStrictEqual(log, ["message 1", "message 2", "arrived false", "message bad", "arrived false"])
    assert.isFalse(connection.isArriving)
  })

  it("says what is invalid, and goes on", () => {
    const { link, log } = opened()
    link.data(Frame.encode('{"type":"CHAT","id":"x"}'), frame("1"))
    assert.deepStrictEqual(log, ["invalid sender: not a node id CHAT x", "message 1"])
  })

  it("a body that is no JSON, and a length of 0, are faults after which nothing is read", () => {
    for (const bytes of [Frame.encode("nonsense"), new Uint8Array(4)]) {
      const { connection, link, log } = opened({
        fault: (at) => at.close(goodbye, frame("bye"))
      })
      link.data(bytes, frame("1"))
      link.data(frame("2"))
      assert.deepStrictEqual(log, ["fault MALFORMED_FRAME", "ended Disconnected"])
      assert.strictEqual(connection.phase, "closing")
    }
  })

  it("before the handshake is done takes frames of 8,192 bytes, afterwards what the settings say", () => {
    const long = Frame.encode(JSON.stringify({ ...JSON.parse(text("long")), payload: { text: "x".repeat(8_192) } }))
    const early = make(new ManualLink())
    early.connection.attach(5_000, () => {})
    early.link.data(long)
    assert.deepStrictEqual(early.log, ["fault FRAME_TOO_LARGE"])
    const late = opened()
    late.link.data(long)
    assert.deepStrictEqual(late.log, ["message long"])
  })

  it("is late when the handshake takes longer than it was given, unless it is open by then", () => {
    const slow = make(new ManualLink())
    slow.connection.attach(5_000, () => slow.log.push("late"))
    slow.advance(4_999)
    assert.deepStrictEqual(slow.log, [])
    slow.advance(1)
    assert.deepStrictEqual(slow.log, ["late"])
    const { advance, deadlines, log } = opened()
    assert.strictEqual(deadlines.size, 0)
    advance(10_000)
    assert.deepStrictEqual(log, [])
  })

  it("is heard by any byte, and no longer suspect then", () => {
    const { connection, link, log } = opened()
    connection.wasHeard = false
    connection.isSuspect = true
    link.data(frame("1").subarray(0, 1))
    assert.isTrue(connection.wasHeard)
    assert.isFalse(connection.isSuspect)
    assert.deepStrictEqual(log, ["recovered"])
  })
})

describe("Connection, pings", () => {
  it("numbers them, and measures the first answer to each", async () => {
    const { advance, connection, link } = opened()
    advance(100)
    assert.isUndefined(connection.unansweredSince)
    connection.ping()
    advance(20)
    connection.ping()
    await takeAll(link)
    assert.deepStrictEqual(bodies(link.written), [`{"ping":0}`, `{"ping":1}`])
    assert.strictEqual(connection.unansweredSince, 100)
    advance(5)
    assert.strictEqual(connection.pong(1), 5)
    assert.isUndefined(connection.unansweredSince)
    assert.strictEqual(connection.pong(0), 25)
    assert.isUndefined(connection.pong(0))
    assert.isUndefined(connection.pong(7))
    assert.deepStrictEqual([...connection.roundTrips.values], [5, 25])
    connection.ping()
    assert.strictEqual(connection.unansweredSince, 125)
  })

  it("remembers the last eight, however many are not answered", () => {
    const { connection } = opened()
    for (let i = 0; i < 20; i++) connection.ping()
    assert.deepStrictEqual(
      Array.from({ length: 20 }, (_, seq) => connection.pong(seq)),
      Array.from({ length: 20 }, (_, seq) => (seq < 12 ? undefined : 0))
    )
  })

  it("pings by itself where much is written, and writes no more than the window until it is answered", async () => {
    const { advance, connection, link } = opened()
    const send = async (): Promise<void> => {
      while (connection.outbox.offer({ frame: new Uint8Array(sliceBytes), id: undefined })) await turn()
      await takeAll(link)
    }
    // As a fast reader does.
    for (let seq = 0; seq < 3; seq++) {
      while (connection.unansweredSince === undefined) {
        connection.outbox.offer({ frame: new Uint8Array(sliceBytes), id: undefined })
        await takeAll(link)
      }
      advance(1)
      assert.isDefined(connection.pong(seq))
    }
    const before = link.written.length
    for (let i = 0; i < 100; i++) await send()
    assert.isFalse(connection.outbox.hasRoom(sliceBytes))
    assert.isAtLeast(link.written.length - before, windowBytes)
    assert.isAtMost(link.written.length - before, 4 * windowBytes)
  })

  it("sends none after the goodbye", async () => {
    const { connection, link } = opened()
    connection.close(goodbye, undefined)
    connection.ping()
    await takeAll(link)
    assert.strictEqual(link.written.length, 0)
    assert.isUndefined(connection.unansweredSince)
  })
})

describe("Connection, back-pressure", () => {
  it("a full inbox stops the reading with frames still to be taken, which come once it is half empty", () => {
    const { connection, link, log } = opened(intoInbox)
    link.data(...["1", "2", "3", "4", "5", "6", "7"].map(frame))
    assert.isTrue(connection.isHeld)
    assert.isTrue(link.paused)
    assert.strictEqual(connection.inbox.length, 4)
    assert.strictEqual(connection.framesIn, 4)
    connection.inbox.shift()
    assert.isTrue(link.paused)
    connection.inbox.shift()
    // Two more came in, and it is full again.
    assert.strictEqual(connection.framesIn, 6)
    assert.isTrue(link.paused)
    for (let next = connection.inbox.shift(); next !== undefined; next = connection.inbox.shift());
    assert.isFalse(link.paused)
    assert.isFalse(connection.isHeld)
    assert.deepStrictEqual(
      log,
      ["1", "2", "3", "4", "5", "6", "7"].map((id) => `message ${id}`)
    )
  })

  it("what was received is handed over where the link breaks while it is held, up to a goodbye", () => {
    const held = opened(intoInbox)
    held.link.data(...["1", "2", "3", "4", "5", "6"].map(frame), frame("cut").subarray(0, 9))
    assert.strictEqual(held.connection.inbox.length, 4)
    held.link.close(new Error("reset"))
    assert.deepStrictEqual(held.log.slice(4), ["message 5", "message 6", "ended ConnectionLost", "closed"])
    assert.strictEqual(held.connection.inbox.length, 6)
    for (let next = held.connection.inbox.shift(); next !== undefined; next = held.connection.inbox.shift());
    assert.strictEqual(held.deadlines.size, 0)

    const left = opened({
      receive: (connection, envelope, bytes) =>
        envelope.id === "bye" ? connection.takeGoodbye(theirGoodbye) : connection.inbox.push(envelope, bytes)
    })
    left.link.data(...["1", "2", "3", "4", "5", "bye", "late"].map(frame))
    left.link.fin()
    left.link.close()
    assert.deepStrictEqual(left.log.slice(4), ["message 5", "message bye", "ended ShuttingDown", "closed"])
    assert.strictEqual(left.deadlines.size, 0)
  })

  it("what waits of a link that is destroyed here, or that broke a rule, is not handed over", () => {
    for (const end of ["destroy", "fault"] as const) {
      const { connection, link, log } = opened({
        ...intoInbox,
        fault: (faulty) => faulty.close(goodbye, undefined)
      })
      link.data(...["1", "2", "3", "4", "5"].map(frame))
      if (end === "destroy") connection.destroy(goodbye)
      else connection.close(goodbye, undefined)
      link.close()
      assert.deepStrictEqual(log.slice(4), ["ended Disconnected", "closed"], end)
    }
  })

  it("bytes handed over after the pause wait as well", () => {
    const { connection, link } = opened(intoInbox)
    link.data(...["1", "2", "3", "4"].map(frame))
    link.data(frame("5"))
    assert.strictEqual(connection.framesIn, 4)
    assert.isTrue(connection.isMidFrame === false)
    connection.inbox.clear()
    assert.strictEqual(connection.framesIn, 5)
  })

  it("too many unsent answers stop the reading until they have gone out", async () => {
    const { connection, link } = opened({
      receive: (at, { id }) => {
        for (let i = 0; i < 1_024; i++) at.sendControl(frame(id))
      }
    })
    link.data(frame("1"), frame("2"))
    assert.isTrue(link.paused)
    assert.strictEqual(connection.framesIn, 1)
    await turn()
    link.take()
    await turn()
    assert.strictEqual(connection.framesIn, 2, "after one write there was room")
    await takeAll(link)
    assert.isFalse(link.paused)
    assert.strictEqual(decode(link.written).length, 2_048)
  })

  it("both reasons must be over before it reads on", async () => {
    const { connection, link } = opened({
      receive: (at, envelope, bytes) => {
        at.inbox.push(envelope, bytes)
        if (at.inbox.length === 4) for (let i = 0; i < 1_024; i++) at.sendControl(frame("a"))
      }
    })
    link.data(...["1", "2", "3", "4", "5"].map(frame))
    await takeAll(link)
    assert.isTrue(connection.isHeld)
    connection.inbox.clear()
    assert.isFalse(connection.isHeld)
    assert.isFalse(link.paused)
  })
})

describe("Connection, closing", () => {
  it("says goodbye: the queued control, the last frame, FIN; then discards until the other end's FIN", async () => {
    const { connection, deadlines, link, log, unsent } = opened()
    connection.outbox.offer({ frame: frame("data"), id: "data" })
    connection.sendControl(frame("pong"))
    connection.close(goodbye, frame("bye"))
    assert.strictEqual(connection.phase, "closing")
    assert.strictEqual(connection.error, goodbye)
    assert.deepStrictEqual(
      unsent.map(({ id }) => id),
      ["data"]
    )
    connection.sendControl(frame("late"))
    link.data(frame("1"))
    await takeAll(link)
    assert.deepStrictEqual(decode(link.written), ["pong", "bye"])
    assert.isTrue(link.ended)
    assert.isFalse(link.destroyed)
    assert.strictEqual(connection.framesIn, 1)
    link.fin()
    link.close()
    assert.deepStrictEqual(log, ["ended Disconnected", "closed"])
    assert.strictEqual(connection.phase, "closed")
    assert.strictEqual(deadlines.size, 0)
  })

  it("destroys the link after closeTimeout where the other end does not close, or does not read", async () => {
    for (const reads of [true, false]) {
      const { advance, connection, deadlines, link, log } = opened()
      connection.close(goodbye, frame("bye"))
      if (reads) await takeAll(link)
      else await turn()
      advance(1_999)
      assert.isFalse(link.destroyed)
      advance(1)
      assert.isTrue(link.destroyed)
      assert.strictEqual(link.ended, reads)
      link.close(new Error("destroyed"))
      assert.deepStrictEqual(log, ["ended Disconnected", "closed"])
      assert.strictEqual(deadlines.size, 0)
    }
  })

  it("with time to drain, what is queued goes out first, and what comes in is still delivered", async () => {
    const { advance, connection, link, log, unsent } = opened()
    for (let i = 0; i < 3; i++) connection.outbox.offer({ frame: frame(`d${i}`), id: `d${i}` })
    connection.close(goodbye, frame("bye"), { drainMillis: 5_000 })
    assert.strictEqual(connection.phase, "draining")
    connection.close(theirGoodbye, undefined, { drainMillis: 0 } as const) // takes effect: no more draining
    assert.strictEqual(connection.phase, "closing")
    assert.deepStrictEqual(log, ["ended ShuttingDown"])
    assert.strictEqual(unsent.length, 3)
    const other = opened()
    for (let i = 0; i < 3; i++) other.connection.outbox.offer({ frame: frame(`d${i}`), id: `d${i}` })
    other.connection.close(goodbye, frame("bye"), { drainMillis: 5_000 })
    other.link.data(frame("1"))
    assert.deepStrictEqual(other.log, ["message 1"])
    await takeAll(other.link)
    assert.deepStrictEqual(decode(other.link.written), ["d0", "d1", "d2", "bye"])
    assert.strictEqual(other.connection.phase, "closing")
    assert.isTrue(other.link.ended)
    assert.deepStrictEqual(other.log, ["message 1", "ended Disconnected"])
    assert.deepStrictEqual(other.unsent, [])
    advance(10_000)
    other.advance(2_000)
    assert.isTrue(other.link.destroyed)
    assert.isTrue(link.destroyed)
  })

  it("what is not drained in time is reported, and the goodbye said all the same", async () => {
    const { advance, connection, link, unsent } = opened()
    connection.outbox.offer({ frame: new Uint8Array(2 * sliceBytes), id: "begun" })
    connection.outbox.offer({ frame: frame("left"), id: "left" })
    connection.close(goodbye, frame("bye"), { drainMillis: 1_000 })
    await turn()
    advance(1_000)
    assert.strictEqual(connection.phase, "closing")
    assert.deepStrictEqual(
      unsent.map(({ id }) => id),
      ["left"]
    )
    await takeAll(link)
    assert.deepStrictEqual(decode(link.written.subarray(2 * sliceBytes)), ["bye"])
    assert.isTrue(link.ended)
  })

  it("the other end's FIN in the middle of draining ends it, with the last frame and our FIN", async () => {
    const { connection, link, log, unsent } = opened()
    connection.outbox.offer({ frame: new Uint8Array(2 * sliceBytes), id: "begun" })
    connection.outbox.offer({ frame: frame("left"), id: "left" })
    connection.close(goodbye, frame("bye"), { drainMillis: 1_000 })
    await turn()
    link.fin()
    assert.deepStrictEqual(log, ["ended ConnectionLost"])
    assert.strictEqual(unsent.length, 1)
    await takeAll(link)
    assert.isTrue(link.ended)
    assert.strictEqual(link.written.length, 2 * sliceBytes + frame("bye").length)
    link.close()
    assert.deepStrictEqual(log, ["ended ConnectionLost", "closed"])
  })

  it("a FIN without a word: what came before is handled, the frame begun is finished, then FIN", async () => {
    const { connection, link, log, unsent } = opened()
    connection.outbox.offer({ frame: new Uint8Array(sliceBytes + 5), id: "begun" })
    connection.outbox.offer({ frame: frame("left"), id: "left" })
    await turn()
    link.data(frame("1"))
    link.fin()
    assert.deepStrictEqual(log, ["message 1", "ended ConnectionLost"])
    assert.strictEqual(connection.error?._tag, "ConnectionLost")
    assert.strictEqual(unsent.length, 1)
    await takeAll(link)
    assert.strictEqual(link.written.length, sliceBytes + 5)
    assert.isTrue(link.ended)
  })

  it("a FIN while it is held waits until all that came before it was taken", () => {
    const { connection, link, log } = opened(intoInbox)
    link.data(...["1", "2", "3", "4", "5", "6"].map(frame))
    link.fin()
    assert.strictEqual(connection.phase, "open")
    connection.inbox.shift()
    connection.inbox.shift()
    // Full again with the last two, but nothing is left to be read after them.
    connection.inbox.clear()
    assert.strictEqual(connection.phase, "closing")
    assert.deepStrictEqual(log.slice(-3), ["message 5", "message 6", "ended ConnectionLost"])
  })

  it("a reset reports what was not sent, with its cause, once", () => {
    const { connection, deadlines, link, log, unsent } = opened()
    connection.outbox.offer({ frame: frame("left"), id: "left" })
    const cause = new Error("ECONNRESET")
    link.close(cause)
    assert.deepStrictEqual(log, ["ended ConnectionLost", "closed"])
    assert.strictEqual(connection.error?._tag === "ConnectionLost" ? connection.error.cause : undefined, cause)
    assert.strictEqual(unsent.length, 1)
    assert.strictEqual(deadlines.size, 0)
    connection.close(goodbye, frame("bye"))
    connection.destroy(goodbye)
    assert.deepStrictEqual(log, ["ended ConnectionLost", "closed"])
    assert.isFalse(connection.outbox.offer({ frame: frame("x"), id: "x" }))
  })

  it("a reset before the handshake is done says so", () => {
    const { connection, link } = make(new ManualLink(), {}, address)
    connection.attach(5_000, () => {})
    link.close(new Error("ECONNRESET"))
    assert.match(connection.error?.message ?? "", /before the handshake was done/)
    assert.strictEqual(connection.error?._tag === "ConnectionLost" ? connection.error.address : undefined, address)
  })

  it("destroy ends it at once, without a word", async () => {
    const { connection, link, log, unsent } = opened()
    connection.outbox.offer({ frame: frame("left"), id: "left" })
    connection.destroy(goodbye)
    assert.isTrue(link.destroyed)
    assert.isFalse(link.ended)
    assert.strictEqual(unsent.length, 1)
    link.close()
    assert.deepStrictEqual(log, ["ended Disconnected", "closed"])
  })

  it("the other end's goodbye ends delivery and answers at once; only FIN is said", async () => {
    const { connection, link, log } = opened({
      receive: (at, { id }) => {
        if (id === "bye") at.takeGoodbye(theirGoodbye)
      }
    })
    link.data(frame("1"), frame("bye"), frame("2"))
    link.data(frame("3"))
    await takeAll(link)
    assert.deepStrictEqual(log, ["message 1", "message bye", "ended ShuttingDown"])
    assert.strictEqual(link.written.length, 0)
    assert.isTrue(link.ended)
    assert.strictEqual(connection.error, theirGoodbye)
    assert.strictEqual(connection.framesIn, 4)
  })

  it("a goodbye while held lets go of what waits: nothing has to be read by the application first", () => {
    const { connection, link } = opened(intoInbox)
    link.data(...["1", "2", "3", "4", "5"].map(frame))
    assert.isTrue(link.paused)
    connection.close(goodbye, frame("bye"))
    assert.isFalse(link.paused)
    assert.isFalse(connection.isHeld)
    assert.strictEqual(connection.framesIn, 5)
    assert.strictEqual(connection.inbox.length, 4, "what was taken is the application's")
  })

  it("a loser goes on delivering after its goodbye; time in which it is held does not count", async () => {
    const { advance, connection, link, log } = opened(intoInbox)
    link.data(...["1", "2", "3", "4", "5"].map(frame))
    connection.close(goodbye, frame("bye"), { deliverMillis: 5_000 })
    await takeAll(link)
    assert.isTrue(link.ended)
    assert.isTrue(link.paused)
    advance(60_000)
    assert.isFalse(link.destroyed)
    connection.inbox.clear()
    assert.isFalse(link.paused)
    link.data(frame("6"))
    assert.deepStrictEqual(log.slice(-2), ["message 5", "message 6"])
    link.data(new Uint8Array(4))
    advance(5_000)
    assert.isTrue(link.destroyed)
    assert.deepStrictEqual(log.slice(-2), ["message 6", "fault MALFORMED_FRAME"])
  })
})

describe("Connection, two of them over one link", () => {
  it("counts agree after a polite close with data in flight both ways, however the bytes are cut", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const [one, other] = MemoryTransport.makePair({ capacity: 3_000, cut: MemoryTransport.seededCut(seed) })
      const left = make(one)
      const right = make(other, {
        receive: (at, { id }) => {
          if (id === "bye") at.takeGoodbye(theirGoodbye)
        }
      })
      for (const { connection } of [left, right]) {
        connection.attach(5_000, () => {})
        connection.open(identity, 0)
        for (let i = 0; i < 50 + seed; i++) connection.outbox.offer({ frame: frame(`${i}`), id: `${i}` })
      }
      for (let i = 0; i < seed % 4; i++) await Promise.resolve()
      left.connection.close(goodbye, frame("bye"), { drainMillis: seed % 2 === 0 ? 1_000 : 0 })
      for (let i = 0; i < 50 && right.log.at(-1) !== "closed"; i++) await turn()
      await turn()
      for (const [from, to] of [
        [left, right],
        [right, left]
      ] as const) {
        assert.strictEqual(from.connection.phase, "closed")
        assert.strictEqual(from.connection.outbox.bytesOut, to.connection.bytesIn, `bytes, seed ${seed}`)
        assert.strictEqual(from.connection.outbox.framesOut, to.connection.framesIn, `frames, seed ${seed}`)
        assert.strictEqual(from.deadlines.size, 0)
      }
      if (seed % 2 === 0) assert.strictEqual(right.log.filter((line) => /^message \d/.test(line)).length, 50 + seed)
    }
  })
})
