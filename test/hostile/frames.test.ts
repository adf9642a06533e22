/** Bytes cut, joined and broken anywhere: docs/PROTOCOL.md, section 1. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { Chat, assertClosesInOrder, assertError, assertServes, hostile, startNode } from "../utils/hostileNode.js"
import { bodyOf, connect, dial, frame, fresh, helloPayload, message } from "../utils/rawPeer.js"

/** A turn of the event loop, so that what was written arrives by itself. */
const turn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** A session as its bytes: HELLO, a CHAT that is not ASCII, a ping. */
const session = (id: string, chatId: string): Buffer =>
  Buffer.concat([
    frame(message(id, "HELLO", helloPayload)),
    frame({ ...message(id, "CHAT", { text: "¿qué? 😀" }), id: chatId }),
    frame({ ...message(id, "HEARTBEAT", { kind: "ping", seq: 1 }), id: "p-1" })
  ])

const isPong = ({ replyTo }: { readonly replyTo?: string }) => replyTo === "p-1"

describe("Bytes", () => {
  hostile("a session that comes one byte at a time is the same session", () =>
    Effect.gen(function* () {
      const node = yield* startNode()
      const peer = yield* dial(node.port)
      for (const byte of session(peer.id, "c-1")) {
        peer.write(Buffer.of(byte))
        yield* turn
      }
      yield* peer.next("the pong", isPong)
      assert.deepStrictEqual(node.delivered, ["c-1"])
    })
  )

  hostile("a session cut in two at any byte is the same session", () =>
    Effect.gen(function* () {
      const node = yield* startNode()
      const { length } = session(fresh("raw-0000"), "c-000")
      yield* Effect.forEach(
        Array.from({ length: length - 1 }, (_, index) => index + 1),
        (cut) =>
          Effect.gen(function* () {
            const peer = yield* dial(node.port)
            const bytes = session(peer.id, `c-${cut}`)
            peer.write(bytes.subarray(0, cut))
            yield* turn
            yield* turn
            peer.write(bytes.subarray(cut))
            yield* peer.next("the pong", isPong)
            assert.deepStrictEqual(peer.errors(), [])
          }).pipe(Effect.scoped),
        { concurrency: 16, discard: true }
      )
      assert.strictEqual(new Set(node.delivered).size, length - 1)
      assert.lengthOf(node.delivered, length - 1)
    })
  )

  for (const ending of ["end", "reset"] as const) {
    hostile(`a session cut off at any byte, then ${ending === "end" ? "FIN" : "RST"}, leaves nothing behind`, () =>
      Effect.gen(function* () {
        const node = yield* startNode()
        const other = yield* connect(node.port)
        const { length } = session(fresh("raw-0000"), "c-000")
        yield* Effect.forEach(
          Array.from({ length }, (_, index) => index),
          (cut) =>
            Effect.gen(function* () {
              const peer = yield* dial(node.port)
              peer.write(session(peer.id, `c-${cut}`).subarray(0, cut))
              yield* turn
              yield* turn
              peer[ending]()
              yield* peer.closed
              if (ending === "end") {
                assert.isUndefined(peer.cause)
                assert.deepStrictEqual(peer.errors(), [])
              }
            }).pipe(Effect.scoped),
          { concurrency: 16, discard: true }
        )
        yield* node.until(
          "all gone",
          ({ connections: { closing, handshaking, inbound } }) => [closing, handshaking, inbound].join() === "0,0,1"
        )
        yield* assertServes(other)
        assert.strictEqual(yield* node.count("invalid"), 0)
      })
    )
  }

  hostile("five thousand frames in one write are all handled, in order", () =>
    Effect.gen(function* () {
      const node = yield* startNode()
      const peer = yield* connect(node.port)
      const chats = Array.from({ length: 5_000 }, (_, n) => ({
        ...message(peer.id, "CHAT", { text: "hi" }),
        id: `c-${n}`
      }))
      const pings = Array.from({ length: 500 }, (_, seq) => message(peer.id, "HEARTBEAT", { kind: "ping", seq }))
      peer.write(Buffer.concat([...chats.map(frame), ...pings.map(frame)]))
      yield* peer.until("all pongs", () => peer.received.length === 500)
      assert.deepStrictEqual(
        peer.received.map(({ payload }) => payload["seq"]),
        pings.map(({ payload }) => payload["seq"])
      )
      yield* node.until("all delivered", () => node.delivered.length === 5_000)
      assert.deepStrictEqual(
        node.delivered,
        chats.map(({ id }) => id)
      )
    })
  )

  hostile("bodies of the greatest length go both ways, whole", () =>
    Effect.gen(function* () {
      const node = yield* startNode()
      const peer = yield* connect(node.port)
      const chats = Array.from({ length: 8 }, () => message(peer.id, "CHAT"))
      for (const chat of chats) peer.send(bodyOf(1_048_576, chat))
      yield* node.until("all delivered", () => node.delivered.length === chats.length)
      assert.deepStrictEqual(
        node.delivered,
        chats.map(({ id }) => id)
      )
      const text = "é😀".repeat(170_000)
      for (let i = 0; i < 4; i++) {
        const id = yield* node.network.sendMessage(peer.id, Chat, { text }).pipe(Effect.orDie)
        const received = yield* peer.next("the message", (one) => one.id === id)
        assert.isTrue(received.payload["text"] === text, "the text is whole")
      }
      const tooLong = yield* Effect.flip(node.network.sendMessage(peer.id, Chat, { text: text + text }))
      assert.strictEqual(tooLong._tag, "MessageTooLarge")
      yield* assertServes(peer)
    })
  )

  hostile("a frame begun must be complete in time", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ frameTimeout: "300 millis", heartbeatInterval: "500 millis" })
      const slow = yield* connect(node.port)
      const whole = frame(message(slow.id, "CHAT", { text: "hi" }))
      // Bytes keep coming, but too few.
      let next = 0
      const drip = Effect.delay(
        Effect.suspend(() => Effect.sync(() => slow.write(whole.subarray(next, ++next)))),
        50
      )
      yield* Effect.forkScoped(Effect.repeatN(drip, whole.length - 2))
      const error = yield* slow.next("ERROR", ({ type }) => type === "ERROR")
      assertError(error, { code: "MALFORMED_FRAME", fatal: true })
      yield* assertClosesInOrder(slow)
    })
  )

  const noise = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 300 }),
    // Lengths that may be right, before bodies that are not.
    fc.uint8Array({ minLength: 1, maxLength: 100 }).map((bytes) => frame(Buffer.from(bytes))),
    fc.json({ maxDepth: 3 }).map(frame),
    fc
      .record(
        { type: fc.constantFrom("CHAT", "HELLO", "ERROR", "HEARTBEAT", "PEER_LIST", "ASK"), payload: fc.json() },
        { requiredKeys: [] }
      )
      .map(({ payload, type }) =>
        frame({ ...message("raw", type ?? "NEWS"), payload: JSON.parse(payload ?? "{}") as unknown })
      )
  )

  for (const isOpen of [false, true]) {
    hostile(`random bytes ${isOpen ? "after" : "before"} the handshake harm nobody else`, () =>
      Effect.gen(function* () {
        const node = yield* startNode()
        const other = yield* connect(node.port)
        yield* Effect.forEach(
          fc.sample(fc.array(noise, { minLength: 1, maxLength: 8 }), { numRuns: 300, seed: 1 }),
          (pieces) =>
            Effect.gen(function* () {
              const peer = yield* isOpen ? connect(node.port) : dial(node.port)
              for (const piece of pieces) {
                peer.write(piece)
                yield* turn
              }
              peer.end()
              yield* peer.closed
              // Whatever it was told, it was told in the node's own valid frames, the fatal one last.
              const fatal = peer.received.findIndex(
                ({ payload, type }) => type === "ERROR" && payload["fatal"] === true
              )
              assert.include([-1, peer.received.length - 1], fatal)
              for (const { sender } of peer.received) assert.strictEqual(sender, "node-a")
            }).pipe(Effect.scoped),
          { concurrency: 8, discard: true }
        )
        yield* assertServes(other)
        yield* node.until(
          "all gone",
          ({ connections: { closing, handshaking, inbound } }) => [closing, handshaking, inbound].join() === "0,0,1"
        )
      })
    )
  }
})
