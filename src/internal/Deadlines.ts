/**
 * The one timer of a node: whatever has to happen after a while (a request that gets no answer, a frame that is not
 * completed) is an entry here instead of a timer or a fiber of its own. Adding and cancelling cost O(1), also with
 * 500,000 entries pending, because entries are kept in buckets of {@link granularityMillis} and only buckets are sorted.
 *
 * One sleep, by Effect's Clock, lasts until the earliest bucket, and what is due fires as it ends. With nothing pending
 * there is none. Cancelling does not end it: the bucket is found gone when the time has come.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { soon } from "./soon.js"

/**
 * Takes an entry back. Idempotent; does nothing once the entry has fired.
 *
 * @since 0.1.0
 * @category models
 */
export type Cancel = () => void

/**
 * The timer of a node.
 *
 * @since 0.1.0
 * @category models
 */
export interface Deadlines {
  /** Monotonic time in milliseconds, with a fraction. Steps of the wall clock do not move it; its zero means nothing. */
  readonly now: () => number
  /** Milliseconds since the epoch by the wall clock, to show to people. */
  readonly wallNow: () => number
  /**
   * Calls `fire` once, synchronously, `millis` from now by the monotonic clock: never earlier, and later by up to
   * {@link granularityMillis} and what the machine's timer is late. With `millis` of 0 or less it is called as soon as the caller has let go of the thread,
   * never from within `after`. `Infinity` never fires. Entries due together fire in the order of their deadlines, then
   * of their adding. A throw is logged and does not touch the others. After the Scope has closed nothing fires.
   */
  readonly after: (millis: number, fire: () => void) => Cancel
  /** How many entries are pending. */
  readonly size: number
}

/**
 * Deadlines are rounded up to a multiple of this many milliseconds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const granularityMillis = 10

/** Effect's live clock takes a longer sleep for an endless one. */
const longestSleepMillis = 2 ** 31 - 1

/**
 * The first sleep after a while without one is no longer than this: most that is to happen later is taken back before, and
 * what is added in the meantime, each thing sooner than the one before, as while a connection is made, wakes nobody.
 */
const firstSleepMillis = 1_000

/** What is due at a time: in a list through the entries themselves, since an entry of a Set costs several times as much. */
class Bucket {
  readonly at: number
  /** Index in the heap, -1 once taken out. */
  position = -1
  first: Entry | undefined
  last: Entry | undefined

  constructor(at: number) {
    this.at = at
  }

  add(entry: Entry): void {
    entry.before = this.last
    if (this.last === undefined) this.first = entry
    else this.last.after = entry
    this.last = entry
  }

  /** In order of adding. */
  entries(): Array<Entry> {
    const entries: Array<Entry> = []
    for (let entry = this.first; entry !== undefined; entry = entry.after) entries.push(entry)
    return entries
  }

  /** What is taken out points at nothing any more: old and dead it would keep the young ones that come later. */
  remove(entry: Entry): void {
    const { after, before } = entry
    if (before === undefined) this.first = after
    else before.after = after
    if (after === undefined) this.last = before
    else after.before = before
    entry.before = undefined
    entry.after = undefined
  }
}

class Entry {
  readonly deadline: number
  fire: () => void
  /** Until it has fired or was taken back. */
  bucket: Bucket | undefined
  before: Entry | undefined
  after: Entry | undefined

  constructor(deadline: number, fire: () => void, bucket: Bucket) {
    this.deadline = deadline
    this.fire = fire
    this.bucket = bucket
  }
}

/** Binary heap of buckets by time, in which each bucket knows its index so that an emptied one leaves at once. */
class BucketHeap {
  private readonly buckets: Array<Bucket> = []

  get earliest(): Bucket | undefined {
    return this.buckets[0]
  }

  insert(bucket: Bucket): void {
    this.buckets.push(bucket)
    this.siftUp(bucket, this.buckets.length - 1)
  }

  remove(bucket: Bucket): void {
    const hole = bucket.position
    const last = this.buckets.pop()
    bucket.position = -1
    if (last === undefined || last === bucket) return
    this.siftUp(last, hole)
    this.siftDown(last, last.position)
  }

  private siftUp(bucket: Bucket, from: number): void {
    let index = from
    while (index > 0) {
      const parent = this.buckets[(index - 1) >> 1]
      if (parent === undefined || parent.at <= bucket.at) break
      index = this.place(parent, index)
    }
    this.place(bucket, index)
  }

  private siftDown(bucket: Bucket, from: number): void {
    let index = from
    for (;;) {
      const left = this.buckets[2 * index + 1]
      const right = this.buckets[2 * index + 2]
      const child = left !== undefined && right !== undefined && right.at < left.at ? right : left
      if (child === undefined || child.at >= bucket.at) break
      index = this.place(child, index)
    }
    this.place(bucket, index)
  }

  /** Puts a bucket at an index and gives the one that it left. */
  private place(bucket: Bucket, index: number): number {
    const left = bucket.position
    this.buckets[index] = bucket
    bucket.position = index
    return left
  }
}

const nothing = () => {}

/** The clock of a program that gives no other. */
const liveClock = Context.get(DefaultServices.liveServices, Clock.Clock)

const logThrown = (error: unknown): Effect.Effect<void> =>
  Effect.logError("What was to happen at a deadline failed", Cause.die(error))

const bucketTime = (now: number, deadline: number): number => {
  // What is due already goes where is looked at once.
  if (deadline <= now) return Math.floor(now / granularityMillis) * granularityMillis
  return Math.ceil(deadline / granularityMillis) * granularityMillis
}

/**
 * The timer, running until the Scope closes, by the Clock of the fiber that makes it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Deadlines, never, Scope.Scope> = Effect.gen(function* () {
  const clock = yield* Effect.clock
  const heap = new BucketHeap()
  const buckets = new Map<number, Bucket>()
  /**
   * One without entries, kept where it is: of requests asked one after the other each would find the bucket of the one
   * before gone, and need another.
   */
  let emptied: Bucket | undefined
  /** Ends the sleep under way. */
  let stop: Cancel | undefined
  /** When it wakes by itself; no deadline is earlier while what is due fires, since it is looked for after that. */
  let wakesAt = Infinity
  let isArming = false
  /** Nothing has been pending since it woke last. */
  let isResting = true
  let size = 0
  let closed = false

  const now = () => Number(clock.unsafeCurrentTimeNanos()) / 1e6

  const fork = Runtime.runFork(yield* Effect.runtime<never>())

  const takeOut = (bucket: Bucket): void => {
    heap.remove(bucket)
    buckets.delete(bucket.at)
  }

  const bucketAt = (at: number): Bucket => {
    if (emptied?.at === at) {
      const bucket = emptied
      emptied = undefined
      return bucket
    }
    const known = buckets.get(at)
    if (known !== undefined) return known
    const bucket = new Bucket(at)
    buckets.set(at, bucket)
    heap.insert(bucket)
    return bucket
  }

  const remove = (bucket: Bucket, entry: Entry): void => {
    bucket.remove(entry)
    entry.bucket = undefined
    entry.fire = nothing
    size--
  }

  const cancel = (entry: Entry): void => {
    const { bucket } = entry
    if (bucket === undefined) return
    remove(bucket, entry)
    if (bucket.first !== undefined || bucket.position < 0) return
    if (emptied !== undefined) takeOut(emptied)
    emptied = bucket
  }

  /** The earliest bucket that holds anything. */
  const earliest = (): Bucket | undefined => {
    if (emptied !== undefined) takeOut(emptied)
    emptied = undefined
    return heap.earliest
  }

  const after = (millis: number, fire: () => void): Cancel => {
    if (closed || millis === Infinity) return nothing
    const instant = now()
    const deadline = millis > 0 ? instant + millis : instant
    const bucket = bucketAt(bucketTime(instant, deadline))
    const entry = new Entry(deadline, fire, bucket)
    bucket.add(entry)
    size++
    if (bucket.at < wakesAt && !isArming) {
      isArming = true
      // One sleep for all that is added in the same turn.
      soon(arm)
    }
    return () => cancel(entry)
  }

  // All due buckets leave before the first entry fires: what an entry adds waits for the next round, and what it
  // cancels is gone from its bucket's set.
  const takeDue = (): ReadonlyArray<Bucket> => {
    const instant = now()
    const due: Array<Bucket> = []
    for (let bucket = earliest(); bucket !== undefined && bucket.at <= instant; bucket = heap.earliest) {
      takeOut(bucket)
      due.push(bucket)
    }
    return due
  }

  const fireDue = (): ReadonlyArray<unknown> => {
    const thrown: Array<unknown> = []
    for (const bucket of takeDue()) {
      for (const entry of bucket.entries().sort((a, b) => a.deadline - b.deadline)) {
        if (entry.bucket === undefined) continue
        const { fire } = entry
        remove(bucket, entry)
        try {
          fire()
        } catch (error) {
          thrown.push(error)
        }
      }
    }
    return thrown
  }

  /** Sleeps by the Clock, and wakes. */
  const sleepInFiber = (sleep: Effect.Effect<void>): Cancel => {
    const fiber = fork(Effect.interruptible(sleep))
    let isStopped = false
    fiber.addObserver(() => {
      // One that was stopped still reports its end, by then perhaps during the next sleep.
      if (!isStopped) awake()
    })
    return () => {
      isStopped = true
      fiber.unsafeInterruptAsFork(FiberId.none)
    }
  }

  /** The same by the clock of the machine, for a tenth of what a fiber costs. */
  const sleepByTimer = (millis: number): Cancel => {
    const timer = setTimeout(awake, millis)
    return () => clearTimeout(timer)
  }

  /** Sleeps until the earliest bucket, or wakes before it. */
  const arm = (): void => {
    isArming = false
    const next = closed ? undefined : earliest()
    if (next === undefined || next.at >= wakesAt) return
    stop?.()
    const instant = now()
    wakesAt = isResting ? Math.min(next.at, instant + firstSleepMillis) : next.at
    isResting = false
    // Timers drop fractions; rounding up spares a second, shorter sleep.
    const millis = Math.min(Math.ceil(wakesAt - instant), longestSleepMillis)
    // What is due at once waits for its turn as well: it may add more of its kind for ever.
    if (millis <= 0) stop = sleepInFiber(Effect.yieldNow())
    else stop = clock === liveClock ? sleepByTimer(millis) : sleepInFiber(clock.sleep(Duration.millis(millis)))
  }

  const awake = (): void => {
    stop = undefined
    wakesAt = -Infinity
    for (const error of fireDue()) fork(logThrown(error))
    wakesAt = Infinity
    arm()
    isResting = stop === undefined
  }

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closed = true
      for (let bucket = earliest(); bucket !== undefined; bucket = heap.earliest) {
        takeOut(bucket)
        for (const entry of bucket.entries()) remove(bucket, entry)
      }
      stop?.()
      stop = undefined
    })
  )

  return {
    now,
    wallNow: () => clock.unsafeCurrentTimeMillis(),
    after,
    get size() {
      return size
    }
  }
})
