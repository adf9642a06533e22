import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NetworkConfig from "../src/NetworkConfig.js"
import * as NodeId from "../src/NodeId.js"
import * as NodeIdentity from "../src/NodeIdentity.js"

const idWith = (input: NetworkConfig.Input) =>
  Effect.map(NodeIdentity.NodeIdentity, ({ id }) => id).pipe(
    Effect.provide(Layer.fresh(NodeIdentity.layer).pipe(Layer.provide(NetworkConfig.layer(input))))
  )

describe("NodeIdentity", () => {
  it.effect("is the configured node id", () =>
    Effect.map(idWith({ nodeId: "node-a" }), (id) => assert.strictEqual(id, "node-a"))
  )

  it.effect("is a new random id for each node where none is configured", () =>
    Effect.gen(function* () {
      const ids = [yield* idWith({}), yield* idWith({})]
      assert.isTrue(ids.every(NodeId.is))
      assert.strictEqual(new Set(ids).size, 2)
    })
  )
})
