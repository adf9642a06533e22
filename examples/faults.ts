import { Console, Effect, Schema } from "effect"
import { Handler, MessageType } from "synapse-p2p"
import { FaultPlan, SimulatedNetwork } from "synapse-p2p/testing"

const Vote = MessageType.make("VOTE", Schema.Struct({ for: Schema.String }))
const hosts = ["alice", "bob", "carol"]

/** Three nodes whose votes are counted. */
const voters = Effect.gen(function* () {
  const simulated = yield* SimulatedNetwork.SimulatedNetwork
  const count = { votes: 0 }
  const counting = Handler.make(Vote, () => Effect.sync(() => count.votes++))
  const nodes = yield* Effect.forEach(hosts, (nodeId) =>
    simulated.node({ nodeId, bootstrap: ["alice:9470", "bob:9470"], handlers: [counting] })
  )
  return { simulated, count, nodes }
})

// By command: an hour apart, in seconds.
const partition = Effect.gen(function* () {
  const { count, nodes, simulated } = yield* voters
  yield* simulated.during("1 hour", { _tag: "Partition", groups: [["alice"]] })
  yield* Effect.sleep("2 minutes")
  for (const { network } of nodes) yield* network.broadcast(Vote, { for: "tea" })
  yield* Effect.sleep("1 second")
  yield* Console.log(`after an hour apart ${count.votes} of 6 votes arrive`)
}).pipe(SimulatedNetwork.run({ seed: 42, latency: "20 millis", jitter: "10 millis" }))

// By random plan: whatever goes wrong, three minutes later each vote counts again.
const anyPlan = FaultPlan.check({ hosts, runs: 20, seed: 7 }, (plan) =>
  Effect.gen(function* () {
    const { count, nodes } = yield* voters
    yield* FaultPlan.play(plan)
    yield* Effect.sleep("3 minutes")
    for (const { network } of nodes) yield* network.broadcast(Vote, { for: "tea" })
    yield* Effect.sleep("1 second")
    if (count.votes !== 6) yield* Effect.fail(`only ${count.votes} of 6 votes arrived`)
  })
)

await Effect.runPromise(partition)
await Effect.runPromise(anyPlan)
console.log("20 random plans of faults: each vote counts again")
