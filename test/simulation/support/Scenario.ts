/**
 * Nodes that talk all the time while a plan of faults is played on them, and everything that must hold meanwhile and
 * afterwards. Each property has its name in docs/GUARANTEES.md.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Connection } from "../../../src/Connection.js"
import { ConnectionPool } from "../../../src/ConnectionPool.js"
import * as Handler from "../../../src/Handler.js"
import * as MessageType from "../../../src/MessageType.js"
import type { P2PNetwork } from "../../../src/P2PNetwork.js"
import type { NetworkEvent } from "../../../src/Peer.js"
import * as FaultPlan from "../../../src/testing/FaultPlan.js"
import { SimulatedNetwork, type SimulatedNode } from "../../../src/testing/SimulatedNetwork.js"
import { Ledger, type Run } from "./Ledger.js"
import { type Profile, times } from "./Profile.js"
import * as Truth from "./Truth.js"
import { Wire } from "./Wire.js"

type Network = P2PNetwork["Type"]

const Body = { run: Schema.String, order: Schema.Number, ballast: Schema.String }
const Direct = MessageType.make("DIRECT", Schema.Struct(Body))
const News = MessageType.make("NEWS", Schema.Struct(Body))
const Ask = MessageType.request("ASK", Schema.Struct({ n: Schema.Number }), Schema.Struct({ n: Schema.Number }))

/** What does not hold. */
export class Broken extends Data.TaggedError("Broken")<{ readonly property: string; readonly detail: string }> {
  override get message(): string {
    return `${this.property}: ${this.detail}`
  }
}

/** What a run has counted, for reports. */
export interface Tally {
  handled: number
  lost: number
  calls: number
}

const check = (property: string, isSo: boolean, detail: () => string): Effect.Effect<void, Broken> =>
  Effect.suspend(() => (isSo ? Effect.void : Effect.fail(new Broken({ property, detail: detail() }))))

/** Milliseconds after the last fault in which all has to be well again: silence noticed, two healings, and a dial. */
export const settling = times.heartbeatTimeout + 2 * 1.2 * times.healingInterval + times.connectTimeout + 1_500

const runOf = (host: string, starts: number): Run => `${host}/${starts}`

const poolOf = (node: SimulatedNode): ConnectionPool["Type"] | undefined => {
  const parts = node.parts()
  return parts === undefined ? undefined : Context.get(parts, ConnectionPool)
}

const connected = (node: SimulatedNode) =>
  Effect.map(Effect.orDie(node.network.peers({ status: ["connected", "suspect"] })), (peers) =>
    peers.map(({ id }) => id).sort()
  )

export const scenario = (profile: Profile, wire: Wire, plan: FaultPlan.FaultPlan, tally: Tally) =>
  Effect.gen(function* () {
    const simulated = yield* SimulatedNetwork
    const nodeScope = yield* Scope.make()
    const started = yield* simulated.elapsed
    const truth = Truth.make(plan, started)
    const ledger = new Ledger(truth)
    const ballast = "x".repeat(profile.ballast)
    let now = started
    wire.now = () => now

    // --- Nodes ---

    const handlers = (host: string, starts: () => number) => [
      Handler.make(Direct, ({ id, payload }) =>
        Effect.zipRight(
          Effect.sync(() => ledger.deliver(runOf(host, starts()), id, payload.run, payload.order)),
          Effect.sleep(profile.handling)
        )
      ),
      Handler.make(News, ({ id, payload }) =>
        Effect.sync(() => ledger.deliver(runOf(host, starts()), id, payload.run, undefined))
      ),
      Handler.make(Ask, ({ payload }) => Effect.succeed({ n: payload.n + 1 }))
    ]

    const observe = (host: string) => (network: Network, starts: number) =>
      Effect.gen(function* () {
        const run = runOf(host, starts)
        yield* Stream.runForEach(network.events, (event) => onEvent(run, host, event)).pipe(Effect.forkScoped)
        // The stream listens once its fiber has run.
        yield* Effect.yieldNow()
        yield* Effect.yieldNow()
        yield* Effect.orDie(network.start)
      })

    const onEvent = (run: Run, host: string, event: NetworkEvent): Effect.Effect<void> =>
      Effect.flatMap(simulated.elapsed, (at) =>
        Effect.zipRight(
          simulated.note(
            `${run} ${event._tag} ${"peer" in event ? (typeof event.peer === "string" ? event.peer : event.peer.id) : ""}`
          ),
          Effect.sync(() => {
            ledger.event(run, event, at)
            const problem = event._tag === "PeerDead" ? truth.wronglyDead(host, event, at) : undefined
            if (problem !== undefined) ledger.wrong.push(problem)
          })
        )
      )

    const nodes = new Map<string, SimulatedNode>()
    for (const host of profile.hosts) {
      const node: SimulatedNode = yield* simulated
        .node({
          ...profile.settings,
          nodeId: host,
          autoStart: false,
          handlers: handlers(host, () => nodes.get(host)?.starts() ?? 1),
          onBuilt: observe(host)
        })
        .pipe(Scope.extend(nodeScope))
      nodes.set(host, node)
    }
    const all = [...nodes.values()]

    // --- What must hold at each instant ---

    const limits = {
      peers: profile.settings.maxPeers ?? 256,
      half: profile.settings.maxPendingHandshakes ?? 1024,
      outbound: profile.settings.outboundQueue ?? 1024,
      outboundBytes: profile.settings.outboundQueueBytes ?? 8_388_608,
      inbox: profile.settings.inboundQueue ?? 256,
      inboxBytes: profile.settings.inboundQueueBytes ?? 4_194_304
    }
    /** Beyond its bound in bytes a queue holds one message at most. */
    const oneMessage = profile.ballast + 1_000

    const overLimit = (host: string, pool: ConnectionPool["Type"]): string | undefined => {
      const counts = pool.counts()
      if (counts.inbound + counts.outbound > limits.peers)
        return `${host} has ${counts.inbound + counts.outbound} peers`
      for (const connection of pool.opened()) {
        const { inbox, outbox } = connection
        // What is taken over from a duplicate comes on top, once.
        if (outbox.queued > 2 * limits.outbound) return `${host} queues ${outbox.queued} messages to send`
        if (outbox.queuedBytes > 2 * (limits.outboundBytes + oneMessage))
          return `${host} queues ${outbox.queuedBytes} bytes to send`
        if (inbox.length > limits.inbox) return `${host} queues ${inbox.length} messages to handle`
        if (inbox.queuedBytes > limits.inboxBytes + oneMessage)
          return `${host} queues ${inbox.queuedBytes} bytes to handle`
      }
      return undefined
    }

    /** A peer that is shown as alive has been heard lately. */
    const unnoticed = (host: string, pool: ConnectionPool["Type"]): string | undefined => {
      for (const [peer, connection] of pool.unsafeLive()) {
        if (connection.phase !== "open" || connection.isHeld || now - connection.openedAt < truth.noticedWithin)
          continue
        const silent = now - Math.max(wire.lastHeard(host, peer), connection.openedAt)
        if (silent > truth.noticedWithin && !truth.isHandicapped(host, now)) {
          return `${host} has not heard ${peer} for ${Math.round(silent)} ms and shows it as alive`
        }
      }
      return undefined
    }

    yield* simulated.watch(() => {
      if (ledger.wrong.length > 0) return ledger.wrong.join("; ")
      for (const node of all) {
        const pool = poolOf(node)
        if (pool === undefined) continue
        const problem = overLimit(node.id, pool) ?? unnoticed(node.id, pool)
        if (problem !== undefined) return problem
      }
      return undefined
    })
    yield* simulated.watch(() => {
      now = simulated.unsafeElapsed()
      return undefined
    })

    // --- Talk ---

    const tracked = <A, E>(run: Run, what: string, call: Effect.Effect<A, E>): Effect.Effect<Exit.Exit<A, E>> =>
      Effect.suspend(() => {
        const key = `${run} ${what} ${tally.calls++}`
        ledger.open.set(key, now)
        return Effect.ensuring(
          Effect.exit(call),
          Effect.sync(() => ledger.open.delete(key))
        )
      })

    const orders = new Map<string, number>()
    const talk = (node: SimulatedNode): Effect.Effect<void> =>
      Effect.gen(function* () {
        const run = runOf(node.id, node.starts())
        const others = profile.hosts.filter((host) => host !== node.id)
        const peer = others[yield* Random.nextIntBetween(0, others.length)] ?? ""
        const key = `${run}>${peer}`
        const body = { run, ballast, order: orders.get(key) ?? 0 }
        switch (yield* Random.nextIntBetween(0, 6)) {
          case 0:
          case 1:
          case 2: {
            orders.set(key, body.order + 1)
            const sent = yield* tracked(run, `sendMessage to ${peer}`, node.network.sendMessage(peer, Direct, body))
            if (Exit.isSuccess(sent)) ledger.took(run, sent.value, peer)
            return
          }
          case 3: {
            const receipt = yield* tracked(run, "broadcast", node.network.broadcast(News, body))
            if (Exit.isSuccess(receipt)) for (const to of receipt.value.sent) ledger.took(run, receipt.value.id, to)
            return
          }
          case 4:
            yield* tracked(run, `request to ${peer}`, node.network.request(peer, Ask, { n: 1 }))
            return
          default:
            yield* tracked(run, `connect to ${peer}`, node.network.connect(`${peer}:9470`, { retryFor: "2 seconds" }))
        }
      })

    const talking = yield* Effect.forEach(
      all,
      (node) =>
        Effect.forever(
          Effect.flatMap(Random.nextIntBetween(100, 2_500), (millis) =>
            Effect.delay(Effect.forkDaemon(talk(node)), millis)
          )
        ),
      { concurrency: "unbounded", discard: true }
    ).pipe(Effect.forkScoped)

    // --- The plan, and what must hold after it ---

    yield* Effect.sleep(Truth.planAt)
    yield* FaultPlan.play(plan)
    yield* Effect.sleep(settling)

    const views = new Map<string, ReadonlyArray<string>>()
    for (const node of all) views.set(node.id, yield* connected(node))
    const shown = (): string => [...views].map(([id, peers]) => `${id}: ${peers.join(" ")}`).join("; ")
    if (profile.isMesh) {
      yield* check(
        "all are connected again",
        all.every(({ id }) => views.get(id)?.length === profile.hosts.length - 1),
        shown
      )
    } else {
      yield* check("the network is one again", isOneComponent(views), shown)
    }
    yield* check("one connection for each pair", doubled(all, poolOf) === undefined, () => doubled(all, poolOf) ?? "")

    yield* Effect.fork(Effect.interruptible(Effect.sync(() => talking.unsafeInterruptAsFork(talking.id()))))
    yield* Effect.sleep("5 seconds")
    yield* check("every call ends", ledger.open.size === 0, () =>
      [...ledger.open].map(([call, at]) => `${call} since ${at}`).join("; ")
    )
    for (const node of all) {
      const run = runOf(node.id, node.starts())
      const peers = yield* node.network.peers()
      const wrong = peers.filter(({ id, status }) => status !== ledger.statusOf(run, id))
      yield* check(
        "events say what peers are",
        wrong.length === 0,
        () =>
          `${run}: ${wrong.map(({ id, status }) => `${id} is ${status}, said ${ledger.statusOf(run, id)}`).join("; ")}`
      )
      const missing = ledger.unaccounted(run, wire)
      yield* check("what was not sent is reported", missing.length === 0, () => `${run}: ${missing.join(" ")}`)
    }

    const ids: Array<string> = []
    for (const node of all) {
      const run = runOf(node.id, node.starts())
      const receipt = yield* Effect.either(node.network.broadcast(News, { run, order: 0, ballast }))
      if (Either.isRight(receipt)) ids.push(receipt.right.id)
    }
    yield* Effect.sleep("2 seconds")
    yield* check("a broadcast reaches all", ids.length === all.length, () => `${ids.length} were made`)
    for (const [index, id] of ids.entries()) {
      const missed = all.filter((node, at) => at !== index && !ledger.hasHandled(runOf(node.id, node.starts()), id))
      yield* check(
        "a broadcast reaches all",
        missed.length === 0,
        () => `${all[index]?.id} did not reach ${missed.map((node) => node.id).join(" ")}; ${shown()}`
      )
    }

    yield* Scope.close(nodeScope, Exit.void)
    const left = yield* simulated.leftovers
    yield* check(
      "nothing is left behind",
      left.links === 0 && left.listeners === 0 && left.sleeps === 0 && left.fibers === 0,
      () => JSON.stringify(left)
    )
    tally.handled += ledger.handled
    tally.lost += ledger.lost
  })

const isOneComponent = (views: ReadonlyMap<string, ReadonlyArray<string>>): boolean => {
  const [first] = views.keys()
  const reached = new Set(first === undefined ? [] : [first])
  for (const id of reached) for (const peer of views.get(id) ?? []) reached.add(peer)
  return reached.size === views.size
}

/** A pair with two connections, or with one that the two ends do not agree about. */
const doubled = (
  nodes: ReadonlyArray<SimulatedNode>,
  poolOf: (node: SimulatedNode) => ConnectionPool["Type"] | undefined
): string | undefined => {
  const open = new Map<string, Array<Connection>>()
  for (const node of nodes) {
    for (const connection of poolOf(node)?.opened() ?? []) {
      const pair = `${node.id}>${connection.identity?.id ?? "nobody"}`
      open.set(pair, [...(open.get(pair) ?? []), connection])
    }
  }
  for (const [pair, [one, ...more]] of open) {
    if (more.length > 0) return `${pair} has ${more.length + 1}`
    const [other] = open.get(pair.split(">").toReversed().join(">")) ?? []
    if (one === undefined || other?.local.toString() !== one.remote.toString()) return `${pair} is not the other's`
  }
  return undefined
}

/** Plays a plan on networks of a profile, and checks all of it. */
export const checkPlans = (
  profile: Profile,
  options: Pick<FaultPlan.CheckOptions, "runs" | "seed" | "path" | "onPlan">,
  tally: Tally = { handled: 0, lost: 0, calls: 0 }
): Effect.Effect<void, FaultPlan.PlanFailed> => {
  const wires = new Map<number, Wire>()
  return FaultPlan.check(
    {
      hosts: profile.hosts,
      within: "6 seconds",
      longest: "7 seconds",
      maxFaults: 6,
      ...options,
      network: (plan) => {
        const wire = new Wire()
        wires.set(plan.seed, wire)
        return { ...profile.network, transport: wire.transport }
      }
    },
    (plan) => {
      const wire = wires.get(plan.seed) ?? new Wire()
      wires.delete(plan.seed)
      return scenario(profile, wire, plan, tally)
    }
  )
}
