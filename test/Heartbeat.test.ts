import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricState from "effect/MetricState"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as fc from "fast-check"
import * as Heartbeat from "../src/Heartbeat.js"
import { windowBytes } from "../src/internal/Flight.js"
import * as MessageType from "../src/MessageType.js"
import type * as NetworkConfig from "../src/NetworkConfig.js"
import type { NetworkEvent } from "../src/Peer.js"
import * as Handler from "../src/Handler.js"
import * as MemoryTransport from "../src/testing/MemoryTransport.js"
import * as P2PNetworkMemory from "../src/testing/P2PNetworkMemory.js"
import * as Memory from "./utils/memoryPeer.js"

const limits: Heartbeat.Limits = { interval: 5_000, timeout: 15_000, frameTimeout: 30_000, slowConsumerTimeout: 60_000 }
const period = 1_000

const calm: Heartbeat.Sight = {
  wasHeard: false,
  isHeld: false,
  isMidFrame: false,
  frameLength: 0,
  framesIn: 0,
  isWriting: false,
  writes: 0
}

const newPulse = (now: number): Heartbeat.Pulse => ({ heardAt: now, pingAt: now, frame: undefined, write: undefined })

interface Seen {
  readonly at: number
  readonly finding: Heartbeat.Finding
  readonly ping: boolean
}

/** Sweeps once a period from 0 on, and gives what is found; `gap` makes sweeps later. */
const sweeps = (
  count: number,
  sight: (at: number, sweep: number) => Partial<Heartbeat.Sight>,
  gap: (sweep: number) => number = () => period
): ReadonlyArray<Seen> => {
  const seen: Array<Seen> = []
  let pulse = newPulse(0)
  let now = 0
  for (let sweep = 0; sweep < count; sweep++) {
    const passed = gap(sweep)
    now += passed
    const result = Heartbeat.look(
      limits,
      pulse,
      { ...calm, ...sight(now, sweep) },
      now,
      Math.max(0, passed - 2 * period)
    )
    pulse = result.pulse
    seen.push({ at: now, finding: result.finding, ping: result.ping })
  }
  return seen
}

const first = (seen: ReadonlyArray<Seen>, finding: Heartbeat.Finding): number | undefined =>
  seen.find((one) => one.finding === finding)?.at

/** The gauge of the whole process. */
const openConnections = (): number => {
  const gauge = Metric.unsafeSnapshot().find(({ metricKey }) => metricKey.name === "synapse_connections")?.metricState
  return gauge !== undefined && MetricState.isGaugeState(gauge) ? Number(gauge.value) : 0
}

const Chat = MessageType.make("CHAT", Schema.Struct({ text: Schema.String }))

/** A node at host `node`, with all that happens to it. */
const startNode = (options: Omit<NetworkConfig.Input, "nodeId"> & { readonly onChat?: Effect.Effect<void> } = {}) =>
  Effect.gen(function* () {
    const { onChat, ...settings } = options
    const events: Array<NetworkEvent> = []
    const network = yield* P2PNetworkMemory.make({
      nodeId: "node",
      ...settings,
      ...(onChat === undefined ? {} : { handlers: [Handler.make(Chat, () => onChat)] })
    })
    yield* Effect.forkScoped(Stream.runForEach(network.events, (event) => Effect.sync(() => events.push(event))))
    yield* TestClock.adjust(1)
    return { network, events, tags: () => events.map(({ _tag }) => _tag) }
  })

/** A peer that has shaken hands with the node. */
const meet = (hello: Readonly<Record<string, unknown>> = {}) =>
  Effect.tap(Memory.dial("node:9470"), (peer) => {
    peer.hello(hello)
    return TestClock.adjust(1)
  })

const seconds = (count: number) => TestClock.adjust(count * 1_000)

const inMemory = <A, E, R>(body: Effect.Effect<A, E, R>) =>
  Effect.provide(body, MemoryTransport.layerNetworkWith({ capacity: 4_096 }))

const worst = (sight: Partial<Heartbeat.Sight>, at: number) =>
  Heartbeat.look(
    limits,
    { ...newPulse(0), frame: { since: 0, complete: 0 }, write: { since: 0, complete: 0 } },
    { ...calm, ...sight },
    at,
    0
  ).finding

const texts = (count: number) => Array.from({ length: count }, () => ({ text: "x".repeat(4_096) }))

describe("look", () => {
  const pattern = fc.array(fc.record({ wasHeard: fc.boolean(), isHeld: fc.boolean() }), {
    minLength: 1,
    maxLength: 80,
    size: "max"
  })

  it("declares a peer dead never before the time, and always within one interval of it", () => {
    fc.assert(
      fc.property(pattern, (steps) => {
        let heardAt = 0
        for (const { at, finding } of sweeps(steps.length, (_, sweep) => steps[sweep] ?? {})) {
          const { isHeld, wasHeard } = steps[at / period - 1] ?? { isHeld: false, wasHeard: false }
          if (isHeld || wasHeard) heardAt = at
          const silence = at - heardAt
          if (finding === "silent") assert.isAtLeast(silence, limits.timeout)
          if (silence >= limits.timeout + limits.interval) assert.strictEqual(finding, "silent")
          assert.strictEqual(finding === "suspect", silence >= limits.timeout / 2 && silence < limits.timeout)
        }
      })
    )
    assert.strictEqual(
      first(
        sweeps(30, () => ({})),
        "suspect"
      ),
      8_000
    )
    assert.strictEqual(
      first(
        sweeps(30, () => ({})),
        "silent"
      ),
      15_000
    )
  })

  it("finds a peer alive again by any byte", () => {
    const seen = sweeps(30, (at) => ({ wasHeard: at === 12_000 }))
    assert.strictEqual(seen[10]?.finding, "suspect")
    assert.strictEqual(seen[11]?.finding, "fine")
    assert.strictEqual(first(seen, "silent"), 27_000)
  })

  it("lets the time of a held connection stand still, and start anew", () => {
    const seen = sweeps(60, (at) => ({ isHeld: at > 10_000 && at <= 40_000, isMidFrame: at <= 40_000 }))
    assert.isTrue(seen.filter(({ at }) => at > 10_000 && at <= 40_000).every(({ finding }) => finding === "fine"))
    assert.strictEqual(first(seen, "silent"), 55_000)
  })

  it("pings every interval, whether it reads or not and whatever it hears", () => {
    fc.assert(
      fc.property(pattern, (steps) => {
        const pings = sweeps(steps.length, (_, sweep) => steps[sweep] ?? {}).filter(({ ping }) => ping)
        assert.deepStrictEqual(
          pings.map(({ at }) => at),
          Array.from({ length: Math.ceil(steps.length / 5) }, (_, index) => period + index * limits.interval)
        )
      })
    )
  })

  it("does not count the time in which this node was held up, however long", () => {
    fc.assert(
      fc.property(fc.nat(20), fc.integer({ min: 2_000, max: 1_000_000 }), (when, gap) => {
        const seen = sweeps(
          60,
          () => ({}),
          (sweep) => (sweep === when ? gap : period)
        )
        const dead = first(seen, "silent") ?? Infinity
        // A held-up sweep may count as two.
        const heldUp = when * period >= limits.timeout ? 0 : gap - 2 * period
        assert.isAtLeast(dead, limits.timeout + heldUp)
        assert.isAtMost(dead, limits.timeout + heldUp + limits.interval)
      })
    )
    const frame = sweeps(
      60,
      () => ({ wasHeard: true, isMidFrame: true, isWriting: true }),
      (sweep) => (sweep === 3 ? 200_000 : period)
    )
    assert.strictEqual(first(frame, "frameLate"), 30_000 + 198_000 + period)
  })

  it("finds a frame late after 30 seconds and 1 more for each 16 KiB, though bytes keep coming", () => {
    for (const [frameLength, limit] of [
      [0, 30_000],
      [16_384, 31_000],
      [1_048_576, 94_000]
    ] as const) {
      const seen = sweeps(120, () => ({ wasHeard: true, isMidFrame: true, frameLength }))
      assert.strictEqual(first(seen, "frameLate"), period + limit)
    }
    const many = sweeps(120, (_, sweep) => ({ wasHeard: true, isMidFrame: true, framesIn: Math.floor(sweep / 29) }))
    assert.isUndefined(first(many, "frameLate"), "each frame has its own time")
    const whole = sweeps(120, (at) => ({ wasHeard: true, isMidFrame: at % 30_000 !== 0 }))
    assert.isUndefined(first(whole, "frameLate"))
  })

  it("finds a peer stuck when nothing is taken for a minute while data waits", () => {
    assert.strictEqual(
      first(
        sweeps(120, () => ({ wasHeard: true, isWriting: true })),
        "stuck"
      ),
      61_000
    )
    const slow = sweeps(300, (_, sweep) => ({ wasHeard: true, isWriting: true, writes: Math.floor(sweep / 59) }))
    assert.isUndefined(first(slow, "stuck"), "slow is not stuck")
    const idle = sweeps(300, (at) => ({ wasHeard: true, isWriting: at % 60_000 !== 0 }))
    assert.isUndefined(first(idle, "stuck"))
    const held = sweeps(120, () => ({ isHeld: true, isWriting: true }))
    assert.strictEqual(first(held, "stuck"), 61_000, "also while this node does not read")
  })

  it("tells the worst of several things", () => {
    const both = { isMidFrame: true, isWriting: true }
    assert.strictEqual(worst(both, 70_000), "silent")
    assert.strictEqual(worst({ ...both, wasHeard: true }, 70_000), "frameLate")
    assert.strictEqual(worst({ isWriting: true, wasHeard: true }, 70_000), "stuck")
    assert.strictEqual(worst({}, 8_000), "suspect")
  })
})

describe("Heartbeat", () => {
  it.scoped("pings every interval, and measures the answers", () =>
    Effect.gen(function* () {
      const { network } = yield* startNode()
      const peer = yield* meet()
      // The sweeps are at whole seconds since the start.
      yield* TestClock.adjust(998)
      for (const delay of [10, 20, 60]) {
        const before = peer.of("HEARTBEAT", "ping").length
        for (let waited = 0; peer.of("HEARTBEAT", "ping").length === before && waited < 6; waited++) yield* seconds(1)
        const ping = peer.of("HEARTBEAT", "ping").at(-1)
        assert.strictEqual(peer.of("HEARTBEAT", "ping").length, before + 1)
        yield* TestClock.adjust(delay)
        peer.say("HEARTBEAT", { kind: "pong", seq: ping?.payload["seq"] }, { replyTo: ping?.id ?? "" })
        // A second answer, and one to no ping of ours, are not measured.
        peer.say("HEARTBEAT", { kind: "pong", seq: ping?.payload["seq"] }, { replyTo: ping?.id ?? "" })
        peer.say("HEARTBEAT", { kind: "pong", seq: 999 })
        yield* TestClock.adjust(1_000 - delay)
      }
      const [shown] = yield* network.peers({ status: "connected" })
      assert.deepStrictEqual(shown?.roundTrip, { lastMs: 60, meanMs: 30, p99Ms: 60 })
      assert.deepStrictEqual((yield* network.status).roundTrip, { p50Ms: 20, p90Ms: 60, p99Ms: 60 })

      peer.answersPings = true
      const before = peer.of("HEARTBEAT", "ping").length
      yield* seconds(50)
      assert.strictEqual(peer.of("HEARTBEAT", "ping").length - before, 10)
      assert.strictEqual(new Set(peer.of("HEARTBEAT", "ping").map(({ payload }) => payload["seq"])).size, before + 10)
    }).pipe(inMemory)
  )

  it.scoped("answers pings, ignores kinds it does not know, and refuses what breaks the rules", () =>
    Effect.gen(function* () {
      const { network } = yield* startNode()
      const peer = yield* meet()
      const ping = peer.say("HEARTBEAT", { kind: "ping", seq: 7, more: true })
      const bad = [{}, { kind: 1 }, { kind: "ping" }, { kind: "pong", seq: -1 }, { kind: "ping", seq: "7" }].map(
        (payload) => peer.say("HEARTBEAT", payload)
      )
      peer.say("HEARTBEAT", { kind: "later", seq: "anything" })
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(
        peer.of("HEARTBEAT", "pong").map(({ payload, replyTo, sender }) => ({ payload, replyTo, sender })),
        [{ payload: { kind: "pong", seq: 7 }, replyTo: ping, sender: "node" }]
      )
      assert.deepStrictEqual(
        peer.of("ERROR").map(({ payload, replyTo }) => [payload["code"], payload["fatal"], replyTo]),
        bad.map((id) => ["INVALID_MESSAGE", false, id])
      )
      const { counts, peers } = yield* network.status
      assert.strictEqual(counts["invalid"], bad.length)
      assert.strictEqual(peers.connected, 1)
    }).pipe(inMemory)
  )

  it.scoped("suspects a silent peer, and takes any byte of it for a sign of life", () =>
    Effect.gen(function* () {
      const { events, network, tags } = yield* startNode()
      const peer = yield* meet()
      yield* seconds(7)
      assert.deepStrictEqual(tags(), ["PeerConnected"])
      yield* seconds(2)
      assert.deepStrictEqual(tags(), ["PeerConnected", "PeerSuspect"])
      assert.strictEqual((yield* network.status).peers.suspect, 1)
      yield* seconds(3)
      peer.write(Uint8Array.of(0))
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(tags(), ["PeerConnected", "PeerSuspect", "PeerRecovered"])
      assert.strictEqual((yield* network.status).peers.connected, 1)
      const last = events.at(-1)
      assert.strictEqual(last?._tag === "PeerRecovered" && last.peer.status, "connected")
      yield* seconds(13)
      assert.deepStrictEqual(tags().slice(3), ["PeerSuspect"])
      yield* seconds(3)
      assert.deepStrictEqual(tags().slice(4), ["PeerDead"])
    }).pipe(inMemory)
  )

  it.scoped("declares a silent peer dead and closes, without an ERROR that nobody would read", () =>
    Effect.gen(function* () {
      const { events, network, tags } = yield* startNode()
      const peer = yield* meet({ listen: [{ host: "elsewhere", port: 9470 }] })
      yield* seconds(14)
      assert.notInclude(tags(), "PeerDead")
      yield* seconds(3)
      assert.deepStrictEqual(tags().slice(0, 3), ["PeerConnected", "PeerSuspect", "PeerDead"])
      const dead = events[2]
      assert.strictEqual(dead?._tag === "PeerDead" && dead.error._tag, "PeerSilent")
      assert.isTrue(peer.isClosed)
      assert.deepStrictEqual(peer.of("ERROR"), [])
      const status = yield* network.status
      assert.strictEqual(status.peers.dead, 1)
      assert.strictEqual(status.errors["PeerSilent"], 1)
      assert.strictEqual(status.connections.inbound, 0)
    }).pipe(inMemory)
  )

  it.scoped("pings while it does not read, and counts no silence then", () =>
    Effect.gen(function* () {
      const mayGoOn = yield* Effect.makeLatch(false)
      const { network, tags } = yield* startNode({ inboundQueue: 1, onChat: mayGoOn.await })
      const peer = yield* meet()
      for (let index = 0; index < 40; index++) peer.say("CHAT", { text: "x".repeat(2_000) })
      yield* seconds(60)
      assert.strictEqual((yield* network.status).peers.connected, 1)
      assert.isAtLeast(peer.of("HEARTBEAT", "ping").length, 11)
      assert.isAbove((yield* network.status).queued.inbound, 0, "it is still held up")
      yield* mayGoOn.open
      yield* seconds(13)
      assert.notInclude(tags(), "PeerDead")
      assert.strictEqual((yield* network.status).counts["delivered"], 40)
      yield* seconds(4)
      assert.include(tags(), "PeerDead")
    }).pipe(inMemory)
  )

  it.scoped("sends heartbeats ahead of queued data", () =>
    Effect.gen(function* () {
      const { network } = yield* startNode()
      const peer = yield* meet()
      peer.link.pause()
      yield* network.sendMessages(peer.id, Chat, texts(200))
      yield* seconds(6)
      peer.link.resume()
      yield* TestClock.adjust(0)
      const types = peer.received.filter(({ type }) => type === "CHAT" || type === "HEARTBEAT").map(({ type }) => type)
      assert.strictEqual(types.filter((type) => type === "CHAT").length, 200)
      assert.isBelow(types.indexOf("HEARTBEAT"), 1 + 65_536 / 4_096)
    }).pipe(inMemory)
  )

  it.scoped("lets only so much go unread by a peer that answers pings, though there is room on the way", () =>
    Effect.gen(function* () {
      const { network } = yield* startNode()
      const peer = yield* meet()
      peer.answersPings = true
      const send = (count: number) =>
        Effect.zipRight(network.sendMessages(peer.id, Chat, texts(count)), TestClock.adjust(1))
      for (let i = 0; i < 8; i++) yield* send(100)
      const taken = peer.of("CHAT").length
      assert.strictEqual(taken, 800)
      peer.answersPings = false
      yield* Effect.fork(send(800))
      yield* seconds(4)
      const unread = (peer.of("CHAT").length - taken) * 4_096
      assert.isAbove(unread, windowBytes / 2)
      assert.isBelow(unread, 4 * windowBytes)
      // Half of heartbeatTimeout without an answer: it may be that this peer gives none any more.
      for (let waited = 0; waited < 6; waited++) {
        peer.say("HEARTBEAT", { kind: "ping", seq: waited })
        yield* seconds(1)
      }
      assert.strictEqual(peer.of("CHAT").length, 1_600)
    }).pipe(Effect.provide(MemoryTransport.layerNetworkWith({ capacity: 16_777_216 })))
  )

  it.scoped("closes a connection on which a frame is not completed in time, though bytes keep coming", () =>
    Effect.gen(function* () {
      yield* startNode()
      const peer = yield* meet()
      peer.write(Uint8Array.of(0, 0, 0, 100))
      for (let waited = 0; waited < 30; waited += 5) {
        yield* seconds(5)
        assert.isFalse(peer.hasEnded, `after ${waited} s`)
        peer.write(Uint8Array.of(123))
      }
      yield* seconds(2)
      assert.deepStrictEqual(
        peer.of("ERROR").map(({ payload }) => [payload["code"], payload["fatal"]]),
        [["MALFORMED_FRAME", true]]
      )
      assert.isTrue(peer.hasEnded)
    }).pipe(inMemory)
  )

  it.scoped("gives up a peer that takes nothing for a minute while data waits", () =>
    Effect.gen(function* () {
      const { events, network } = yield* startNode()
      const peer = yield* meet()
      peer.link.pause()
      yield* network.sendMessages(peer.id, Chat, texts(20))
      for (let waited = 0; waited < 60; waited += 5) {
        peer.say("HEARTBEAT", { kind: "ping", seq: waited })
        yield* seconds(5)
        assert.isUndefined(
          events.find(({ _tag }) => _tag === "PeerDead"),
          `after ${waited} s`
        )
      }
      peer.say("HEARTBEAT", { kind: "ping", seq: 60 })
      yield* seconds(3)
      const dead = events.find(({ _tag }) => _tag === "PeerDead")
      assert.strictEqual(dead?._tag === "PeerDead" && dead.error._tag, "SlowConsumer")
    }).pipe(inMemory)
  )

  it.scoped("beats again after a restart, and leaves no connection in the metrics when it stops", () =>
    Effect.gen(function* () {
      const before = openConnections()
      const { network } = yield* startNode()
      yield* meet()
      yield* seconds(2)
      assert.strictEqual(openConnections() - before, 1)
      yield* Effect.fork(network.stop)
      yield* seconds(6)
      assert.strictEqual(openConnections() - before, 0)
      assert.isFalse((yield* network.status).running)
      yield* network.start
      const peer = yield* meet()
      yield* seconds(6)
      assert.isAbove(peer.of("HEARTBEAT", "ping").length, 0)
    }).pipe(inMemory)
  )
})
