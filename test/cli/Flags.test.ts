import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Flags from "../../src/cli/Flags.js"
import { version } from "../../src/internal/version.js"

const parse = (line: string) =>
  Effect.gen(function* () {
    const printed: Array<string> = []
    const print = (text: string) => Effect.sync(() => void printed.push(text))
    const args = line.split(" ").filter((word) => word !== "")
    const start = yield* Flags.parse(["node", "synapse", ...args], print)
    return { start: Option.getOrUndefined(start), printed }
  }).pipe(Effect.provide(NodeContext.layer))

const settings = (line: string) =>
  Effect.map(parse(line), ({ start }) => (start?._tag === "Start" ? start.settings : undefined))

const fault = (line: string) => Effect.map(Effect.flip(parse(line)), ({ message }) => message)

describe("Flags", () => {
  it.effect("passes the flags that are given on as text, under the names of the settings", () =>
    Effect.gen(function* () {
      const { start } = yield* parse(
        "start --config x.json --host h --port p --node-id i --network n --bootstrap a:1 --bootstrap b:2 --log-level debug --log-format=json --json"
      )
      assert.deepStrictEqual(start, {
        _tag: "Start",
        config: Option.some("x.json"),
        json: true,
        settings: {
          host: "h",
          port: "p",
          nodeId: "i",
          network: "n",
          bootstrap: "a:1,b:2",
          logLevel: "debug",
          logFormat: "json"
        }
      })
      assert.deepStrictEqual((yield* parse("start")).start, {
        _tag: "Start",
        config: Option.none(),
        json: false,
        settings: {}
      })
      assert.deepStrictEqual(yield* settings("start --log-level=loud"), { logLevel: "loud" })
      assert.deepStrictEqual(yield* settings("start --node-id start"), { nodeId: "start" })
    })
  )

  it.effect("prints help and version wherever they are asked for, and starts nothing", () =>
    Effect.gen(function* () {
      for (const line of ["start --help", "start --port 0 --help", "start -h"]) {
        const { printed, start } = yield* parse(line)
        assert.isUndefined(start)
        assert.strictEqual(printed.length, 1)
        assert.include(printed[0], "$ synapse start [--config FILE] [--host HOST]")
        assert.include(printed[0], "  --log-level LEVEL        The least level that is logged; default info.\n")
        assert.notInclude(printed[0], "synapse-log-level")
        assert.notInclude(printed[0], "\u001B")
      }
      for (const line of ["", "--help", "-h"]) {
        const { printed, start } = yield* parse(line)
        assert.isUndefined(start)
        assert.include(printed.join(), "COMMANDS")
      }
      for (const line of ["--version", "start --version", "start --port 0 --version"]) {
        assert.deepStrictEqual((yield* parse(line)).printed, [version])
      }
    })
  )

  it.effect("says on one line what is wrong with the command line", () =>
    Effect.gen(function* () {
      const hint = " (synapse start --help names what can be given)"
      assert.strictEqual(yield* fault("start --bogus"), `there is no --bogus${hint}`)
      assert.strictEqual(yield* fault("start --JSON"), `there is no --JSON${hint}`)
      assert.strictEqual(yield* fault("start extra"), `there is no extra${hint}`)
      assert.strictEqual(yield* fault("start --wizard"), `there is no --wizard${hint}`)
      assert.strictEqual(yield* fault("start --port"), `--port stands without a value, or twice${hint}`)
      assert.strictEqual(yield* fault("start --log-level"), `--log-level stands without a value, or twice${hint}`)
      assert.strictEqual(yield* fault("start --port 1 --port 2"), `--port stands without a value, or twice${hint}`)
      assert.strictEqual(yield* fault("stop"), `Invalid subcommand for synapse - use one of 'start', 'identity'${hint}`)
    })
  )
})
