import type * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"

/** What nodes under fault have to say fills pages. */
export const quietLogs: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> =
  Logger.withMinimumLogLevel(LogLevel.None)
