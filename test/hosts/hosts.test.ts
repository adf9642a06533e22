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

layer(Mesh.layer, { timeout: "3 minutes", excludeTestServices: true })("22 hosts", (it) => {
  const test = <E>(what: string, plan: string, run: Effect.Effect<string, E, Mesh.Mesh>) =>
    it.effect(what, () => scenario(what, plan, run))

  test(
    "find each other though they know only one",
    "all with all; each one's news reaches all, once",
    Mesh.findEachOther
  )
  test("one is unplugged, and plugged in again", "dead after 6 to 7 s, healed in two healing intervals", Mesh.unplugged)
  test("are split into halves, and joined again", "each half goes on; one again in two intervals", Mesh.halves)
  test("one is killed and starts again, one leaves", "noticed at once; not refused; `left` is not `dead`", Mesh.killed)
  test("one is frozen, for less and for more than the time-out", "suspect at most; dead, and back", Mesh.frozen)
  test("one changes its address", "found by all at the new one", Mesh.roaming)
  test("one loses its power and boots at once", "its old connections are replaced, not refused", Mesh.poweredOff)
})

const test = <E>(what: string, plan: string, run: Effect.Effect<string, E, Scope.Scope>) =>
  it.scopedLive(what, () => scenario(what, plan, run))

describe("Dialing", () => {
  test("a listener that accepts nobody, its backlog full", "a typed error; no other dial waits", Backlog.fullBacklog)
})

describe("The state folder", () => {
  test("its node is killed while it writes", "same id, whole files, no start fails", Killing.whileWriting)
})

describe("The way between two nodes", () => {
  test("takes 200 ms each way, give or take 50", "works, and the round trip is shown", Forwarding.delayed)
  test("stalls for less than the time-out", "dead to nobody, nothing lost, in order", Forwarding.stalledBothWays)
  test("stalls one way, for less and for more", "dead to nobody; dead within 6 to 7 s", Forwarding.stalledOneWay)
  test("breaks while the queues are full", "what was queued is reported, or comes", Forwarding.resetUnderLoad)
})
