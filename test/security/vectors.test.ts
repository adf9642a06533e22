import { assert, describe, it } from "@effect/vitest"
import * as Encoding from "effect/Encoding"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import type { Envelope } from "../../src/Message.js"
import * as Message from "../../src/Message.js"
import * as MessageSignature from "../../src/MessageSignature.js"
import * as NetworkKey from "../../src/NetworkKey.js"
import * as Keys from "../../src/node/Keys.js"
import * as NodeId from "../../src/NodeId.js"
import { readVectors } from "../vectors/read.js"

const credentials = Keys.generate()

const fromHex = (text: string): Uint8Array => Either.getOrThrow(Encoding.decodeHex(text))

interface Case {
  readonly description: string
  readonly result: string
}

describe("identities.json", () => {
  for (const { description, nodeId, subjectPublicKeyInfo } of readVectors<{
    readonly description: string
    readonly subjectPublicKeyInfo: string
    readonly nodeId: string
  }>("identities.json")) {
    it(`${description}`, () => {
      assert.strictEqual(String(Keys.publicKeyOf(fromHex(subjectPublicKeyInfo))?.id), nodeId)
    })
  }
})

describe("proofs.json", () => {
  for (const { description, exporter, keys, proof, prover, result } of readVectors<
    Case & {
      readonly keys: ReadonlyArray<string>
      readonly exporter: string
      readonly prover: string
      readonly proof: string
    }
  >("proofs.json")) {
    it(`${description}`, () => {
      const secrets = keys.map((key) => Redacted.make(key))
      const id = NodeId.make(prover)
      const isProven = NetworkKey.isProven(credentials, secrets, fromHex(exporter), id, proof)
      assert.strictEqual(isProven ? "valid" : "UNAUTHORIZED", result)
      const made = secrets.map((secret) => NetworkKey.prove(credentials, secret, fromHex(exporter), id))
      assert.strictEqual(made.includes(proof), isProven)
    })
  }
})

describe("signatures.json", () => {
  for (const { description, message, network, result, signedText } of readVectors<
    Case & { readonly network: string; readonly message: Envelope; readonly signedText?: string }
  >("signatures.json")) {
    it(`${description}`, () => {
      const decoded = Message.decode(new TextEncoder().encode(JSON.stringify(message)))
      if (decoded._tag !== "Message") return assert.fail(`not a message: ${decoded.detail}`)
      const { envelope } = decoded
      const fault = MessageSignature.make(credentials, network).fault(envelope)
      assert.strictEqual(fault === undefined ? "valid" : "INVALID_MESSAGE", result, fault)
      if (signedText === undefined) return
      assert.strictEqual(new TextDecoder().decode(MessageSignature.signedBytes(network, envelope)), signedText)
    })
  }

  it("what this node signs is valid, until any member is changed", () => {
    const { fault, sign } = MessageSignature.make(credentials, "synapse")
    const message = sign({
      type: "NEWS",
      id: "m-1",
      sender: credentials.id,
      timestamp: "2026-11-22T14:00:00.500Z",
      payload: { a: 1, __proto__: { b: 2 } },
      ttl: 8
    })
    assert.isUndefined(fault(message))
    assert.isUndefined(fault({ ...message, ttl: 0 }))
    for (const name of ["type", "id", "timestamp"] as const) {
      assert.match(fault({ ...message, [name]: `${message[name]}X` }) ?? "", /^signature: value/)
    }
    const withOwnProto = JSON.parse('{"a":1,"__proto__":{"b":2}}') as Envelope["payload"]
    const signed = sign({ ...message, payload: withOwnProto })
    assert.isUndefined(fault(signed))
    assert.isDefined(fault({ ...signed, payload: JSON.parse('{"a":1,"__proto__":{"b":3}}') as Envelope["payload"] }))
  })
})
