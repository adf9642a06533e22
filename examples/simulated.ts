/**
 * An application's test without sockets: real nodes on a network in memory, and time by the test clock, so that a minute
 * passes in no time: `npm run example simulated`.
 */
import { Effect, Fiber, Schema, Stream, TestClock, TestContext } from "effect"
import { MessageType } from "synapse-p2p"
import { MemoryTransport, P2PNetworkMemory } from "synapse-p2p/testing"

const Vote = MessageType.make("VOTE", Schema.Struct({ for: Schema.String }))

const test = Effect.gen(function* () {
  const alice = yield* P2PNetworkMemory.make({ nodeId: "alice" })
  const bob = yield* P2PNetworkMemory.make({ nodeId: "bob", bootstrap: ["alice:9470"] })
  const votes = yield* bob.messages(Vote).pipe(Stream.take(1), Stream.runCollect, Effect.fork)
  yield* TestClock.adjust("1 minute")
  yield* alice.broadcast(Vote, { for: "tea" })
  const [vote] = yield* Fiber.join(votes)
  const [peer] = yield* bob.peers()
  console.log(`a minute later ${peer?.id} is ${peer?.status}, and votes for ${vote?.payload.for}`)
})

await Effect.runPromise(
  test.pipe(Effect.scoped, Effect.provide(MemoryTransport.layerNetwork), Effect.provide(TestContext.TestContext))
)
