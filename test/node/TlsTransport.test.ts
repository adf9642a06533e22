import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type net from "node:net"
import { inspect } from "node:util"
import * as NetworkConfig from "../../src/NetworkConfig.js"
import * as Keys from "../../src/node/Keys.js"
import { fromCredentials, NodeIdentity } from "../../src/NodeIdentity.js"
import * as PeerAddress from "../../src/PeerAddress.js"
import type { Link } from "../../src/Transport.js"
import { Transport } from "../../src/Transport.js"
import * as Identity from "../../src/node/Identity.js"
import * as TlsTransport from "../../src/node/TlsTransport.js"
import { transportContract } from "../contract/Transport.js"

const config = Layer.succeed(NetworkConfig.NetworkConfig, NetworkConfig.defaults)

const layer = TlsTransport.layer.pipe(Layer.provide(Identity.layerEphemeral), Layer.provide(config))

transportContract("TlsTransport", layer)

/** Who hears of the end of the socket under it. */
const listenersUnder = (link: Link): ReadonlyArray<unknown> => {
  const socket = Reflect.get(link, "socket") as net.Socket
  return [...socket.listeners("close"), ...socket.listeners("error")]
}

describe("A link over TLS", () => {
  it.scopedLive("shows nothing of the private key at either end, however deep one looks into it", () =>
    Effect.gen(function* () {
      const credentials = Keys.generate()
      const transport = Context.get(
        yield* Layer.build(
          TlsTransport.layer.pipe(
            Layer.provide(Layer.succeed(NodeIdentity, fromCredentials(credentials))),
            Layer.provide(config)
          )
        ),
        Transport
      )
      const links: Array<Link> = []
      const { address } = yield* transport.listen(PeerAddress.make("127.0.0.1", 0), (link) => links.push(link))
      const dialed = yield* transport.dial(address)
      yield* Effect.addFinalizer(() => Effect.sync(() => dialed.destroy()))
      while (links[0]?.proven === undefined) yield* Effect.sleep(1)
      const body = Redacted.value(credentials.privateKey).split("\n")[1] ?? ""
      for (const link of [dialed, ...links]) {
        const shown = inspect(link, { depth: 20, showHidden: true, maxArrayLength: null, maxStringLength: null })
        assert.include(shown, credentials.id)
        assert.notInclude(shown, body)
      }
    })
  )

  it.scopedLive("that was accepted leaves the socket to the stream over it once the handshake is done", () =>
    Effect.gen(function* () {
      const transport = Context.get(yield* Layer.build(layer), Transport)
      const links: Array<Link> = []
      let before: ReadonlyArray<unknown> = []
      const { address } = yield* transport.listen(PeerAddress.make("127.0.0.1", 0), (link) => {
        links.push(link)
        before = listenersUnder(link)
      })
      const dialed = yield* transport.dial(address)
      yield* Effect.addFinalizer(() => Effect.sync(() => dialed.destroy()))
      while (links[0]?.proven === undefined) yield* Effect.sleep(1)
      const after = listenersUnder(links[0])
      assert.lengthOf(before, 3)
      // The listener's own, to end it with itself.
      assert.lengthOf(
        after.filter((one) => before.includes(one)),
        1
      )
    })
  )
})
