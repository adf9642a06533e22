/**
 * Notices who is alive: docs/PROTOCOL.md, section 4. One sweep over all connections, driven by a Schedule, pings, finds
 * the silent, the stuck and the half-sent, and brings the statistics up to date; no connection has a timer of its own.
 *
 * A connection only notes that bytes came; the sweep turns that into times. So silence counts in steps of the sweep, and
 * only while this node's own event loop runs: what was held up hears nobody, and declares nobody dead for it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type { Connection } from "./Connection.js"
import { ConnectionPool } from "./ConnectionPool.js"
import { LocalNode } from "./LocalNode.js"
import type { Envelope } from "./Message.js"
import { NetworkConfig } from "./NetworkConfig.js"
import * as NetworkError from "./NetworkError.js"
import { NetworkStats } from "./NetworkStats.js"
import * as Payloads from "./Payloads.js"

/**
 * The sweep that finds out who is alive.
 *
 * @since 0.1.0
 * @category tags
 */
export class Heartbeat extends Context.Tag("synapse-p2p/Heartbeat")<
  Heartbeat,
  {
    /** Sweeps for ever. */
    readonly run: Effect.Effect<never>
    /** Milliseconds between two sweeps. */
    readonly period: number
  }
>() {}

/**
 * The settings, in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  readonly interval: number
  readonly timeout: number
  readonly frameTimeout: number
  readonly slowConsumerTimeout: number
}

/**
 * What the sweep knows of a connection. Times are monotonic milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pulse {
  readonly heardAt: number
  readonly pingAt: number
  /** When the frame begun was first seen, and how many frames were complete then. */
  readonly frame: { readonly since: number; readonly complete: number } | undefined
  /** When the write under way was first seen, and how many were complete then. */
  readonly write: { readonly since: number; readonly complete: number } | undefined
}

/**
 * What the sweep sees of a connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sight {
  /** Bytes came since the last sweep. */
  readonly wasHeard: boolean
  /** It is not being read, by our own choice. */
  readonly isHeld: boolean
  readonly isMidFrame: boolean
  readonly frameLength: number
  readonly framesIn: number
  readonly isWriting: boolean
  readonly writes: number
}

/**
 * What is to be done with a connection; of several things, the worst.
 *
 * @since 0.1.0
 * @category models
 */
export type Finding = "fine" | "suspect" | "silent" | "frameLate" | "stuck"

const bytesPerSecondOfFrame = 16_384

/**
 * Looks at one connection. `heldUp`: by how much this sweep is later than it should be, milliseconds; that time does not
 * count against the other end.
 *
 * @since 0.1.0
 * @category decisions
 */
export const look = (
  limits: Limits,
  before: Pulse,
  sight: Sight,
  now: number,
  heldUp: number
): { readonly finding: Finding; readonly ping: boolean; readonly pulse: Pulse } => {
  const heardAt = sight.wasHeard || sight.isHeld ? now : before.heardAt + heldUp
  const frame =
    !sight.isMidFrame || sight.isHeld
      ? undefined
      : before.frame !== undefined && before.frame.complete === sight.framesIn
        ? { ...before.frame, since: before.frame.since + heldUp }
        : { since: now, complete: sight.framesIn }
  const write = !sight.isWriting
    ? undefined
    : before.write !== undefined && before.write.complete === sight.writes
      ? { ...before.write, since: before.write.since + heldUp }
      : { since: now, complete: sight.writes }
  const silence = now - heardAt
  const frameLimit = limits.frameTimeout + (sight.frameLength / bytesPerSecondOfFrame) * 1000
  const finding: Finding =
    silence >= limits.timeout
      ? "silent"
      : frame !== undefined && now - frame.since >= frameLimit
        ? "frameLate"
        : write !== undefined && now - write.since >= limits.slowConsumerTimeout
          ? "stuck"
          : silence >= limits.timeout / 2
            ? "suspect"
            : "fine"
  const ping = now >= before.pingAt
  return {
    finding,
    ping,
    pulse: { heardAt, pingAt: ping ? now + limits.interval : before.pingAt, frame, write }
  }
}

const remote = (connection: Connection, detail: string) => ({
  address: connection.remote,
  peer: connection.identity?.id,
  origin: "local" as const,
  detail
})

/**
 * A sweep over the connections of the pool, with none begun.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function* () {
  const config = yield* NetworkConfig
  const node = yield* LocalNode
  const pool = yield* ConnectionPool
  const stats = yield* NetworkStats
  const limits: Limits = {
    interval: Duration.toMillis(config.heartbeatInterval),
    timeout: Duration.toMillis(config.heartbeatTimeout),
    frameTimeout: Duration.toMillis(config.frameTimeout),
    slowConsumerTimeout: Duration.toMillis(config.slowConsumerTimeout)
  }
  const period = Math.max(10, Math.min(1000, limits.interval / 5, limits.timeout / 10))
  const pulses = new WeakMap<Connection, Pulse>()
  let sweptAt: number | undefined

  // Pings are spread over the interval, so that the connections of a node do not beat in step.
  const firstPulse = (now: number): Pulse => ({
    heardAt: now,
    pingAt: now + node.random() * limits.interval,
    frame: undefined,
    write: undefined
  })

  const act = (connection: Connection, finding: Finding): void => {
    switch (finding) {
      case "fine":
        return
      case "suspect":
        return connection.isSuspect ? undefined : pool.suspect(connection)
      case "silent":
        return pool.kill(
          connection,
          new NetworkError.PeerSilent(remote(connection, `nothing heard for ${limits.timeout} ms`))
        )
      case "frameLate":
        return pool.close(connection, { code: "MALFORMED_FRAME", detail: "the frame was not complete in time" })
      case "stuck":
        return pool.kill(
          connection,
          new NetworkError.SlowConsumer(remote(connection, `nothing taken for ${limits.slowConsumerTimeout} ms`))
        )
    }
  }

  const sweep = Effect.sync(() => {
    const now = node.deadlines.now()
    const heldUp = sweptAt === undefined ? 0 : Math.max(0, now - sweptAt - 2 * period)
    sweptAt = now
    let open = 0
    for (const connection of pool.opened()) {
      open++
      const { wasHeard } = connection
      connection.wasHeard = false
      const seen = look(
        limits,
        pulses.get(connection) ?? firstPulse(now),
        {
          wasHeard,
          isHeld: connection.isHeld,
          isMidFrame: connection.isMidFrame,
          frameLength: connection.frameLength,
          framesIn: connection.framesIn,
          isWriting: connection.outbox.isWriting,
          writes: connection.outbox.writes
        },
        now,
        heldUp
      )
      pulses.set(connection, seen.pulse)
      if (seen.ping) connection.ping()
      if (now - (connection.unansweredSince ?? now) >= limits.timeout / 2) connection.outbox.onUnanswered()
      act(connection, seen.finding)
    }
    stats.publish(now, pool.totals(), open)
  })

  pool.on("HEARTBEAT", (connection: Connection, envelope: Envelope): string | undefined => {
    const decoded = Payloads.decodeHeartbeat(envelope.payload)
    if (Either.isLeft(decoded)) return decoded.left
    const beat = decoded.right
    if (beat.kind === "ping") {
      connection.sendControl(node.control("HEARTBEAT", { kind: "pong", seq: beat.seq }, envelope.id))
    } else if (beat.kind === "pong") {
      const millis = connection.pong(beat.seq)
      if (millis !== undefined) stats.roundTrip(millis)
    }
    return undefined
  })

  /** `Effect.repeat` makes a new context each time, which each node would do once a second for as long as it lives. */
  const sweeping = Effect.flatMap(Schedule.driver(Schedule.spaced(Duration.millis(period))), (driver) =>
    Effect.forever(Effect.zipRight(sweep, driver.next(undefined)))
  )

  const run = Effect.sync(() => {
    sweptAt = undefined
  }).pipe(
    Effect.zipRight(sweeping),
    Effect.orElse(() => Effect.never),
    // What was counted since the last sweep, and that no connection is left.
    Effect.ensuring(Effect.sync(() => stats.publish(node.deadlines.now(), pool.totals(), [...pool.opened()].length))),
    Effect.annotateLogs({ module: "Heartbeat" })
  )

  return Heartbeat.of({ run, period })
})

/**
 * The sweep over the connections of the pool. It does nothing before `run`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Heartbeat, never, NetworkConfig | LocalNode | ConnectionPool | NetworkStats> =
  Layer.effect(Heartbeat, make)
