/** Nodes without discovery and heartbeat, whose connections a test replaces by dialing again while messages flow. */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as ConnectionPool from "../../src/ConnectionPool.js"
import * as Handler from "../../src/Handler.js"
import * as LocalNode from "../../src/LocalNode.js"
import * as MessageType from "../../src/MessageType.js"
import * as NetworkConfig from "../../src/NetworkConfig.js"
import type { RequestError } from "../../src/NetworkError.js"
import * as NetworkStats from "../../src/NetworkStats.js"
import * as NodeId from "../../src/NodeId.js"
import * as NodeIdentity from "../../src/NodeIdentity.js"
import * as PeerBook from "../../src/PeerBook.js"
import * as Router from "../../src/Router.js"
import { Transport } from "../../src/Transport.js"

const Numbered = MessageType.make("NUMBERED", Schema.Struct({ n: Schema.Number, from: Schema.String }))
const Ask = MessageType.request("ASK", Schema.Struct({ n: Schema.Number }), Schema.Struct({ n: Schema.Number }))

const parts = Router.layer.pipe(
  Layer.provideMerge(ConnectionPool.layer),
  Layer.provideMerge(Layer.mergeAll(PeerBook.layer, NetworkStats.layer, LocalNode.layer)),
  Layer.provide(NodeIdentity.layer)
)

export type TrafficNode = Effect.Effect.Success<ReturnType<typeof makeTrafficNode>>

/** It listens, and answers requests once `answer` is completed. Scope: that of the node. */
export const makeTrafficNode = (id: string, transport: Transport["Type"], settings: NetworkConfig.Input) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(
      parts.pipe(
        Layer.provide(NetworkConfig.layer({ nodeId: id, ...settings })),
        Layer.provide(Layer.succeed(Transport, transport))
      )
    )
    const pool = Context.get(context, ConnectionPool.ConnectionPool)
    const router = Context.get(context, Router.Router)
    const answer = yield* Deferred.make<void>()
    /** What came in, by sender's name for itself. */
    const received: Array<{ readonly n: number; readonly from: string }> = []
    const happened: Array<string> = []
    const asked: Array<number> = []
    yield* router.handle(Handler.make(Numbered, ({ payload }) => Effect.sync(() => received.push(payload))))
    yield* router.handle(
      Handler.make(Ask, ({ payload }) =>
        Effect.zipRight(
          Effect.sync(() => asked.push(payload.n)),
          Effect.as(Deferred.await(answer), payload)
        )
      )
    )
    // What the network makes of it.
    yield* Queue.take(pool.events).pipe(
      Effect.map((event) => {
        happened.push(event._tag)
        if (event._tag === "Ended" || event._tag === "Restarted") router.peerGone(event.peer.id, event.unsent)
      }),
      Effect.forever,
      Effect.forkScoped
    )
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const address = yield* Scope.extend(pool.listen, scope)
    return {
      id: NodeId.make(id),
      address,
      pool,
      router,
      stats: Context.get(context, NetworkStats.NetworkStats),
      received,
      happened,
      asked,
      answer: Deferred.succeed(answer, undefined),
      send: (to: string, n: number, from: string) => router.sendMessage(to, Numbered, { n, from }),
      ask: (
        to: string,
        n: number
      ): Effect.Effect<Fiber.RuntimeFiber<Either.Either<{ readonly n: number }, RequestError>>, never, Scope.Scope> =>
        Effect.forkScoped(Effect.either(router.request(to, Ask, { n }, { timeout: Duration.minutes(1) })))
    }
  })
