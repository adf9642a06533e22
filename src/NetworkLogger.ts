/**
 * How a node logs. Lines go to standard error, in the format and from the level that the settings name; standard output
 * is the application's. Payloads of messages are logged at debug only, secrets never.
 *
 * The lines are written by Effect's `Console` service (`error`), so `Console.setConsole` sends them elsewhere. Control
 * characters are written as `\x1b`, since texts that other nodes send must not steer the reader's terminal.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as HashMap from "effect/HashMap"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { NetworkConfig } from "./NetworkConfig.js"
import type { NodeId } from "./NodeId.js"
import type { Direction } from "./Peer.js"
import type { PeerAddress } from "./PeerAddress.js"

// --- What is written ---

const escape = (char: string): string => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`

const clean = (value: unknown): unknown =>
  typeof value === "string"
    ? // eslint-disable-next-line no-control-regex -- they are what is looked for
      value.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, escape)
    : value

const listOf = (message: unknown): ReadonlyArray<unknown> => (Array.isArray(message) ? message : [message])

const cleaned = (options: Logger.Logger.Options<unknown>): Logger.Logger.Options<unknown> => ({
  ...options,
  message: listOf(options.message).map(clean),
  annotations: HashMap.map(options.annotations, clean)
})

// Further lines of a text are set in, lest they pass for lines of the log.
const indented = (value: unknown): unknown => (typeof value === "string" ? value.replaceAll("\n", "\n  ") : value)

const pretty = (cause: Cause.Cause<unknown>): string => Cause.pretty(cause, { renderErrorCause: true })

/** The pretty logger writes causes and errors as they are, so they become texts of the message, which are cleaned. */
const withCauseAsText = (options: Logger.Logger.Options<unknown>): Logger.Logger.Options<unknown> => {
  const message = listOf(options.message).map((value) => (value instanceof Error ? pretty(Cause.fail(value)) : value))
  return Cause.isEmpty(options.cause)
    ? { ...options, message }
    : { ...options, message: [...(message.length === 0 ? [""] : message), pretty(options.cause)], cause: Cause.empty }
}

const laidOut = (options: Logger.Logger.Options<unknown>): Logger.Logger.Options<unknown> => ({
  ...options,
  message: listOf(options.message).map(indented),
  annotations: HashMap.map(options.annotations, indented)
})

// Effect's logfmt has {} for an Error, which says nothing.
const withErrorsAsText = (options: Logger.Logger.Options<unknown>): Logger.Logger.Options<unknown> => ({
  ...options,
  message: listOf(options.message).map((value) => (value instanceof Error ? String(value) : value))
})

// A value that JSON cannot carry must cost neither the line nor the fiber that logs it.
const jsonLine = Logger.make((options: Logger.Logger.Options<unknown>): string => {
  try {
    return Logger.jsonLogger.log(options)
  } catch {
    return Logger.jsonLogger.log({
      ...options,
      message: listOf(options.message).map((value) => Inspectable.toStringUnknown(value, 0)),
      annotations: HashMap.map(options.annotations, (value) => Inspectable.toStringUnknown(value, 0))
    })
  }
})

// --- Layers ---

// Effect asks whether standard output is a terminal; these lines do not go there.
const onTerminal = typeof process === "object" && process.stderr?.isTTY === true

// NodeRuntime.runMain puts the second in place of the first, and would go on writing to standard output with it.
const instead = (logger: Logger.Logger<unknown, void>): Layer.Layer<never> =>
  Layer.flatMap(Logger.remove(Logger.prettyLoggerDefault), () => Logger.replace(Logger.defaultLogger, logger))

/**
 * Log lines for people, over several lines, in colours where standard error is a terminal.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerPretty: Layer.Layer<never> = instead(
  Logger.prettyLogger({ stderr: true, colors: onTerminal, mode: "tty" }).pipe(
    Logger.mapInputOptions((options: Logger.Logger.Options<unknown>) => laidOut(cleaned(withCauseAsText(options))))
  )
)

/**
 * Log lines as JSON objects, one a line: `timestamp` (RFC 3339), `logLevel`, `message`, `annotations`, `spans`,
 * `fiberId`, and `cause` where there is one.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerJson: Layer.Layer<never> = instead(Logger.withConsoleError(Logger.mapInputOptions(jsonLine, cleaned)))

/**
 * Log lines as `key=value` pairs, one a line, each annotation a pair of its own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerLogFmt: Layer.Layer<never> = instead(
  Logger.withConsoleError(
    Logger.mapInputOptions(Logger.logfmtLogger, (options: Logger.Logger.Options<unknown>) =>
      cleaned(withErrorsAsText(options))
    )
  )
)

const formats = { pretty: layerPretty, json: layerJson, logfmt: layerLogFmt }

/**
 * The logger that the settings ask for: `logFormat`, from `logLevel` upward. Takes the place of Effect's default loggers;
 * others that the application has added stay.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, never, NetworkConfig> = Layer.unwrapEffect(
  Effect.map(NetworkConfig, ({ logFormat, logLevel }) =>
    Layer.merge(formats[logFormat], Logger.minimumLogLevel(logLevel))
  )
)

// --- Annotations ---

/**
 * What a log line about a peer says of it. `id` is left out before the handshake.
 *
 * @since 0.1.0
 * @category models
 */
export interface LoggedPeer {
  readonly id?: NodeId | undefined
  readonly address: PeerAddress
  readonly direction: Direction
}

/**
 * The annotations that every log line about a peer carries: `peer` (its NodeId, once known), `address`, `direction`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const peerAnnotations = ({ address, direction, id }: LoggedPeer): Record<string, string> => ({
  ...(id === undefined ? {} : { peer: id }),
  address: address.toString(),
  direction
})

/**
 * Annotates all that the effect logs, and what its fibers log, with {@link peerAnnotations}.
 *
 * @since 0.1.0
 * @category combinators
 */
export const annotatePeer =
  (peer: LoggedPeer) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.annotateLogs(effect, peerAnnotations(peer))

/**
 * Logs a line about a peer with {@link peerAnnotations}. The line is put together only where its level is logged.
 *
 * @since 0.1.0
 * @category combinators
 */
export const logPeer = (level: LogLevel.LogLevel, peer: LoggedPeer, text: () => string): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) =>
    LogLevel.greaterThan(fiber.getFiberRef(FiberRef.currentMinimumLogLevel), level)
      ? Effect.void
      : annotatePeer(peer)(Effect.logWithLevel(level, text()))
  )
