/**
 * Nodes as processes on hosts of their own, which fail as hosts do. `npm run test:hosts` runs it; what it needs stands in
 * README. The last thing shown is a table of what was promised and measured.
 */
import { describe, it, layer } from "@effect/vitest"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Backlog from "./scenarios/Backlog.js"
import * as Forwarding from "./scenarios/Forwarding.js"
import * as Killing from "./scenarios/Killing.js"
import * as Mesh from "./scenarios/Mesh.js"
import { scenario } from "./support/report.js"

layer(Mesh.layer, { timeout: "5 minutes", excludeTestServices: true })("22 hosts", (it) => {
  const test = <E>(what: string, promised: string, run: Effect.Effect<string, E, Mesh.Mesh>) => {
    const entered = scenario(what, promised, run)
    it.effect(what, () => entered)
  }

  test(
    "find each other though they know only one",
    "all connected to all; what each tells all reaches each once",
    Mesh.findEachOther
  )
  test(
    "one is unplugged, and plugged in again",
    "both sides notice by heartbeatTimeout (6 s) and an interval (1 s); healed in two healing intervals (7.2 s)",
    Mesh.unplugged
  )
  test(
    "are split into halves, and joined again",
    "each half goes on by itself; one network again in two healing intervals",
    Mesh.halves
  )
  test(
    "one is killed and starts again, one leaves",
    "noticed at once; the same id, not refused as its own duplicate; `left` never shown as `dead`",
    Mesh.killed
  )
  test(
    "one is frozen, for less and for more than the time-out",
    "suspect at most; else dead in time, it finds out, comes back, and finds nobody silent but itself",
    Mesh.frozen
  )
  test("one gets another address", "found by all at the new one", Mesh.roaming)
  test(
    "one loses its power and boots at once",
    "old connections replaced, the new session not refused",
    Mesh.poweredOff
  )
})

const test = <E>(what: string, promised: string, run: Effect.Effect<string, E, Scope.Scope>) => {
  const entered = scenario(what, promised, run)
  it.scopedLive(what, () => entered)
}

describe("The state folder", () => {
  test(
    "its node is killed while it writes",
    "the same id after each restart, files whole, no start fails",
    Killing.whileWriting
  )
})

// Each has hosts of its own, and waits most of the time.
describe.concurrent("The way to another node", () => {
  test(
    "leads to one that accepts nobody, its backlog full",
    "each dial ends by connectTimeout (2 s), `connect` with a typed error; no other dial waits",
    Backlog.fullBacklog
  )
  test("takes 200 ms, give or take 50", "works, in order; round-trip times tell", Forwarding.delayed)
  test("stalls for less than the time-out", "nobody dead, nothing lost, order kept", Forwarding.stalledBothWays)
  test(
    "stalls one way, for less and for more than the time-out",
    "the same; else dead in time to both sides, and back",
    Forwarding.stalledOneWay
  )
  test(
    "breaks while the queues are full",
    "connected again; what was queued is reported or delivered",
    Forwarding.resetUnderLoad
  )
})
