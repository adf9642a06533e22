import { assert, describe, it } from "@effect/vitest"
import * as Screen from "../../src/cli/Screen.js"

/** What a terminal would show of the text, as lines. */
const terminal = () => {
  let lines: Array<string> = [""]
  return {
    write: (text: string) => {
      // oxlint-disable-next-line no-control-regex
      for (const [part] of text.matchAll(/\u001B\[(\d+)A|\u001B\[0J|[^\u001B]+/g)) {
        if (part.endsWith("J")) lines = [...lines.slice(0, -1), ""]
        else if (part.startsWith("\u001B")) lines = [...lines.slice(0, lines.length - 1 - Number(/\d+/.exec(part))), ""]
        else
          for (const char of part.replaceAll("\r", "")) {
            if (char === "\n") lines.push("")
            else lines.push((lines.pop() ?? "") + char)
          }
      }
    },
    lines: () => lines.slice(0, -1)
  }
}

describe("Screen", () => {
  it("puts new lines in the place of the old ones", () => {
    const { lines, write } = terminal()
    write("before\n")
    const screen = Screen.make(write)
    screen.show(["a", "b"])
    screen.show(["c"])
    assert.deepStrictEqual(lines(), ["before", "c"])
    screen.show([])
    assert.deepStrictEqual(lines(), ["before"])
  })

  it("keeps its lines below what is printed", () => {
    const { lines, write } = terminal()
    const screen = Screen.make(write)
    screen.above(() => write("first\n"))
    screen.show(["a", "b"])
    screen.above(() => write("second\nthird\n"))
    assert.deepStrictEqual(lines(), ["first", "second", "third", "a", "b"])
  })
})
