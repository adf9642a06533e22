/**
 * What the demonstration does with its nodes, step by step, and what it measures.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { JsonObject } from "../../Message.js"
import type { DialError } from "../../NetworkError.js"
import * as NodeId from "../../NodeId.js"
import type { PeerStatus } from "../../Peer.js"
import type { PeerAddress } from "../../PeerAddress.js"
import { Transport } from "../../Transport.js"
import type { NotTaken } from "./BareNode.js"
import * as BareNode from "./BareNode.js"
import type { NodeProcess } from "./NodeProcess.js"
import * as Report from "./Report.js"
import type { CommandFailed } from "./SidecarClient.js"

/**
 * A step did not come out as it should, and the node to look at.
 *
 * @since 0.1.0
 * @category errors
 */
export class StepFailed extends Data.TaggedError("StepFailed")<{ readonly node: string; readonly detail: string }> {
  override get message(): string {
    return `${this.node}: ${this.detail}`
  }
}

/**
 * What came of a step.
 *
 * @since 0.1.0
 * @category models
 */
export interface Finding {
  readonly measured: string
  /** Default: true, as nothing has failed. */
  readonly ok?: boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Step {
  readonly what: string
  readonly plan: string
  readonly run: Effect.Effect<Finding, StepFailed | CommandFailed | NotTaken | DialError, Scope.Scope>
}

/**
 * A bare node that comes for a while: the id that it can show, and what it dials with.
 *
 * @since 0.1.0
 * @category models
 */
export interface Guest {
  readonly id: string
  readonly transport: Transport["Type"]
}

/**
 * The nodes as they are now, by the names that people see, and how to start one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Nodes {
  readonly ids: ReadonlyArray<string>
  readonly all: Map<string, NodeProcess>
  /** The id that a node has in the network. */
  readonly nodeIdOf: (name: string) => string
  readonly guest: (name: string) => Effect.Effect<Guest>
  /** Starts a node that knows the first one only; the first knows none. */
  readonly launch: (id: string) => Effect.Effect<NodeProcess, never, Scope.Scope>
}

/** How long a node gets to do what is expected of it. */
const patience = Duration.seconds(8)

const pings = 200
const setUps = 20
const crowd = 50

const millisSince = (begun: bigint, until: bigint): number => Number(until - begun) / 1e6

const timed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.gen(function* () {
    const begun = yield* Clock.currentTimeNanos
    yield* effect
    return millisSince(begun, yield* Clock.currentTimeNanos)
  })

/** What a node is expected to do: it fails when the node takes too long, or ends before. */
const expect = <A, E, R>(
  node: NodeProcess,
  what: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | StepFailed, R> => {
  const gone = Effect.flatMap(node.ended, ({ code, signal }) =>
    Effect.fail(new StepFailed({ node: node.id, detail: `ended (${signal ?? `exit code ${code}`}) before it ${what}` }))
  )
  return Effect.raceFirst(effect, gone).pipe(
    Effect.timeoutFail({
      duration: patience,
      onTimeout: () => new StepFailed({ node: node.id, detail: `has not ${what} within ${Duration.format(patience)}` })
    })
  )
}

const get = (nodes: Nodes, id: string): Effect.Effect<NodeProcess, StepFailed> =>
  Effect.suspend(() => {
    const node = nodes.all.get(id)
    return node === undefined ? Effect.fail(new StepFailed({ node: id, detail: "does not run" })) : Effect.succeed(node)
  })

const others = (nodes: Nodes, id: string): ReadonlyArray<NodeProcess> =>
  [...nodes.all.values()].filter((node) => node.id !== id)

const sees = (nodes: Nodes, node: NodeProcess, peer: string, status: PeerStatus) =>
  expect(node, `shown ${peer} as ${status}`, node.waitForPeer(nodes.nodeIdOf(peer), status))

const allSee = (nodes: Nodes, peer: string, status: PeerStatus) =>
  Effect.forEach(others(nodes, peer), (node) => sees(nodes, node, peer, status), {
    concurrency: "unbounded",
    discard: true
  })

const launch = (nodes: Nodes, id: string): Effect.Effect<NodeProcess, StepFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const node = yield* nodes.launch(id)
    nodes.all.set(id, node)
    yield* expect(node, "listened", node.listening)
    return node
  })

const connect = ({ id, transport }: Guest, address: PeerAddress) =>
  Effect.provideService(BareNode.connect(id, address), Transport, transport)

const guests = (nodes: Nodes, name: string, count: number): Effect.Effect<ReadonlyArray<Guest>> =>
  Effect.forEach(Array.from({ length: count }), (_, index) => nodes.guest(`${name}-${index}`))

const median = (values: ReadonlyArray<number>): string => `${Report.time(Report.median(values))} median`

const latency = (times: ReadonlyArray<number>): Finding => ({
  measured: `${median(times)}, ${Report.time(Math.max(...times))} max`,
  ok: Report.median(times) < 100
})

const isFrom = (type: string, from: string) => (message: JsonObject) =>
  message["type"] === type && (message["payload"] as JsonObject)["from"] === from

// --- The steps ---

const start = (nodes: Nodes): Step => ({
  what: `Start ${nodes.ids.length} nodes: all but one know only the first`,
  plan: "",
  run: Effect.gen(function* () {
    const [first = "", ...rest] = nodes.ids
    const time = yield* timed(
      Effect.zipRight(
        launch(nodes, first),
        Effect.forEach(rest, (id) => launch(nodes, id), { concurrency: "unbounded" })
      )
    )
    return { measured: Report.time(time) }
  })
})

const discover = (nodes: Nodes): Step => ({
  what: "Discovery: each connected to all others",
  plan: "complete",
  run: Effect.gen(function* () {
    const time = yield* timed(
      Effect.forEach(nodes.ids, (id) => allSee(nodes, id, "connected"), { concurrency: "unbounded" })
    )
    return { measured: `${Report.time(time)} after the last start` }
  })
})

const setUp = (nodes: Nodes): Step => ({
  what: "Connection set-up: TCP, TLS and handshake",
  plan: "< 1 s, expect < 50 ms",
  run: Effect.gen(function* () {
    const node = yield* get(nodes, "node-1")
    const address = yield* node.listening
    const times = yield* Effect.forEach(yield* guests(nodes, "caller", setUps), (caller) =>
      Effect.scoped(expect(node, "taken up a connection", timed(connect(caller, address))))
    )
    return { measured: `${median(times)}, ${Report.time(Math.max(...times))} max`, ok: Math.max(...times) < 1000 }
  })
})

const gather = (nodes: Nodes): Step => ({
  what: `${crowd} more connections to one node at once`,
  plan: `${crowd}`,
  run: Effect.scoped(
    Effect.gen(function* () {
      const node = yield* get(nodes, "node-1")
      const address = yield* node.listening
      const before = (yield* node.ask({ command: "status" })).peers.connected
      const all = yield* guests(nodes, "guest", crowd)
      const time = yield* timed(
        Effect.forEach(all, (guest) => expect(node, "taken up the crowd", connect(guest, address)), {
          concurrency: "unbounded"
        })
      )
      const { peers } = yield* node.ask({ command: "status" })
      const more = peers.connected - before
      return { measured: `${more} (${peers.connected} in all) in ${Report.time(time)}`, ok: more === crowd }
    })
  )
})

const broadcast = (nodes: Nodes): Step => ({
  what: "A broadcast from each reaches all others once",
  plan: `${nodes.ids.length * (nodes.ids.length - 1)} arrivals`,
  run: Effect.gen(function* () {
    const time = yield* timed(
      Effect.forEach(nodes.ids, (id) =>
        Effect.gen(function* () {
          const arrivals = yield* Effect.forEach(others(nodes, id), (node) =>
            Effect.map(node.expectMessage(isFrom("NEWS", id)), (arrival) =>
              expect(node, `heard the broadcast of ${id}`, arrival)
            )
          )
          const node = yield* get(nodes, id)
          yield* node.ask({ command: "broadcast", type: "NEWS", payload: { from: id } })
          yield* Effect.all(arrivals, { concurrency: "unbounded" })
        })
      )
    )
    // What came twice came right after.
    yield* Effect.sleep("200 millis")
    const count = nodes.ids
      .flatMap((id) => others(nodes, id).map((node) => node.count(isFrom("NEWS", id))))
      .reduce((sum, arrivals) => sum + arrivals, 0)
    return {
      measured: `${count} arrivals in ${Report.time(time)}`,
      ok: count === nodes.ids.length * (nodes.ids.length - 1)
    }
  })
})

const ask = (nodes: Nodes): Step => ({
  what: "A request, answered by the other application",
  plan: "answered",
  run: Effect.gen(function* () {
    const asking = yield* get(nodes, "node-2")
    const asked = yield* get(nodes, "node-3")
    yield* asked.answer("ASK", ({ question }) => ({ payload: { answer: String(question).toUpperCase() } }))
    const request = asking.ask({
      command: "request",
      to: NodeId.make(nodes.nodeIdOf(asked.id)),
      type: "ASK",
      payload: { question: "who are you" }
    })
    const { payload } = yield* expect(asking, "had an answer", request)
    return { measured: `"who are you" - "${String(payload["answer"])}"`, ok: payload["answer"] === "WHO ARE YOU" }
  })
})

const pingPong = (nodes: Nodes): Step => ({
  what: "Message latency: request and reply, halved",
  plan: "< 100 ms, expect < 5 ms",
  run: Effect.gen(function* () {
    const asking = yield* get(nodes, "node-2")
    const asked = yield* get(nodes, "node-3")
    yield* asked.answer("PING", (payload) => ({ payload }))
    const to = NodeId.make(nodes.nodeIdOf(asked.id))
    const ping = expect(asking, "had an answer", asking.ask({ command: "request", to, type: "PING", payload: {} }))
    const times = yield* Effect.forEach(Array.from({ length: pings }), () => timed(ping))
    return latency(times.map((time) => time / 2))
  })
})

const oneWay = (nodes: Nodes): Step => ({
  what: "Message latency: one way",
  plan: "< 100 ms, expect < 5 ms",
  run: Effect.gen(function* () {
    const from = yield* get(nodes, "node-4")
    const to = yield* get(nodes, "node-5")
    const times = yield* Effect.forEach(Array.from({ length: pings }), (_, index) =>
      Effect.gen(function* () {
        const arrival = yield* to.expectMessage(isFrom("CHAT", `${from.id} ${index}`))
        const begun = yield* Clock.currentTimeNanos
        yield* from.tell({
          command: "send",
          to: NodeId.make(nodes.nodeIdOf(to.id)),
          type: "CHAT",
          payload: { from: `${from.id} ${index}` }
        })
        const { at } = yield* expect(to, "shown the message", arrival)
        return millisSince(begun, at)
      })
    )
    return latency(times)
  })
})

const kill = (nodes: Nodes, id: string): Step => ({
  what: `${id} is killed: dead to all others`,
  plan: "noticed",
  run: Effect.gen(function* () {
    const node = yield* get(nodes, id)
    nodes.all.delete(id)
    const time = yield* timed(Effect.zipRight(node.signal("SIGKILL"), allSee(nodes, id, "dead")))
    return { measured: `${Report.time(time)} (its sockets close)` }
  })
})

const restart = (nodes: Nodes, id: string): Step => ({
  what: `${id} starts again: back with all others`,
  plan: "connected again",
  run: Effect.gen(function* () {
    const node = yield* launch(nodes, id)
    const back = Effect.forEach(others(nodes, id), (other) => sees(nodes, node, other.id, "connected"), {
      concurrency: "unbounded",
      discard: true
    })
    const time = yield* timed(Effect.zipRight(back, allSee(nodes, id, "connected")))
    return { measured: `${Report.time(time)} after it listened` }
  })
})

const leave = (nodes: Nodes, id: string): Step => ({
  what: `${id} gets SIGTERM: has left, to all others`,
  plan: "left, exit code 0",
  run: Effect.gen(function* () {
    const node = yield* get(nodes, id)
    nodes.all.delete(id)
    const time = yield* timed(Effect.zipRight(node.signal("SIGTERM"), allSee(nodes, id, "left")))
    const { code } = yield* Effect.timeoutFail(node.ended, {
      duration: patience,
      onTimeout: () => new StepFailed({ node: id, detail: "does not end" })
    })
    return { measured: `${Report.time(time)}, exit code ${code}`, ok: code === 0 }
  })
})

const stop = (nodes: Nodes): Step => ({
  what: "The rest stop by command",
  plan: "exit code 0",
  run: Effect.gen(function* () {
    const codes = yield* Effect.forEach(
      [...nodes.all.values()],
      (node) =>
        Effect.gen(function* () {
          yield* node.tell({ command: "stop" })
          const { code } = yield* Effect.timeoutFail(node.ended, {
            duration: patience,
            onTimeout: () => new StepFailed({ node: node.id, detail: "does not end" })
          })
          return code
        }),
      { concurrency: "unbounded" }
    )
    return { measured: `exit codes ${codes.join(", ")}`, ok: codes.every((code) => code === 0) }
  })
})

/**
 * The whole demonstration, for five nodes `node-1` to `node-5`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const all = (nodes: Nodes): ReadonlyArray<Step> => [
  start(nodes),
  discover(nodes),
  setUp(nodes),
  gather(nodes),
  broadcast(nodes),
  ask(nodes),
  pingPong(nodes),
  oneWay(nodes),
  kill(nodes, "node-4"),
  restart(nodes, "node-4"),
  leave(nodes, "node-5"),
  stop(nodes)
]
