/** Before the tests of each file: notes the secrets they have and all that is said. After them: searches the one for the other. */
import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, inject } from "vitest"
import * as Said from "./said.js"
import { formsOf, leaks } from "./search.js"

const folder = inject("secretsFolder")
const file = join(folder, `${process.pid}-${crypto.randomUUID()}.secrets`)
const inUse = new URL("inUse.mjs", import.meta.url)

process.env["TEST_SECRETS"] = file
await import(fileURLToPath(inUse))
Said.start({ TEST_SECRETS: file, NODE_OPTIONS: `--import=${inUse.href}` })

afterAll(() => {
  const secrets = existsSync(file)
    ? new Set(
        readFileSync(file, "utf8")
          .split("\n")
          .filter(Boolean)
          .map((line) => JSON.parse(line) as string)
      )
    : new Set<string>()
  const found = leaks(Said.lines, secrets)
  const figures = {
    lines: Said.lines.size,
    characters: [...Said.lines].reduce((sum, line) => sum + line.length, 0),
    secrets: secrets.size,
    forms: [...secrets].reduce((sum, secret) => sum + formsOf(secret).length, 0),
    leaks: found.length
  }
  appendFileSync(join(folder, "figures"), `${JSON.stringify(figures)}\n`)
  if (found.length === 0) return
  const shown = found.slice(0, 20).map(({ form, line }) => `${form}\n  in: ${line.slice(0, 500)}`)
  throw new Error(`${found.length} secrets were said:\n${shown.join("\n")}`)
})
