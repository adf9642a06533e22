import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import type * as NetworkConfig from "../../../src/NetworkConfig.js"
import * as Identity from "../../../src/node/Identity.js"
import * as MemoryTransport from "../../../src/testing/MemoryTransport.js"
import { dialByHand, listening, makeNode, settle } from "../../utils/pools.js"

/** A node with a key on a network that proves nothing: as an accepted link is before its TLS handshake. */
const guarded = (settings: NetworkConfig.Input = {}) =>
  Effect.gen(function* () {
    const network = MemoryTransport.makeNetwork()
    const transport = network.transport("10.0.0.110")
    const node = yield* makeNode("n", transport, { nodeId: undefined, ...settings }, Identity.layerEphemeral)
    yield* node.listen
    const knock = (host: string) =>
      Effect.gen(function* () {
        const peer = yield* dialByHand(network, { id: "n" }, "b", host)
        yield* settle
        return peer
      })
    return { node, knock }
  })

const isOpen = ({ isClosed }: { readonly isClosed: boolean }): boolean => !isClosed

const from = (host: string) => Array.from({ length: 20 }, () => host)

describe("handshakeRate", () => {
  it.scoped(
    "lets an address begin as many handshakes as it may have connections, and so many a second from then on",
    () =>
      Effect.gen(function* () {
        const { knock, node } = yield* guarded({ handshakeRate: 2, maxConnectionsPerIp: 3 })
        const first = yield* Effect.forEach(["10.1.0.1", "10.1.0.1", "10.1.0.1"], knock)
        assert.deepStrictEqual(first.map(isOpen), [true, true, true])
        // They make room, but their handshakes had been begun.
        for (const { link } of first) link.destroy()
        yield* settle
        const refused = yield* knock("10.1.0.1")
        assert.isTrue(refused.isClosed)
        assert.deepStrictEqual(refused.said, [], "to say why would cost a handshake")
        assert.isFalse((yield* knock("10.1.0.2")).isClosed, "others are not touched")

        const failed = (yield* node.events).flatMap((event) => (event._tag === "HandshakeFailed" ? [event] : []))
        assert.strictEqual(node.stats.counts["handshakesFailed"], failed.length)
        const { error } = failed.at(-1) ?? {}
        assert.strictEqual(error?._tag, "TooManyConnections")
        assert.include(error?.message, "too many handshakes from this IP address")

        yield* TestClock.adjust("500 millis")
        assert.isFalse((yield* knock("10.1.0.1")).isClosed)
        assert.isTrue((yield* knock("10.1.0.1")).isClosed)
      })
  )

  it.scoped("does not count loopback, and can be off", () =>
    Effect.gen(function* () {
      const near = yield* guarded({ handshakeRate: 1, maxConnectionsPerIp: 1 })
      assert.isTrue((yield* Effect.forEach(from("127.0.0.1"), near.knock)).every(isOpen))
      const off = yield* guarded({ handshakeRate: Option.none(), maxConnectionsPerIp: 20 })
      const some = yield* Effect.forEach(from("10.1.0.1"), off.knock)
      for (const { link } of some) link.destroy()
      yield* settle
      assert.isTrue((yield* Effect.forEach(from("10.1.0.1"), off.knock)).every(isOpen))
    })
  )

  it.scoped("counts nothing where there is no TLS handshake to be done", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening({ handshakeRate: 1, maxConnectionsPerIp: 1 })
      for (let n = 0; n < 5; n++) {
        const peer = yield* dialByHand(network, node, "b", "10.1.0.1")
        yield* settle
        assert.isFalse(peer.isClosed)
        peer.link.destroy()
        yield* settle
      }
    })
  )

  it.scoped("counts an IPv6 network of 64 bits as one address, for handshakes and for connections", () =>
    Effect.gen(function* () {
      const { knock } = yield* guarded({ maxConnectionsPerIp: 2 })
      const peers = yield* Effect.forEach(["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"], knock)
      assert.deepStrictEqual(peers.map(isOpen), [true, true, false, true])
    })
  )
})
