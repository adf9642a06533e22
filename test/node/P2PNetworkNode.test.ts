import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"
import * as NetworkConfig from "../../src/NetworkConfig.js"
import * as P2PNetworkNode from "../../src/node/P2PNetworkNode.js"
import { P2PNetwork } from "../../src/P2PNetwork.js"
import * as Handler from "../../src/Handler.js"
import { Ask, Chat } from "../utils/network.js"
import { plain } from "../utils/plain.js"

const silent = Effect.provide(Logger.remove(Logger.defaultLogger))

const build = <E>(layer: Layer.Layer<P2PNetwork, E>) => Effect.map(Layer.build(layer), Context.get(P2PNetwork))

const node = (options: P2PNetworkNode.Options = {}) => build(P2PNetworkNode.layer({ port: 0, ...options }))

const addressOf = (network: P2PNetwork["Type"]) => Effect.map(network.status, ({ address }) => String(address))

describe("P2PNetworkNode", () => {
  it.scopedLive("joins nodes over TCP, which send, ask, broadcast and part", () =>
    Effect.gen(function* () {
      const a = yield* node({
        handlers: [Handler.make(Ask, ({ payload }) => Effect.succeed({ answer: payload.question.toUpperCase() }))]
      })
      const b = yield* node({ bootstrap: [yield* addressOf(a)] })
      const c = yield* node({ bootstrap: [yield* addressOf(a)] })
      // The bootstrap node tells b and c of each other.
      yield* Effect.all([a, b, c].map((network) => network.waitForPeers(2)))
      assert.deepStrictEqual(yield* b.request(a.nodeId, Ask, { question: "hi" }), { answer: "HI" })
      const heard = yield* Effect.fork(
        c.messages(Chat).pipe(
          Stream.take(2),
          Stream.runCollect,
          Effect.map((messages) => [...messages].map(({ payload }) => payload.text))
        )
      )
      yield* Effect.sleep(10)
      yield* b.sendMessage(c.nodeId, Chat, { text: "to you" })
      const receipt = yield* b.broadcast(Chat, { text: "to all" })
      assert.deepStrictEqual([...receipt.sent].sort(), [a.nodeId, c.nodeId].sort())
      assert.deepStrictEqual(yield* heard, ["to you", "to all"])
      yield* a.stop
      yield* Effect.iterate(0, {
        while: (left) => left === 0,
        body: () =>
          Effect.delay(
            Effect.map(b.status, ({ peers }) => peers.left),
            5
          )
      })
      assert.strictEqual((yield* b.status).connections.closing, 0)
    }).pipe(silent)
  )

  it.scopedLive("takes settings from the environment, over which the given ones win", () =>
    Effect.gen(function* () {
      const environment = new Map([
        ["SYNAPSE_ENCRYPTION", "none"],
        ["SYNAPSE_NODE_ID", "from-the-environment"],
        ["SYNAPSE_NETWORK", "of-the-environment"],
        ["SYNAPSE_PORT", "0"]
      ])
      const network = yield* build(P2PNetworkNode.layerFromEnv({ network: "given", autoStart: false })).pipe(
        Effect.withConfigProvider(ConfigProvider.fromMap(environment))
      )
      const status = yield* network.status
      assert.strictEqual(String(status.nodeId), "from-the-environment")
      assert.deepInclude(status, { network: "given", running: false })
    }).pipe(silent)
  )

  it.scopedLive("takes settings that stand in the context", () =>
    Effect.gen(function* () {
      const layer = P2PNetworkNode.layerConfig({ autoStart: false }).pipe(
        Layer.provide(NetworkConfig.layer({ ...plain, nodeId: "mine" }))
      )
      assert.strictEqual((yield* build(layer)).nodeId, "mine")
    }).pipe(silent)
  )

  it.scopedLive("does not come up with bad settings, or at a port in use", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(node({ port: -1 })))._tag, "ConfigInvalid")
      const first = yield* node()
      const port = (yield* first.status).address?.port ?? 0
      assert.deepInclude(yield* Effect.flip(node({ port })), { _tag: "ListenFailed", reason: "AddressInUse" })
    }).pipe(silent)
  )
})
