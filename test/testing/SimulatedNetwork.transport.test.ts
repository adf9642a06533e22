/** The links of simulated networks are held to the promises of a transport. */
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as PeerAddress from "../../src/PeerAddress.js"
import type * as SimulatedNetwork from "../../src/testing/SimulatedNetwork.js"
import * as TransportCompliance from "../../src/testing/TransportCompliance.js"
import { Transport } from "../../src/Transport.js"
import { between, simulate } from "../utils/simulated.js"

interface Bench {
  readonly name: string
  readonly dialsFrom: string
  readonly network: SimulatedNetwork.Options
  readonly pause?: string & `${number} millis`
}

const benches: ReadonlyArray<Bench> = [
  { name: "within one host", dialsFrom: "listening", network: {} },
  {
    name: "far apart and cut",
    dialsFrom: "dialing",
    network: { latency: "20 millis", jitter: "30 millis", cut: true },
    pause: "200 millis"
  },
  {
    name: "over a narrow line with small buffers",
    dialsFrom: "dialing",
    network: { bandwidth: 1_000_000, capacity: 5_000 },
    pause: "100 millis"
  }
]

describe("A simulated link keeps the promises of a transport", () => {
  for (const { dialsFrom, name, network, pause = "20 millis" } of benches) {
    describe(`${name}`, () => {
      const cases = TransportCompliance.cases({
        address: PeerAddress.make("listening", 0),
        silentAddress: PeerAddress.make("silent", 1),
        pause
      })
      for (const { group, name: sentence, run } of cases) {
        it.live(`${group}: ${sentence}`, () =>
          simulate(
            (simulated) =>
              Effect.zipRight(
                simulated.begin({ _tag: "PowerOff", host: "silent", keepState: true }),
                Effect.provideService(run, Transport, between(simulated, dialsFrom, "listening"))
              ),
            network
          )
        )
      }
    })
  }
})
