import { readFileSync } from "node:fs"

/** The cases of a file of vectors. */
export const readVectors = <Case extends { readonly description: string }>(name: string): ReadonlyArray<Case> => {
  const file = JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as {
    readonly cases: ReadonlyArray<Case>
  }
  return file.cases
}
