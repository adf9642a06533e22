import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as PeerAddress from "../../src/PeerAddress.js"
import type { Fault } from "../../src/testing/Fault.js"
import type * as SimulatedNetwork from "../../src/testing/SimulatedNetwork.js"
import { simulate } from "../utils/simulated.js"
import { Ask, course, mesh, Said } from "../utils/simulatedCourse.js"
import { bundle, start } from "../utils/childProgram.js"
import { record, until, write } from "../utils/links.js"

type Simulated = SimulatedNetwork.SimulatedNetwork["Type"]
type Node = SimulatedNetwork.SimulatedNode

/** Two nodes that are connected. */
const pair = (simulated: Simulated, settings = {}) =>
  Effect.gen(function* () {
    const [alice, bob] = yield* mesh(simulated, ["alice", "bob"], settings)
    if (alice === undefined || bob === undefined) return yield* Effect.dieMessage("no nodes")
    yield* alice.network.waitForPeers(1)
    yield* bob.network.waitForPeers(1)
    return { alice, bob }
  })

const statusAt = (node: Node, peer: string) =>
  Effect.map(node.network.peer(peer), (found) => (found._tag === "Some" ? found.value.status : "unknown"))

/** What happened at a node from now on, in words with the time. */
const eventsOf = (simulated: Simulated, node: Node) =>
  Effect.gen(function* () {
    const seen: Array<{ readonly tag: string; readonly at: number }> = []
    yield* node.network.events.pipe(
      Stream.runForEach(({ _tag }) => Effect.sync(() => seen.push({ tag: _tag, at: simulated.unsafeElapsed() }))),
      Effect.forkScoped
    )
    yield* Effect.sleep(1)
    return { seen, tags: () => seen.map(({ tag }) => tag) }
  })

const secondsFrom = (simulated: Simulated, since: number): number => (simulated.unsafeElapsed() - since) / 1000

/** An open link between two hosts on which no node runs, and what its ends tell. */
const bareLink = (simulated: Simulated, from: string, to: string, capacity = 0) =>
  Effect.gen(function* () {
    const accepted = yield* Deferred.make<ReturnType<typeof record>>()
    let far: Parameters<Parameters<ReturnType<Simulated["transport"]>["listen"]>[1]>[0] | undefined
    yield* simulated.transport(to).listen(PeerAddress.make(to, 1), (link) => {
      far = link
      if (capacity > 0) link.pause()
      Effect.runSync(Deferred.succeed(accepted, record(link)))
    })
    const near = yield* simulated.transport(from).dial(PeerAddress.make(to, 1))
    const nearHeard = record(near)
    const farHeard = yield* Deferred.await(accepted)
    if (far === undefined) return yield* Effect.dieMessage("no link")
    return { near, far, nearHeard, farHeard }
  })

const bytes = new Uint8Array(10)

const haltOf = <A, E, R>(
  program: (simulated: Simulated) => Effect.Effect<A, E, R>,
  options?: SimulatedNetwork.Options
) => Effect.flip(simulate(program, options))

const dialTo = (fault: Fault, connectTimeout = "2 seconds") =>
  simulate((simulated) =>
    Effect.gen(function* () {
      const { alice } = yield* pair(simulated, { connectTimeout })
      yield* simulated.begin(fault)
      yield* alice.network.disconnect("bob")
      yield* Effect.sleep("1 minute")
      const began = simulated.unsafeElapsed()
      const error = yield* Effect.flip(alice.network.connect("bob:9470", { retryFor: 0 }))
      return { tag: error._tag, seconds: secondsFrom(simulated, began) }
    })
  )

const saying = (text: string, note: string) =>
  simulate((simulated) =>
    Effect.gen(function* () {
      const { alice } = yield* pair(simulated)
      yield* alice.network.sendMessage("bob", Said, { text })
      yield* simulated.note(note)
      yield* Effect.sleep("1 second")
      return (yield* simulated.trace).hash
    })
  )

describe("SimulatedNetwork", () => {
  describe("runs a program", () => {
    it.effect("by its own clock, under a test clock that nobody moves, and gives what it gives", () =>
      Effect.gen(function* () {
        const [elapsed, wall] = yield* simulate((simulated) =>
          Effect.zipRight(Effect.sleep("3 hours"), Effect.all([simulated.elapsed, Clock.currentTimeMillis]))
        )
        assert.strictEqual(elapsed, 3 * 3_600_000)
        assert.strictEqual(new Date(wall).toISOString(), "2026-01-01T03:00:00.000Z")
        // The clock outside has not moved.
        assert.strictEqual(yield* TestClock.currentTimeMillis, 0)
      })
    )

    it.live("under the clock of the system as well", () =>
      Effect.map(
        simulate((simulated) => Effect.zipRight(Effect.sleep("3 hours"), simulated.elapsed)),
        (elapsed) => assert.strictEqual(elapsed, 3 * 3_600_000)
      )
    )

    it.effect("whose failures and defects come out as they are", () =>
      Effect.gen(function* () {
        class Mine extends Data.TaggedError("Mine")<{ readonly detail: string }> {}
        const failed = yield* Effect.exit(simulate(() => Effect.delay(new Mine({ detail: "so" }), 10)))
        assert.deepStrictEqual(failed, Exit.fail(new Mine({ detail: "so" })))
        const died = yield* Effect.exit(simulate(() => Effect.die("defect")))
        assert.deepStrictEqual(died, Exit.die("defect"))
      })
    )

    it.effect("of nodes, for an hour", () =>
      simulate((simulated) =>
        Effect.gen(function* () {
          const names = ["alice", "bob", "carol"]
          const nodes = yield* mesh(simulated, names)
          const events = yield* Effect.forEach(nodes, (node) => eventsOf(simulated, node))
          yield* Effect.sleep("1 hour")
          for (const [index, node] of nodes.entries()) {
            const peers = yield* node.network.peers({ status: "connected" })
            assert.deepStrictEqual(
              peers.map(({ id }) => id).sort(),
              names.filter((name) => name !== node.id)
            )
            const ended = new Set(["PeerSuspect", "PeerDisconnected", "PeerDead"])
            assert.deepStrictEqual(
              events[index]?.tags().filter((tag) => ended.has(tag)),
              []
            )
            const peer = names[(index + 1) % names.length] ?? ""
            assert.deepStrictEqual(yield* node.network.request(peer, Ask, { n: index }), { n: index + 1 })
          }
        })
      )
    )

    it.live("that is interrupted: what it holds is released, by its clock, and nothing goes on", () =>
      Effect.gen(function* () {
        const course: Array<string> = []
        const say = (what: string) => Effect.sync(() => void course.push(what))
        let look: (() => number) | undefined
        const fiber = yield* Effect.fork(
          simulate((simulated) =>
            Effect.gen(function* () {
              look = simulated.unsafeElapsed
              yield* pair(simulated)
              yield* Effect.addFinalizer(() => Effect.zipRight(Effect.sleep("1 minute"), say("released")))
              yield* say("begun")
              yield* Effect.forever(Effect.sleep("1 second"))
            })
          )
        )
        yield* until(() => course.length > 0)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(course, ["begun", "released"])
        const ended = look?.() ?? 0
        assert.isAbove(ended, 60_000)
        yield* Effect.sleep("20 millis")
        assert.strictEqual(look?.(), ended)
        assert.notInclude(process.getActiveResourcesInfo(), "Immediate")
      })
    )

    it.effect("that is interrupted and never comes to an end: not even then it goes on for ever", () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.fork(
          simulate(() =>
            Effect.zipRight(
              Effect.addFinalizer(() => Effect.never),
              Effect.never
            )
          )
        )
        yield* Effect.yieldNow()
        assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      })
    )

    it.live("while others run beside it, which do not disturb each other", () =>
      Effect.gen(function* () {
        const one = simulate(course, { seed: 5, jitter: "20 millis", cut: true })
        const alone = yield* one
        const together = yield* Effect.all([one, simulate(course, { seed: 6 }), one], { concurrency: "unbounded" })
        assert.deepStrictEqual([together[0], together[2]], [alone, alone])
        assert.notStrictEqual(together[1], alone)
      })
    )
  })

  describe("halts a run that comes to no end", () => {
    it.effect("stuck", () =>
      Effect.gen(function* () {
        const halt = yield* haltOf(() => Effect.delay(Effect.never, 100), { seed: 7 })
        assert.deepInclude(halt, { _tag: "SimulationHalted", reason: "Stuck", seed: 7, atMillis: 100 })
        assert.strictEqual(
          (halt as Error).message,
          "nothing is left to happen, and the program still waits for something " +
            "(a real file or socket does not count), 100 ms after the beginning (seed 7)"
        )
      })
    )

    it.effect("out of time, with the last that happened", () =>
      Effect.gen(function* () {
        const halt = yield* haltOf(
          (simulated) =>
            Effect.forever(
              Effect.zipRight(
                Effect.sleep("1 minute"),
                Effect.flatMap(simulated.elapsed, (at) => simulated.note(`minute ${at / 60_000}`))
              )
            ),
          { limit: "1 hour", traceLines: 2 }
        )
        assert.strictEqual(
          (halt as Error).message,
          "the limit of simulated time was reached before the program had ended, 3600000 ms after the beginning (seed 1)\n" +
            "The last that happened:\n3540000.000 minute 59\n3600000.000 minute 60"
        )
      })
    )

    it.effect("restless, in a loop in which no time passes", () =>
      Effect.gen(function* () {
        const halt = yield* haltOf(() => Effect.delay(Effect.forever(Effect.sleep(0)), 5))
        assert.match((halt as Error).message, /^things go on happening without time passing.*, 5 ms after/)
      })
    )

    it.effect("violated, as who watches says, and only while it is watched", () =>
      Effect.gen(function* () {
        const halt = yield* haltOf((simulated) =>
          Effect.gen(function* () {
            yield* Effect.scoped(simulated.watch(() => "too early"))
            yield* Effect.sleep(10)
            yield* simulated.watch(() => (simulated.unsafeElapsed() >= 30 ? "it is late" : undefined))
            yield* Effect.forever(Effect.sleep(10))
          })
        )
        assert.strictEqual(
          (halt as Error).message,
          "what is watched was violated: it is late, 30 ms after the beginning (seed 1)"
        )
      })
    )

    it.effect("and a look that throws is a defect", () =>
      Effect.gen(function* () {
        const fault = new Error("no view")
        const exit = yield* Effect.exit(
          simulate((simulated) =>
            Effect.zipRight(
              simulated.watch(() => {
                throw fault
              }),
              Effect.sleep(10)
            )
          )
        )
        assert.deepStrictEqual(exit, Exit.die(fault))
      })
    )

    it.effect("and lets the program release what it holds, though not for ever", () =>
      Effect.gen(function* () {
        const released: Array<string> = []
        const holding = (name: string, release: Effect.Effect<unknown>) =>
          Effect.addFinalizer(() =>
            Effect.zipRight(
              release,
              Effect.sync(() => released.push(name))
            )
          )
        const halt = yield* haltOf(
          (simulated) =>
            Effect.gen(function* () {
              yield* holding("after what hangs", Effect.void)
              yield* holding("hangs", Effect.never)
              yield* holding("takes its time", Effect.sleep("5 seconds"))
              yield* pair(simulated)
              yield* Effect.never
            }),
          { limit: "1 hour" }
        )
        assert.strictEqual((halt as { readonly reason?: string }).reason, "OutOfTime")
        assert.deepStrictEqual(released, ["takes its time"])
      })
    )
  })

  describe("takes the same course for the same seed", () => {
    const many: ReadonlyArray<SimulatedNetwork.Options> = [
      {},
      { cut: true, jitter: "30 millis" },
      { bandwidth: 20_000, capacity: 3_000, cut: true }
    ]
    for (const options of many) {
      it.effect(`with ${JSON.stringify(options)}, and another for another`, () =>
        Effect.gen(function* () {
          const first = yield* simulate(course, { ...options, seed: 42 })
          const second = yield* simulate(course, { ...options, seed: 42 })
          const other = yield* simulate(course, { ...options, seed: 43 })
          assert.strictEqual(second, first)
          assert.notStrictEqual(other, first)
        })
      )
    }

    it.scopedLive("in another process too, whatever that one has done before", () =>
      Effect.gen(function* () {
        const folder = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(path.join(tmpdir(), "synapse-course-"))),
          (made) => Effect.sync(() => rmSync(made, { recursive: true }))
        )
        const program = path.join(folder, "course.mjs")
        const source = fileURLToPath(new URL("../utils/simulatedCourseChild.ts", import.meta.url))
        yield* Effect.promise(() => bundle(source, program))
        const here = yield* simulate(course, { seed: 9, cut: true, jitter: "30 millis" })
        for (const before of ["0", "1000"]) {
          const child = yield* start(program, ["9", before])
          assert.strictEqual(yield* child.line, here)
        }
      })
    )

    it.effect("whose trace tells when what is said differs, and notes", () =>
      Effect.gen(function* () {
        const hashes = [yield* saying("one", ""), yield* saying("two", ""), yield* saying("one", "noted")]
        assert.strictEqual(new Set(hashes).size, 3)
        assert.strictEqual(yield* saying("one", ""), hashes[0])
      })
    )
  })

  describe("its nodes", () => {
    it.effect("leave nothing behind when their scopes close, and not before", () =>
      simulate((simulated) =>
        Effect.gen(function* () {
          const nothing = { links: 0, listeners: 0, sleeps: 0, fibers: 0 }
          assert.deepStrictEqual(yield* simulated.leftovers, nothing)
          const scope = yield* Scope.make()
          yield* pair(simulated).pipe(Scope.extend(scope))
          // Both dialed: one of two links is closed yet.
          yield* Effect.sleep("1 minute")
          const meanwhile = yield* simulated.leftovers
          assert.deepInclude(meanwhile, { links: 2, listeners: 2 })
          assert.isAbove(meanwhile.sleeps, 0)
          assert.isAbove(meanwhile.fibers, 0)
          yield* Scope.close(scope, Exit.void)
          assert.deepStrictEqual(yield* simulated.leftovers, nothing)
          // Their names are free again.
          yield* Effect.scoped(pair(simulated))
          assert.deepStrictEqual(yield* simulated.leftovers, nothing)
        })
      )
    )

    it.effect("are one for each name", () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(
          simulate((simulated) =>
            Effect.gen(function* () {
              yield* simulated.node({ nodeId: "alice" })
              yield* simulated.node({ nodeId: "alice" })
            })
          )
        )
        assert.include(String(exit), "there is a node alice already")
      })
    )

    it.effect("that cannot start say why, and can be started in another way", () =>
      simulate((simulated) =>
        Effect.gen(function* () {
          const invalid = yield* Effect.flip(simulated.node({ nodeId: "alice", maxPeers: -1 }))
          assert.strictEqual(invalid._tag, "ConfigInvalid")
          const elsewhere = yield* Effect.flip(simulated.node({ nodeId: "alice", host: "mars" }))
          assert.deepInclude(elsewhere, { _tag: "ListenFailed", reason: "AddressNotAvailable" })
          yield* simulated.during("1 second", { _tag: "Crash", host: "alice", keepState: true })
          const { isRunning } = yield* simulated.node({ nodeId: "alice" })
          assert.isTrue(isRunning())
        })
      )
    )

    it.effect("keep whom they know over a crash, but not where their state is lost", () =>
      simulate((simulated) =>
        Effect.gen(function* () {
          const bob = yield* simulated.node({ nodeId: "bob" })
          const alice = yield* simulated.node({ nodeId: "alice" })
          yield* alice.network.connect("bob:9470")
          yield* Effect.sleep("5 seconds")
          const down = yield* simulated.begin({ _tag: "PowerOff", host: "bob", keepState: true })
          yield* Effect.sleep("1 minute")
          yield* simulated.during("5 seconds", { _tag: "Crash", host: "alice", keepState: true })
          yield* down
          yield* Effect.sleep("2 minutes")
          assert.strictEqual(alice.starts(), 2)
          assert.strictEqual(yield* statusAt(alice, "bob"), "connected")
          yield* simulated.begin({ _tag: "PowerOff", host: "bob", keepState: false })
          yield* simulated.during("5 seconds", { _tag: "PowerOff", host: "alice", keepState: false })
          yield* Effect.sleep("1 minute")
          assert.deepStrictEqual(yield* alice.network.peers(), [])
          assert.isFalse(bob.isRunning())
        })
      )
    )

    it.effect("given to a host that is down start when it is up", () =>
      simulate((simulated) =>
        Effect.gen(function* () {
          const up = yield* simulated.begin({ _tag: "Crash", host: "alice", keepState: true })
          const alice = yield* simulated.node({ nodeId: "alice" })
          assert.isFalse(alice.isRunning())
          assert.strictEqual(alice.network.nodeId, "alice")
          const failed = yield* Effect.flip(alice.network.sendMessage("bob", Said, { text: "" }))
          assert.strictEqual(failed._tag, "NetworkNotRunning")
          yield* up
          assert.isTrue(alice.isRunning())
          assert.isTrue((yield* alice.network.status).running)
        })
      )
    )

    it.effect("given up while they are down stay down", () =>
      simulate((simulated) =>
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const starting = yield* Deferred.make<void>()
          const alice = yield* simulated
            .node({
              nodeId: "alice",
              onBuilt: (_, starts) =>
                starts === 1
                  ? Effect.void
                  : Effect.zipRight(Deferred.succeed(starting, undefined), Effect.sleep("1 second"))
            })
            .pipe(Scope.extend(scope))
          const up = yield* simulated.begin({ _tag: "Crash", host: "alice", keepState: true })
          yield* Effect.fork(up)
          yield* Deferred.await(starting)
          yield* Scope.close(scope, Exit.void)
          yield* Effect.sleep("5 seconds")
          assert.isFalse(alice.isRunning())
          assert.deepInclude(yield* simulated.leftovers, { links: 0, listeners: 0, sleeps: 0 })
        })
      )
    )

    it.effect("wait with what they are asked while they are stopped, and refuse it when they are killed", () =>
      simulate((simulated) =>
        Effect.gen(function* () {
          const { alice } = yield* pair(simulated)
          const began = simulated.unsafeElapsed()
          const goOn = yield* simulated.begin({ _tag: "Pause", host: "alice" })
          yield* Effect.fork(Effect.delay(goOn, "3 seconds"))
          yield* alice.network.request("bob", Ask, { n: 1 })
          assert.closeTo(secondsFrom(simulated, began), 3, 0.1)
          const gaveUp = yield* Effect.fork(Effect.flip(alice.network.waitForPeers(9).pipe(Effect.timeout("1 day"))))
          const asking = yield* Effect.fork(
            Effect.either(alice.network.request("nobody", Ask, { n: 1 }, { relay: true }))
          )
          yield* Effect.sleep("10 millis")
          yield* simulated.begin({ _tag: "Crash", host: "alice", keepState: true })
          assert.strictEqual((yield* Fiber.join(gaveUp))._tag as string, "NetworkNotRunning")
          assert.isTrue(Either.isLeft(yield* Fiber.join(asking)))
          const refused = yield* Effect.flip(alice.network.request("bob", Ask, { n: 1 }))
          assert.strictEqual(refused._tag, "NetworkNotRunning")
          assert.isUndefined(alice.parts())
        })
      )
    )
  })

  describe("its links", () => {
    it.effect("come to no host that is off: the dial takes its time", () =>
      Effect.gen(function* () {
        const { seconds, tag } = yield* dialTo({ _tag: "PowerOff", host: "bob", keepState: true })
        assert.strictEqual(tag, "DialTimeout")
        assert.closeTo(seconds, 2, 0.05)
      })
    )

    it.effect("are refused where no process is", () =>
      Effect.gen(function* () {
        const { seconds, tag } = yield* dialTo({ _tag: "Crash", host: "bob", keepState: true })
        assert.strictEqual(tag, "DialRefused")
        assert.isBelow(seconds, 0.05)
      })
    )

    it.effect("come late to a host whose dial was lost, at the next time it is sent", () =>
      simulate((simulated) =>
        Effect.gen(function* () {
          const free = yield* simulated.begin({ _tag: "Partition", groups: [["near"]] })
          yield* Effect.fork(Effect.delay(free, "4 seconds"))
          yield* bareLink(simulated, "near", "far")
          // Sent at 0, 1, 3 and 7 seconds.
          assert.closeTo(simulated.unsafeElapsed(), 7_000, 20)
        })
      )
    )

    it.effect("cannot be had at all where nothing answers for two minutes", () =>
      simulate((simulated) =>
        Effect.gen(function* () {
          yield* simulated.begin({ _tag: "Partition", groups: [["near"]] })
          const error = yield* Effect.flip(simulated.transport("near").dial(PeerAddress.make("far", 1)))
          assert.strictEqual(error._tag, "DialUnreachable")
          assert.strictEqual(simulated.unsafeElapsed(), 127_000)
        })
      )
    )

    it.effect("to a host that went off say nothing until it is on again and something is written", () =>
      simulate((simulated) =>
        Effect.gen(function* () {
          const { near, nearHeard } = yield* bareLink(simulated, "near", "far")
          const on = yield* simulated.begin({ _tag: "PowerOff", host: "far", keepState: true })
          assert.isUndefined(yield* write(near, bytes))
          yield* Effect.sleep("1 minute")
          assert.deepStrictEqual(nearHeard.events, [])
          yield* on
          // What was lost is sent again a while later.
          yield* Effect.sleep("1 minute")
          assert.deepStrictEqual(nearHeard.events, ["close"])
          assert.match(String(nearHeard.cause), /reset/)
        })
      )
    )

    it.effect("to a process that is killed end, after what its system had taken, and reset who goes on writing", () =>
      simulate((simulated) =>
        Effect.gen(function* () {
          const { far, near, nearHeard } = yield* bareLink(simulated, "near", "far")
          assert.isUndefined(yield* write(far, bytes))
          yield* simulated.begin({ _tag: "Crash", host: "far", keepState: true })
          yield* Effect.sleep("1 second")
          assert.deepStrictEqual(nearHeard.events, ["data", "end"])
          assert.isUndefined(yield* write(near, bytes))
          yield* Effect.sleep("1 second")
          assert.deepStrictEqual(nearHeard.events, ["data", "end", "close"])
        })
      )
    )

    it.effect("to a process that is killed before it has read all are reset", () =>
      simulate((simulated) =>
        Effect.gen(function* () {
          const { near, nearHeard } = yield* bareLink(simulated, "near", "far", 1)
          yield* write(near, bytes)
          yield* Effect.sleep("1 second")
          yield* simulated.begin({ _tag: "Crash", host: "far", keepState: true })
          yield* Effect.sleep("1 second")
          assert.deepStrictEqual(nearHeard.events, ["close"])
          assert.match(String(nearHeard.cause), /reset/)
        })
      )
    )

    it.effect("break in the end where nothing gets through for a quarter of an hour", () =>
      simulate((simulated) =>
        Effect.gen(function* () {
          const { near, nearHeard } = yield* bareLink(simulated, "near", "far")
          yield* simulated.begin({ _tag: "Swallow", from: "near", to: "far" })
          yield* write(near, bytes)
          yield* Effect.sleep("15 minutes")
          assert.deepStrictEqual(nearHeard.events, [])
          yield* Effect.sleep("1 minute")
          assert.match(String(nearHeard.cause), /timed out/)
        })
      )
    )

    it.effect("forget what a host had to send when it goes off", () =>
      simulate((simulated) =>
        Effect.gen(function* () {
          const { far, farHeard, near, nearHeard } = yield* bareLink(simulated, "near", "far")
          const clogged = yield* simulated.begin({ _tag: "Clog", host: "far" })
          yield* write(near, bytes)
          near.end()
          far.end()
          yield* Effect.sleep("1 second")
          yield* simulated.during("1 second", { _tag: "PowerOff", host: "near", keepState: true })
          yield* clogged
          yield* Effect.sleep("5 minutes")
          assert.deepStrictEqual(nearHeard.events, [])
          assert.notInclude(farHeard.events, "data")
        })
      )
    )
  })
})
