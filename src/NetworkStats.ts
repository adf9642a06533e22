/**
 * What is counted. Each node has counters of its own, which `status` shows; the same figures go to Effect's `Metric`
 * registry, which all nodes of a process share, so there they add up. Counting costs an addition: the registry is
 * brought up to date once a heartbeat sweep, not once a message.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import { RateMeter } from "./internal/RateMeter.js"

/**
 * What may become of a message or connection besides being sent and delivered:
 * `delivered` to a handler or stream; `handlerFailures`; `relayed` to another node; `relaySkipped`, a full link;
 * `duplicates` dropped; `repliesDropped`, nobody waits for them; `unsupported`, no handler; `undecodable`, refused by
 * the application's schema; `invalid`, against the protocol; `lost`, in the queue when the
 * connection ended, or too late over a connection that another had overtaken; `tooLarge`
 * for the next link; `noRoute`; `handshakesFailed`; `dialsFailed`.
 *
 * @since 0.1.0
 * @category models
 */
export const countNames = [
  "delivered",
  "handlerFailures",
  "relayed",
  "relaySkipped",
  "duplicates",
  "repliesDropped",
  "unsupported",
  "undecodable",
  "invalid",
  "lost",
  "tooLarge",
  "noRoute",
  "handshakesFailed",
  "dialsFailed"
] as const

/**
 * The name of something that is counted.
 *
 * @since 0.1.0
 * @category models
 */
export type CountName = (typeof countNames)[number]

/**
 * Running totals over all connections of a node.
 *
 * @since 0.1.0
 * @category models
 */
export interface Totals {
  readonly messagesIn: number
  readonly messagesOut: number
  readonly bytesIn: number
  readonly bytesOut: number
}

const messages = Metric.counter("synapse_messages_total", { incremental: true, description: "frames, by direction" })
const bytes = Metric.counter("synapse_bytes_total", { incremental: true, description: "bytes, by direction" })
const outcomes = Metric.counter("synapse_outcomes_total", {
  incremental: true,
  description: "what became of messages and connections, by reason"
})
const errors = Metric.counter("synapse_errors_total", { incremental: true, description: "errors, by tag" })
const connections = Metric.gauge("synapse_connections", { description: "open connections" })

/**
 * Round-trip times of pings, milliseconds.
 *
 * @since 0.1.0
 * @category metrics
 */
export const roundTrip = Metric.histogram(
  "synapse_round_trip_millis",
  MetricBoundaries.exponential({ start: 0.125, factor: 2, count: 16 }),
  "round-trip times of pings, milliseconds"
)

const directed: Record<keyof Totals, Metric.Metric.Counter<number>> = {
  messagesIn: Metric.tagged(messages, "direction", "in"),
  messagesOut: Metric.tagged(messages, "direction", "out"),
  bytesIn: Metric.tagged(bytes, "direction", "in"),
  bytesOut: Metric.tagged(bytes, "direction", "out")
}

const totalNames = ["messagesIn", "messagesOut", "bytesIn", "bytesOut"] as const

/**
 * The counters of one node.
 *
 * @since 0.1.0
 * @category models
 */
export class Stats {
  private readonly counted = new Map<CountName, number>()
  private readonly failed = new Map<string, number>()
  private readonly publishedTotals = new Map<keyof Totals, number>()
  private readonly publishedCounts = new Map<CountName, number>()
  private readonly publishedErrors = new Map<string, number>()
  /** Undefined before the first time. */
  private openConnections: number | undefined
  private readonly meters = {
    messagesIn: new RateMeter(),
    messagesOut: new RateMeter(),
    bytesIn: new RateMeter(),
    bytesOut: new RateMeter()
  }

  count(name: CountName, by = 1): void {
    this.counted.set(name, (this.counted.get(name) ?? 0) + by)
  }

  error(tag: string): void {
    this.failed.set(tag, (this.failed.get(tag) ?? 0) + 1)
  }

  roundTrip(millis: number): void {
    roundTrip.unsafeUpdate(millis, [])
  }

  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(countNames.map((name) => [name, this.counted.get(name) ?? 0]))
  }

  get errors(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.failed)
  }

  /** Units a second over about the last 10 seconds. */
  rate(name: keyof Totals): number {
    return this.meters[name].perSecond
  }

  /** Brings the rates and the shared registry up to date. `now`: monotonic milliseconds. */
  publish(now: number, totals: Totals, open: number): void {
    for (const name of totalNames) {
      this.meters[name].sample(now, totals[name])
      const by = this.unpublished(this.publishedTotals, name, totals[name])
      if (by > 0) directed[name].unsafeUpdate(by, [])
    }
    for (const [name, total] of this.counted) {
      const by = this.unpublished(this.publishedCounts, name, total)
      if (by > 0) Metric.tagged(outcomes, "reason", name).unsafeUpdate(by, [])
    }
    for (const [tag, total] of this.failed) {
      const by = this.unpublished(this.publishedErrors, tag, total)
      if (by > 0) Metric.tagged(errors, "tag", tag).unsafeUpdate(by, [])
    }
    // The gauge is the sum over the nodes of the process.
    if (open === this.openConnections) return
    connections.unsafeModify(open - (this.openConnections ?? 0), [])
    this.openConnections = open
  }

  /** How much more it is than was published; it is then published. */
  private unpublished<Name>(published: Map<Name, number>, name: Name, total: number): number {
    const by = total - (published.get(name) ?? 0)
    // Most often nothing has changed.
    if (by > 0) published.set(name, total)
    return by
  }
}

/**
 * The figures of one node.
 *
 * @since 0.1.0
 * @category tags
 */
export class NetworkStats extends Context.Tag("synapse-p2p/NetworkStats")<NetworkStats, Stats>() {}

/**
 * Counters that start at 0.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<NetworkStats> = Layer.sync(NetworkStats, () => new Stats())
