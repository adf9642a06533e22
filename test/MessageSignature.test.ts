import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"
import * as fc from "fast-check"
import * as crypto from "node:crypto"
import type * as Message from "../src/Message.js"
import * as MessageSignature from "../src/MessageSignature.js"
import * as Keys from "../src/node/Keys.js"

const p256 = (): ReturnType<typeof Keys.generate> => {
  const { privateKey } = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" })
  return Either.getOrThrow(Keys.fromPem(Redacted.make(String(privateKey.export({ type: "pkcs8", format: "pem" })))))
}

const receiver = MessageSignature.make(Keys.generate(), "synapse")

const senders = [Keys.generate(), p256()].map((credentials) => ({
  credentials,
  signatures: MessageSignature.make(credentials, "synapse")
}))

const text = fc.stringMatching(/^[!-~]{1,8}$/)

type Signed = Message.Envelope & { readonly signature: Message.Signature }

const signedBy = (
  { credentials, signatures }: (typeof senders)[number],
  members: Partial<Message.Envelope>,
  payload: Message.JsonObject
): Signed =>
  signatures.sign({
    type: "NEWS",
    id: "m-1",
    sender: credentials.id,
    timestamp: "2026-11-22T14:00:00.000Z",
    ttl: 7,
    payload,
    ...members
  }) as Signed

/** A message that one of the senders has signed. */
const signed = fc
  .tuple(
    fc.constantFrom(...senders),
    fc.record({ id: text, replyTo: text, expectsReply: fc.constant(true as const) }, { requiredKeys: ["id"] }),
    fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue(), { maxKeys: 4 }) as fc.Arbitrary<Message.JsonObject>
  )
  .map((given) => signedBy(...given))

const base64 = fc.oneof(
  fc.uint8Array({ maxLength: 120 }).map(Encoding.encodeBase64),
  fc.string({ unit: fc.constantFrom(..."AQgwz09+/=-_ \n"), maxLength: 90 }),
  fc.string({ maxLength: 90 }),
  fc.constantFrom("A".repeat(1024), "A".repeat(1028), "A".repeat(200_000), "=", "====")
)

/** The text with something in the place of a part of it. */
const spoilt = (whole: string, where: number, over: number, piece: string): string => {
  const at = Math.floor(where * whole.length)
  return whole.slice(0, at) + piece + whole.slice(at + over)
}

const spoiling = fc.tuple(
  fc.double({ min: 0, max: 1, noNaN: true }),
  fc.nat(3),
  fc.string({ unit: fc.constantFrom(..."ABQgwxyz059+/= "), maxLength: 3 })
)

const refusal = /^signature: (?:key|value) [a-z]/

describe("MessageSignature", () => {
  it("holds at every other node, whatever the ttl has become, and at none of another network", () => {
    const other = MessageSignature.make(Keys.generate(), "synapse2")
    fc.assert(
      fc.property(signed, fc.nat(255), (envelope, ttl) => {
        assert.isUndefined(receiver.fault({ ...envelope, ttl }))
        assert.match(String(other.fault(envelope)), refusal)
      }),
      { numRuns: 100 }
    )
  })

  it("does not hold where a character of it, or of the key, is another, added or missing", () => {
    fc.assert(
      fc.property(
        signed,
        spoiling,
        fc.constantFrom("key" as const, "value" as const),
        (envelope, [where, over, piece], member) => {
          const before = envelope.signature[member]
          const after = spoilt(before, where, over, piece)
          const fault = receiver.fault({ ...envelope, signature: { ...envelope.signature, [member]: after } })
          if (after === before) assert.isUndefined(fault)
          else assert.match(String(fault), refusal)
        }
      ),
      { numRuns: 600 }
    )
  })

  it("has one form: the bits that base64 leaves over are zero", () => {
    const envelope = signedBy(senders[0]!, {}, {})
    const { key, value } = envelope.signature
    const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    const others = [key, value].map((whole) => {
      const at = whole.indexOf("=") - 1
      return `${whole.slice(0, at)}${digits[digits.indexOf(whole[at]!) + 1]}${whole.slice(at + 1)}`
    })
    assert.deepStrictEqual(Buffer.from(others[1]!, "base64"), Buffer.from(value, "base64"))
    assert.match(String(receiver.fault({ ...envelope, signature: { key, value: others[1]! } })), refusal)
    assert.match(String(receiver.fault({ ...envelope, signature: { key: others[0]!, value } })), refusal)
  })

  it("does not hold of any other message", () => {
    const changes = fc.oneof(
      fc.record({ payload: fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 5, maxKeys: 6 }) }),
      fc.record({ id: fc.constant("another-id") }),
      fc.record({ type: fc.constant("OTHER") }),
      fc.record({ timestamp: fc.constant("2026-11-22T14:00:00.001Z") }),
      fc.record({ recipient: fc.constantFrom(...senders.map(({ credentials }) => credentials.id)) }),
      fc.dictionary(fc.stringMatching(/^[a-z]{12}$/), fc.jsonValue(), { minKeys: 1, maxKeys: 2 })
    )
    fc.assert(
      fc.property(signed, changes, (envelope, change) =>
        assert.match(String(receiver.fault({ ...envelope, ...(change as Partial<Message.Envelope>) })), refusal)
      ),
      { numRuns: 200 }
    )
  })

  it("is refused without a throw, whatever is given for one", () => {
    const key = fc.oneof(
      base64,
      fc.constantFrom(...senders.map(({ credentials }) => Encoding.encodeBase64(credentials.publicKey)))
    )
    fc.assert(
      fc.property(signed, key, base64, (envelope, one, other) => {
        assert.match(String(receiver.fault({ ...envelope, signature: { key: one, value: other } })), refusal)
      }),
      { numRuns: 600 }
    )
    for (const info of [new Uint8Array(), new Uint8Array(44), new Uint8Array(91).fill(0x30)]) {
      assert.isUndefined(Keys.publicKeyOf(info))
    }
  })

  it("takes keys with bytes changed, added or missing for none, or for those of another", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...senders),
        fc.array(fc.tuple(fc.nat(100), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        fc.integer({ min: -3, max: 3 }),
        ({ credentials }, changes, longer) => {
          const bytes = new Uint8Array(credentials.publicKey.length + longer)
          bytes.set(credentials.publicKey.subarray(0, bytes.length))
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
          const key = Keys.publicKeyOf(bytes)
          const isSame = Buffer.compare(bytes, credentials.publicKey) === 0
          assert.strictEqual(key?.id === credentials.id, isSame)
          assert.isFalse(key?.verify(bytes, bytes) ?? false)
        }
      ),
      { numRuns: 300 }
    )
  })
})
