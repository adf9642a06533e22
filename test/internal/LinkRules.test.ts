import { assert, describe, it } from "@effect/vitest"
import * as LinkRules from "../../src/internal/LinkRules.js"
import type { Envelope } from "../../src/Message.js"
import * as NodeId from "../../src/NodeId.js"

const self = NodeId.make("self")
const peer = NodeId.make("peer")
const third = NodeId.make("third")

const classify = (type: string, more: Partial<Envelope> = {}, relay = true): string => {
  const envelope: Envelope = {
    type,
    id: "1",
    sender: peer,
    timestamp: "2026-11-22T14:00:00Z",
    payload: {},
    ...more
  }
  const kind = LinkRules.classify(envelope, self, peer, relay)
  return kind._tag === "Invalid" ? `Invalid ${kind.detail.split(":")[0]}` : kind._tag
}

describe("classify", () => {
  it("the protocol's own messages belong to one link", () => {
    for (const type of ["HELLO", "HEARTBEAT", "PEER_LIST", "ERROR"]) {
      assert.strictEqual(classify(type), "Protocol")
      assert.strictEqual(classify(type, { sender: third }), "Invalid sender")
      assert.strictEqual(classify(type, { sender: self }), "Invalid sender")
      assert.strictEqual(classify(type, { ttl: 1 }), type === "ERROR" ? "Invalid recipient" : "Invalid ttl")
      assert.strictEqual(classify(type, { recipient: self }), type === "ERROR" ? "Invalid ttl" : "Invalid recipient")
    }
  })

  it("an ERROR that was routed has recipient, ttl and replyTo, and is not fatal", () => {
    const routed = { recipient: self, ttl: 1, replyTo: "x", payload: { fatal: false } }
    assert.strictEqual(classify("ERROR", routed), "RoutedError")
    assert.strictEqual(classify("ERROR", { ...routed, sender: third }), "RoutedError")
    assert.strictEqual(classify("ERROR", { ...routed, sender: third }, false), "Invalid sender")
    assert.strictEqual(classify("ERROR", { ...routed, sender: self }), "Own")
    assert.strictEqual(classify("ERROR", { ...routed, replyTo: undefined }), "Invalid replyTo")
    for (const payload of [{ fatal: true }, {}]) {
      assert.strictEqual(classify("ERROR", { ...routed, payload }), "Invalid fatal")
    }
  })

  it("without a ttl a message is from the other end, to this node", () => {
    for (const type of ["CHAT", "DATA_SYNC"]) {
      assert.strictEqual(classify(type), "Direct")
      assert.strictEqual(classify(type, { recipient: self, expectsReply: true }), "Direct")
      assert.strictEqual(classify(type, { sender: third }), "Invalid sender")
      assert.strictEqual(classify(type, { recipient: third }), "Invalid recipient")
    }
  })

  it("with a ttl it is a broadcast, or targeted where it names a recipient", () => {
    for (const ttl of [0, 255]) {
      assert.strictEqual(classify("CHAT", { ttl }), "Broadcast")
      assert.strictEqual(classify("CHAT", { ttl, recipient: self }), "Targeted")
      assert.strictEqual(classify("CHAT", { ttl, recipient: third, sender: third, expectsReply: true }), "Targeted")
      assert.strictEqual(classify("CHAT", { ttl, expectsReply: true }), "Invalid expectsReply")
    }
  })

  it("another node's message needs relay at both ends, one's own has come round", () => {
    for (const recipient of [undefined, self]) {
      assert.strictEqual(classify("CHAT", { ttl: 1, recipient, sender: third }, false), "Invalid sender")
      assert.strictEqual(classify("CHAT", { ttl: 1, recipient, sender: self }), "Own")
      assert.notMatch(classify("CHAT", { ttl: 1, recipient }, false), /Invalid/)
    }
  })

  it("an unknown type of the protocol is ignored", () => {
    assert.strictEqual(classify("SYNAPSE_FUTURE", { sender: third, ttl: 3 }), "Ignored")
  })
})
