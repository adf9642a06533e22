/** Once for the whole run: where the files' figures come together, and are told. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    readonly secretsFolder: string
  }
}

type Figures = Readonly<Record<"lines" | "characters" | "secrets" | "forms" | "leaks", number>>

export const setup = (project: TestProject): (() => void) => {
  const folder = mkdtempSync(join(tmpdir(), "secrets-"))
  project.provide("secretsFolder", folder)
  return () => {
    const path = join(folder, "figures")
    const files = existsSync(path)
      ? readFileSync(path, "utf8")
          .split("\n")
          .filter(Boolean)
          .map((line) => JSON.parse(line) as Figures)
      : []
    rmSync(folder, { recursive: true, force: true })
    const sum = (name: keyof Figures): string =>
      files.reduce((total, figures) => total + figures[name], 0).toLocaleString("en")
    process.stdout.write(
      `Secrets: ${sum("lines")} different lines (${sum("characters")} characters) of ${files.length} files searched for ` +
        `${sum("secrets")} secrets in ${sum("forms")} forms, ${sum("leaks")} found\n`
    )
  }
}
