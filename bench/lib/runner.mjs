/** Runs one workload over the systems, alternating: A B C, A B C, … */
import { atOnce } from "./pool.mjs"
import { start } from "./processes.mjs"

/**
 * @param {import("./types.js").Workload} workload
 * @param {ReadonlyArray<import("./types.js").Row>} rows
 * @param {{ rounds: number, warmup: number, leadIn: number, seconds: number, quick: boolean, nodeOf: (major: number) => string, tell: (text: string) => void }} options
 */
export const runWorkload = async (workload, rows, { leadIn, nodeOf, quick, rounds, seconds, tell, warmup }) => {
  const notes = new Set()
  const entries = rows.map((row) => {
    const started = new Set()
    const { node, point, system } = row
    const run = {
      system,
      point,
      seconds,
      quick,
      note: (text) => notes.add(text),
      start: async (side, args) => {
        const remote = await start(nodeOf(node), workload.name, side, system.name, args)
        started.add(remote)
        return remote
      }
    }
    return { row, run, started, state: undefined }
  })
  /** What fails ends that row and nothing else. */
  const guarded = async (entry, what, doing) => {
    const { row, started } = entry
    if (row.failure !== undefined) return
    try {
      await doing()
    } catch (error) {
      row.failure = error instanceof Error ? error.message : String(error)
      tell(`${what} ${label(row)}: ${row.failure}`)
      for (const side of started) await side.stop()
    }
  }
  try {
    await atOnce(entries, 2, (entry) =>
      guarded(entry, "setting up", async () => {
        entry.state = await workload.setup(entry.run)
      })
    )
    /** A round that does not count. */
    const warmUp = (entry, seconds) =>
      seconds === 0
        ? undefined
        : guarded(entry, "warming up", () => workload.round({ ...entry.run, seconds }, entry.state))
    for (const entry of entries) await warmUp(entry, warmup)
    for (let round = 0; round < rounds; round++) {
      for (const entry of entries) {
        await warmUp(entry, leadIn)
        await guarded(entry, "round of", async () => {
          entry.row.rounds.push(await workload.round(entry.run, entry.state))
        })
      }
    }
  } finally {
    await Promise.all(entries.flatMap(({ started }) => Array.from(started, (side) => side.stop())))
  }
  return [...notes]
}

export const label = ({ node, point, system }) => [system.name, point, `on Node ${node}`].filter(Boolean).join(" ")
