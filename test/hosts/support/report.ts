/** What each scenario has promised and what came of it, as a table that is shown at the end. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as TextTable from "../../../src/cli/TextTable.js"

interface Outcome {
  readonly measured: string
  readonly ok: boolean
}

interface Entry {
  readonly what: string
  readonly promised: string
  outcome: Outcome | undefined
}

/** In the order in which they stand in the suite. */
const entries: Array<Entry> = []

/** Lines of at most so many characters, cut between words. */
const wrap = (text: string, width: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (const word of text.split(" ")) {
    const last = lines.pop()
    if (last === undefined) lines.push(word)
    else if (last.length + 1 + word.length <= width) lines.push(`${last} ${word}`)
    else lines.push(last, word)
  }
  return lines
}

const render = (): string => {
  const done = entries.flatMap(({ outcome, promised, what }) =>
    outcome === undefined ? [] : [{ ...outcome, promised, what }]
  )
  const lines = done.flatMap(({ measured, ok, promised, what }) => {
    const cells = [wrap(what, 28), wrap(promised, 34), wrap(measured, 46), [ok ? "OK" : "FAILED"]]
    const height = Math.max(...cells.map(({ length }) => length))
    const row = Array.from({ length: height }, (_, line) => cells.map((cell) => cell[line] ?? ""))
    return [...row, []]
  })
  const titles = ["WHAT", "PROMISED", "MEASURED", ""].map((title) => ({ title }))
  const failed = done.filter(({ ok }) => !ok).length
  const verdict = failed === 0 ? `All ${done.length} went as they should.` : `${failed} of ${done.length} did not.`
  return `\n${TextTable.render(titles, [[], ...lines]).join("\n")}\n${verdict}\n`
}

/** Enters a scenario into the table; what it gives when it is run is what it has measured. */
export const scenario = <E, R>(
  what: string,
  promised: string,
  run: Effect.Effect<string, E, R>
): Effect.Effect<void, E, R> => {
  const entry: Entry = { what, promised, outcome: undefined }
  entries.push(entry)
  const enter = (outcome: Outcome): Effect.Effect<void> =>
    Effect.sync(() => {
      entry.outcome = outcome
      const folder = process.env["SYNAPSE_HOSTS_FOLDER"]
      if (folder !== undefined) writeFileSync(join(folder, "report"), render())
    })
  return Effect.zipRight(enter({ measured: "it has not come to its end", ok: false }), run).pipe(
    Effect.tapErrorCause((cause) => {
      if (Cause.isInterrupted(cause)) return Effect.void
      const error = Cause.squash(cause)
      const [measured = ""] = String(error instanceof Error ? error.message : error).split("\n")
      return enter({ measured: measured.slice(0, 200), ok: false })
    }),
    Effect.flatMap((measured) => enter({ measured, ok: true }))
  )
}
