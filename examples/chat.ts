/**
 * Two nodes in one process that talk over TCP, encrypted: `npm run example chat`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Schema } from "effect"
import { MessageType, P2PNetwork } from "synapse-p2p"
import { P2PNetworkNode } from "synapse-p2p/node"

const Ask = MessageType.request(
  "ASK",
  Schema.Struct({ question: Schema.String }),
  Schema.Struct({ answer: Schema.String })
)

const answering = Effect.gen(function* () {
  const network = yield* P2PNetwork
  yield* network.handle(Ask, ({ payload }) => Effect.succeed({ answer: payload.question.toUpperCase() }))
  yield* Effect.never
}).pipe(Effect.scoped, Effect.provide(P2PNetworkNode.layer({ port: 9471 })))

const asking = Effect.gen(function* () {
  const network = yield* P2PNetwork
  const bob = yield* network.connect("127.0.0.1:9471")
  const { answer } = yield* network.request(bob.id, Ask, { question: "who are you?" })
  yield* Effect.log(`bob answers: ${answer}`)
}).pipe(Effect.provide(P2PNetworkNode.layer({ port: 9470 })))

NodeRuntime.runMain(Effect.raceFirst(asking, answering))
