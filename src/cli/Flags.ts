/**
 * The command line, on @effect/cli: what was asked for, or why it cannot be understood. Values are passed on as text, to
 * be checked with all other settings.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/cli/Command"
import * as CliConfig from "@effect/cli/CliConfig"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import type * as Terminal from "@effect/platform/Terminal"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import { version } from "../internal/version.js"

/**
 * What `synapse start` was asked to do.
 *
 * @since 0.1.0
 * @category models
 */
export interface Start {
  readonly _tag: "Start"
  /** The path of a JSON file of settings. */
  readonly config: Option.Option<string>
  readonly json: boolean
  /** Settings by key, as text. */
  readonly settings: Readonly<Record<string, string>>
}

/**
 * What `synapse identity` was asked to do: show the id of the key in the state folder, or make a key there. Without a folder
 * the environment names it; where it does not either, a new key is printed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Identity {
  readonly _tag: "Identity"
  readonly isNew: boolean
  readonly stateDir: Option.Option<string>
}

/**
 * What the program was asked to do.
 *
 * @since 0.1.0
 * @category models
 */
export type Asked = Start | Identity

/**
 * The command line cannot be understood. The message is one line.
 *
 * @since 0.1.0
 * @category errors
 */
export class UsageInvalid extends Data.TaggedError("UsageInvalid")<{ readonly detail: string }> {
  override get message(): string {
    return `${this.detail} (synapse start --help names what can be given)`
  }
}

const setting = (name: string, value: string, description: string) =>
  Options.text(name).pipe(Options.withPseudoName(value), Options.withDescription(description), Options.optional)

const options = {
  config: setting("config", "FILE", "A JSON file of settings; the environment (SYNAPSE_…) and flags win over it."),
  host: setting("host", "HOST", "Where to listen; default 127.0.0.1, this machine only."),
  port: setting("port", "PORT", "The port to listen at; default 9470, 0 for any free one."),
  nodeId: setting("node-id", "ID", "The name of this node, where encryption is none."),
  network: setting("network", "NAME", "The network this node belongs to; default synapse."),
  stateDir: setting("state-dir", "DIR", "The folder that keeps this node's key and the peers it knows."),
  bootstrap: Options.text("bootstrap").pipe(
    Options.withPseudoName("HOST:PORT"),
    Options.withDescription("A node to join the network by; may be given more than once."),
    Options.repeated
  ),
  logLevel: setting("synapse-log-level", "LEVEL", "The least level that is logged; default info."),
  logFormat: setting("log-format", "FORMAT", "pretty, json or logfmt; default pretty."),
  json: Options.boolean("json").pipe(
    Options.withDescription("Be a sidecar: commands on stdin, events on stdout, one JSON object a line.")
  )
}

const flags = new Set([
  "--config",
  "--host",
  "--port",
  "--node-id",
  "--network",
  "--state-dir",
  "--bootstrap",
  "--log-level",
  "--log-format",
  "--json"
])

// @effect/cli has a --log-level of its own, which it takes away before the command sees it, and which knows neither our
// other sources nor our way to complain. Under another name it comes through.
const shown = "--log-level"
const hidden = "--synapse-log-level"
const hide = (argument: string): string =>
  argument === shown || argument.startsWith(`${shown}=`) ? hidden + argument.slice(shown.length) : argument

// oxlint-disable-next-line no-control-regex
const colours = /\u001B\[[0-9;]*m/g

const textOf = (doc: string): string => doc.replaceAll(colours, "").replaceAll(hidden, shown)

// What @effect/cli says of each option, whatever the option is.
const noise = /^ *(?:A user-defined piece of text|A true or false value|This (?:setting|option) .*)\.\n+/gm
const option = /^(--\S+(?: \S+)?)\n\n {2}(.*)\n*/gm

const help = (doc: string): string =>
  textOf(doc)
    .replaceAll(noise, "")
    .replaceAll(option, (_, name: string, text: string) => `  ${name.padEnd(24)} ${text}\n`)
    .replace("$ start", "$ synapse start")
    .replaceAll("--bootstrap HOST:PORT... [", "[--bootstrap HOST:PORT]... [")
    .trim()

const unknown = /^Received unknown argument: '(.*)'$/

const fault = (doc: HelpDoc.HelpDoc): string => {
  const text = textOf(HelpDoc.toAnsiText(doc)).replaceAll(/\s+/g, " ").trim()
  const argument = unknown.exec(text)?.[1]
  if (argument === undefined) return text
  return flags.has(argument) ? `${argument} stands without a value, or twice` : `there is no ${argument}`
}

// Wherever they stand, these are what the person wants; @effect/cli looks for them in front only.
const wishes = [
  ["--help", "--help"],
  ["-h", "--help"],
  ["--version", "--version"]
] as const

const wanted = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const wish = wishes.find(([name]) => args.includes(name))?.[1]
  if (wish === undefined) return args
  const command = args.filter((word) => word === "start" || word === "identity" || word === "new")
  return wish === "--help" ? [...command, wish] : [wish]
}

const given = (settings: Readonly<Record<string, Option.Option<string>>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(settings).flatMap(([key, value]) => Option.toArray(value).map((text) => [key, text]))
  )

/**
 * Reads the arguments, those of the process, the first two of which are not looked at. None: help or the version was
 * asked for, and was printed with `print`.
 *
 * Fails with: `UsageInvalid`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (
  argv: ReadonlyArray<string>,
  print: (text: string) => Effect.Effect<void>
): Effect.Effect<Option.Option<Asked>, UsageInvalid, FileSystem.FileSystem | Path.Path | Terminal.Terminal> =>
  Effect.gen(function* () {
    const found = yield* Ref.make(Option.none<Asked>())

    const start = Command.make("start", options, ({ bootstrap, config, json, ...settings }) => {
      const addresses = bootstrap.length === 0 ? Option.none<string>() : Option.some(bootstrap.join(","))
      return Ref.set(
        found,
        Option.some({ _tag: "Start", config, json, settings: given({ ...settings, bootstrap: addresses }) })
      )
    }).pipe(Command.withDescription("Starts a node and keeps it running until it is told to stop."))

    const identify = (isNew: boolean) => (given: { readonly stateDir: Option.Option<string> }) =>
      Ref.set(found, Option.some({ _tag: "Identity", isNew, ...given }))
    const folder = { stateDir: options.stateDir }
    const identity = Command.make("identity", folder, identify(false)).pipe(
      Command.withDescription("Prints the id of the node whose key is in the state folder."),
      Command.withSubcommands([
        Command.make("new", folder, identify(true)).pipe(
          Command.withDescription(
            "Makes a key in the state folder and prints its id; without a folder, prints the key, for SYNAPSE_IDENTITY_KEY."
          )
        )
      ])
    )

    const synapse = Command.make("synapse").pipe(
      Command.withDescription("Nodes that find each other and send each other messages, without a broker."),
      Command.withSubcommands([start, identity])
    )

    const args = wanted(argv.slice(2))
    // It would ask its questions even where nobody can answer.
    if (args.includes("--wizard")) return yield* new UsageInvalid({ detail: "there is no --wizard" })

    const console = yield* Console.consoleWith(Effect.succeed)
    const quiet: Console.Console = {
      ...console,
      // What is wrong comes as a failure too, and is told once.
      error: () => Effect.void,
      log: (...parts: ReadonlyArray<unknown>) => print(help(parts.join(" ")))
    }
    yield* Command.run(synapse, { name: "synapse", version })(["node", "synapse", ...args.map(hide)]).pipe(
      Effect.provide(CliConfig.layer({ isCaseSensitive: true, showBuiltIns: false })),
      Effect.withConsole(quiet),
      Effect.mapError((error) => new UsageInvalid({ detail: fault(error.error) }))
    )
    return yield* Ref.get(found)
  })
