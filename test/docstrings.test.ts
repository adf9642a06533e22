/**
 * Every export of the three entry points says what it gives, since when, and of which kind it is.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as path from "node:path"

const categories = new Set(
  (
    "accessors combinators constants constructors decisions decoding encoding errors formatting guards layers " +
    "metrics models policies schemas statistics tags testing transitions"
  ).split(" ")
)

interface Export {
  readonly name: string
  readonly docstring: string
}

const docstring = String.raw`(?:/\*\*(?<docstring>(?:(?!\*/)[\s\S])*)\*/\s*)?`
const declaration = String.raw`export (?:declare |abstract |async )*(?:const|function\*?|class|interface|type|enum|namespace) (?<name>\w+)`
const line = new RegExp(`${docstring}^[ \\t]*(?:${declaration}|export (?<rest>.*))`, "gm")

/** The exports of a module as it is written, those of overloads once. What is re-exported is looked up where it is. */
const exportsOf = (source: string, read: (module: string) => string): Array<Export> => {
  const found: Array<Export> = []
  for (const { 0: text, groups } of source.matchAll(line)) {
    const { docstring: written = "", name = "", rest = "" } = groups ?? {}
    const [, names, from] = /^(?:type )?\{ (.*) \} from "(.*)"$/.exec(rest) ?? []
    if (names !== undefined && from !== undefined) {
      const wanted = new Set(names.split(", ").map((part) => part.replace("type ", "")))
      found.push(...exportsOf(read(from), read).filter((each) => wanted.has(each.name)))
    } else if (!(text.startsWith("export function") && found.at(-1)?.name === name)) {
      found.push({ name: name === "" ? rest : name, docstring: written })
    }
  }
  return found
}

const saysSomething = ({ docstring }: Export): boolean => /^\s*(?:\* )?[^@\s*]/.test(docstring)

/** What the exports of a module lack. A type and a value of one name may share the words of one docstring. */
const lacking = (source: string, read: (module: string) => string = () => ""): Array<string> => {
  const all = exportsOf(source, read)
  return all.flatMap((each) => {
    const category = /@category (\w+)/.exec(each.docstring)?.[1] ?? ""
    const faults = [
      all.some((other) => other.name === each.name && saysSomething(other)) ? "" : "no sentence",
      /@since \d+\.\d+\.\d+\s/.test(each.docstring) ? "" : "no @since",
      categories.has(category) ? "" : `@category ${category || "is missing"}`
    ]
    return faults.filter((fault) => fault !== "").map((fault) => `${each.name}: ${fault}`)
  })
}

const beside =
  (file: string) =>
  (module: string): string =>
    readFileSync(path.join(path.dirname(file), module.replace(/\.js$/, ".ts")), "utf8")

const modulesOf = (entry: string): Array<string> => {
  const targets = [...readFileSync(entry, "utf8").matchAll(/^export .* from "(.*)\.js"$/gm)].map(([, target]) =>
    path.join(path.dirname(entry), `${target}.ts`)
  )
  return [...new Set(targets)]
}

describe("docstrings", () => {
  for (const entry of ["src/index.ts", "src/node/index.ts", "src/testing/index.ts"]) {
    const modules = modulesOf(entry)

    it(`stand at the head of ${entry} and its modules, with @since`, () => {
      assert.isNotEmpty(modules)
      for (const file of [entry, ...modules]) {
        assert.match(readFileSync(file, "utf8"), /^\/\*\*\n \* [^@]((?!\*\/)[\s\S])*@since \d/, file)
      }
    })

    it(`stand at every export of ${entry}, with @since and @category`, () => {
      const found = modules.flatMap((file) =>
        lacking(readFileSync(file, "utf8"), beside(file)).map((what) => `${file}: ${what}`)
      )
      assert.deepStrictEqual(found, [])
    })
  }

  it("are missed where they lack, and taken where they are whole", () => {
    const tags = "/**\n * @since 0.1.0\n * @category models\n */\n"
    const whole = tags.replace("/**\n", "/**\n * A thing.\n *\n")
    assert.deepStrictEqual(lacking(`${whole}export interface A {}\n\n${whole}export declare class B {}\n`), [])
    assert.deepStrictEqual(lacking(`${whole}export const A = 1\n\n${tags}export type A = 1\n`), [])
    assert.deepStrictEqual(lacking(`${whole}export function a(): 1\nexport function a(b?: 1) {}\n`), [])
    assert.deepStrictEqual(lacking(`${tags}export const a = 1\n`), ["a: no sentence"])
    assert.deepStrictEqual(lacking("/** A thing. */\nexport type A = 1\n"), ["A: no @since", "A: @category is missing"])
    assert.deepStrictEqual(lacking(`${whole.replace("models", "things")}export type A = 1\n`), ["A: @category things"])
    for (const text of [
      `${whole}const a = 1\nexport const b = 1\n`,
      `${whole}export type A = 1\nexport const b = 1\n`
    ]) {
      assert.deepStrictEqual(lacking(text), ["b: no sentence", "b: no @since", "b: @category is missing"])
    }
    assert.deepStrictEqual(
      lacking('export { a, b } from "./x.js"\n', () => `${whole}export const a = 1\n${tags}export const b = 1\n`),
      ["b: no sentence"]
    )
    assert.isNotEmpty(lacking("export default 1\n"))
  })
})
