/** A course that simulated nodes take, to be compared with itself. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Handler from "../../src/Handler.js"
import * as MessageType from "../../src/MessageType.js"
import type { Fault } from "../../src/testing/Fault.js"
import type { SimulatedNetwork } from "../../src/testing/SimulatedNetwork.js"

type Simulated = SimulatedNetwork["Type"]

export const Said = MessageType.make("SAID", Schema.Struct({ text: Schema.String }))
export const Ask = MessageType.request("ASK", Schema.Struct({ n: Schema.Number }), Schema.Struct({ n: Schema.Number }))

const answering = [Handler.make(Ask, ({ payload }) => Effect.succeed({ n: payload.n + 1 }))]

export const mesh = (simulated: Simulated, names: ReadonlyArray<string>, settings = {}) =>
  Effect.forEach(names, (nodeId) =>
    simulated.node({ nodeId, bootstrap: names.map((name) => `${name}:9470`), handlers: answering, ...settings })
  )

/** A busy course with faults of many kinds: its hash. */
export const course = (simulated: Simulated) =>
  Effect.gen(function* () {
    const names = ["alice", "bob", "carol", "dave"]
    const nodes = yield* mesh(simulated, names, { heartbeatInterval: "1 second", heartbeatTimeout: "3 seconds" })
    yield* Effect.forEach(nodes, (node, index) =>
      Effect.forkScoped(
        Effect.forever(
          Effect.zipRight(
            Effect.sleep(500 + index),
            Effect.ignore(node.network.broadcast(Said, { text: "x".repeat(500) }))
          )
        )
      )
    )
    const faults: ReadonlyArray<Fault> = [
      { _tag: "Partition", groups: [["alice", "bob"]] },
      { _tag: "Crash", host: "carol", keepState: true },
      { _tag: "Reset", between: ["alice", "dave"] },
      { _tag: "PowerOff", host: "dave", keepState: false },
      { _tag: "Leave", host: "bob" },
      { _tag: "Pause", host: "alice" }
    ]
    yield* Effect.forEach(faults, (fault, index) => Effect.delay(simulated.during("5 seconds", fault), index * 1_500), {
      concurrency: "unbounded"
    })
    yield* Effect.sleep("5 seconds")
    const { hash, length } = yield* simulated.trace
    return length < 100 ? yield* Effect.dieMessage("next to nothing happened") : hash
  })
