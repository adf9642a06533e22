import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as ConfigProvider from "effect/ConfigProvider"
import { PassThrough, Writable } from "node:stream"
import * as Identity from "../../src/node/Identity.js"
import * as Main from "../../src/cli/Main.js"
import * as Stdio from "../../src/cli/Stdio.js"
import * as NetworkConfig from "../../src/NetworkConfig.js"
import { ListenFailed } from "../../src/NetworkError.js"
import * as FakeNetwork from "./support/FakeNetwork.js"

/** A stream that remembers what was written. */
const sink = <A extends object>(more: A) => {
  const written: Array<string> = []
  const stream = new Writable({
    decodeStrings: false,
    write: (text: string, _, done) => {
      written.push(text)
      done()
    }
  })
  return { stream: Object.assign(stream, more), text: () => written.join("") }
}

const start = (
  line: string,
  options: {
    readonly script?: FakeNetwork.Script
    readonly terminal?: boolean
    readonly env?: ReadonlyArray<readonly [string, string]>
    readonly stdout?: Writable
  } = {}
) =>
  Effect.gen(function* () {
    const fake = yield* FakeNetwork.make(options.script)
    const stdin = new PassThrough()
    const out = sink(options.terminal === true ? { isTTY: true, columns: 120, rows: 30 } : {})
    const err = sink({})
    const seen: Array<NetworkConfig.Settings> = []
    const network = Layer.unwrapEffect(
      Effect.map(NetworkConfig.NetworkConfig, (settings) => {
        seen.push(settings)
        return fake.layer
      })
    )
    const argv = ["node", "synapse", ...line.split(" ").filter((word) => word !== "")]
    const stdio = Stdio.make({ stdin, stdout: options.stdout ?? out.stream, stderr: err.stream })
    const fiber = yield* Main.run({ argv, stdio, network, identity: Identity }).pipe(
      Effect.provide(NodeContext.layer),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(options.env ?? []))),
      Effect.fork
    )
    return { stdin, stdout: out.text, stderr: err.text, fiber, settings: () => seen[0], ...fake }
  })

/** A start that fails: its line. */
const failure = (...parameters: Parameters<typeof start>) =>
  Effect.gen(function* () {
    const { fiber, stderr, stdout } = yield* start(...parameters)
    const exit = yield* Fiber.await(fiber)
    assert.isTrue(Exit.isFailure(exit))
    assert.strictEqual(stdout(), "")
    assert.match(stderr(), /^synapse: [^\n]+\n$/)
    return stderr()
  })

const withFile = <A, E, R>(content: string, use: (path: string) => Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const path = yield* files.makeTempFileScoped({ suffix: ".json" })
    yield* files.writeFileString(path, content)
    return yield* use(path)
  }).pipe(Effect.scoped, Effect.provide(NodeContext.layer))

describe("Main", () => {
  it.live("runs a node until it is interrupted, and then stops it", () =>
    Effect.gen(function* () {
      const { calls, fiber, started, stderr, stdout } = yield* start("start --log-format logfmt")
      yield* started
      const exit = yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isInterrupted(exit))
      assert.deepStrictEqual(calls, ["start", "stop"])
      assert.strictEqual(stdout(), "")
      assert.match(stderr(), /^[^\n]+message="stopping: by signal \(a second one stops at once\)"[^\n]*\n$/)
    })
  )

  it.live("with --json writes events only to standard output, and ends with its input", () =>
    Effect.gen(function* () {
      const { fiber, started, stderr, stdin, stdout } = yield* start("start --json --log-format json")
      yield* started
      stdin.end('{"ref":1,"command":"peers"}\n')
      yield* Fiber.join(fiber)
      const events = stdout().trim().split("\n")
      assert.deepStrictEqual(
        events.map((line) => (JSON.parse(line) as Record<string, unknown>)["event"]),
        ["listening", "result", "stopped"]
      )
      const logged = stderr().trim().split("\n")
      assert.isTrue(logged.every((line) => "logLevel" in (JSON.parse(line) as object)))
      assert.include(logged.at(-1), "stopping: the input has ended")
    })
  )

  it.live("with --json stops with grace and says so when it is interrupted", () =>
    Effect.gen(function* () {
      const { calls, fiber, started, stdout } = yield* start("start --json")
      yield* started
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.isTrue(stdout().endsWith('{"event":"stopped"}\n'))
      assert.deepStrictEqual(calls, ["start", "stop"])
    })
  )

  it.effect("with --json says that the last events were not read, rather than that all went well", () =>
    Effect.gen(function* () {
      const stdout = new Writable({ highWaterMark: 1, write: () => undefined })
      const { fiber, stderr, stdin } = yield* start("start --json --log-level none", { stdout })
      stdin.end()
      const turn = Effect.async<void>((resume) => {
        setImmediate(() => resume(Effect.void))
      })
      yield* Effect.repeat(Effect.zipRight(turn, TestClock.adjust("1 second")), {
        until: () => fiber.unsafePoll() !== null
      })
      assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
      assert.strictEqual(
        stderr(),
        "synapse: the last events could not be written: read standard output up to its end\n"
      )
    })
  )

  it.live("with --json stops with grace when the reader of its events goes", () =>
    Effect.gen(function* () {
      const stdout = new PassThrough()
      const { calls, fiber, started } = yield* start("start --json --log-level none", { stdout })
      yield* started
      stdout.destroy(new Error("write EPIPE"))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(calls, ["start", "stop"])
    })
  )

  it.live("draws the table of peers on a terminal, and none with --json", () =>
    Effect.gen(function* () {
      const node = yield* start("start", { terminal: true })
      yield* node.started
      yield* Effect.repeat(Effect.yieldNow(), { until: () => node.stdout().includes("ROUND TRIP") })
      yield* Fiber.interrupt(node.fiber)
      assert.include(node.stderr(), "stopping")
      const sidecar = yield* start("start --json", { terminal: true })
      yield* sidecar.started
      yield* Fiber.interrupt(sidecar.fiber)
      assert.notInclude(sidecar.stdout(), "ROUND TRIP")
    })
  )

  it.live("takes settings from the file, the environment and the flags, the later winning", () =>
    withFile('{"port":1,"host":"::1","network":"file","maxPeers":4,"targetPeers":9}', (path) =>
      Effect.gen(function* () {
        const env = [
          ["SYNAPSE_PORT", "2"],
          ["SYNAPSE_NETWORK", "env"]
        ] as const
        const { fiber, settings, started, stderr } = yield* start(
          `start --config ${path} --port 3 --bootstrap a:1 --bootstrap b:2`,
          { env }
        )
        yield* started
        yield* Fiber.interrupt(fiber)
        const { bootstrap, host, network, port } = settings() ?? NetworkConfig.defaults
        assert.deepStrictEqual({ host, network, port }, { host: "::1", network: "env", port: 3 })
        assert.deepStrictEqual(bootstrap.map(String), ["a:1", "b:2"])
        assert.include(stderr(), "targetPeers (in the file) is 9, which is over maxPeers")
      })
    )
  )

  it.live("prints help and the version and ends", () =>
    Effect.gen(function* () {
      const { fiber, stdout } = yield* start("--version")
      yield* Fiber.join(fiber)
      assert.match(stdout(), /^\d+\.\d+\.\d+\n$/)
    })
  )

  describe("says on one line why it cannot start", () => {
    it.live("when a flag is not known or its value not allowed", () =>
      Effect.gen(function* () {
        assert.include(yield* failure("start --bogus"), "there is no --bogus")
        const line = yield* failure("start --port 70000 --log-level loud --bootstrap nowhere")
        assert.include(line, '--port is "70000", but must be an integer from 0 to 65535')
        assert.include(line, "--log-level")
        assert.include(line, "--bootstrap")
      })
    )

    it.live("when the environment holds a bad value", () =>
      Effect.gen(function* () {
        const line = yield* failure("start", { env: [["SYNAPSE_MAX_PEERS", "many\nmore"]] })
        assert.include(line, "SYNAPSE_MAX_PEERS")
      })
    )

    it.live("when the file of settings is missing, unreadable, not JSON, or holds bad keys or values", () =>
      Effect.gen(function* () {
        assert.include(
          yield* failure("start --config /no/such/file.json"),
          "/no/such/file.json cannot be read: there is no such file"
        )
        assert.include(yield* failure("start --config /"), "the settings in / cannot be read")
        assert.include(yield* failure("start --config a\u0000b"), "cannot be read")
        yield* withFile("{", (path) =>
          Effect.map(failure(`start --config ${path}`), (line) => assert.include(line, "JSON"))
        )
        yield* withFile('{"prot":1,"host":2}', (path) =>
          Effect.map(failure(`start --config ${path}`), (line) => {
            assert.include(line, "nearest: port")
            assert.include(line, "host (in the file)")
          })
        )
      })
    )

    it.live("when the address is in use: who may hold it, and what to do", () =>
      Effect.gen(function* () {
        const error = new ListenFailed({ address: FakeNetwork.address, reason: "AddressInUse" })
        for (const line of ["start", "start --json"]) {
          const text = yield* failure(`${line} --host 0.0.0.0`, { script: { start: Effect.fail(error) } })
          assert.strictEqual(text, `synapse: ${error.message}\n`)
          assert.include(text, "--port 0")
        }
      })
    )
  })

  it.live("tells of a fault of its own as such", () =>
    Effect.gen(function* () {
      const { fiber, stderr } = yield* start("start", { script: { start: Effect.die(new Error("broken")) } })
      assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
      assert.match(stderr(), /synapse: a fault of this program: Error: broken/)
    })
  )
})
