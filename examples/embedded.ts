/**
 * A service of an application that needs the network, and an application that has errors and a retry policy of its own:
 * `npm run example embedded`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Context, Data, Effect, Layer, Schedule, Schema } from "effect"
import { Handler, MessageType, P2PNetwork } from "synapse-p2p"
import { P2PNetworkNode } from "synapse-p2p/node"

const Price = MessageType.request(
  "PRICE",
  Schema.Struct({ item: Schema.String }),
  Schema.Struct({ cents: Schema.Int }),
  Schema.Struct({ reason: Schema.Literal("unknown item") })
)

class NoPrice extends Data.TaggedError("NoPrice")<{ readonly item: string; readonly because: string }> {}

/** The application's own service: it knows nothing of sockets, and its callers know nothing of the network. */
class Prices extends Context.Tag("example/Prices")<
  Prices,
  { readonly of: (item: string) => Effect.Effect<number, NoPrice> }
>() {
  static readonly layer = Layer.effect(
    Prices,
    Effect.gen(function* () {
      const network = yield* P2PNetwork
      const shop = yield* network.connect("127.0.0.1:9472")
      return Prices.of({
        of: (item) =>
          network.request(shop.id, Price, { item }, { timeout: "2 seconds" }).pipe(
            Effect.map(({ cents }) => cents),
            // A lost connection is tried again, a refusal is not.
            Effect.retry({
              while: (error) => "_tag" in error && (error._tag === "RequestLost" || error._tag === "PeerNotConnected"),
              schedule: Schedule.exponential("200 millis").pipe(Schedule.intersect(Schedule.recurs(5)))
            }),
            Effect.mapError((error) => new NoPrice({ item, because: "reason" in error ? error.reason : error.message }))
          )
      })
    })
  )
}

/** The other end, with its handler given to the layer: it stands before the first connection comes in. */
const Shop = P2PNetworkNode.layer({
  port: 9472,
  handlers: [
    Handler.make(Price, ({ payload }) =>
      payload.item === "tea" ? Effect.succeed({ cents: 250 }) : Effect.fail({ reason: "unknown item" as const })
    )
  ]
})

const App = Prices.layer.pipe(Layer.provide(P2PNetworkNode.layer({ port: 0 })))

const program = Effect.gen(function* () {
  const prices = yield* Prices
  yield* Effect.log(`tea costs ${yield* prices.of("tea")} cents`)
  yield* prices
    .of("gold")
    .pipe(Effect.catchTag("NoPrice", (error) => Effect.log(`no price for gold: ${error.because}`)))
}).pipe(Effect.provide(App))

NodeRuntime.runMain(Effect.scoped(Effect.zipRight(Layer.build(Shop), program)))
