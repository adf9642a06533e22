/** A node on a host: the program as a sidecar, what it has said, and what can be done to it. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ChildProcess } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Command, EventLine, LineError } from "../../../src/cli/Commands.js"
import type { NetworkStatus, Peer, PeerStatus } from "../../../src/Peer.js"
import { start } from "../../hostile/network/processes.js"
import type { Host } from "./Switch.js"
import { changed, now, until } from "./waiting.js"

const program = fileURLToPath(new URL("../../../dist/bin.js", import.meta.url))

/** The result of a command was a failure. */
export class Refused extends Data.TaggedError("Refused")<{
  readonly node: string
  readonly command: string
  readonly error: LineError
}> {
  override get message(): string {
    return `${this.node}: ${this.command}: ${this.error._tag} ${this.error.message}`
  }
}

/** What a node has said of a peer, and when. */
export interface Remark {
  readonly at: number
  readonly peer: string
  readonly status: PeerStatus
  readonly error: LineError | undefined
}

/** A message of an application that came in. */
export interface Arrival {
  readonly at: number
  readonly id: string
  readonly sender: string
  readonly n: unknown
}

export interface Settings {
  readonly bootstrap?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** Where it listens; default: the address of its host. */
  readonly listen?: string
}

interface Result {
  readonly ok: boolean
  readonly value?: unknown
  readonly error?: LineError
}

export const port = 9470

export class HostNode {
  readonly host: Host
  /** What its disk holds. */
  readonly folder: string
  readonly log: string
  id = ""
  pid = 0
  isRunning = false
  exitCode: number | null | undefined
  /** How it stands with each peer, by its last word. */
  readonly peers = new Map<string, PeerStatus>()
  readonly remarks: Array<Remark> = []
  readonly arrivals: Array<Arrival> = []
  /** The messages that it has reported lost, in the order in which it did. */
  readonly lost: Array<string> = []

  private isListening = false
  private refs = 0
  private readonly results = new Map<number, (result: Result) => void>()
  private child: ChildProcess | undefined

  constructor(host: Host, folder: string) {
    this.host = host
    this.folder = join(folder, host.name)
    this.log = join(folder, `${host.name}.log`)
  }

  get address(): string {
    return `${this.host.address}:${port}`
  }

  /** Starts it without waiting for it. Scope: kills it. */
  launch({ bootstrap = [], env = {}, listen = this.host.address }: Settings): Effect.Effect<void, never, Scope.Scope> {
    return Effect.gen(this, function* () {
      this.isListening = false
      this.exitCode = undefined
      this.peers.clear()
      const args = ["start", "--json", "--host", listen, "--port", String(port)]
      const dials = bootstrap.flatMap((address) => ["--bootstrap", address])
      const { child } = yield* start(
        [program, ...args, ...dials],
        {
          env: { SYNAPSE_STATE_DIR: this.folder, SYNAPSE_LOG_FORMAT: "logfmt", ...env },
          log: this.log,
          within: this.host.within
        },
        (line) => this.child === child && this.take(JSON.parse(line) as EventLine)
      )
      this.child = child
      this.pid = child.pid ?? 0
      this.isRunning = true
      child.on("close", (code) => {
        if (this.child !== child) return
        this.isRunning = false
        this.exitCode = code
        for (const done of this.results.values()) {
          done({ ok: false, error: { _tag: "Gone", message: "the process has ended" } })
        }
        changed()
      })
    })
  }

  /** Waits until it listens, or has ended: whether it listens. */
  private get settled(): Effect.Effect<boolean> {
    return until(
      () => this.isListening || !this.isRunning,
      60,
      () => `${this.host.name} listens`
    ).pipe(
      Effect.orDie,
      Effect.map(() => this.isListening && this.isRunning)
    )
  }

  /** Starts it, and waits until it listens. Scope: kills it. */
  start(settings: Settings): Effect.Effect<void, never, Scope.Scope> {
    return Effect.gen(this, function* () {
      yield* this.launch(settings)
      if (!(yield* this.settled)) {
        yield* Effect.dieMessage(`${this.host.name} did not start: ${this.logged().slice(-1000)}`)
      }
    })
  }

  /** All that it has logged. */
  logged(): string {
    return readFileSync(this.log, "utf8")
  }

  /** Waits until the process is gone. */
  get gone(): Effect.Effect<void> {
    return Effect.asVoid(
      Effect.orDie(
        until(
          () => !this.isRunning,
          30,
          () => `${this.host.name} has ended`
        )
      )
    )
  }

  signal(name: NodeJS.Signals): void {
    this.child?.kill(name)
  }

  /** What became of the command. */
  ask(command: Command): Effect.Effect<unknown, Refused> {
    return Effect.async((resume) => {
      const ref = ++this.refs
      this.results.set(ref, ({ error, ok, value }) => {
        this.results.delete(ref)
        if (ok) return resume(Effect.succeed(value))
        const why = error ?? { _tag: "Unknown", message: "" }
        return resume(new Refused({ node: this.host.name, command: command.command, error: why }))
      })
      this.child?.stdin?.write(`${JSON.stringify({ ref, ...command })}\n`)
      return Effect.sync(() => this.results.delete(ref))
    })
  }

  get status(): Effect.Effect<NetworkStatus, Refused> {
    return Effect.map(this.ask({ command: "status" }), (value) => value as NetworkStatus)
  }

  /** What it says of a peer when it is asked. */
  peer(id: string): Effect.Effect<Peer | undefined, Refused> {
    return Effect.map(this.ask({ command: "peers" }), (value) =>
      (value as ReadonlyArray<Peer>).find((peer) => peer.id === id)
    )
  }

  /** What it has said of a peer since then. */
  since(at: number, peer: string): ReadonlyArray<Remark> {
    return this.remarks.filter((remark) => remark.at >= at && remark.peer === peer)
  }

  private take(line: EventLine): void {
    switch (line.event) {
      case "listening":
        this.id = line.nodeId
        this.isListening = true
        break
      case "peer":
        this.peers.set(line.peer.id, line.peer.status)
        this.remarks.push({ at: now(), peer: line.peer.id, status: line.peer.status, error: line.error })
        break
      case "message": {
        const { id, payload, sender } = line.message as {
          readonly id: string
          readonly sender: string
          readonly payload: { readonly n: unknown }
        }
        this.arrivals.push({ at: now(), id, sender, n: payload.n })
        break
      }
      case "lost":
        this.lost.push(...line.ids)
        break
      case "result":
        if (typeof line.ref === "number") this.results.get(line.ref)?.(line)
    }
    changed()
  }
}
