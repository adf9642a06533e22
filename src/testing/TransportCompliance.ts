/**
 * The promises of a `Transport`, as cases that any layer can be held to, whoever wrote it and whatever runs the tests.
 * Some try the links themselves, the others whole nodes over them; in both, every link is watched for what must never
 * happen on it, such as a call after `onClose`.
 *
 * A case waits for what happens, and ends within its limit. It goes by the Clock of the fiber that runs it: that of the
 * system, or that of a simulator, but no test clock, which nobody would move. Logs are off while nodes run.
 *
 * @example
 * ```ts
 * import { TransportCompliance } from "synapse-p2p/testing"
 * import { describe, it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { MyTransport } from "./MyTransport.js"
 *
 * describe("MyTransport", () => {
 *   for (const { group, name, run } of TransportCompliance.cases()) {
 *     it.live(`${group}: ${name}`, () => Effect.provide(run, MyTransport.layer), 20_000)
 *   }
 * })
 * ```
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as PeerAddress from "../PeerAddress.js"
import type { Transport } from "../Transport.js"
import { addresses } from "./compliance/Addresses.js"
import { backPressure } from "./compliance/BackPressure.js"
import { type Definition, run, type Settings } from "./compliance/Bench.js"
import { bytes } from "./compliance/Bytes.js"
import type { ComplianceFailure } from "./compliance/ComplianceFailure.js"
import { connecting } from "./compliance/Connecting.js"
import { destroying } from "./compliance/Destroying.js"
import { dialing, dialingSilence } from "./compliance/Dialing.js"
import { ending } from "./compliance/Ending.js"
import { listening } from "./compliance/Listening.js"
import { messaging } from "./compliance/Messaging.js"
import { parting } from "./compliance/Parting.js"
import { throwing } from "./compliance/Throwing.js"

export { ComplianceFailure } from "./compliance/ComplianceFailure.js"

/**
 * One promise, tried. Cases stand alone: they run in any order, also side by side over one transport. `level` says
 * whether links alone are tried or whole nodes over them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Case {
  readonly level: "link" | "nodes"
  readonly group: string
  readonly name: string
  readonly run: Effect.Effect<void, ComplianceFailure, Transport>
}

/**
 * What may differ between transports.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Where to listen: a host that can be dialed, and port 0. Default: 127.0.0.1:0. */
  readonly address?: PeerAddress.PeerAddress | undefined
  /** An address at which nothing answers, neither yes nor no. Without one, the case that dials such is left out. */
  readonly silentAddress?: PeerAddress.PeerAddress | undefined
  /**
   * How long nothing has to happen before a case takes it that nothing will: longer than bytes take from end to end.
   * Default: 20 millis.
   */
  readonly pause?: Duration.DurationInput | undefined
  /** After this time a case fails, and says what it waited for. Default: 15 seconds; none takes 3 on a quick link. */
  readonly limit?: Duration.DurationInput | undefined
}

const definitions: ReadonlyArray<Definition> = [
  ...addresses,
  ...bytes,
  ...backPressure,
  ...ending,
  ...destroying,
  ...throwing,
  ...listening,
  ...dialing,
  ...connecting,
  ...messaging,
  ...parting
]

/**
 * All cases, those of links first.
 *
 * @since 0.1.0
 * @category testing
 */
export const cases = (options: Options = {}): ReadonlyArray<Case> => {
  const settings: Settings = {
    address: options.address ?? PeerAddress.make("127.0.0.1", 0),
    silentAddress: options.silentAddress,
    pause: Duration.decode(options.pause ?? "20 millis"),
    limit: Duration.decode(options.limit ?? "15 seconds")
  }
  const { silentAddress } = settings
  return [...definitions, ...(silentAddress === undefined ? [] : [dialingSilence(silentAddress)])].map(
    (definition) => ({
      level: definition.level,
      group: definition.group,
      name: definition.name,
      run: run(definition, settings).pipe(Logger.withMinimumLogLevel(LogLevel.None))
    })
  )
}
