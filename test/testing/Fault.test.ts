/** Each fault, by command: what it does, and that its end undoes it, also where several overlap. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Handler from "../../src/Handler.js"
import * as MessageType from "../../src/MessageType.js"
import * as Fault from "../../src/testing/Fault.js"
import type * as SimulatedNetwork from "../../src/testing/SimulatedNetwork.js"
import { simulate } from "../utils/simulated.js"

type Simulated = SimulatedNetwork.SimulatedNetwork["Type"]
type Node = SimulatedNetwork.SimulatedNode

const Ask = MessageType.request("ASK", Schema.Struct({ text: Schema.String }), Schema.Struct({ at: Schema.Number }))
const Told = MessageType.make("TOLD", Schema.Struct({ text: Schema.String }))

const names = ["alice", "bob", "carol"]

/** Three nodes, all connected, that notice silence after 3 seconds, and what becomes of peers at each. */
const trio = (simulated: Simulated) =>
  Effect.gen(function* () {
    const seen = new Map<string, Array<string>>(names.map((name) => [name, []]))
    const told: Array<string> = []
    const handlers = [
      Handler.make(Ask, () => Effect.map(Clock.currentTimeMillis, (at) => ({ at }))),
      Handler.make(Told, ({ payload, sender }) => Effect.sync(() => told.push(`${sender} ${payload.text}`)))
    ]
    const nodes = yield* Effect.forEach(names, (nodeId) =>
      simulated.node({
        nodeId,
        bootstrap: names.map((name) => `${name}:9470`),
        heartbeatInterval: "1 second",
        heartbeatTimeout: "3 seconds",
        healingInterval: "5 seconds",
        handlers,
        onBuilt: ({ events }) =>
          Effect.asVoid(
            Effect.forkScoped(
              Stream.runForEach(events, (event) =>
                Effect.sync(() => {
                  if ("peer" in event && typeof event.peer !== "string") {
                    seen.get(nodeId)?.push(`${event._tag} ${event.peer.id}`)
                  }
                })
              )
            )
          )
      })
    )
    const [alice, bob, carol] = nodes
    if (alice === undefined || bob === undefined || carol === undefined) return yield* Effect.dieMessage("no nodes")
    yield* Effect.sleep("20 seconds")
    const since = (node: Node): ReadonlyArray<string> => seen.get(node.id)?.splice(0) ?? []
    for (const node of nodes) since(node)
    return { alice, bob, carol, nodes, since, told, began: simulated.unsafeElapsed() }
  })

/** Milliseconds that a request takes; undefined where none is answered. */
const roundTrip = (simulated: Simulated, from: Node, to: Node, timeout = "1 second" as `${number} second`) =>
  Effect.gen(function* () {
    const began = simulated.unsafeElapsed()
    const answer = yield* Effect.option(from.network.request(to.id, Ask, { text: "" }, { timeout }))
    return answer._tag === "None" ? undefined : simulated.unsafeElapsed() - began
  })

/** Who is connected with whom. */
const view = (nodes: ReadonlyArray<Node>) =>
  Effect.map(
    Effect.forEach(nodes, (node) => Effect.orElseSucceed(node.network.peers({ status: "connected" }), () => [])),
    (views) =>
      views
        .map((peers) =>
          peers
            .map(({ id }) => id[0])
            .sort()
            .join("")
        )
        .join(" ")
  )

const allConnected = "bc ac ab"

const down = (fault: (host: string) => Fault.Fault, other: (host: string) => Fault.Fault) =>
  simulate((simulated) =>
    Effect.gen(function* () {
      const { alice, bob, nodes } = yield* trio(simulated)
      const first = yield* simulated.begin(fault("bob"))
      yield* Effect.sleep("5 seconds")
      const second = yield* simulated.begin(other("bob"))
      yield* Effect.sleep("5 seconds")
      assert.isFalse(bob.isRunning())
      const peer = yield* alice.network.peer("bob")
      assert.strictEqual(peer._tag === "Some" ? peer.value.status : "unknown", "dead")
      yield* first
      yield* Effect.sleep("5 seconds")
      assert.isFalse(bob.isRunning())
      yield* second
      yield* second
      assert.isTrue(bob.isRunning())
      assert.strictEqual(bob.starts(), 2)
      yield* Effect.sleep("30 seconds")
      assert.strictEqual(yield* view(nodes), allConnected)
    })
  )

const crash = (host: string): Fault.Fault => ({ _tag: "Crash", host, keepState: true })

const powerOff = (host: string): Fault.Fault => ({ _tag: "PowerOff", host, keepState: true })

const said = (fault: Fault.Fault): string => `${Fault.describe(fault)} (${Fault.hosts(fault).join(" ")})`

describe("Fault", () => {
  it.effect("Partition: hosts of different groups do not hear each other, those in none are one more", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { alice, bob, carol, nodes } = yield* trio(simulated)
        const heal = yield* simulated.begin({ _tag: "Partition", groups: [["alice"]] })
        assert.isUndefined(yield* roundTrip(simulated, alice, bob))
        assert.isBelow((yield* roundTrip(simulated, bob, carol)) ?? Infinity, 10)
        yield* Effect.sleep("1 minute")
        assert.strictEqual(yield* view(nodes), " c b")
        yield* heal
        yield* Effect.sleep("30 seconds")
        assert.strictEqual(yield* view(nodes), allConnected)
      })
    )
  )

  it.effect("Partition, two at once: only those hear each other whom neither parts", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { nodes } = yield* trio(simulated)
        const first = yield* simulated.begin({ _tag: "Partition", groups: [["alice"], ["bob", "carol"]] })
        const second = yield* simulated.begin({ _tag: "Partition", groups: [["carol"]] })
        yield* Effect.sleep("1 minute")
        assert.strictEqual(yield* view(nodes), "  ")
        yield* first
        yield* first
        yield* Effect.sleep("1 minute")
        assert.strictEqual(yield* view(nodes), "b a ")
        yield* second
        yield* Effect.sleep("1 minute")
        assert.strictEqual(yield* view(nodes), allConnected)
      })
    )
  )

  it.effect("Swallow: one way is lost, the other is free; within a partition its end changes nothing", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { alice, bob, nodes, told } = yield* trio(simulated)
        const free = yield* simulated.begin({ _tag: "Swallow", from: "alice", to: "bob" })
        yield* alice.network.sendMessage("bob", Told, { text: "lost" })
        yield* bob.network.sendMessage("alice", Told, { text: "comes" })
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual(told, ["bob comes"])
        const heal = yield* simulated.begin({ _tag: "Partition", groups: [["alice"]] })
        yield* free
        yield* Effect.sleep("1 minute")
        assert.strictEqual(yield* view(nodes), " c b")
        yield* heal
        yield* Effect.sleep("1 minute")
        assert.strictEqual(yield* view(nodes), allConnected)
        assert.deepStrictEqual(told, ["bob comes"])
      })
    )
  )

  it.effect("Stall and Clog: nothing is lost, and all that was held comes in order when it ends", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { alice, bob, carol, since, told } = yield* trio(simulated)
        const faults: ReadonlyArray<Fault.Fault> = [
          { _tag: "Stall", between: ["bob", "alice"] },
          { _tag: "Clog", host: "bob" }
        ]
        for (const fault of faults) {
          const end = yield* simulated.begin(fault)
          for (const text of ["one", "two"]) yield* alice.network.sendMessage("bob", Told, { text })
          const other = yield* roundTrip(simulated, carol, bob)
          assert.strictEqual(other === undefined, fault._tag === "Clog")
          yield* Effect.sleep(500)
          assert.deepStrictEqual(told, [])
          yield* end
          yield* Effect.sleep("10 millis")
          assert.deepStrictEqual(told.splice(0), ["alice one", "alice two"])
          assert.notMatch([...since(alice), ...since(bob)].join(), /PeerDead|PeerDisconnected/)
        }
      })
    )
  )

  it.effect("swizzled clogs: each host is free when all that clog it are over, in whatever order", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { alice, bob, carol, nodes } = yield* trio(simulated)
        const [a, b, c] = [
          yield* simulated.begin({ _tag: "Clog", host: "alice" }),
          yield* simulated.begin({ _tag: "Clog", host: "bob" }),
          yield* simulated.begin({ _tag: "Clog", host: "carol" })
        ]
        yield* b
        assert.isUndefined(yield* roundTrip(simulated, alice, bob))
        yield* a
        assert.isDefined(yield* roundTrip(simulated, alice, bob))
        assert.isUndefined(yield* roundTrip(simulated, alice, carol))
        yield* c
        assert.isDefined(yield* roundTrip(simulated, carol, bob))
        yield* Effect.sleep("1 minute")
        assert.strictEqual(yield* view(nodes), allConnected)
      })
    )
  )

  it.effect("Delay: takes so much longer each way; two add up", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { alice, bob, carol } = yield* trio(simulated)
        const one = yield* simulated.begin({ _tag: "Delay", between: ["alice", "bob"], millis: 100 })
        assert.closeTo((yield* roundTrip(simulated, alice, bob)) ?? 0, 203, 5)
        assert.isBelow((yield* roundTrip(simulated, alice, carol)) ?? Infinity, 10)
        const two = yield* simulated.begin({ _tag: "Delay", between: ["bob", "alice"], millis: 50 })
        assert.closeTo((yield* roundTrip(simulated, bob, alice)) ?? 0, 303, 5)
        yield* one
        assert.closeTo((yield* roundTrip(simulated, alice, bob)) ?? 0, 103, 5)
        yield* two
        // What is on its way yet is not overtaken.
        yield* Effect.sleep("1 second")
        assert.isBelow((yield* roundTrip(simulated, alice, bob)) ?? Infinity, 10)
      })
    )
  )

  it.effect("Reset: the links between two hosts break, at both ends", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { alice, bob, carol, nodes, since } = yield* trio(simulated)
        yield* Effect.flatten(simulated.begin({ _tag: "Reset", between: ["bob", "alice"] }))
        yield* Effect.sleep(1)
        assert.deepStrictEqual([since(alice), since(bob), since(carol)], [["PeerDead bob"], ["PeerDead alice"], []])
        yield* Effect.sleep("30 seconds")
        assert.strictEqual(yield* view(nodes), allConnected)
      })
    )
  )

  it.effect("SlowReader: reads no faster; of two the slower counts", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { alice, began, bob, told } = yield* trio(simulated)
        const slow = yield* simulated.begin({ _tag: "SlowReader", host: "bob", bytesPerSecond: 10_000 })
        const slower = yield* simulated.begin({ _tag: "SlowReader", host: "bob", bytesPerSecond: 5_000 })
        yield* alice.network.sendMessage("bob", Told, { text: "x".repeat(9_800) })
        yield* Effect.sleep(1_900)
        assert.lengthOf(told, 0)
        yield* Effect.sleep(400)
        assert.lengthOf(told, 1)
        yield* slower
        yield* alice.network.sendMessage("bob", Told, { text: "x".repeat(9_800) })
        yield* Effect.sleep(1_200)
        assert.lengthOf(told, 2)
        yield* slow
        assert.isBelow((yield* roundTrip(simulated, alice, bob)) ?? Infinity, 200)
        assert.isBelow(simulated.unsafeElapsed() - began, 4_000)
      })
    )
  )

  it.effect("Leave: goes with grace, twice at once too, and comes back when both are over", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { alice, bob, nodes, since } = yield* trio(simulated)
        const first = yield* simulated.begin({ _tag: "Leave", host: "bob" })
        yield* Effect.sleep("1 second")
        const second = yield* simulated.begin({ _tag: "Leave", host: "bob" })
        yield* Effect.sleep("10 seconds")
        assert.deepStrictEqual(since(alice), ["PeerLeft bob"])
        yield* first
        yield* Effect.sleep("10 seconds")
        assert.isFalse((yield* bob.network.status).running)
        yield* second
        yield* Effect.sleep("30 seconds")
        assert.strictEqual(yield* view(nodes), allConnected)
        assert.strictEqual(bob.starts(), 1)
      })
    )
  )

  it.effect("Crash, twice at once: starts again, once, when both are over", () => down(crash, crash))
  it.effect("PowerOff, twice at once: the same", () => down(powerOff, powerOff))
  it.effect("Crash and PowerOff overlapping: the same", () => down(crash, powerOff))
  it.effect("PowerOff and Crash overlapping: the same", () => down(powerOff, crash))

  it.effect("PowerOff over within a crash: the host is on again, with nobody there", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { alice } = yield* trio(simulated)
        yield* simulated.begin(crash("bob"))
        const on = yield* simulated.begin(powerOff("bob"))
        yield* Effect.sleep("5 seconds")
        const off = yield* Effect.flip(alice.network.connect("bob:9470", { retryFor: 0 }))
        assert.strictEqual(off._tag, "DialTimeout")
        yield* on
        const refused = yield* Effect.flip(alice.network.connect("bob:9470", { retryFor: 0 }))
        assert.strictEqual(refused._tag, "DialRefused")
      })
    )
  )

  it.effect("Crash is noticed at once, PowerOff by silence", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { alice, since } = yield* trio(simulated)
        yield* simulated.begin(crash("bob"))
        yield* simulated.begin(powerOff("carol"))
        yield* Effect.sleep("10 millis")
        assert.include(since(alice), "PeerDead bob")
        yield* Effect.sleep("2 seconds")
        assert.notInclude(since(alice), "PeerDead carol")
        yield* Effect.sleep("2 seconds")
        assert.include(since(alice), "PeerDead carol")
      })
    )
  )

  it.effect("Pause: shorter than heartbeatTimeout never shows as dead, longer does, and it comes back", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { alice, carol, nodes, since } = yield* trio(simulated)
        yield* simulated.during(1_900, { _tag: "Pause", host: "bob" })
        yield* Effect.sleep("20 seconds")
        assert.notInclude([...since(alice), ...since(carol)], "PeerDead bob")
        assert.strictEqual(yield* view(nodes), allConnected)
        yield* simulated.during("10 seconds", { _tag: "Pause", host: "bob" })
        assert.include(since(alice), "PeerDead bob")
        assert.include(since(carol), "PeerDead bob")
        yield* Effect.sleep("30 seconds")
        assert.strictEqual(yield* view(nodes), allConnected)
      })
    )
  )

  it.effect("Pause, twice at once: goes on when both are over", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { alice, bob } = yield* trio(simulated)
        const first = yield* simulated.begin({ _tag: "Pause", host: "bob" })
        const second = yield* simulated.begin({ _tag: "Pause", host: "bob" })
        yield* first
        assert.isUndefined(yield* roundTrip(simulated, alice, bob))
        yield* second
        assert.isDefined(yield* roundTrip(simulated, alice, bob))
      })
    )
  )

  it.effect("ClockStep: the wall clock is wrong and nothing else, also during a pause and after a crash", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { alice, bob, since } = yield* trio(simulated)
        const error = Effect.gen(function* () {
          const { at } = yield* alice.network.request("bob", Ask, { text: "" })
          return Math.round((at - (yield* Clock.currentTimeMillis)) / 1_000)
        })
        const goOn = yield* simulated.begin({ _tag: "Pause", host: "bob" })
        const back = yield* simulated.begin({ _tag: "ClockStep", host: "bob", millis: -3_600_000 })
        const other = yield* simulated.begin({ _tag: "ClockStep", host: "bob", millis: 60_000 })
        yield* goOn
        assert.strictEqual(yield* error, -3_540)
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual(since(alice), [])
        yield* simulated.during("1 second", crash("bob"))
        yield* alice.network.connect("bob:9470")
        assert.strictEqual(yield* error, -3_540)
        yield* back
        assert.strictEqual(yield* error, 60)
        yield* other
        assert.strictEqual(yield* error, 0)
        assert.strictEqual(bob.starts(), 2)
      })
    )
  )

  it("in words, with the hosts it names", () => {
    assert.deepStrictEqual(
      [
        said({ _tag: "Partition", groups: [["a", "b"], ["c"]] }),
        said({ _tag: "Swallow", from: "a", to: "b" }),
        said({ _tag: "Delay", between: ["a", "b"], millis: 5 }),
        said({ _tag: "Crash", host: "a", keepState: false }),
        said({ _tag: "ClockStep", host: "a", millis: -5 })
      ],
      [
        "partition a+b | c | the rest (a b c)",
        "what a sends to b is lost (a b)",
        "5 ms more between a and b (a b)",
        "a is killed, its state lost (a)",
        "the clock of a jumps by -5 ms (a)"
      ]
    )
  })
})
