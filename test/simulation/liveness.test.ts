/** Who is dead and who is not, in virtual time and with the default settings: docs/PROTOCOL.md, section 4. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import type { NetworkEvent } from "../../src/Peer.js"
import type { Fault } from "../../src/testing/Fault.js"
import * as SimulatedNetwork from "../../src/testing/SimulatedNetwork.js"
import { quietLogs } from "./support/quietLogs.js"

const hosts = ["a", "b", "c"]

/** The defaults, milliseconds. */
const timeout = 15_000
const interval = 5_000
/** Two sweeps of the heartbeat, and the way there and back. */
const slack = 2_200

interface Seen {
  readonly host: string
  readonly at: number
  readonly event: NetworkEvent
}

/** Three nodes that know each other; then the fault, for so long; gives what they saw since it began. */
const under = (fault: Fault, lasts: number, seed: number) =>
  Effect.gen(function* () {
    const simulated = yield* SimulatedNetwork.SimulatedNetwork
    const seen: Array<Seen> = []
    for (const nodeId of hosts) {
      const { network } = yield* simulated.node({ nodeId, bootstrap: ["a:9470"] })
      yield* Stream.runForEach(network.events, (event) =>
        Effect.map(simulated.elapsed, (at) => seen.push({ host: nodeId, at, event }))
      ).pipe(Effect.forkScoped)
    }
    yield* Effect.sleep(7_000 + (seed % 5_000))
    const begun = yield* simulated.elapsed
    seen.length = 0
    yield* simulated.during(lasts, fault)
    yield* Effect.sleep("90 seconds")
    return seen.map(({ at, event, host }) => ({ host, at: at - begun, event }))
  }).pipe(SimulatedNetwork.run({ seed, latency: "5 millis", jitter: "40 millis" }), quietLogs)

const died = (seen: ReadonlyArray<Seen>, host: string, peer: string): number | undefined =>
  seen.find((each) => each.host === host && each.event._tag === "PeerDead" && each.event.peer.id === peer)?.at

const tried = (property: fc.IAsyncPropertyWithHooks<[Fault, number, number]>) =>
  Effect.promise(() => fc.assert(property, { numRuns: 25, seed: 4 }))

const seeds = fc.integer({ min: 1, max: 1_000_000 })

const silences = fc.constantFrom<Fault>(
  { _tag: "PowerOff", host: "b", keepState: true },
  { _tag: "Pause", host: "b" },
  { _tag: "Clog", host: "b" },
  { _tag: "Partition", groups: [["b"]] }
)

/** What nothing is lost by comes at once in the end; what was lost is sent again as long after as it was lost before. */
const isLoss = ({ _tag }: Fault): boolean => _tag === "Partition"

describe("Liveness in virtual time", () => {
  it.live("a peer that says nothing is dead to each of its peers within heartbeatTimeout and an interval", () =>
    tried(
      fc.asyncProperty(
        silences,
        fc.integer({ min: timeout + interval + slack, max: 60_000 }),
        seeds,
        async (fault, lasts, seed) => {
          const seen = await Effect.runPromise(under(fault, lasts, seed))
          for (const host of ["a", "c"]) {
            const at = died(seen, host, "b")
            assert.isDefined(at, `${host} did not notice`)
            assert.isAtLeast(at, timeout - interval - slack, `${host} was too quick`)
            assert.isAtMost(at, timeout + interval + slack, `${host} was too slow`)
          }
        }
      )
    )
  )

  it.live("one that is stopped, slow or cut off and comes back in time is never dead to anybody", () =>
    tried(
      fc.asyncProperty(
        fc.oneof(
          silences.filter(({ _tag }) => _tag !== "PowerOff"),
          fc.constantFrom<Fault>(
            { _tag: "Stall", between: ["a", "b"] },
            { _tag: "Delay", between: ["a", "b"], millis: 4_000 },
            { _tag: "SlowReader", host: "b", bytesPerSecond: 2_000 }
          )
        ),
        fc.integer({ min: 1, max: timeout - interval - slack }),
        seeds,
        async (fault, longest, seed) => {
          const lasts = isLoss(fault) ? Math.ceil(longest / 2) : longest
          const seen = await Effect.runPromise(under(fault, lasts, seed))
          assert.deepStrictEqual(
            seen.filter(({ event }) => event._tag === "PeerDead"),
            []
          )
        }
      )
    )
  )

  it.live("a jump of the wall clock changes nothing", () =>
    tried(
      fc.asyncProperty(
        fc
          .integer({ min: -86_400_000, max: 86_400_000 })
          .map((millis): Fault => ({ _tag: "ClockStep", host: "b", millis })),
        fc.integer({ min: 1, max: 40_000 }),
        seeds,
        async (fault, lasts, seed) => {
          const seen = await Effect.runPromise(under(fault, lasts, seed))
          assert.deepStrictEqual(seen, [])
        }
      )
    )
  )
})
