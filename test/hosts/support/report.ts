/** What each scenario has promised and what came of it, as a table that is shown at the end. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Row } from "../../../src/cli/demo/Report.js"
import * as Report from "../../../src/cli/demo/Report.js"

const rows: Array<Row> = []

const write = (): void => {
  const folder = process.env["SYNAPSE_HOSTS_FOLDER"]
  if (folder === undefined) return
  writeFileSync(join(folder, "report"), `\n${Report.render(rows, false).join("\n")}\n`)
}

/** Runs a scenario, which gives what it has measured, and enters it into the table. */
export const scenario = <E, R>(
  what: string,
  plan: string,
  run: Effect.Effect<string, E, R>
): Effect.Effect<void, E, R> =>
  run.pipe(
    Effect.tapErrorCause((cause) =>
      Effect.sync(() => {
        const error = Cause.squash(cause)
        const [measured = ""] = String(error instanceof Error ? error.message : error).split("\n")
        rows.push({ what, plan, measured: measured.slice(0, 200), ok: false })
        write()
      })
    ),
    Effect.map((measured) => {
      rows.push({ what, plan, measured, ok: true })
      write()
    })
  )
