/**
 * Time that stands still while anything can run: a heap of what is to happen, and the turns in which it happens. No real
 * clock is asked. The same beginnings take the same course.
 *
 * @internal
 */
import { PCGRandom } from "effect/Utils"
import { EventHeap } from "./EventHeap.js"
import { Trace } from "./Trace.js"

/** Why a world came to an end before what it was made for. */
export type Halt =
  /** Nothing is left to happen, for ever. */
  | "Stuck"
  /** The limit of time was reached. */
  | "OutOfTime"
  /** Without time passing, things go on happening. */
  | "Restless"
  /** Somebody who watches objects. */
  | "Violated"

/** More than this in one instant is a loop without end: seconds of work. */
const tasksInAnInstant = 5_000_000

/** A round of the event loop takes as long as so many tasks. */
const tasksOfARound = 100

/** Turns of the event loop that are waited for when nothing is left, for whoever waits for the real world. */
const patience = 1_000

export class World {
  /** Milliseconds since the beginning. */
  now = 0
  readonly random: PCGRandom
  readonly trace: Trace
  /** Look at each instant that is over; what they give is what is wrong. */
  readonly watchers = new Set<() => string | undefined>()
  /** What a watcher said. */
  violation: string | undefined
  private readonly heap = new EventHeap()
  private tasks: Array<() => void> = []
  private done = 0
  private idleTurns = 0
  private limit: number

  constructor(options: { readonly seed: number; readonly limit: number; readonly traceLines: number }) {
    this.random = new PCGRandom(options.seed)
    this.limit = options.limit
    this.trace = new Trace(options.traceLines)
  }

  /** Lets it be driven on after it was halted, for so many milliseconds more; nobody looks on. */
  reprieve(millis: number): void {
    this.limit = this.now + millis
    this.done = 0
    this.idleTurns = 0
    this.watchers.clear()
  }

  /** How much is to happen yet. */
  get pending(): number {
    return this.heap.size
  }

  /** Does it in this instant, after what is to be done already. */
  soon(task: () => void): void {
    this.tasks.push(task)
  }

  /** Does it so many milliseconds from now. The function returned takes it back. */
  after(millis: number, run: () => void): () => void {
    return this.heap.add(this.now + Math.max(0, millis), run)
  }

  /** Does it at that time, or now where that is over: things at one time in the order in which they were asked for. */
  at(time: number, run: () => void): () => void {
    return this.heap.add(Math.max(this.now, time), run)
  }

  /** A number from 0 up to but not including 1. */
  chance(): number {
    return this.random.number()
  }

  /** Lets time pass until `isOver`, then calls `halted`, with the reason where it came to no end; or `threw`. */
  drive(isOver: () => boolean, halted: (halt: Halt | undefined) => void, threw: (defect: unknown) => void): void {
    const next = (): Halt | undefined | "go on" | "threw" => {
      try {
        return this.instant(isOver)
      } catch (defect) {
        threw(defect)
        return "threw"
      }
    }
    const turn = (): void => {
      const halt = next()
      if (halt === "go on") setImmediate(turn)
      else if (halt !== "threw") halted(halt)
    }
    // Microtasks and settled promises come between the turns: an instant is over only when they have brought nothing new.
    setImmediate(turn)
  }

  private instant(isOver: () => boolean): Halt | undefined | "go on" {
    const hadTasks = this.tasks.length > 0
    this.work()
    if (isOver()) return undefined
    if (this.done > tasksInAnInstant) return "Restless"
    if (hadTasks) {
      this.done += tasksOfARound
      this.idleTurns = 0
      return "go on"
    }
    if (this.idleTurns === 0 && this.isViolated()) return "Violated"
    const at = this.heap.nextAt()
    if (at === undefined) return this.idleTurns++ < patience ? "go on" : "Stuck"
    this.idleTurns = 0
    if (at > this.limit) return "OutOfTime"
    this.done = at > this.now ? 0 : this.done + tasksOfARound
    this.now = at
    for (let next = this.heap.take(); next !== undefined; next = this.heap.take()) {
      this.done++
      next()
      if (this.heap.nextAt() !== at || this.done > tasksInAnInstant) break
    }
    this.work()
    return isOver() ? undefined : "go on"
  }

  private isViolated(): boolean {
    for (const look of this.watchers) {
      if (this.violation !== undefined) break
      this.violation = look()
    }
    return this.violation !== undefined
  }

  private work(): void {
    while (this.tasks.length > 0 && this.done <= tasksInAnInstant) {
      const { tasks } = this
      this.tasks = []
      this.done += tasks.length
      for (const task of tasks) task()
    }
  }
}
