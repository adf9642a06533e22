import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as TestClock from "effect/TestClock"
import * as LiveTable from "../../src/cli/LiveTable.js"
import * as Screen from "../../src/cli/Screen.js"
import type { Terminal } from "../../src/cli/Stdio.js"
import * as FakeNetwork from "./support/FakeNetwork.js"

const make = () => {
  const written: Array<string> = []
  const terminal: Terminal = { write: (text) => written.push(text), width: () => 100, height: () => 20 }
  return { written, terminal, screen: Screen.make(terminal.write) }
}

describe("LiveTable", () => {
  it.effect("draws the table every second and takes it away at the end", () =>
    Effect.gen(function* () {
      const { screen, terminal, written } = make()
      const { layer } = yield* FakeNetwork.make()
      yield* Effect.gen(function* () {
        yield* LiveTable.show(screen, terminal)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(written.length, 3)
        assert.include(written[2], "node-b")
      }).pipe(Effect.scoped, Effect.provide(layer))
      assert.strictEqual(written.length, 4)
      assert.notInclude(written[3], "node-b")
    })
  )

  it.effect("writes what is logged above the table", () =>
    Effect.gen(function* () {
      const { screen, written } = make()
      screen.show(["table"])
      const logger = Logger.withConsoleError(Logger.make(({ message }) => String(message)))
      yield* Effect.log("hello").pipe(
        LiveTable.withLogAbove(screen, (text) => written.push(text)),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      assert.deepStrictEqual([written.at(0), ...written.slice(2)], ["table\n", "hello\n", "table\n"])
    })
  )
})
