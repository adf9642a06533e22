import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Connection } from "../../src/Connection.js"
import * as Deliveries from "../../src/internal/Delivery.js"
import { Inbox } from "../../src/internal/Inbox.js"
import type { Envelope } from "../../src/Message.js"
import * as NodeId from "../../src/NodeId.js"
import { rest, until } from "../utils/network.js"

type FakeConnection = Connection & { phase: Connection["phase"] }

/** What a delivery looks at of a connection. */
const connection = (id = "a"): FakeConnection =>
  ({
    phase: "open",
    identity: { id: NodeId.make(id) },
    inbox: new Inbox(
      { messages: 1_000, bytes: 1_000_000 },
      () => {},
      () => {}
    )
  }) as unknown as FakeConnection

const message = (id: string, expectsReply = false): Envelope => ({
  type: "CHAT",
  id,
  sender: NodeId.make("a"),
  timestamp: "2026-11-22T14:00:00Z",
  payload: {},
  ...(expectsReply ? { expectsReply: true as const } : {})
})

interface Bench {
  readonly delivery: Deliveries.Delivery
  /** What was begun and ended, in order. */
  readonly log: Array<string>
  /** Lets the handler of that message end. */
  readonly release: (id: string) => void
}

const failed = (_: Connection, { id }: Envelope, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.die(`${id} failed: ${Cause.pretty(cause)}`)

/** A delivery whose handlers end when told, or at once where not `held`. */
const bench = (options: { readonly held?: boolean; readonly concurrency?: number } = {}) =>
  Effect.gen(function* () {
    const log: Array<string> = []
    const gates = new Map<string, Deferred.Deferred<void>>()
    const gate = (id: string): Deferred.Deferred<void> => {
      const made = gates.get(id) ?? Effect.runSync(Deferred.make<void>())
      gates.set(id, made)
      return made
    }
    const handle = (_: Connection, { id }: Envelope): Effect.Effect<void> =>
      Effect.gen(function* () {
        log.push(id)
        if (options.held !== true) return
        yield* Deferred.await(gate(id))
        log.push(`${id} done`)
      })
    const delivery = yield* Deliveries.make({
      concurrency: options.concurrency ?? 2,
      contextOf: () => Context.empty(),
      handle,
      failed,
      handleRequest: handle
    })
    return {
      delivery,
      log,
      release: (id: string) => Effect.runSync(Effect.asVoid(Deferred.succeed(gate(id), undefined)))
    }
  })

const push = ({ delivery }: Bench, to: Connection, id: string, expectsReply = false): void =>
  delivery.push(to, message(id, expectsReply), 10)

/** After how many steps a fiber yields: each number makes it do so at other points of its course. */
const yieldEvery = [12, 13, 14, 15, 16, 17]

describe("Delivery", () => {
  it.scoped("hands over one-way messages of a link one after the other, and links side by side", () =>
    Effect.gen(function* () {
      const it = yield* bench({ held: true })
      const [a, b] = [connection(), connection()]
      push(it, a, "a1")
      push(it, a, "a2")
      push(it, b, "b1")
      yield* until("both links", () => it.log.length === 2)
      assert.deepStrictEqual(it.log, ["a1", "b1"])
      assert.deepStrictEqual(it.delivery.waiting(), { messages: 1, bytes: 10 })
      it.release("a1")
      yield* until("the next", () => it.log.includes("a2"))
      assert.deepStrictEqual(it.log, ["a1", "b1", "a1 done", "a2"])
    })
  )

  it.scoped("starts requests in order, side by side up to the bound, and what follows waits with them", () =>
    Effect.gen(function* () {
      const it = yield* bench({ held: true, concurrency: 2 })
      const a = connection()
      for (const id of ["r1", "r2", "r3"]) push(it, a, id, true)
      push(it, a, "m")
      yield* rest
      assert.deepStrictEqual(it.log, ["r1", "r2"])
      it.release("r2")
      yield* until("the one-way message", () => it.log.includes("m"))
      assert.deepStrictEqual(it.log, ["r1", "r2", "r2 done", "r3", "m"])
    })
  )

  it.scoped("hands over what one read brings at the end of that read, and else a turn later", () =>
    Effect.gen(function* () {
      const it = yield* bench()
      const a = Object.assign(connection(), { isArriving: true })
      it.delivery.arrived(a)
      push(it, a, "r", true)
      push(it, a, "m1")
      assert.deepStrictEqual(it.log, [])
      a.isArriving = false
      it.delivery.arrived(a)
      assert.deepStrictEqual(it.log, ["r", "m1"])
      push(it, a, "m2")
      assert.deepStrictEqual(it.log, ["r", "m1"])
      yield* until("the last", () => it.log.includes("m2"))
      it.delivery.arrived(a)
      assert.deepStrictEqual(it.log, ["r", "m1", "m2"])
    })
  )

  it.scoped("says whose requests are being handled, over whichever link they came", () =>
    Effect.gen(function* () {
      const it = yield* bench({ held: true, concurrency: 1 })
      const [older, newer] = [connection("a"), connection("a")]
      const isServing = () => [it.delivery.isServing(NodeId.make("a")), it.delivery.isServing(NodeId.make("b"))]
      it.delivery.follow(older, newer, false)
      assert.deepStrictEqual(isServing(), [false, false])
      push(it, older, "r1", true)
      push(it, older, "r2", true)
      yield* until("the first", () => it.log.length === 1)
      older.phase = "closed"
      it.delivery.closed(older)
      assert.deepStrictEqual(isServing(), [true, false])
      it.release("r1")
      yield* until("the second", () => it.log.includes("r2"))
      assert.deepStrictEqual(isServing(), [true, false])
      it.release("r2")
      yield* until("the end", () => it.log.includes("r2 done"))
      yield* rest
      assert.deepStrictEqual(isServing(), [false, false])
    })
  )

  it.scoped("says when nothing waits and no handler runs", () =>
    Effect.gen(function* () {
      const it = yield* bench({ held: true })
      yield* it.delivery.idle
      const a = connection()
      push(it, a, "m")
      push(it, a, "r", true)
      let isIdle = false
      yield* Effect.fork(Effect.map(it.delivery.idle, () => (isIdle = true)))
      const givenUp = yield* Effect.fork(it.delivery.idle)
      yield* rest
      yield* Fiber.interrupt(givenUp)
      it.release("m")
      yield* until("the request", () => it.log.includes("r"))
      assert.isFalse(isIdle)
      it.release("r")
      yield* until("idle", () => isIdle)
    })
  )

  // A fiber may be made to yield between any two steps, a message may come at each of those points.
  it.scoped("never leaves a message behind, whenever it comes", () =>
    Effect.gen(function* () {
      for (const ops of yieldEvery) {
        const it = yield* bench().pipe(Effect.withMaxOpsBeforeYield(ops))
        for (let gap = 0; gap < 40; gap++) {
          const a = connection()
          push(it, a, `${gap} first`)
          for (let turn = 0; turn < gap; turn++) yield* Effect.promise(() => Promise.resolve())
          push(it, a, `${gap} second`)
          yield* until(`both messages, ${ops} steps, ${gap} turns apart`, () => it.log.length === 2 * (gap + 1))
        }
      }
    })
  )

  it.scoped("never leaves a request behind, whenever another ends", () =>
    Effect.gen(function* () {
      for (const ops of yieldEvery) {
        const it = yield* bench({ held: true, concurrency: 1 }).pipe(Effect.withMaxOpsBeforeYield(ops))
        for (let gap = 0; gap < 40; gap++) {
          const a = connection()
          push(it, a, `${gap} first`, true)
          push(it, a, `${gap} second`, true)
          for (let turn = 0; turn < gap; turn++) yield* Effect.promise(() => Promise.resolve())
          it.release(`${gap} first`)
          yield* until(`the second request, ${ops} steps, ${gap} turns`, () => it.log.includes(`${gap} second`))
          it.release(`${gap} second`)
          yield* until("its end", () => it.log.includes(`${gap} second done`))
        }
      }
    })
  )

  it.scoped(
    "goes on after a message whose handling fails, breaks, throws or is interrupted, and says which it was",
    () =>
      Effect.gen(function* () {
        const log: Array<string> = []
        const outcomes = new Map<string, () => Effect.Effect<unknown, unknown>>([
          ["fails", () => Effect.fail("no")],
          ["breaks", () => Effect.die("no")],
          [
            "throws",
            () => {
              throw new Error("no")
            }
          ],
          ["is interrupted", () => Effect.interrupt],
          ["fails later", () => Effect.zipRight(Effect.yieldNow(), Effect.fail("no"))]
        ])
        const delivery = yield* Deliveries.make({
          concurrency: 2,
          contextOf: () => Context.empty(),
          handle: (_, { id }) => {
            log.push(id)
            return outcomes.get(id)?.() ?? Effect.void
          },
          failed: (_, { id }) => Effect.sync(() => log.push(`${id}: told`)),
          handleRequest: () => Effect.void
        })
        const a = connection()
        const expected: Array<string> = []
        for (const id of outcomes.keys()) {
          delivery.push(a, message(id), 1)
          delivery.push(a, message(`after ${id}`), 1)
          expected.push(id, `${id}: told`, `after ${id}`)
        }
        yield* delivery.idle
        assert.deepStrictEqual(log, expected)
      })
  )

  it.scoped("has requests done one by one in one fiber as long as each is done at once, and side by side if not", () =>
    Effect.gen(function* () {
      const fibers = new Map<string, number>()
      const gate = yield* Deferred.make<void>()
      const delivery = yield* Deliveries.make({
        concurrency: 3,
        contextOf: () => Context.empty(),
        handle: () => Effect.void,
        failed,
        handleRequest: (_, { id }, fiber) => {
          fibers.set(id, fiber.id().id)
          return id.startsWith("slow") ? Deferred.await(gate) : Effect.void
        }
      })
      const a = connection()
      for (const id of ["1", "2", "slow 3", "4", "slow 5", "slow 6", "7"]) delivery.push(a, message(id, true), 1)
      yield* rest
      assert.deepStrictEqual([...fibers.keys()], ["1", "2", "slow 3", "4", "slow 5", "slow 6"])
      const of = (id: string) => fibers.get(id)
      assert.strictEqual(of("1"), of("slow 3"))
      assert.strictEqual(of("4"), of("slow 5"))
      assert.strictEqual(new Set([of("slow 3"), of("slow 5"), of("slow 6")]).size, 3)
      yield* Deferred.succeed(gate, undefined)
      yield* delivery.idle
      assert.isTrue(fibers.has("7"))
    })
  )

  it.scoped("interrupts the handlers when its scope closes", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const stuck = () => Effect.never.pipe(Effect.onInterrupt(() => Effect.sync(() => interrupted++)))
      const a = connection()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const delivery = yield* Deliveries.make({
            concurrency: 2,
            contextOf: () => Context.empty(),
            handle: stuck,
            failed,
            handleRequest: stuck
          })
          delivery.push(a, message("r", true), 1)
          delivery.push(a, message("m"), 1)
          yield* rest
        })
      )
      assert.strictEqual(interrupted, 2)
    })
  )
})

const follow = (
  body: (it: Bench, loser: FakeConnection, survivor: FakeConnection) => Effect.Effect<void>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(bench({ held: true }), (it) => body(it, connection(), connection()))

describe("Delivery, where one connection takes the place of another", () => {
  it.scoped("delivers what the loser brought first", () =>
    follow((it, loser, survivor) =>
      Effect.gen(function* () {
        push(it, loser, "old 1")
        push(it, loser, "old 2")
        it.delivery.follow(loser, survivor, false)
        push(it, survivor, "new")
        it.release("old 1")
        yield* rest
        assert.deepStrictEqual(it.log, ["old 1", "old 1 done", "old 2"])
        it.release("old 2")
        yield* until("the survivor's message", () => it.log.includes("new"))
      })
    )
  )

  it.scoped("waits for the end of the loser's link where more may come of it", () =>
    follow((it, loser, survivor) =>
      Effect.gen(function* () {
        it.delivery.follow(loser, survivor, true)
        push(it, survivor, "new")
        yield* rest
        assert.deepStrictEqual(it.log, [])
        push(it, loser, "late")
        it.release("late")
        yield* until("the loser's message", () => it.log.includes("late done"))
        yield* rest
        assert.deepStrictEqual(it.log, ["late", "late done"])
        loser.phase = "closed"
        it.delivery.closed(loser)
        yield* until("the survivor's message", () => it.log.includes("new"))
      })
    )
  )

  it.scoped("goes on at once where the loser has nothing and nothing more comes of it", () =>
    follow((it, loser, survivor) =>
      Effect.gen(function* () {
        loser.phase = "closed"
        it.delivery.follow(loser, survivor, true)
        push(it, survivor, "new")
        yield* until("the survivor's message", () => it.log.includes("new"))
      })
    )
  )

  it.scoped("keeps the order over a chain of connections, an idle one among them", () =>
    follow((it, first, second) =>
      Effect.gen(function* () {
        const third = connection()
        push(it, first, "1")
        it.delivery.follow(first, second, false)
        it.delivery.follow(second, third, false)
        push(it, third, "3")
        yield* rest
        assert.deepStrictEqual(it.log, ["1"])
        it.release("1")
        yield* until("the last one's message", () => it.log.includes("3"))
      })
    )
  )

  it.scoped("holds on to no connection that is over", () =>
    follow((it, first, second) =>
      Effect.gen(function* () {
        const third = connection()
        push(it, first, "1")
        it.delivery.follow(first, second, false)
        it.delivery.follow(second, third, false)
        for (const one of [first, second, third]) {
          one.phase = "closed"
          it.delivery.closed(one)
        }
        it.release("1")
        yield* it.delivery.idle
        yield* rest
        // What waits on a connection counts for as long as it is known.
        for (const one of [first, second, third]) one.inbox.push(message("x"), 1)
        assert.deepStrictEqual(it.delivery.waiting(), { messages: 0, bytes: 0 })
      })
    )
  )
})
