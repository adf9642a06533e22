import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { Console as NodeConsole } from "node:console"
import { Writable } from "node:stream"
import * as NetworkConfig from "../src/NetworkConfig.js"
import * as NetworkLogger from "../src/NetworkLogger.js"
import * as NodeId from "../src/NodeId.js"
import * as PeerAddress from "../src/PeerAddress.js"

const peer = {
  id: NodeId.make("node-b"),
  address: PeerAddress.make("::1", 9470),
  direction: "outbound"
} as const

const [colour, escape, csi] = ["\u001b[31m", "\\x1b[31m", "\u009b"]

/** Node's own console, but for where its standard output and standard error go. */
const consoleTo = (out: Writable, err: Writable): Effect.Effect<Console.Console> =>
  Console.consoleWith((console) =>
    Effect.succeed({ ...console, unsafe: new NodeConsole({ stdout: out, stderr: err, colorMode: false }) })
  )

const collecting = (lines: Array<string>) =>
  new Writable({
    decodeStrings: false,
    write: (chunk, _, done) => {
      lines.push(String(chunk).replace(/\n$/, ""))
      done()
    }
  })

/** Runs the program with the loggers of `NodeRuntime.runMain`, or of `Effect.run…`, replaced by the layer. */
const written = (
  program: Effect.Effect<void>,
  layer: Layer.Layer<never>,
  before: Logger.Logger<unknown, void> = Logger.defaultLogger
) =>
  Effect.gen(function* () {
    const out: Array<string> = []
    const err: Array<string> = []
    yield* program.pipe(
      Effect.provide(layer),
      Effect.withConsole(yield* consoleTo(collecting(out), collecting(err))),
      Effect.locally(FiberRef.currentLoggers, HashSet.make(before))
    )
    return { out, err }
  })

const withSettings = (input: NetworkConfig.Input) =>
  NetworkLogger.layer.pipe(Layer.provide(NetworkConfig.layer(input)), Layer.orDie)

interface Line {
  readonly timestamp: string
  readonly logLevel: string
  readonly message: unknown
  readonly annotations: Readonly<Record<string, string>>
  readonly cause?: string
}

const parsed = (lines: ReadonlyArray<string>): ReadonlyArray<Line> =>
  lines.map((line): Line => {
    const value: Line = JSON.parse(line)
    return value
  })

const everyLevel = Effect.all([
  Effect.logTrace("trace"),
  Effect.logDebug("debug"),
  Effect.logInfo("info"),
  Effect.logWarning("warning"),
  Effect.logError("error"),
  Effect.logFatal("fatal")
]).pipe(Effect.asVoid)

const lineOf = (logFormat: "pretty" | "json" | "logfmt") =>
  Effect.map(written(Effect.logInfo("hello"), withSettings({ logFormat })), ({ err }) => err.join("\n"))

const levelsOf = (logLevel: LogLevel.LogLevel) =>
  Effect.map(written(everyLevel, withSettings({ logFormat: "json", logLevel })), ({ err }) =>
    parsed(err).map(({ message }) => message)
  )

describe("NetworkLogger", () => {
  describe("every format", () => {
    const layers = [
      ["pretty", NetworkLogger.layerPretty],
      ["json", NetworkLogger.layerJson],
      ["logfmt", NetworkLogger.layerLogFmt]
    ] as const

    it.effect.each(layers)("%s writes to standard error and nothing to standard output", ([, layer]) =>
      Effect.gen(function* () {
        const { err, out } = yield* written(everyLevel, layer)
        assert.deepStrictEqual(out, [])
        assert.strictEqual(err.length, 4)
      })
    )

    it.effect.each(layers)("%s takes the place of the logger of NodeRuntime.runMain too", ([, layer]) =>
      Effect.gen(function* () {
        const { err, out } = yield* written(Effect.logInfo("once"), layer, Logger.prettyLoggerDefault)
        assert.deepStrictEqual(out, [])
        assert.strictEqual(err.filter((line) => line.includes("once")).length, 1)
      })
    )

    it.effect.each(layers)("%s carries the annotations of a peer", ([, layer]) =>
      Effect.gen(function* () {
        const { err } = yield* written(NetworkLogger.annotatePeer(peer)(Effect.logInfo("connected")), layer)
        const text = err.join("\n")
        for (const part of ["connected", "node-b", "[::1]:9470", "outbound"]) assert.include(text, part)
      })
    )

    it.effect.each(layers)("%s lets no text steer the reader's terminal", ([, layer]) =>
      Effect.gen(function* () {
        const program = Effect.logInfo(`said ${colour}${csi}\r`).pipe(
          Effect.annotateLogs({ detail: colour }),
          Effect.zipRight(Effect.logWarning("also", new Error(`wrong ${colour}`))),
          Effect.zipRight(Effect.logError(`oops ${colour}`, Cause.fail(new Error(`broken ${colour}`))))
        )
        const text = (yield* written(program, layer)).err.join("\n")
        for (const char of ["\u001b", csi, "\r"]) assert.notInclude(text, char)
        for (const part of ["said", "wrong", "oops", "broken"]) assert.include(text, part)
      })
    )

    it.effect.each(layers)("%s writes causes and values of any kind", ([, layer]) =>
      Effect.gen(function* () {
        const circular: Record<string, unknown> = { big: 1n }
        circular["self"] = circular
        const program = Effect.zipRight(Effect.logInfo("odd", 7n, circular), Effect.logError(Cause.die("defect")))
        const text = (yield* written(program, layer)).err.join("\n")
        assert.include(text, "odd")
        assert.include(text, "defect")
      })
    )
  })

  describe("layerPretty", () => {
    it.effect("sets further lines of a text in, so that they do not pass for lines of the log", () =>
      Effect.gen(function* () {
        const { err } = yield* written(Effect.logInfo("first\n[10:00:00.000] ERROR: forged"), NetworkLogger.layerPretty)
        assert.match(err[0] ?? "", /INFO.*first\n {2}\[10:00/)
      })
    )

    it.effect("keeps messages of several parts", () =>
      Effect.gen(function* () {
        const { err } = yield* written(Effect.logInfo("one", "two", { three: 3 }), NetworkLogger.layerPretty)
        assert.match(err[0] ?? "", /one/)
        assert.deepStrictEqual(err.slice(1), ["  two", "  { three: 3 }"])
      })
    )
  })

  describe("layerJson", () => {
    it.effect("writes one object a line, with level, time, message and annotations", () =>
      Effect.gen(function* () {
        const program = NetworkLogger.annotatePeer(peer)(Effect.logWarning("two\nlines"))
        const [line] = parsed((yield* written(program, NetworkLogger.layerJson)).err)
        assert.strictEqual(line?.logLevel, "WARN")
        assert.strictEqual(line?.message, "two\nlines")
        assert.match(line?.timestamp ?? "", /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
        assert.deepStrictEqual(line?.annotations, { peer: "node-b", address: "[::1]:9470", direction: "outbound" })
      })
    )

    it.effect("shows control characters as they would be typed", () =>
      Effect.gen(function* () {
        const [line] = parsed((yield* written(Effect.logInfo(colour), NetworkLogger.layerJson)).err)
        assert.strictEqual(line?.message, escape)
      })
    )

    it.effect("has the cause in a member of its own", () =>
      Effect.gen(function* () {
        const program = Effect.logError("failed", Cause.fail(new Error("why")))
        const [line] = parsed((yield* written(program, NetworkLogger.layerJson)).err)
        assert.strictEqual(line?.message, "failed")
        assert.include(line?.cause ?? "", "why")
      })
    )
  })

  describe("layerLogFmt", () => {
    it.effect("writes one line of pairs", () =>
      Effect.gen(function* () {
        const program = NetworkLogger.annotatePeer(peer)(Effect.logInfo("two\nlines"))
        const { err } = yield* written(program, NetworkLogger.layerLogFmt)
        assert.strictEqual(err.length, 1)
        assert.match(err[0] ?? "", /^timestamp=\S+ level=INFO fiber=\S+ message="two\\nlines" .*peer=node-b/)
        assert.notInclude(err[0] ?? "", "\n")
      })
    )
  })

  it.effect("says in every format what an error says that is part of the message", () =>
    Effect.gen(function* () {
      for (const logFormat of ["pretty", "json", "logfmt"] as const) {
        const { err } = yield* written(Effect.logError("failed", new Error("why")), withSettings({ logFormat }))
        assert.include(err.join("\n"), "why", logFormat)
      }
    })
  )

  describe("layer", () => {
    it.effect("follows the format of the settings", () =>
      Effect.gen(function* () {
        assert.match(yield* lineOf("pretty"), /^\[.*INFO.*hello/)
        assert.match(yield* lineOf("json"), /^\{.*"message":"hello"/)
        assert.match(yield* lineOf("logfmt"), /^timestamp=.* message=hello$/)
      })
    )

    it.effect("follows the level of the settings", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* levelsOf(LogLevel.All), ["trace", "debug", "info", "warning", "error", "fatal"])
        assert.deepStrictEqual(yield* levelsOf(LogLevel.Debug), ["debug", "info", "warning", "error", "fatal"])
        assert.deepStrictEqual(yield* levelsOf(LogLevel.Error), ["error", "fatal"])
        assert.deepStrictEqual(yield* levelsOf(LogLevel.None), [])
      })
    )

    it.effect("leaves loggers that the application has added", () =>
      Effect.gen(function* () {
        const lines: Array<string> = []
        const own = Logger.add(Logger.make(({ message }) => void lines.push(String(message))))
        const { err } = yield* written(
          Effect.logInfo("both").pipe(Effect.provide(withSettings({ logFormat: "json" }))),
          own
        )
        assert.deepStrictEqual(lines, ["both"])
        assert.strictEqual(err.length, 1)
      })
    )
  })

  describe("peerAnnotations", () => {
    it("leave out the id while it is not known", () => {
      const { address, direction } = peer
      assert.deepStrictEqual(NetworkLogger.peerAnnotations({ address, direction }), {
        address: "[::1]:9470",
        direction: "outbound"
      })
    })
  })
})
