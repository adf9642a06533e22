/**
 * README and the guarantees tell the truth: its programs are the examples, its tables come from the code. After a change
 * of either, `UPDATE_README=1 npx vitest run test/README.test.ts` writes them anew.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as NetworkConfig from "../src/NetworkConfig.js"
import * as Policy from "../src/Policy.js"

const code = (file: string): string => {
  const source = readFileSync(file, "utf8")
  return `\`\`\`ts\n${source.replace(/^\/\*\*[\s\S]*?\*\/\n/, "").trim()}\n\`\`\``
}

const settings = (): string =>
  [
    "| key | environment | default | allowed | meaning |",
    "|---|---|---|---|---|",
    ...NetworkConfig.keys.map(
      ({ allowed, default: initial, description, env, key }) =>
        `| \`${key}\` | \`${env}\` | ${initial} | ${allowed} | ${description} |`
    )
  ].join("\n")

const script = (file: string): string => `\`\`\`sh\n${readFileSync(file, "utf8").trim()}\n\`\`\``

const sections: ReadonlyArray<readonly [page: string, name: string, content: () => string]> = [
  ["README.md", "examples/chat.ts", () => code("examples/chat.ts")],
  ["README.md", "examples/room.ts", () => code("examples/room.ts")],
  ["README.md", "examples/room.test.ts", () => code("examples/room.test.ts")],
  ["README.md", "examples/simulated.ts", () => code("examples/simulated.ts")],
  ["README.md", "examples/faults.ts", () => code("examples/faults.ts")],
  ["README.md", "examples/sidecar.sh", () => script("examples/sidecar.sh")],
  ["README.md", "policies", () => Policy.toMarkdown().trim()],
  ["docs/POLICIES.md", "policies", () => Policy.toMarkdown().trim()],
  ["README.md", "settings", settings]
]

describe("README", () => {
  for (const [page, name, content] of sections) {
    it(`${page} has ${name} as it is in the code`, () => {
      const readme = readFileSync(page, "utf8")
      const start = `<!-- ${name} -->`
      const end = `<!-- /${name} -->`
      const from = readme.indexOf(start)
      const to = readme.indexOf(end)
      assert.isTrue(from >= 0 && to > from, `${page} lacks the marks of ${name}`)
      const wanted = `\n\n${content()}\n\n`
      if (process.env["UPDATE_README"] === "1") {
        writeFileSync(page, readme.slice(0, from + start.length) + wanted + readme.slice(to))
      } else {
        assert.strictEqual(readme.slice(from + start.length, to), wanted)
      }
    })
  }

  it("names only files that exist", () => {
    const readme = readFileSync("README.md", "utf8")
    for (const [, file] of readme.matchAll(/\]\(([^)#:]+)\)/g)) {
      assert.doesNotThrow(() => readFileSync(String(file)), `${file} does not exist`)
    }
  })
})

describe.each([
  ["docs/GUARANTEES.md", 30],
  ["docs/SECURITY.md", 20]
])("%s", (file, least) => {
  it("names tests that exist", () => {
    const page = readFileSync(file, "utf8")
    const named = [...page.matchAll(/(test\/[\w./]+\.test\.ts): "([^"]+)"/g)]
    assert.isAbove(named.length, least)
    for (const [, file = "", name = ""] of named) {
      assert.include(readFileSync(file, "utf8"), name, `${file} has no test "${name}"`)
    }
  })
})
