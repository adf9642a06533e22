/** What the rounds of a row say: medians, ratios to other rows, whether its bars are met. */
import { median, shown, spread } from "./stats.mjs"

/** Beyond this spread of its first metric a row was disturbed. */
const disturbed = 0.25

const isLower = ({ better }) => better === "lower"

/** The row of that system on the same Node, at the same point. */
export const rowOf = (name, row, rows) =>
  rows.find(
    ({ failure, node, point, system }) =>
      system.name === name && node === row.node && point === row.point && failure === undefined
  )

/** The median of the values of the rounds over those of the other row in the same round; NaN where there are none. */
export const ratio = (row, other, { key }) =>
  median(
    row.rounds.flatMap((values, round) => {
      const its = other?.rounds[round]?.[key]
      return its === undefined || values[key] === undefined ? [] : [values[key] / its]
    })
  )

const isMet = (metric, value, bar) => (isLower(metric) ? value <= bar : value >= bar)

/**
 * Whether a row meets the bar that a metric sets it; undefined where it sets none, or where there is nothing to hold it
 * against.
 *
 * @param {import("./types.js").Row} row
 * @param {import("./types.js").Metric} metric
 */
const judged = (row, rows, metric, value) => {
  const bar = row.bars ? metric.bars?.[row.system.name] : undefined
  if (bar === undefined) return undefined
  const sign = isLower(metric) ? "≤" : "≥"
  if ("value" in bar) {
    return { value: shown(value), bar: `${sign} ${shown(bar.value)}`, met: isMet(metric, value, bar.value) }
  }
  const { ratio: least, to = "raw" } = bar
  const times = ratio(row, rowOf(to, row, rows), metric)
  if (Number.isNaN(times)) return undefined
  const whose = to === "raw" ? "×" : `× ${to}`
  return { value: `${shown(times)} ${whose}`, bar: `${sign} ${least} ${whose}`, met: isMet(metric, times, least) }
}

/**
 * What a row says about a metric.
 *
 * @param {import("./types.js").Row} row
 * @param {import("./types.js").Metric} metric
 */
export const summary = (row, rows, metric) => {
  const values = row.rounds.map((round) => round[metric.key]).filter((value) => value !== undefined)
  const reference = rowOf("raw", row, rows)
  const value = median(values)
  return {
    values,
    value,
    ratio: metric.absolute === true || reference === row ? Number.NaN : ratio(row, reference, metric),
    judged: judged(row, rows, metric, value)
  }
}

/**
 * How a row is called in its workload.
 *
 * @param {import("./types.js").Row} row
 * @param {import("./types.js").Workload} workload
 */
export const nameOf = ({ node, point, system }, rows, workload) => {
  const isMixed = rows.some((other) => other.node !== node)
  const name = isMixed ? `${system.name}, Node ${node}` : system.name
  return { name, where: point === undefined ? name : `${name}, ${shown(point)} ${workload.pointTitle}` }
}

/** How far the rounds of a row lie apart, as a part of their median, where that is too far to trust them. */
export const disturbance = (row, metrics) => {
  const values = row.rounds.map((round) => round[metrics[0].key]).filter((value) => value !== undefined)
  if (row.failure !== undefined || values.length < 2) return undefined
  const apart = spread(values)
  return apart > disturbed ? apart : undefined
}

/** All that set a bar to a row of the workload, and whether it is met. */
export const verdictsOf = (workload, rows) => {
  const ofMetrics = rows.flatMap((row) =>
    workload.metrics.flatMap((metric) => {
      const { where } = nameOf(row, rows, workload)
      if (row.failure !== undefined) {
        const isBarred = row.bars && metric.bars?.[row.system.name] !== undefined
        return isBarred ? [{ row: where, title: metric.title, value: "failed", bar: "", met: false }] : []
      }
      const verdict = summary(row, rows, metric).judged
      return verdict === undefined ? [] : [{ row: where, title: metric.title, ...verdict }]
    })
  )
  return [...ofMetrics, ...(workload.verdicts?.(rows) ?? [])]
}
