import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as NodeId from "../src/NodeId.js"
import * as Peer from "../src/Peer.js"
import * as PeerAddress from "../src/PeerAddress.js"

const peer: Peer.Peer = {
  id: NodeId.make("node-b"),
  status: "connected",
  direction: "outbound",
  address: PeerAddress.make("10.0.0.6", 9470),
  addresses: [PeerAddress.make("10.0.0.6", 9470)],
  since: "2026-11-22T14:00:00.000Z",
  tags: { role: "storage" },
  bytes: { in: 1, out: 2 },
  messages: { in: 3, out: 4 },
  attempts: 0
}

const throughJson = <A, I>(schema: Schema.Schema<A, I>, value: A): A =>
  Schema.decodeUnknownSync(schema)(JSON.parse(JSON.stringify(Schema.encodeSync(schema)(value))))

describe("Peer", () => {
  it("comes back from JSON with or without what is optional", () => {
    const full: Peer.Peer = { ...peer, agent: "x/1", roundTrip: { lastMs: 1.5, meanMs: 1, p99Ms: 2 } }
    for (const one of [peer, full]) {
      const again = throughJson(Peer.Peer, one)
      assert.deepStrictEqual(again, one)
      assert.instanceOf(again.address, PeerAddress.PeerAddress)
    }
  })

  it("has no other status than the six, and no other direction than the two", () => {
    const decode = Schema.decodeUnknownEither(Peer.Peer)
    const encoded = Schema.encodeSync(Peer.Peer)(peer)
    for (const status of ["connected", "suspect", "disconnected", "dead", "left", "banned"]) {
      assert.isTrue(Either.isRight(decode({ ...encoded, status })), status)
    }
    assert.isTrue(Either.isLeft(decode({ ...encoded, status: "alive" })))
    assert.isTrue(Either.isLeft(decode({ ...encoded, direction: "both" })))
    assert.isTrue(Either.isLeft(decode({ ...encoded, id: "not an id" })))
  })

  it("has events that are told apart by their tag and come back from JSON", () => {
    const error = { _tag: "PeerSilent", message: "nothing heard" }
    const { address } = peer
    const events: ReadonlyArray<Peer.NetworkEvent> = [
      { _tag: "Listening", address },
      { _tag: "PeerConnected", peer },
      { _tag: "PeerSuspect", peer },
      { _tag: "PeerRecovered", peer },
      { _tag: "PeerDisconnected", peer, error },
      { _tag: "PeerDead", peer, error },
      { _tag: "PeerLeft", peer },
      { _tag: "MessagesLost", peer: peer.id, ids: ["m-1"] },
      { _tag: "DialFailed", address, error, attempts: 2, retryInMs: 400 },
      { _tag: "DialFailed", address, error, attempts: 1 },
      { _tag: "HandshakeFailed", address, direction: "inbound", error },
      { _tag: "IdConflict", id: peer.id, address },
      { _tag: "Stopped" }
    ]
    for (const event of events) assert.deepStrictEqual(throughJson(Peer.NetworkEvent, event), event)
  })

  it("has a receipt of broadcasts that comes back from JSON", () => {
    const receipt: Peer.BroadcastReceipt = {
      id: "m-1",
      sent: [peer.id],
      failed: [{ peer: NodeId.make("node-c"), error: { _tag: "SendTimeout", message: "no room" } }]
    }
    assert.deepStrictEqual(throughJson(Peer.BroadcastReceipt, receipt), receipt)
  })

  it("has a status that comes back from JSON", () => {
    const both = { in: 1, out: 2.5 }
    const status: Peer.NetworkStatus = {
      nodeId: NodeId.make("node-a"),
      running: true,
      address: peer.address,
      advertised: [peer.address],
      network: "synapse",
      uptimeMs: 1_000,
      peers: { connected: 1, suspect: 0, disconnected: 0, dead: 2, left: 0, banned: 0 },
      connections: { inbound: 1, outbound: 0, handshaking: 0, closing: 0 },
      dialing: [
        { address: peer.address, attempts: 0 },
        { address: peer.address, attempts: 3, error: { _tag: "DialRefused", message: "no" }, nextAttemptInMs: 1_600 }
      ],
      messages: both,
      bytes: both,
      rates: { messages: both, bytes: both },
      queued: { outbound: 0, outboundBytes: 0, inbound: 0, inboundBytes: 0, requests: 0 },
      counts: { delivered: 3 },
      errors: { DialRefused: 3 },
      roundTrip: { p50Ms: 1, p90Ms: 2, p99Ms: 3 }
    }
    assert.deepStrictEqual(throughJson(Peer.NetworkStatus, status), status)
    const { address: _, roundTrip: __, ...bare } = { ...status, running: false }
    assert.deepStrictEqual(throughJson(Peer.NetworkStatus, bare), bare)
  })
})
