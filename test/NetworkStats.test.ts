import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as MetricState from "effect/MetricState"
import * as NetworkStats from "../src/NetworkStats.js"

const nothing: NetworkStats.Totals = { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0 }

/** What stands in the process's registry: of counters and gauges the value, of histograms the count. */
const registry = (): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Metric.unsafeSnapshot().flatMap(({ metricKey, metricState }) => {
      const tags = metricKey.tags.map(({ key, value }) => `${key}=${value}`).join(",")
      const name = tags === "" ? metricKey.name : `${metricKey.name}{${tags}}`
      if (!name.startsWith("synapse_")) return []
      if (MetricState.isCounterState(metricState)) return [[name, Number(metricState.count)]]
      if (MetricState.isGaugeState(metricState)) return [[name, Number(metricState.value)]]
      return MetricState.isHistogramState(metricState) ? [[name, metricState.count]] : []
    })
  )

/** How the registry changes by a step; the registry belongs to the whole process. */
const change = (step: () => void): Readonly<Record<string, number>> => {
  const before = registry()
  step()
  return Object.fromEntries(
    Object.entries(registry())
      .map(([name, value]) => [name, value - (before[name] ?? 0)] as const)
      .filter(([, difference]) => difference !== 0)
  )
}

describe("NetworkStats", () => {
  it("counts from 0, by name, and shows every name", () => {
    const stats = new NetworkStats.Stats()
    assert.deepStrictEqual(Object.keys(stats.counts), [...NetworkStats.countNames])
    assert.isTrue(Object.values(stats.counts).every((count) => count === 0))
    stats.count("delivered")
    stats.count("delivered", 4)
    stats.count("lost", 0)
    stats.error("DialRefused")
    stats.error("DialRefused")
    assert.strictEqual(stats.counts["delivered"], 5)
    assert.strictEqual(stats.counts["lost"], 0)
    assert.deepStrictEqual(stats.errors, { DialRefused: 2 })
  })

  it("brings the registry up to date by what was added since, never twice", () => {
    const stats = new NetworkStats.Stats()
    stats.count("relayed", 3)
    stats.error("PeerSilent")
    const totals = { messagesIn: 5, messagesOut: 6, bytesIn: 700, bytesOut: 800 }
    assert.deepStrictEqual(
      change(() => stats.publish(0, totals, 2)),
      {
        "synapse_messages_total{direction=in}": 5,
        "synapse_messages_total{direction=out}": 6,
        "synapse_bytes_total{direction=in}": 700,
        "synapse_bytes_total{direction=out}": 800,
        "synapse_outcomes_total{reason=relayed}": 3,
        "synapse_errors_total{tag=PeerSilent}": 1,
        synapse_connections: 2
      }
    )
    assert.deepStrictEqual(
      change(() => stats.publish(1_000, totals, 2)),
      {}
    )
    stats.count("relayed")
    assert.deepStrictEqual(
      change(() => stats.publish(2_000, { ...totals, bytesIn: 701 }, 0)),
      {
        "synapse_bytes_total{direction=in}": 1,
        "synapse_outcomes_total{reason=relayed}": 1,
        synapse_connections: -2
      }
    )
  })

  it("adds two nodes of a process up in the registry, and keeps them apart in their own counters", () => {
    const one = new NetworkStats.Stats()
    const other = new NetworkStats.Stats()
    const difference = change(() => {
      one.count("delivered", 2)
      other.count("delivered", 5)
      one.publish(0, { ...nothing, messagesIn: 10 }, 3)
      other.publish(0, { ...nothing, messagesIn: 20 }, 4)
      one.publish(1, { ...nothing, messagesIn: 11 }, 1)
    })
    assert.strictEqual(difference["synapse_messages_total{direction=in}"], 31)
    assert.strictEqual(difference["synapse_outcomes_total{reason=delivered}"], 7)
    assert.strictEqual(difference["synapse_connections"], 5)
    assert.deepStrictEqual([one.counts["delivered"], other.counts["delivered"]], [2, 5])
    one.publish(2, { ...nothing, messagesIn: 11 }, 0)
    other.publish(2, { ...nothing, messagesIn: 20 }, 0)
  })

  it("puts each round-trip time into the histogram at once", () => {
    const stats = new NetworkStats.Stats()
    assert.deepStrictEqual(
      change(() => {
        stats.roundTrip(0.2)
        stats.roundTrip(40)
      }),
      { synapse_round_trip_millis: 2 }
    )
  })

  it("gives the rates of about the last 10 seconds, each direction for itself", () => {
    const stats = new NetworkStats.Stats()
    assert.strictEqual(stats.rate("messagesIn"), 0)
    for (let second = 0; second <= 30; second++) {
      stats.publish(
        second * 1_000,
        { messagesIn: second * 7, messagesOut: second, bytesIn: second * 900, bytesOut: 0 },
        0
      )
    }
    assert.approximately(stats.rate("messagesIn"), 7, 1e-9)
    assert.approximately(stats.rate("messagesOut"), 1, 1e-9)
    assert.approximately(stats.rate("bytesIn"), 900, 1e-9)
    assert.strictEqual(stats.rate("bytesOut"), 0)
    const still = { messagesIn: 210, messagesOut: 30, bytesIn: 27_000, bytesOut: 0 }
    for (let second = 31; second <= 42; second++) stats.publish(second * 1_000, still, 0)
    assert.strictEqual(stats.rate("messagesIn"), 0)
  })

  it.effect("has counters of its own in each build of the layer", () =>
    Effect.gen(function* () {
      const build = Effect.provide(NetworkStats.NetworkStats, Layer.fresh(NetworkStats.layer))
      const [one, other] = [yield* build, yield* build]
      one.count("invalid")
      assert.deepStrictEqual([one.counts["invalid"], other.counts["invalid"]], [1, 0])
    })
  )
})
