/** The other programs that run on hosts. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ChildProcess } from "node:child_process"
import { fileURLToPath } from "node:url"
import { start } from "../../hostile/network/processes.js"
import type { Host } from "./Switch.js"
import type { NotYet } from "./waiting.js"
import { changed, until } from "./waiting.js"

export interface Program {
  readonly child: ChildProcess
  /** Waits for that many lines like that, in all. */
  readonly says: (line: string, times?: number) => Effect.Effect<void, NotYet>
}

/** Starts `programs/NAME.mjs` on a host. Scope: kills it. */
export const run = (
  host: Host,
  name: string,
  ...args: ReadonlyArray<string>
): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.gen(function* () {
    const path = fileURLToPath(new URL(`../programs/${name}.mjs`, import.meta.url))
    const lines: Array<string> = []
    const { child } = yield* start([path, ...args], { within: host.within }, (line) => {
      lines.push(line)
      changed()
    })
    const says = (wanted: string, times = 1) =>
      Effect.asVoid(
        until(
          () => lines.filter((line) => line === wanted).length >= times,
          30,
          () => `${name} says "${wanted}"`
        )
      )
    return { child, says }
  })

export type Side = "a" | "b"

export interface Forwarder {
  readonly order: (
    what:
      | { readonly delay: number; readonly jitter: number }
      | { readonly held: ReadonlyArray<Side> }
      | { readonly reset: true }
  ) => Effect.Effect<void, NotYet>
}

/** Passes connections on between two nodes: who dials its first port speaks with `a`, its second, with `b`. */
export const forward = (
  host: Host,
  routes: ReadonlyArray<{
    readonly port: number
    readonly to: { readonly host: string; readonly port: number }
    readonly towards: Side
  }>
): Effect.Effect<Forwarder, NotYet, Scope.Scope> =>
  Effect.gen(function* () {
    const { child, says } = yield* run(host, "forwarder", JSON.stringify({ host: host.address, routes }))
    yield* says("listening", routes.length)
    let orders = 0
    return {
      order: (what) =>
        Effect.suspend(() => {
          child.stdin?.write(`${JSON.stringify(what)}\n`)
          return says("done", ++orders)
        })
    }
  })
