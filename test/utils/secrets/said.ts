/**
 * All that is said while the tests of a file run, each thing once: what they and the programs they start write, whatever is
 * logged (shown or not), each failure of an Effect (caught or not), and the events, statuses and peers of each node.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as HashMap from "effect/HashMap"
import * as Stream from "effect/Stream"
import { ChildProcess } from "node:child_process"
import { StringDecoder } from "node:string_decoder"

export const lines = new Set<string>()

// --- Values ---

const deepest = 8

const walked = new WeakSet<object>()

/** Every text in a value, and its bytes as hexadecimal; what is not there as data (a `Redacted`) is not. */
export const note = (value: unknown, depth = 0): void => {
  if (typeof value === "string") return void lines.add(value)
  if (typeof value !== "object" || value === null || depth > deepest) return
  if (value instanceof Uint8Array) return void lines.add(Buffer.from(value).toString("hex"))
  if (value instanceof Error) {
    // Failures are raised again and again on their way up.
    if (walked.has(value)) return
    walked.add(value)
    lines.add(`${value.name}: ${value.message}`)
  }
  if (value instanceof Map || value instanceof Set) for (const entry of value) note(entry, depth + 1)
  for (const key of Reflect.ownKeys(value)) {
    // A stack repeats the message, and is costly to make.
    if (key === "stack") continue
    const { value: member } = Object.getOwnPropertyDescriptor(value, key) ?? {}
    if (member === undefined) continue
    if (typeof key === "string") lines.add(key)
    note(member, depth + 1)
  }
}

// --- What is written ---

const noteOutput = (output: { write: (...args: Array<never>) => boolean }): void => {
  const take = linesOf()
  const write = output.write.bind(output) as (...args: ReadonlyArray<unknown>) => boolean
  output.write = (...args: ReadonlyArray<unknown>) => {
    take(args[0])
    return write(...args)
  }
}

/** Takes chunks apart into lines. */
const linesOf = (): ((chunk: unknown) => void) => {
  const decoder = new StringDecoder()
  let rest = ""
  return (chunk) => {
    const text =
      typeof chunk === "string" ? chunk : chunk instanceof Uint8Array ? decoder.write(Buffer.from(chunk)) : ""
    const parts = (rest + text).split("\n")
    // What has no end yet is noted as it is: its end may never come.
    for (const part of parts) lines.add(part)
    rest = parts.at(-1) ?? ""
  }
}

const noteConsole = (): void => {
  for (const name of ["debug", "dir", "error", "group", "info", "log", "table", "trace", "warn"] as const) {
    const said = console[name].bind(console) as (...args: ReadonlyArray<unknown>) => void
    console[name] = (...args: ReadonlyArray<unknown>) => {
      for (const arg of args) note(arg)
      said(...args)
    }
  }
}

interface SpawnOptions {
  readonly file: string
  readonly envPairs?: Array<string>
  stdio?: unknown
}

/** Of programs that tests start; `env` is theirs besides. */
const notePrograms = (env: Readonly<Record<string, string>>): void => {
  const prototype = ChildProcess.prototype as unknown as { spawn: (options: SpawnOptions) => unknown }
  const { spawn } = prototype
  prototype.spawn = function (this: ChildProcess, options) {
    // What bundles programs speaks another language with its parent, and more of it than all else.
    if (options.file.includes("esbuild")) return spawn.call(this, options)
    // A run of its own, which keeps its own books.
    if (options.envPairs?.includes("TEST_SECRETS=") === true) return spawn.call(this, options)
    options.envPairs?.push(...Object.entries(env).map(([name, value]) => `${name}=${value}`))
    const asked = options.stdio
    if (Array.isArray(asked)) {
      options.stdio = asked.map((way, index) => (index > 0 && way === "inherit" ? "pipe" : (way as unknown)))
    }
    const started = spawn.call(this, options)
    for (const [index, output] of [this.stdout, this.stderr].entries()) {
      if (output === null || output === undefined) continue
      const take = linesOf()
      // Not as a listener, which would begin to read.
      const push = output.push.bind(output)
      output.push = (chunk: unknown, encoding?: BufferEncoding) => {
        take(chunk)
        return push(chunk, encoding)
      }
      if (Array.isArray(asked) && asked[index + 1] === "inherit") {
        output.on("data", (chunk: Uint8Array) => process.stderr.write(chunk))
      }
    }
    return started
  }
}

// --- What Effect does ---

/** The parts of Effect's fibers through which all that is logged, and each failure, passes. */
interface FiberPrototype {
  log: (this: Fiber, message: unknown, cause: unknown, level: unknown) => void
  Failure: (this: Fiber, failure: { readonly effect_instruction_i0: unknown }) => unknown
}
interface Fiber {
  readonly getFiberRef: <A>(ref: FiberRef.FiberRef<A>) => A
}

const noteFibers = (): void => {
  const prototype = Object.getPrototypeOf(Effect.runFork(Effect.void)) as FiberPrototype
  const { Failure, log } = prototype
  prototype.log = function (message, cause, level) {
    note(message)
    note(cause)
    for (const [name, value] of HashMap.entries(this.getFiberRef(FiberRef.currentLogAnnotations))) note([name, value])
    log.call(this, message, cause, level)
  }
  prototype.Failure = function (failure) {
    note(failure.effect_instruction_i0)
    return Failure.call(this, failure)
  }
}

interface Network {
  readonly status: Effect.Effect<unknown>
  readonly events: Stream.Stream<unknown>
  readonly peers: (...args: ReadonlyArray<unknown>) => Effect.Effect<unknown>
}

const noting = <A>(value: A): A => {
  note(value)
  return value
}

const noteNetworks = (): void => {
  const tag = Object.getPrototypeOf(Context.Tag("test/AnyTag")()) as { of: (service: unknown) => unknown }
  tag.of = function (this: { readonly key?: string }, service) {
    if (this.key !== "synapse-p2p/P2PNetwork") return service
    const network = service as Network
    return {
      ...network,
      status: Effect.map(network.status, noting),
      events: Stream.map(network.events, noting),
      peers: (...args: ReadonlyArray<unknown>) => Effect.map(network.peers(...args), noting)
    }
  }
}

/** From now on all is noted. `env`: what the programs that tests start are given besides their own. */
export const start = (env: Readonly<Record<string, string>>): void => {
  noteOutput(process.stdout)
  noteOutput(process.stderr)
  noteConsole()
  notePrograms(env)
  noteFibers()
  noteNetworks()
}
