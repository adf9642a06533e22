/**
 * The program `synapse`: from the command line to a running node, and to the one line that says why there is none.
 *
 * @since 0.1.0
 */
import * as FileSystem from "@effect/platform/FileSystem"
import type { PlatformError } from "@effect/platform/Error"
import type * as Path from "@effect/platform/Path"
import type * as PlatformTerminal from "@effect/platform/Terminal"
import * as Data from "effect/Data"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as NetworkConfig from "../NetworkConfig.js"
import type { ConfigInvalid, HandlerExists, ListenFailed } from "../NetworkError.js"
import { IdentityFailed } from "../NetworkError.js"
import * as NetworkLogger from "../NetworkLogger.js"
import type { P2PNetwork } from "../P2PNetwork.js"
import * as Flags from "./Flags.js"
import * as Foreground from "./Foreground.js"
import * as Graceful from "./Graceful.js"
import * as LiveTable from "./LiveTable.js"
import * as Screen from "./Screen.js"
import * as Sidecar from "./Sidecar.js"
import type { Stdio } from "./Stdio.js"
import * as Watch from "./Watch.js"

/**
 * What the program runs on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E> {
  readonly argv: ReadonlyArray<string>
  readonly stdio: Stdio
  /** A network that is not started yet. */
  readonly network: Layer.Layer<P2PNetwork, E, NetworkConfig.NetworkConfig>
  /** Keys of nodes. */
  readonly identity: {
    /** The id of the key in a folder. */
    readonly show: (folder: string) => Effect.Effect<string, IdentityFailed, FileSystem.FileSystem | Path.Path>
    /** Makes a key in a folder: its id. */
    readonly create: (folder: string) => Effect.Effect<string, IdentityFailed, FileSystem.FileSystem | Path.Path>
    /** A new key as PEM. */
    readonly generate: Effect.Effect<Redacted.Redacted<string>>
  }
}

/**
 * The program could not do what it was asked to; the line that says so has been printed.
 *
 * @since 0.1.0
 * @category errors
 */
export class Failed extends Data.TaggedError("Failed")<{ readonly message: string }> {}

class ConfigUnreadable extends Data.TaggedError("ConfigUnreadable")<{
  readonly path: string
  readonly detail: string
}> {
  override get message(): string {
    return `the settings in ${this.path} cannot be read: ${this.detail}`
  }
}

class OutputStuck extends Data.TaggedError("OutputStuck") {
  override get message(): string {
    return "the last events could not be written: read standard output up to its end"
  }
}

const reasonOf = (error: PlatformError): string => {
  if (error._tag === "BadArgument") return error.message
  switch (error.reason) {
    case "NotFound":
      return "there is no such file (see --config)"
    case "PermissionDenied":
      return "that is not permitted"
    default:
      return error.message
  }
}

const readConfig = (path: string): Effect.Effect<string, ConfigUnreadable, FileSystem.FileSystem> =>
  Effect.flatMap(FileSystem.FileSystem, (files) => files.readFileString(path)).pipe(
    Effect.mapError((error) => new ConfigUnreadable({ path, detail: reasonOf(error) }))
  )

const load = ({
  config,
  settings
}: Flags.Start): Effect.Effect<NetworkConfig.Loaded, ConfigUnreadable | ConfigInvalid, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const file = Option.isNone(config) ? {} : { file: yield* readConfig(config.value) }
    // Every setting is read from text as well; only the type for code does not say so.
    return yield* NetworkConfig.load({ ...file, flags: settings as NetworkConfig.Input })
  })

const serve = (
  json: boolean,
  stdio: Stdio,
  warnings: ReadonlyArray<string>,
  table: Effect.Effect<void, never, P2PNetwork | Scope.Scope>
): Effect.Effect<void, ListenFailed | HandlerExists, P2PNetwork | NetworkConfig.NetworkConfig> =>
  Graceful.run((interrupted) =>
    Effect.gen(function* () {
      const { maxMessageBytes, requestTimeout, sendTimeout, shutdownGrace } = yield* NetworkConfig.NetworkConfig
      const warn = Effect.forEach(warnings, (warning) => Effect.logWarning(warning), { discard: true })
      // Where the start fails, that is all there is to say.
      yield* Watch.events((event) => (event._tag === "Listening" ? warn : Effect.void))
      const limits = { maxMessageBytes, requestTimeout, sendTimeout, shutdownGrace }
      if (json) yield* Sidecar.run({ ...stdio, ...limits, interrupted })
      else yield* Foreground.run(interrupted, table)
    }).pipe(Effect.scoped)
  )

/** How long the last lines may take to be read. */
const lastWords = "1 second"

const start = <E>(
  asked: Flags.Start,
  { network, stdio }: Options<E>
): Effect.Effect<
  void,
  E | ConfigUnreadable | ConfigInvalid | ListenFailed | HandlerExists | OutputStuck,
  FileSystem.FileSystem
> =>
  Effect.gen(function* () {
    const { settings, warnings } = yield* load(asked)
    const { terminal } = stdio
    // Nothing is shown on it where there is no terminal.
    const screen = Screen.make((text) => terminal?.write(text))
    const table = terminal === undefined ? Effect.void : LiveTable.show(screen, terminal)
    const config = Layer.succeed(NetworkConfig.NetworkConfig, settings)
    const flushed = Effect.timeoutOption(Effect.interruptible(stdio.flushed), lastWords)
    yield* serve(asked.json, stdio, warnings, table).pipe(
      Effect.provide(network.pipe(Layer.provideMerge(NetworkLogger.layer), Layer.provideMerge(config))),
      LiveTable.withLogAbove(screen, stdio.writeError),
      // A signal ends the process at once when this is over.
      Effect.onInterrupt(() => flushed)
    )
    if (Option.isNone(yield* flushed)) return yield* new OutputStuck()
  })

const print = (stdio: Stdio, text: string): Effect.Effect<void> => Effect.ignore(stdio.write(`${text}\n`))

type Files = FileSystem.FileSystem | Path.Path

const identify = <E>(
  { isNew, stateDir }: Flags.Identity,
  { identity, stdio }: Options<E>
): Effect.Effect<void, IdentityFailed | ConfigInvalid, Files> =>
  Effect.gen(function* () {
    const { settings } = yield* NetworkConfig.load({
      flags: Option.match(stateDir, { onNone: () => ({}), onSome: (folder) => ({ stateDir: folder }) })
    })
    const folder = Option.getOrUndefined(settings.stateDir)
    if (folder !== undefined) return yield* print(stdio, yield* (isNew ? identity.create : identity.show)(folder))
    if (!isNew) return yield* new IdentityFailed({ reason: "NoFolder" })
    yield* print(stdio, Redacted.value(yield* identity.generate).trim())
  })

const carryOut = <E>(
  asked: Flags.Asked,
  options: Options<E>
): Effect.Effect<void, Effect.Effect.Error<ReturnType<typeof start<E>>> | IdentityFailed, Files> =>
  asked._tag === "Start" ? start(asked, options) : identify(asked, options)

// The text of a terminal line, whatever a file or an argument has put into it.
// oxlint-disable-next-line no-control-regex
const oneLine = (text: string): string => text.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, " ")

/**
 * Runs the program. Interruption: stops the node with grace. Fails, once it has printed on standard error what is wrong,
 * with: `Failed`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = <E extends { readonly message: string }>(
  options: Options<E>
): Effect.Effect<void, Failed, FileSystem.FileSystem | Path.Path | PlatformTerminal.Terminal> => {
  const { argv, stdio } = options
  return Flags.parse(argv, (text) => print(stdio, text)).pipe(
    Effect.flatMap((asked) => Effect.transposeMapOption(asked, (one) => carryOut(one, options))),
    Effect.asVoid,
    Effect.catchAll((error) => Effect.fail(oneLine(error.message))),
    Effect.catchAllDefect((defect) => Effect.fail(`a fault of this program: ${Cause.pretty(Cause.die(defect))}`)),
    Effect.mapError((message) => new Failed({ message })),
    Effect.tapError(({ message }) => Effect.sync(() => stdio.writeError(`synapse: ${message}\n`)))
  )
}
