import { assert, describe, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { plainEnv } from "../../utils/plain.js"
import * as Demo from "../../../src/cli/demo/Demo.js"
import * as NodeProcess from "../../../src/cli/demo/NodeProcess.js"
import * as SidecarClient from "../../../src/cli/demo/SidecarClient.js"
import * as TcpTransport from "../../../src/node/TcpTransport.js"
import { Transport } from "../../../src/Transport.js"

const program = fileURLToPath(new URL("../../../dist/bin.js", import.meta.url))

const ids = ["node-1", "node-2", "node-3", "node-4", "node-5"]

/** Runs the demonstration: whether it went well, and what it printed. */
const run = (launch: Parameters<typeof Demo.run>[0]["launch"]) =>
  Effect.gen(function* () {
    const printed: Array<string> = []
    const console = yield* Console.consoleWith(Effect.succeed)
    const log = (text: string) => Effect.sync(() => void printed.push(...text.split("\n")))
    const transport = yield* Transport
    const guest = (id: string) => Effect.succeed({ id, transport })
    const exit = yield* Demo.run({ ids, launch, nodeIdOf: (id) => id, guest, colours: false }).pipe(
      Effect.scoped,
      Effect.withConsole({ ...console, log }),
      Effect.either
    )
    return { exit: exit._tag, printed }
  }).pipe(Effect.provide(TcpTransport.layer))

const silent = (id: string) =>
  Effect.map(
    SidecarClient.make({ id, lines: Stream.never, write: () => Effect.void }),
    (client): NodeProcess.NodeProcess => ({
      ...client,
      signal: () => Effect.void,
      ended: Effect.never,
      log: () => [`${id} did nothing`]
    })
  )

describe("Demo", () => {
  it.effect("fails, and shows the log of the node that is to blame, when a node does not do its part", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(run(silent))
      for (let i = 0; i < 60; i++) yield* TestClock.adjust("1 second")
      const { exit, printed } = yield* Fiber.join(fiber)
      assert.strictEqual(exit, "Left")
      const [first] = printed
      assert.strictEqual(first, "✗ Start 5 nodes: all but one know only the first: node-1: has not listened within 8s")
      assert.include(printed, "12 of 12 did not go as they should.")
      assert.include(printed, "The last lines of node-1's log:")
      assert.include(printed, "  node-1 did nothing")
    })
  )

  it.effect("tells apart a node that ended from one that is slow", () =>
    Effect.gen(function* () {
      const ended = Effect.succeed({ code: 1, signal: null })
      const fiber = yield* Effect.fork(run((id) => Effect.map(silent(id), (node) => ({ ...node, ended }))))
      for (let i = 0; i < 60; i++) yield* TestClock.adjust("1 second")
      const { printed } = yield* Fiber.join(fiber)
      assert.include(printed[0], "node-1: ended (exit code 1) before it listened")
    })
  )

  // It needs the program as it is built.
  it.live.skipIf(!existsSync(program))(
    "shows with real processes that all goes as it should",
    () =>
      Effect.gen(function* () {
        const { exit, printed } = yield* run((id, bootstrap) =>
          NodeProcess.start({
            id,
            program,
            args: ["start", "--json", "--port", "0", "--node-id", id].concat(
              Option.match(bootstrap, { onNone: () => [], onSome: (address) => ["--bootstrap", address] })
            ),
            env: { ...plainEnv, SYNAPSE_HEARTBEAT_INTERVAL: "500 millis", SYNAPSE_HEARTBEAT_TIMEOUT: "2 seconds" }
          })
        )
        assert.strictEqual(exit, "Right", printed.join("\n"))
        assert.strictEqual(printed.at(-1), "All 12 went as they should.")
      }),
    60_000
  )
})
