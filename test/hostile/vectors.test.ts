/** The test vectors, over a real connection: test/vectors/README.md. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assertClosesInOrder, assertError, hostile, startNode } from "../utils/hostileNode.js"
import type { Message } from "../utils/rawPeer.js"
import { connect, dial, frame, helloPayload, listen, message } from "../utils/rawPeer.js"
import { readVectors } from "../vectors/read.js"

type Chunk = string | { readonly hex: string; readonly times: number } | { readonly hex: string; readonly cut: number }

interface FrameCase {
  readonly description: string
  readonly maxBytes?: number
  readonly chunks: ReadonlyArray<Chunk>
  readonly outcomes: ReadonlyArray<{
    readonly message?: Message
    readonly code?: string
    readonly fatal?: boolean
    readonly replyTo?: string
  }>
}

const bytesOf = (chunk: Chunk): ReadonlyArray<Buffer> => {
  if (typeof chunk === "string") return [Buffer.from(chunk, "hex")]
  const bytes = Buffer.from(chunk.hex, "hex")
  if ("times" in chunk) return [Buffer.concat(Array.from({ length: chunk.times }, () => bytes))]
  const pieces: Array<Buffer> = []
  for (let at = 0; at < bytes.length; at += chunk.cut) pieces.push(bytes.subarray(at, at + chunk.cut))
  return pieces
}

describe("frames.json", () => {
  for (const one of readVectors<FrameCase>("frames.json").filter(({ maxBytes }) => maxBytes === undefined)) {
    hostile(one.description, () =>
      Effect.gen(function* () {
        // The vectors' messages are node-a's.
        const node = yield* startNode({ nodeId: "node-x" })
        const peer = yield* connect(node.port, { id: "node-a" })
        const errors = one.outcomes.filter(({ code }) => code !== undefined)
        const messages = one.outcomes.length - errors.length
        for (const bytes of one.chunks.flatMap(bytesOf)) {
          peer.write(bytes)
          yield* Effect.yieldNow()
        }
        yield* peer.until("the errors", () => peer.errors().length >= errors.length)
        errors.forEach(({ code, fatal, replyTo }, index) =>
          assertError(peer.errors()[index], { code: code ?? "", fatal: fatal ?? true, replyTo, sender: "node-x" })
        )
        yield* node.until("all delivered", ({ counts }) => (counts["delivered"] ?? 0) >= messages)
        const isFatal = errors.some(({ fatal }) => fatal === true)
        if (isFatal) yield* assertClosesInOrder(peer)
        else {
          peer.end()
          yield* peer.closed
        }
        assert.strictEqual(yield* node.count("delivered"), messages)
        assert.lengthOf(peer.errors(), errors.length)
      })
    )
  }
})

interface EnvelopeCase {
  readonly description: string
  readonly text: string
  readonly result: "valid" | "INVALID_MESSAGE"
  readonly member?: string | null
  readonly replyTo?: string
}

const isInvalid = ({ payload, type }: Message): boolean => type === "ERROR" && payload["code"] === "INVALID_MESSAGE"

describe("envelopes.json", () => {
  hostile("every case", () =>
    Effect.gen(function* () {
      const cases = readVectors<EnvelopeCase>("envelopes.json")
      const node = yield* startNode({ nodeId: "node-x" })
      yield* Effect.forEach(
        cases,
        ({ description, member, replyTo, result, text }) =>
          Effect.gen(function* () {
            const sent = /"sender":"([A-Za-z0-9._:-]{1,128})"/.exec(text)?.[1] ?? "node-a"
            const peer = yield* connect(node.port, { id: sent })
            const { answers, isOpen } = yield* peer.answersTo(frame(text))
            const refusals = answers.filter(isInvalid)
            if (result === "valid") {
              // Whether such a message may come over this link is not asked.
              const about = /recipient: another|expectsReply: a broadcast|one link|second HELLO|kind: /
              const envelope = refusals.filter(({ payload }) => !about.test(String(payload["message"])))
              assert.deepStrictEqual(envelope, [], description)
              return
            }
            assert.isTrue(isOpen, description)
            assert.lengthOf(refusals, 1, description)
            const [refusal] = refusals
            assert.strictEqual(refusal?.replyTo, replyTo, description)
            if (typeof member === "string") assert.include(String(refusal?.payload["message"]), member, description)
          }).pipe(Effect.scoped),
        { discard: true }
      )
    })
  )
})

interface PayloadCase {
  readonly description: string
  readonly payload: Readonly<Record<string, unknown>>
  readonly result: "valid" | "INVALID_MESSAGE" | "ignored"
  readonly member?: string
}

describe("payloads", () => {
  hostile("hello.json", () =>
    Effect.gen(function* () {
      const node = yield* startNode()
      for (const { description, member, payload, result } of readVectors<PayloadCase>("hello.json")) {
        yield* Effect.gen(function* () {
          const peer = yield* dial(node.port)
          const id = peer.say("HELLO", payload)
          const answer = yield* peer.next(description, ({ replyTo }) => replyTo === id)
          assert.strictEqual(isInvalid(answer), result === "INVALID_MESSAGE", description)
          if (member !== undefined) assert.include(String(answer.payload["message"]), member, description)
        }).pipe(Effect.scoped)
      }
    })
  )

  for (const [file, type] of [
    ["heartbeat.json", "HEARTBEAT"],
    ["peer-list.json", "PEER_LIST"],
    ["error.json", "ERROR"]
  ] as const) {
    hostile(file, () =>
      Effect.gen(function* () {
        // What the lists tell is not to be dialed: no address in them is of this machine.
        const node = yield* startNode({ targetPeers: 1 })
        for (const { description, member, payload, result } of readVectors<PayloadCase>(file)) {
          yield* Effect.gen(function* () {
            const peer = yield* connect(node.port)
            const before = yield* node.count("invalid")
            const { answers, isOpen } = yield* peer.answersTo(frame(message(peer.id, type, payload)))
            const refusals = answers.filter(isInvalid)
            const isWrong = result === "INVALID_MESSAGE"
            assert.strictEqual(yield* node.count("invalid"), before + (isWrong ? 1 : 0), description)
            assert.lengthOf(refusals, isWrong && type !== "ERROR" ? 1 : 0, description)
            if (member !== undefined && refusals[0] !== undefined) {
              assert.include(String(refusals[0].payload["message"]), member, description)
            }
            assert.strictEqual(isOpen, type !== "ERROR" || isWrong || payload["fatal"] !== true, description)
          }).pipe(Effect.scoped)
        }
      })
    )
  }
})

interface HandshakeCase {
  readonly description: string
  readonly role: "acceptor" | "dialer"
  readonly received: ReadonlyArray<Message>
  readonly full?: true
  readonly connected?: ReadonlyArray<{ readonly id: string; readonly session: string }>
  readonly expected: { readonly answers: ReadonlyArray<string>; readonly open: boolean; readonly conflict?: boolean }
}

/** What a message is called in the vectors' answers. */
const nameOf = ({ payload, type }: Message): string => (type === "ERROR" ? String(payload["code"]) : type)

describe("handshakes.json", () => {
  for (const { connected = [], description, expected, full, received, role } of readVectors<HandshakeCase>(
    "handshakes.json"
  )) {
    hostile(`${role}: ${description}`, () =>
      Effect.gen(function* () {
        const node = yield* startNode(full === true ? { maxPeers: 1, targetPeers: 1 } : {})
        for (const { id, session } of connected) yield* connect(node.port, { id, hello: { session } })
        if (full === true && connected.length === 0) yield* connect(node.port)
        const { accepted, address } = yield* listen
        if (role === "dialer") yield* Effect.fork(Effect.ignore(node.network.connect(address, { retryFor: 0 })))
        const peer = yield* role === "dialer" ? accepted : dial(node.port)
        const hello =
          role === "dialer"
            ? yield* peer.next("HELLO", ({ type }) => type === "HELLO")
            : message("x", "HELLO", helloPayload)
        for (const one of received) {
          peer.send(JSON.parse(JSON.stringify(one).replaceAll("$hello", hello.id)))
        }
        if (expected.open) {
          yield* peer.until("the answers", () => peer.received.length >= expected.answers.length)
          const sender = received[0]?.sender ?? peer.id
          const ping = message(sender, "HEARTBEAT", { kind: "ping", seq: 1 })
          peer.send(ping)
          yield* peer.pong(ping.id)
        } else yield* assertClosesInOrder(peer)
        assert.deepStrictEqual(peer.received.map(nameOf), expected.answers)
        const answered = received.slice(-expected.answers.length)
        peer.received.forEach(({ replyTo }, index) => assert.strictEqual(replyTo, answered[index]?.id))
        // The session that the vectors give the node is not its own here: with its own id that is a conflict.
        const hasConflict = () => node.events.some(({ _tag }) => _tag === "IdConflict")
        if (expected.conflict === true) yield* node.until("a conflict", hasConflict)
        else if (!expected.answers.includes("SELF_CONNECTION")) assert.isFalse(hasConflict())
      })
    )
  }
})
