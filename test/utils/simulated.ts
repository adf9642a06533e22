/** Simulated networks in tests: programs run by their clock, and transports over two of their hosts. */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type * as Scope from "effect/Scope"
import * as SimulatedNetwork from "../../src/testing/SimulatedNetwork.js"
import type { Transport } from "../../src/Transport.js"

type Simulated = SimulatedNetwork.SimulatedNetwork["Type"]

/** Runs a program with the network in its hands, without logs. */
export const simulate = <A, E, R>(
  program: (simulated: Simulated) => Effect.Effect<A, E, R>,
  options: SimulatedNetwork.Options = {}
): Effect.Effect<
  A,
  E | SimulationHalted,
  Exclude<Exclude<R, SimulatedNetwork.SimulatedNetwork> | never, Scope.Scope | SimulatedNetwork.SimulatedNetwork>
> =>
  Effect.flatMap(SimulatedNetwork.SimulatedNetwork, program).pipe(
    SimulatedNetwork.run(options),
    Logger.withMinimumLogLevel(LogLevel.None)
  ) as never

type SimulationHalted = SimulatedNetwork.SimulationHalted

/** Listens at one host and dials from the other. */
export const between = (simulated: Simulated, dialing: string, listening: string): Transport["Type"] => ({
  ...simulated.transport(listening),
  dial: simulated.transport(dialing).dial
})
