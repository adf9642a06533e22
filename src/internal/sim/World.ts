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

/** More than this in one instant is a loop without end. */
const tasksInAnInstant = 20_000_000

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
  private readonly limit: number

  constructor(options: { readonly seed: number; readonly limit: number; readonly traceLines: number }) {
    this.random = new PCGRandom(options.seed)
    this.limit = options.limit
    this.trace = new Trace(options.traceLines)
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

  /** A number from 0 up to but not including 1. */
  chance(): number {
    return this.random.number()
  }

  /** Lets time pass until `isOver`, then calls `halted`, with the reason where it came to no end. */
  drive(isOver: () => boolean, halted: (halt: Halt | undefined) => void): void {
    const turn = (): void => {
      const halt = this.instant(isOver)
      if (halt === "go on") setImmediate(turn)
      else halted(halt)
    }
    // Microtasks and settled promises come between the turns: an instant is over only when they have brought nothing new.
    setImmediate(turn)
  }

  private instant(isOver: () => boolean): Halt | undefined | "go on" {
    const hadTasks = this.tasks.length > 0
    this.work()
    if (isOver()) return undefined
    if (this.done > tasksInAnInstant) return "Restless"
    if (hadTasks) return "go on"
    const at = this.heap.nextAt()
    if (at === undefined) return this.idleTurns++ < patience ? "go on" : "Stuck"
    this.idleTurns = 0
    if (at > this.limit) return "OutOfTime"
    if (this.isViolated()) return "Violated"
    this.now = at
    this.done = 0
    for (let next = this.heap.take(); next !== undefined; next = this.heap.take()) {
      next()
      if (this.heap.nextAt() !== at) break
    }
    this.work()
    return isOver() ? undefined : "go on"
  }

  private isViolated(): boolean {
    for (const look of this.watchers) this.violation ??= look()
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
