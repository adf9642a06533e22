/** More than is good for a node, from one peer or many, while another goes on being served and memory stays bounded. */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Chat, assertServes, hostile, memory, startNode, watchPatient } from "../utils/hostileNode.js"
import type { HostileNode } from "../utils/hostileNode.js"
import { connect, dial, frame, lengthOf, message } from "../utils/rawPeer.js"
import type { RawPeer } from "../utils/rawPeer.js"

/** Chunks of 64 KiB or a little more: frames made one by one, `count` in all. */
const chunksOf = function* (count: number, make: (n: number) => Buffer): Generator<Buffer> {
  let chunk: Array<Buffer> = []
  let bytes = 0
  for (let n = 0; n < count; n++) {
    const next = make(n)
    chunk.push(next)
    bytes += next.length
    if (bytes >= 65_536) {
      yield Buffer.concat(chunk)
      chunk = []
      bytes = 0
    }
  }
  yield Buffer.concat(chunk)
}

const repeated = function* (times: number, bytes: Buffer): Generator<Buffer> {
  for (let n = 0; n < times; n++) yield bytes
}

const mebibyte = 1_048_576

/** A node under attack: a patient on it gets each pong within a second, and memory grows by less than 150 MiB. */
const underAttack = (
  sentence: string,
  settings: Parameters<typeof startNode>[0],
  attack: (node: HostileNode, isBounded: () => void) => Effect.Effect<void, never, Scope.Scope>
): void =>
  hostile(sentence, () =>
    Effect.gen(function* () {
      const node = yield* startNode({ banDuration: 0, ...settings })
      const patient = yield* watchPatient(node.port)
      const before = memory()
      const isBounded = (): void => assert.isBelow(memory() - before, 150, "mebibytes more than before")
      yield* attack(node, isBounded)
      isBounded()
      yield* patient.isWell
    })
  )

/** Keeps a peer's answers from piling up in the test's own memory. */
const countOnly = (peer: RawPeer): RawPeer => {
  peer.keeps = false
  return peer
}

const asked = (peer: RawPeer) => frame(message(peer.id, "PEER_LIST", { kind: "request", limit: 1_000_000 }))

/** Begins a handshake, and breaks off one way or another. */
const part = (peer: RawPeer, n: number): void => {
  if (n % 2 === 0) peer.hello()
  else peer.write(lengthOf(100))
  if (n % 3 === 0) peer.reset()
  else peer.end()
}

describe("Floods over one connection", () => {
  hostile("a handler that is slow stops the sender, and nobody else; then all is delivered in order", () =>
    Effect.gen(function* () {
      const open = yield* Deferred.make<void>()
      const node = yield* startNode({}, Deferred.await(open))
      const patient = yield* watchPatient(node.port)
      const before = memory()
      const peer = yield* connect(node.port)
      const text = "x".repeat(1_000)
      const total = 20_000
      const flood = yield* Effect.fork(
        peer.flood(chunksOf(total, (n) => frame({ ...message(peer.id, "CHAT", { text }), id: `c-${n}` })))
      )
      yield* peer.stalled
      assert.isBelow(peer.taken, 16 * mebibyte, "bytes taken of 22 MB")
      assert.lengthOf(node.delivered, 1)
      assert.isBelow(memory() - before, 150)
      const { queued } = yield* node.network.status
      assert.isBelow(queued.inbound, 1_000)
      yield* patient.isWell
      yield* Deferred.succeed(open, undefined)
      yield* flood
      yield* node.until("all delivered", () => node.delivered.length === total)
      assert.isTrue(
        node.delivered.every((id, n) => id === `c-${n}`),
        "in order"
      )
      yield* assertServes(peer)
      yield* patient.isWell
    })
  )

  underAttack("valid broadcasts are delivered once each, and passed on", {}, (node, isBounded) =>
    Effect.gen(function* () {
      const peer = yield* connect(node.port)
      const reader = countOnly(yield* connect(node.port))
      const total = 10_000
      const make = (n: number) =>
        frame({ ...message(peer.id, "CHAT", { text: "x".repeat(200) }, { ttl: 3 }), id: `b-${n >> 1}` })
      yield* peer.flood(chunksOf(2 * total, make))
      isBounded()
      yield* node.until("all delivered", () => node.delivered.length >= total)
      yield* assertServes(peer)
      assert.lengthOf(node.delivered, total)
      assert.isAtLeast(reader.framesIn, 1_000)
    })
  )

  underAttack("invalid messages are all answered, and counted", {}, (node, isBounded) =>
    Effect.gen(function* () {
      const peer = countOnly(yield* connect(node.port))
      const total = 20_000
      yield* peer.flood(chunksOf(total, (n) => frame({ ...message(peer.id, "CHAT"), id: `i-${n}`, ttl: -1 })))
      isBounded()
      yield* peer.until("the answers", () => peer.framesIn >= total)
      assert.strictEqual(yield* node.count("invalid"), total)
    })
  )

  underAttack(
    "hundreds of thousands of questions of peers that never read: the answers are bounded",
    {},
    (node, isBounded) =>
      Effect.gen(function* () {
        const kinds = [
          ["HEARTBEAT", { kind: "ping", seq: 1 }, {}],
          ["HEARTBEAT", { kind: 7 }, {}],
          ["NEWS", {}, {}],
          ["ASK", { question: "who are you" }, { expectsReply: true }]
        ] as const
        const attack = ([type, payload, more]: (typeof kinds)[number]) =>
          Effect.gen(function* () {
            const peer = countOnly(yield* connect(node.port))
            peer.stopReading()
            const block = Buffer.concat(
              Array.from({ length: 1_000 }, () => frame(message(peer.id, type, payload, more)))
            )
            const flood = yield* Effect.fork(peer.flood(repeated(400, block)))
            yield* peer.stalled
            assert.isBelow(peer.taken, 32 * mebibyte, `bytes taken of ${400 * block.length}`)
            isBounded()
            const { queued } = yield* node.network.status
            assert.isBelow(queued.outboundBytes, 8 * mebibyte)
            // Once it reads, it is served again.
            const before = peer.framesIn
            peer.read()
            yield* peer.until("more answers", () => peer.framesIn > before + 10_000)
            peer.reset()
            yield* flood
          })
        yield* Effect.forEach(kinds, attack, { concurrency: "unbounded", discard: true })
      })
  )

  underAttack("half a million brackets, many times", {}, (node, isBounded) =>
    Effect.gen(function* () {
      const peer = yield* connect(node.port)
      const deep = frame("[".repeat(500_000))
      const shallow = frame(`{"a":[${"[],".repeat(300_000)}1]}`)
      const hidden = frame(`{"a":"${"[{".repeat(250_000)}"}`)
      yield* peer.flood(repeated(12, Buffer.concat([deep, shallow, hidden])))
      yield* peer.until("the answers", () => peer.errors().length === 36)
      isBounded()
      yield* assertServes(peer)
      assert.strictEqual(yield* node.count("invalid"), 36)
    })
  )

  underAttack("names given twice, by the hundred thousand", {}, (node, isBounded) =>
    Effect.gen(function* () {
      const peer = yield* connect(node.port)
      const chat = (id: string, members: string) =>
        frame(JSON.stringify({ ...message(peer.id, "CHAT", { text: "hi" }), id }).replace(/\}$/, `,${members}}`))
      const same = `"a":1,`.repeat(150_000)
      const proto = `"__proto__":{"a":1},`.repeat(45_000)
      const others = Array.from({ length: 60_000 }, (_, n) => `"k${n}":1,`).join("")
      const numbers = Array.from({ length: 60_000 }, (_, n) => `"${n * 65_537}":1,`).join("")
      for (const [index, members] of [same, proto, others, numbers].entries()) {
        for (let n = 0; n < 3; n++) peer.write(chat(`d-${index}-${n}`, `${members}"z":1`))
        yield* assertServes(peer)
      }
      yield* node.until("all delivered", () => node.delivered.length === 12)
      isBounded()
    })
  )

  underAttack("requests for lists, of one that reads and one that does not", { targetPeers: 1 }, (node, isBounded) =>
    Effect.gen(function* () {
      const listen = Array.from({ length: 16 }, (_, port) => ({ host: "127.0.0.1", port: port + 1 }))
      yield* Effect.all(Array.from({ length: 40 }, () => connect(node.port, { hello: { listen } })))
      const [reader, deaf] = [countOnly(yield* connect(node.port)), countOnly(yield* connect(node.port))]
      deaf.stopReading()
      const block = Buffer.concat(Array.from({ length: 500 }, () => asked(deaf)))
      const flood = yield* Effect.fork(deaf.flood(repeated(400, block)))
      yield* reader.flood(repeated(300, asked(reader)))
      yield* reader.until("the lists", () => reader.framesIn >= 300)
      yield* deaf.stalled
      isBounded()
      assert.isBelow(deaf.taken, 16 * mebibyte)
      deaf.reset()
      yield* flood
    })
  )

  underAttack("lists of fifty thousand nodes that there are not", { retryBase: "10 seconds" }, (node, isBounded) =>
    Effect.gen(function* () {
      const peer = yield* connect(node.port)
      let made = 0
      const lie = () => ({
        id: `liar-${made++}`,
        addresses: Array.from({ length: 8 }, (_, n) => ({
          host: `127.${made >> 16}.${(made >> 8) & 255}.${made & 255}`,
          port: n + 1
        }))
      })
      const announce = () =>
        frame(message(peer.id, "PEER_LIST", { kind: "announce", peers: Array.from({ length: 256 }, lie) }))
      yield* peer.flood(chunksOf(200, announce))
      yield* assertServes(peer)
      isBounded()
      const { dialing } = yield* node.network.status
      assert.isAtMost(dialing.length, 64 * 8, "addresses to be dialed again")
      // Nobody of them is shown as known, or told of.
      assert.lengthOf(yield* node.network.peers(), 2)
      const id = peer.say("PEER_LIST", { kind: "request", limit: 256 })
      const list = yield* peer.next("the list", ({ replyTo }) => replyTo === id)
      assert.deepStrictEqual(list.payload["peers"], [])
    })
  )
})

describe("Floods of connections", () => {
  underAttack(
    "two thousand that say nothing: the oldest give way, and an honest one gets in",
    { maxPendingHandshakes: 100 },
    (node) =>
      Effect.gen(function* () {
        const silent: Array<RawPeer> = []
        for (let n = 0; n < 40; n++) {
          silent.push(
            ...(yield* Effect.all(
              Array.from({ length: 50 }, () => dial(node.port)),
              { concurrency: 50 }
            ))
          )
          if (n % 10 === 9) yield* Effect.scoped(Effect.flatMap(connect(node.port), assertServes))
        }
        yield* node.until("at most 100", ({ connections }) => connections.handshaking <= 100)
        const [oldest] = silent
        yield* oldest?.closed ?? Effect.void
        const left = silent.filter(({ isClosed }) => !isClosed)
        assert.isAtMost(left.length, 200)
        // The newest are still there, and may yet speak.
        const newest = silent.at(-1)
        assert.isFalse(newest?.isClosed)
        newest?.hello()
        yield* newest?.next("HELLO", ({ type }) => type === "HELLO") ?? Effect.void
      })
  )

  underAttack("two thousand that come and go leave nothing behind", {}, (node) =>
    Effect.gen(function* () {
      yield* Effect.forEach(
        Array.from({ length: 2_000 }, (_, n) => n),
        (n) =>
          Effect.scoped(
            Effect.flatMap(dial(node.port), (peer) => {
              part(peer, n)
              return peer.closed
            })
          ),
        { concurrency: 50, discard: true }
      )
      yield* node.until(
        "all gone",
        ({ connections: { closing, handshaking, inbound } }) => [closing, handshaking, inbound].join() === "0,0,1"
      )
      assert.lengthOf(yield* node.network.peers(), 1)
    })
  )

  underAttack("one node that comes again and again with another session, or the same", {}, (node) =>
    Effect.gen(function* () {
      for (let n = 0; n < 300; n++) {
        const peer = yield* dial(node.port, "raw-again")
        peer.hello(n % 2 === 0 ? { session: `s-${n}` } : {})
        yield* peer.next("an answer", () => true)
      }
      const last = yield* connect(node.port, { id: "raw-again", hello: { session: "last" } })
      yield* assertServes(last)
      yield* node.until("one of it is left", ({ connections: { closing, inbound } }) => closing === 0 && inbound === 2)
      const id = yield* node.network.sendMessage("raw-again", Chat, { text: "hi" }).pipe(Effect.orDie)
      yield* last.next("the message", (received) => received.id === id)
    })
  )
})
