import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Frame from "../../src/Frame.js"
import { OwnTexts } from "../../src/internal/OwnTexts.js"
import * as Message from "../../src/Message.js"
import * as NodeId from "../../src/NodeId.js"

/** Long strings, plain but perhaps for what stands somewhere in them. */
const long = fc
  .tuple(
    fc.nat(6_000),
    fc.constantFrom("", "a", `"`, "\\", "\n", "\u0000", "\u001f", "\u007f", "é", "€", "\u{1f600}", "\ud800"),
    fc.nat(6_000)
  )
  .map(([before, piece, after]) => "x".repeat(before) + piece + "y".repeat(after))

/** Of each member few, so that what was made before often fits in some and not in others. */
const envelopes: fc.Arbitrary<Message.Envelope> = fc.record(
  {
    type: fc.constantFrom("CHAT", "NEWS"),
    id: fc.constantFrom("5f0c-1", "5f0c-1z", "5f0d-1"),
    sender: fc.constantFrom("node-a", "node-b").map(NodeId.make),
    timestamp: fc.constantFrom("2026-11-22T14:00:00.000Z", "2026-11-22T14:00:00.001Z"),
    payload: fc.oneof(
      fc.dictionary(fc.fullUnicodeString(), fc.jsonValue()),
      fc.constantFrom({ text: "é".repeat(5_000) }, { text: "x".repeat(100_000) }),
      fc.dictionary(fc.string({ unit: "binary", maxLength: 3 }), fc.oneof(long, fc.jsonValue(), fc.constant(undefined)))
    ) as fc.Arbitrary<Message.JsonObject>,
    recipient: fc.constant(NodeId.make("node-c")),
    ttl: fc.constantFrom(0, 8),
    replyTo: fc.constantFrom("5f0d-7", "5f0d-8", 'a"b', "a\\b"),
    expectsReply: fc.constant(true as const),
    signature: fc.constant({ key: "MCow", value: "c2ln" })
  },
  { requiredKeys: ["type", "id", "sender", "timestamp", "payload"] }
)

describe("OwnTexts", () => {
  it("writes each message as if there had been none before", () => {
    fc.assert(
      fc.property(fc.array(envelopes, { maxLength: 30 }), (many) => {
        const texts = new OwnTexts()
        for (const envelope of many) {
          assert.deepStrictEqual(Frame.bytesOf(texts.of(envelope)), Frame.encode(Message.encodeOwn(envelope)))
        }
      }),
      { numRuns: 500 }
    )
  })
})
