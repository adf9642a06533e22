/** Who sends too much that is invalid: docs/PROTOCOL.md, section 2. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assertClosesInOrder, assertError, assertServes, hostile, startNode } from "../utils/hostileNode.js"
import { connect, dial, frame, lengthOf } from "../utils/rawPeer.js"

/** One attempt: the HELLO, or the ERROR that refuses it. */
const attempt = (port: number) =>
  Effect.gen(function* () {
    const peer = yield* dial(port)
    peer.hello()
    const answer = yield* peer.next("an answer", ({ type }) => type === "HELLO" || type === "ERROR")
    if (answer.type === "ERROR") yield* assertClosesInOrder(peer)
    return answer
  }).pipe(Effect.scoped)

const assertRefused = (port: number) =>
  Effect.map(attempt(port), (answer) => assertError(answer, { code: "BANNED", fatal: true }))

describe("Bans", () => {
  hostile("the 10th invalid message of an address within a minute is answered BANNED, and closes the connection", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ maxInvalidMessages: 10 })
      const other = yield* connect(node.port)
      // A peer is remembered, and shown as banned, where it has an address.
      const peer = yield* connect(node.port, { hello: { listen: [{ host: "127.0.0.1", port: 1 }] } })
      const { answers: warnings } = yield* peer.answersTo(Buffer.concat(Array.from({ length: 9 }, () => frame("{}"))))
      assert.lengthOf(warnings, 9)
      for (const warning of warnings) assertError(warning, { code: "INVALID_MESSAGE", fatal: false })
      const { answers, isOpen } = yield* peer.answersTo(Buffer.concat([frame("{}"), frame("{}")]))
      assert.isFalse(isOpen)
      assert.lengthOf(answers, 1)
      assertError(answers[0], { code: "BANNED", fatal: true })
      yield* assertClosesInOrder(peer)
      yield* node.until("banned", ({ peers }) => peers.banned === 1 && peers.connected === 1)
      // New connections from there are refused, live ones of other nodes are not touched.
      yield* assertRefused(node.port)
      yield* assertRefused(node.port)
      yield* assertServes(other)
    })
  )

  hostile("a ban is over after its time", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ maxInvalidMessages: 2, banDuration: "1 seconds" })
      const peer = yield* connect(node.port)
      const { isOpen } = yield* peer.answersTo(Buffer.concat([frame("{}"), frame("{}")]))
      assert.isFalse(isOpen)
      const refusal = yield* attempt(node.port)
      assertError(refusal, { code: "BANNED", fatal: true })
      const wait = refusal.payload["retryAfterMs"]
      assert.isTrue(typeof wait === "number" && wait > 0 && wait <= 1_000, `retryAfterMs ${String(wait)}`)
      const again: Effect.Effect<void> = Effect.flatMap(attempt(node.port), (answer) => {
        if (answer.type === "HELLO") return Effect.void
        assertError(answer, { code: "BANNED", fatal: true })
        return Effect.delay(again, 50)
      })
      yield* again
    })
  )

  hostile("messages of several connections of one address count together, an ERROR that is not answered too", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ maxInvalidMessages: 3 })
      const peers = yield* Effect.all([connect(node.port), connect(node.port), connect(node.port)])
      const [first, second, third] = peers
      assert.lengthOf((yield* first.answersTo(frame("{}"))).answers, 1)
      const badError = { type: "ERROR", payload: {} }
      assert.lengthOf((yield* second.answersTo(frame(badError))).answers, 0)
      const { answers, isOpen } = yield* third.answersTo(frame("{}"))
      assert.isFalse(isOpen)
      assertError(answers[0], { code: "BANNED", fatal: true })
      yield* assertServes(first)
      yield* assertServes(second)
    })
  )

  const faults: ReadonlyArray<readonly [string, Uint8Array]> = [
    ["invalid HELLOs", frame({ type: "HELLO" })],
    ["frames too long", lengthOf(8_193)],
    ["frames that are none", frame("hello")]
  ]
  for (const [what, bytes] of faults) {
    hostile(`${what} before the handshake count too`, () =>
      Effect.gen(function* () {
        const node = yield* startNode({ maxInvalidMessages: 4 })
        for (let i = 0; i < 4; i++) {
          const peer = yield* dial(node.port)
          const { isOpen } = yield* peer.answersTo(bytes)
          assert.isFalse(isOpen)
        }
        yield* assertRefused(node.port)
      })
    )
  }

  hostile("what is no fault of the sender does not count", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ maxInvalidMessages: 1 })
      const peer = yield* connect(node.port)
      peer.say("NEWS")
      peer.say("CHAT", { text: 7 })
      peer.say("CHAT", { text: "reply" }, { replyTo: "m-0" })
      peer.say("NEWS", {}, { recipient: "node-z", ttl: 1 })
      peer.say("SYNAPSE_X")
      yield* assertServes(peer)
      const stranger = yield* dial(node.port)
      stranger.hello({ network: "other" })
      yield* stranger.ended
      const rude = yield* dial(node.port)
      rude.say("CHAT")
      yield* rude.ended
      yield* Effect.flatMap(attempt(node.port), (answer) => Effect.sync(() => assert.strictEqual(answer.type, "HELLO")))
      yield* assertServes(peer)
    })
  )

  hostile("a banDuration of 0 turns bans off", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ maxInvalidMessages: 1, banDuration: 0 })
      const peer = yield* connect(node.port)
      const { answers, isOpen } = yield* peer.answersTo(Buffer.concat(Array.from({ length: 40 }, () => frame("{}"))))
      assert.isTrue(isOpen)
      assert.lengthOf(answers, 40)
      for (const answer of answers) assertError(answer, { code: "INVALID_MESSAGE", fatal: false })
      assert.strictEqual(yield* node.count("invalid"), 40)
    })
  )
})
