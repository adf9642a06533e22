/** Which rows a workload has, and how long that takes. */
import { majorFor, ownMajor } from "./machine.mjs"

/** What systems that need a newer Node stand beside; the last only where one of them is encrypted, too. */
const beside = new Set(["raw", "synapse", "synapse-tls"])

/**
 * The systems of a workload; what needs a newer Node stands there beside others on that one.
 *
 * @param {import("./types.js").Workload} workload
 * @param {ReadonlyArray<import("./types.js").System>} systems
 */
export const rowsOf = (workload, systems, quick) => {
  /** @param {import("./types.js").System} system */
  const takesPart = ({ lacks, name, only }) =>
    (workload.systems === undefined || workload.systems.includes(name)) &&
    (only === undefined || only.includes(workload.name)) &&
    lacks?.[workload.name] === undefined
  const own = systems.filter((each) => takesPart(each) && majorFor(each.node) === ownMajor)
  const newer = systems.filter((each) => takesPart(each) && majorFor(each.node) !== ownMajor)
  const isEncrypted = newer.some(({ encrypted }) => encrypted)
  const references = own.filter(
    ({ encrypted, name }) => newer.length > 0 && beside.has(name) && (isEncrypted || encrypted !== true)
  )
  const isAlone = own.length === 1 && own[0]?.name === "raw" && newer.length > 0
  const rows = [
    ...(isAlone ? [] : own.map((system) => ({ system, node: ownMajor, bars: !quick }))),
    ...[...references, ...newer].map((system) => ({ system, node: majorFor(24), bars: false }))
  ]
  const all = workload.points ?? [undefined]
  const points = quick ? all.filter((_, i) => i % 2 === 0) : all
  return points.flatMap((point) =>
    rows.map(({ bars, node, system }) => ({ bars, node, system, point, rounds: [], failure: undefined }))
  )
}

/**
 * How often and how long a workload is measured.
 *
 * @param {import("./types.js").Workload} workload
 */
export const timesOf = (workload, { quick, rounds, seconds }) => ({
  rounds: quick ? 1 : Number(rounds ?? workload.rounds ?? 5),
  seconds: Number(seconds ?? (quick ? 0.2 : (workload.seconds ?? 0.5))),
  warmup: quick ? 0 : (workload.warmup ?? 1.5),
  leadIn: quick ? 0 : (workload.leadIn ?? 0)
})

/**
 * The seconds that it is going to take, by and large.
 *
 * @param {import("./types.js").Workload} workload
 * @returns {number}
 */
export const estimate = (workload, rows, { leadIn, rounds, seconds, warmup }) => {
  const { beside: around = 0.1, setup = 0.4 } = workload.takes ?? {}
  const warming = warmup === 0 ? 0 : warmup + around
  const leading = leadIn === 0 ? 0 : leadIn + around
  return rows.length * (setup + warming + rounds * (leading + seconds + around))
}
