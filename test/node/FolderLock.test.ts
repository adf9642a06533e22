import { assert, describe, it } from "@effect/vitest"
import { BadArgument } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { hostname, tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import * as FolderLock from "../../src/node/FolderLock.js"
import * as ProcessInfo from "../../src/node/ProcessInfo.js"
import * as ChildProgram from "../utils/childProgram.js"
import { namesIn, temporary, turn } from "../utils/stateFolder.js"

const acquire = (path: string) => Effect.provide(FolderLock.acquire(path), NodeContext.layer)

/** Takes the lock in a scope that the test closes. */
const acquireClosable = (path: string) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const lock = yield* Scope.extend(acquire(path), scope)
    return { lock, close: Scope.close(scope, Exit.void) }
  })

const pidOf = (result: Either.Either<unknown, unknown>): number | undefined =>
  Either.isLeft(result) && result.left instanceof FolderLock.Held ? result.left.pid : undefined

const self = Effect.map(Effect.provide(ProcessInfo.make, NodeContext.layer), (info) => info.self)

const token = "0123456789abcdef0123456789abcdef"

const writeLock = (path: string, holder: object): void =>
  writeFileSync(join(path, "lock"), JSON.stringify({ version: 1, token, ...holder }))

/** Waits, while the disk goes on in real time, until it is so. */
const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  Effect.gen(function* () {
    for (let step = 0; step < 100_000; step++) {
      if (yield* condition) return
      yield* turn
    }
    return yield* Effect.dieMessage("waited in vain")
  })

const isAsleep = Effect.map(TestClock.sleeps(), Chunk.isNonEmpty)

/** Moves the test clock, whenever something waits for it, until the fiber is done. */
const finish = <A, E>(fiber: Fiber.Fiber<A, E>, meanwhile: () => void = () => undefined) =>
  Effect.gen(function* () {
    const isDone = Effect.map(Fiber.poll(fiber), Option.isSome)
    while (true) {
      yield* until(Effect.zipWith(isDone, isAsleep, (done, asleep) => done || asleep))
      if (yield* isDone) return yield* Fiber.await(fiber)
      meanwhile()
      yield* TestClock.adjust("200 millis")
    }
  })

describe("FolderLock", () => {
  describe("in one process", () => {
    it.scopedLive("keeps a second node out, and lets it in afterwards", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        const first = yield* acquireClosable(path)
        assert.strictEqual(pidOf(yield* Effect.either(acquire(path))), process.pid)
        assert.isTrue(yield* first.lock.confirm)
        yield* first.close
        assert.deepStrictEqual(namesIn(path), [])
        const second = yield* acquire(path)
        assert.isTrue(yield* second.confirm)
      })
    )

    it.scopedLive("lets one of many in", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        const results = yield* Effect.all(
          Array.from({ length: 20 }, () => Effect.either(acquire(path))),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(results.filter(Either.isRight).length, 1)
        assert.deepStrictEqual(new Set(results.filter(Either.isLeft).map(pidOf)), new Set([process.pid]))
      })
    )

    it.scopedLive("lets one of many have a lock that was left behind", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        for (let round = 0; round < 10; round++) {
          writeLock(path, { ...(yield* self), started: "1" })
          const scope = yield* Scope.make()
          const results = yield* Effect.all(
            Array.from({ length: 12 }, () => Effect.either(Scope.extend(acquire(path), scope))),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(results.filter(Either.isRight).length, 1)
          assert.deepStrictEqual(namesIn(path), ["lock"])
          yield* Scope.close(scope, Exit.void)
        }
      })
    )
  })

  describe("a lock that was left behind", () => {
    it.scopedLive("is taken over where its process is gone", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        const child = yield* Effect.scoped(
          Effect.gen(function* () {
            const running = yield* ChildProgram.start("-e", ["setInterval(() => {}, 1000)"])
            return running.pid
          })
        )
        writeLock(path, { ...(yield* self), pid: child })
        assert.isTrue(yield* (yield* acquire(path)).confirm)
      })
    )

    it.scopedLive("is taken over where its process number is another process's now", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        writeLock(path, { ...(yield* self), pid: process.ppid, started: "1" })
        assert.isTrue(yield* (yield* acquire(path)).confirm)
      })
    )

    it.scopedLive("is taken over though somebody died while taking it over", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        const left = { ...(yield* self), started: "1" }
        writeLock(path, left)
        const claim = join(path, `lock.${token}`)
        writeFileSync(claim, JSON.stringify({ version: 1, token: token.replace("0", "f"), ...left }))
        assert.isTrue(yield* (yield* acquire(path)).confirm)
        assert.deepStrictEqual(namesIn(path), ["lock"])
      })
    )
  })

  describe("a lock whose process cannot be looked up", () => {
    const foreign = { pid: 1, place: "another machine" }

    it.scoped("is taken over when nobody touches it for seven seconds", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        writeLock(path, foreign)
        const exit = yield* finish(yield* Effect.fork(Effect.zipRight(acquire(path), TestClock.currentTimeMillis)))
        assert.isTrue(Exit.isSuccess(exit) && exit.value >= 7000 && exit.value < 8000)
      })
    )

    it.scoped("is watched too where the system does not say when its process started", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        writeLock(path, { pid: process.pid, place: (yield* self).place })
        const exit = yield* finish(yield* Effect.fork(Effect.zipRight(acquire(path), TestClock.currentTimeMillis)))
        assert.isTrue(Exit.isSuccess(exit) && exit.value >= 7000)
      })
    )

    it.scoped("counts while it is touched", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        writeLock(path, foreign)
        let touched = 0
        const exit = yield* finish(yield* Effect.fork(Effect.either(acquire(path))), () => {
          touched++
          if (touched === 5) utimesSync(join(path, "lock"), 1000, 1000)
        })
        assert.strictEqual(Exit.isSuccess(exit) ? pidOf(exit.value) : undefined, 1)
        assert.deepStrictEqual(namesIn(path), ["lock"])
      })
    )

    it.scoped("is thought over when another process gets it meanwhile", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        writeLock(path, foreign)
        const here = yield* self
        let looked = 0
        const exit = yield* finish(yield* Effect.fork(Effect.either(acquire(path))), () => {
          looked++
          if (looked === 5) writeLock(path, here)
        })
        assert.strictEqual(Exit.isSuccess(exit) ? pidOf(exit.value) : undefined, process.pid)
      })
    )

    it.scoped("is free when it goes away meanwhile", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        writeLock(path, foreign)
        let looked = 0
        const fiber = yield* Effect.fork(Effect.zipRight(acquire(path), TestClock.currentTimeMillis))
        const exit = yield* finish(fiber, () => {
          looked++
          if (looked === 5) rmSync(join(path, "lock"))
        })
        assert.isTrue(Exit.isSuccess(exit) && exit.value < 7000)
      })
    )

    for (const content of ["", "{", "[]", '{"version":2}', '{"version":1,"pid":0,"token":"","place":""}']) {
      it.scoped(`is watched too where it says ${content === "" ? "nothing" : content}`, () =>
        Effect.gen(function* () {
          const path = yield* temporary
          writeFileSync(join(path, "lock"), content)
          const exit = yield* finish(yield* Effect.fork(Effect.zipRight(acquire(path), TestClock.currentTimeMillis)))
          assert.isTrue(Exit.isSuccess(exit) && exit.value >= 7000)
          assert.deepStrictEqual(namesIn(path), ["lock"])
        })
      )
    }

    it.scoped("is not waited for by one that is told to stop", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        writeLock(path, foreign)
        const fiber = yield* Effect.fork(acquire(path))
        yield* until(isAsleep)
        const exit = yield* Fiber.interrupt(fiber)
        assert.isTrue(Exit.isInterrupted(exit))
        assert.strictEqual(JSON.parse(readFileSync(join(path, "lock"), "utf8")).place, foreign.place)
      })
    )
  })

  describe("the holder", () => {
    it.scoped("touches the lock every two seconds", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        yield* acquire(path)
        const times: Array<number> = []
        for (let step = 0; step < 4; step++) {
          yield* until(isAsleep)
          yield* TestClock.adjust("2 seconds")
          yield* until(isAsleep)
          times.push(statSync(join(path, "lock")).mtimeMs)
        }
        assert.deepStrictEqual(times, [2000, 4000, 6000, 8000])
      })
    )

    it.scopedLive("notices that another process has taken it, and leaves it alone then", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        const { close, lock } = yield* acquireClosable(path)
        writeLock(path, { pid: 1, place: "another machine" })
        assert.isFalse(yield* lock.confirm)
        yield* close
        assert.strictEqual(JSON.parse(readFileSync(join(path, "lock"), "utf8")).pid, 1)
      })
    )

    it.scopedLive("makes it again where somebody removed it", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        const lock = yield* acquire(path)
        rmSync(join(path, "lock"))
        assert.isTrue(yield* lock.confirm)
        assert.deepStrictEqual(namesIn(path), ["lock"])
        assert.strictEqual(pidOf(yield* Effect.either(acquire(path))), process.pid)
      })
    )
  })

  describe("among processes", () => {
    let folder = ""
    let program = ""
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "synapse-lock-"))
      program = join(folder, "child.mjs")
      await ChildProgram.bundle("test/utils/stateFolderChild.ts", program)
    })
    afterAll(() => rmSync(folder, { recursive: true, force: true }))

    it.scopedLive(
      "is one's alone, and free when that one is killed: each round one of many wins",
      () =>
        Effect.gen(function* () {
          const path = yield* temporary
          let left: number | undefined
          for (let round = 0; round < 3; round++) {
            yield* Effect.scoped(
              Effect.gen(function* () {
                const children = yield* Effect.replicateEffect(ChildProgram.start(program, ["hold", path]), 6)
                const said = yield* Effect.forEach(children, ({ line }) => line, { concurrency: "unbounded" })
                const winners = children.filter((_, index) => said[index]?.startsWith("held "))
                assert.strictEqual(winners.length, 1, said.join("; "))
                const others = said.filter((line) => !line.startsWith("held "))
                assert.deepStrictEqual(new Set(others), new Set([`StateFolderFailed InUse ${winners[0]?.pid}`]))
                left = winners[0]?.pid
                yield* winners[0]?.kill ?? Effect.void
              })
            )
            // Killed, so the next round begins with what it left.
            assert.strictEqual(JSON.parse(readFileSync(join(path, "lock"), "utf8")).pid, left)
          }
        }),
      60_000
    )

    it.scopedLive(
      "is free when its process ends by itself",
      () =>
        Effect.gen(function* () {
          const path = yield* temporary
          const child = yield* ChildProgram.start(program, ["hold", path])
          assert.match(yield* child.line, /^held /)
          assert.strictEqual(pidOf(yield* Effect.either(acquire(path))), child.pid)
          yield* child.end
          assert.notInclude(namesIn(path), "lock")
          assert.isTrue(yield* (yield* acquire(path)).confirm)
        }),
      20_000
    )
  })
})

describe("ProcessInfo", () => {
  it("reads a process's state and start, whatever its name", () => {
    const rest = `${"0 ".repeat(18)}522226 9 9`
    assert.deepStrictEqual(ProcessInfo.parseStat(`12 (cat) R ${rest}`), { isOver: false, started: "522226" })
    assert.deepStrictEqual(ProcessInfo.parseStat(`12 (a) Z (b) S ${rest}`), { isOver: false, started: "522226" })
    assert.deepStrictEqual(ProcessInfo.parseStat(`12 (cat) Z ${rest}`), { isOver: true, started: "522226" })
    assert.deepStrictEqual(ProcessInfo.parseStat(""), { isOver: false, started: undefined })
    assert.deepStrictEqual(ProcessInfo.parseStat(`12 (cat) S ${"0 ".repeat(30)}`), {
      isOver: false,
      started: undefined
    })
  })

  it.effect("does with less where the system tells less", () =>
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const silent = Effect.fail(new BadArgument({ module: "FileSystem", method: "readFile" }))
      const { lookUp, self } = yield* Effect.provideService(ProcessInfo.make, FileSystem.FileSystem, {
        ...files,
        readFileString: () => silent
      })
      assert.deepStrictEqual(self, { pid: process.pid, place: hostname() })
      assert.deepStrictEqual(yield* lookUp(process.pid), { started: undefined })
      assert.isUndefined(yield* lookUp(2 ** 31 - 1))
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.effect("finds processes that run, and none that do not", () =>
    Effect.gen(function* () {
      const { lookUp, self } = yield* ProcessInfo.make
      assert.strictEqual(self.pid, process.pid)
      assert.strictEqual((yield* lookUp(process.pid))?.started, self.started)
      assert.isUndefined(yield* lookUp(2 ** 31 - 1))
    }).pipe(Effect.provide(NodeContext.layer))
  )
})
