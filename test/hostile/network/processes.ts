/** The processes of a network under attack: nodes, as they are for anyone, and those who attack them. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { closeSync, openSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** Starts a process, which tells line by line. Scope: kills it, and waits until it is gone. */
export const start = (
  args: ReadonlyArray<string>,
  options: {
    readonly env?: Readonly<Record<string, string>>
    readonly log?: string
    /** A command that runs another in its place. */
    readonly within?: ReadonlyArray<string>
  },
  onLine: (line: string) => void
): Effect.Effect<{ readonly child: ChildProcess; readonly gone: Effect.Effect<void> }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const gone = Deferred.unsafeMake<void>(FiberId.none)
      const log = options.log === undefined ? undefined : openSync(options.log, "a")
      const [program = "", ...rest] = [...(options.within ?? []), process.execPath, ...args]
      const child = spawn(program, rest, {
        env: { PATH: process.env["PATH"], ...options.env },
        stdio: ["pipe", "pipe", log ?? "inherit"]
      })
      if (log !== undefined) closeSync(log)
      child.on("close", () => Deferred.unsafeDone(gone, Effect.void))
      child.stdin?.on("error", () => undefined)
      let begun = ""
      child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
        const lines = `${begun}${chunk}`.split("\n")
        begun = lines.pop() ?? ""
        for (const line of lines) onLine(line)
      })
      return { child, gone: Deferred.await(gone) }
    }),
    ({ child, gone }) =>
      Effect.suspend(() => {
        child.kill("SIGKILL")
        return gone
      })
  )

/** Waits until it is so: whether it became so in that time. */
export const until = (condition: () => boolean, seconds: number): Effect.Effect<boolean> => {
  const look: Effect.Effect<boolean> = Effect.suspend(() =>
    condition() ? Effect.succeed(true) : Effect.delay(look, 50)
  )
  return Effect.map(Effect.timeoutOption(look, seconds * 1000), ({ _tag }) => _tag === "Some")
}

// --- Nodes ---

export interface Settings {
  readonly host: string
  readonly bootstrap: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
}

/** What a node says of a peer: how it stands with it now, and why. */
export interface PeerLine {
  readonly peer: { readonly id: string; readonly status: string }
  readonly error?: { readonly _tag: string; readonly message: string }
}

/** What the node answers to `status`, as far as it is looked at. */
export interface Status {
  readonly counts: Readonly<Record<string, number>>
  readonly errors: Readonly<Record<string, number>>
}

type Line =
  | { readonly event: "listening"; readonly address: { readonly host: string; readonly port: number } }
  | (PeerLine & { readonly event: "peer" })
  | {
      readonly event: "message"
      readonly message: { readonly sender: string; readonly payload: Readonly<Record<string, unknown>> }
    }
  | { readonly event: "result"; readonly ref: number; readonly ok: boolean; readonly value: unknown }
  | { readonly event: "error" | "lost" | "stopped" }

/** The type of the messages that must arrive. What the attackers send is of other types, and not even parsed here. */
const news = '"type":"NEWS"'

export class Node {
  readonly id: string
  address = { host: "", port: 0 }
  pid = 0
  isGone = false
  /** How it stands with each peer, by its last word. */
  readonly peers = new Map<string, string>()
  /** How often each piece of news came, by sender and number. */
  readonly news = new Map<string, number>()
  onPeer: (line: PeerLine) => void = () => {}
  onNews: (key: string) => void = () => {}

  private refs = 0
  private readonly results = new Map<number, (value: unknown) => void>()
  private child: ChildProcess | undefined

  constructor(id: string) {
    this.id = id
  }

  /** Starts it, and waits until it listens. Scope: kills it. */
  start(program: string, { bootstrap, env, host }: Settings, log: string): Effect.Effect<void, never, Scope.Scope> {
    const args = ["start", "--json", "--port", "0", "--host", host, "--node-id", this.id]
    const dials = bootstrap.flatMap((address) => ["--bootstrap", address])
    return Effect.gen(this, function* () {
      const { child, gone } = yield* start([program, ...args, ...dials], { env, log }, (line) => this.take(line))
      this.child = child
      this.pid = child.pid ?? 0
      child.on("close", () => {
        this.isGone = true
      })
      yield* Effect.raceFirst(
        until(() => this.address.port !== 0, 60),
        gone
      )
      if (this.address.port === 0) {
        return yield* Effect.dieMessage(`${this.id} did not start: ${readFileSync(log, "utf8").slice(-1000)}`)
      }
    })
  }

  /** The value of the command's result; undefined if none came in time, or a failure. */
  command(command: string, more: Readonly<Record<string, unknown>> = {}, seconds = 15): Effect.Effect<unknown> {
    return Effect.async<unknown>((resume) => {
      const ref = ++this.refs
      this.results.set(ref, (value) => resume(Effect.succeed(value)))
      this.child?.stdin?.write(`${JSON.stringify({ ref, command, ...more })}\n`)
      return Effect.sync(() => this.results.delete(ref))
    }).pipe(
      Effect.timeoutOption(seconds * 1000),
      Effect.map((result) => (result._tag === "Some" ? result.value : undefined))
    )
  }

  /** Mebibytes that it holds in memory now, and held at most; the seconds of processor time it has used. */
  usage(): { readonly now: number; readonly most: number; readonly seconds: number } {
    if (this.isGone) return { now: 0, most: 0, seconds: 0 }
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8")
    const kibibytes = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0)
    const ticks = readFileSync(`/proc/${this.pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ")
      .slice(11, 13)
    return {
      now: kibibytes("VmRSS") / 1024,
      most: kibibytes("VmHWM") / 1024,
      seconds: ticks.reduce((sum, each) => sum + Number(each), 0) / 100
    }
  }

  private take(text: string): void {
    if (text.startsWith('{"event":"message"') && !text.includes(news)) return
    const line = JSON.parse(text) as Line
    switch (line.event) {
      case "listening":
        this.address = line.address
        return
      case "peer":
        this.peers.set(line.peer.id, line.peer.status)
        return this.onPeer(line)
      case "message": {
        const key = `${line.message.sender} ${String(line.message.payload["n"])}`
        this.news.set(key, (this.news.get(key) ?? 0) + 1)
        return this.onNews(key)
      }
      case "result":
        this.results.get(line.ref)?.(line.ok ? line.value : undefined)
        this.results.delete(line.ref)
    }
  }
}

// --- Attackers ---

export interface Order {
  readonly id: string
  /** The address that it dials from. */
  readonly from: string
  readonly stolen: string
  readonly targets: ReadonlyArray<{ readonly id: string; readonly host: string; readonly port: number }>
}

export interface Attacker {
  /** Ends it: what it has done, counted. */
  readonly stop: Effect.Effect<Readonly<Record<string, number>>>
}

/** Lets one loose. Scope: kills it. */
export const attack = (kind: string, order: Order): Effect.Effect<Attacker, never, Scope.Scope> =>
  Effect.gen(function* () {
    let tally: Readonly<Record<string, number>> = {}
    const program = fileURLToPath(new URL(`${kind}.mjs`, import.meta.url))
    const { child, gone } = yield* start([program, JSON.stringify(order)], {}, (line) => {
      tally = JSON.parse(line) as typeof tally
    })
    return {
      stop: Effect.suspend(() => {
        child.stdin?.end()
        return Effect.timeoutOption(gone, 5_000).pipe(
          Effect.tap(() => Effect.sync(() => child.kill("SIGKILL"))),
          Effect.map(() => tally)
        )
      })
    }
  })
