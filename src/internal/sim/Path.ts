/**
 * The way from one host to another, in one direction: how long it takes, how much it carries, and whether anything gets
 * through. What is lost on it is sent again by the sender's system, at growing intervals, as TCP does (RFC 6298); what is
 * stalled only comes later.
 *
 * @internal
 */
import type { World } from "./World.js"

/** How links behave. Milliseconds; bytes a second. */
export interface Shape {
  /** From one host to the other, at least. */
  readonly latency: number
  /** And up to so much more, each time anew; the order of bytes on a link stays. */
  readonly jitter: number
  readonly bandwidth: number
}

/** Something that stands in the way of what is sent. */
export interface Obstacle {
  readonly stops: (from: string, to: string) => boolean
  /** The host it stands at, where it stops nothing but what comes from there or goes there. */
  readonly host?: string
  /** What is stopped is lost, not merely late. */
  readonly isLoss: boolean
}

/** Whoever waits for a path to be free again. */
export interface Waiting {
  readonly released: () => void
}

const firstRetryMillis = 200
const longestRetryMillis = 120_000

/** How long a system sends again before it gives the connection up: about what Linux does with tcp_retries2 = 15. */
export const retransmitForMillis = 924_600

/** When that which is lost since `since` is sent again, at `now` or after. */
export const nextRetry = (since: number, now: number): number => {
  let at = since
  for (let delay = firstRetryMillis; at < now; delay = Math.min(delay * 2, longestRetryMillis)) at += delay
  return at
}

export class Path {
  readonly from: string
  readonly to: string
  shape: Shape
  /** Added to the latency. */
  delay = 0
  private obstacles: ReadonlyArray<Obstacle> = []
  private readonly waiting = new Set<Waiting>()
  private readonly world: World

  constructor(world: World, from: string, to: string, shape: Shape) {
    this.world = world
    this.from = from
    this.to = to
    this.shape = shape
  }

  get isLost(): boolean {
    return this.obstacles.some(({ isLoss }) => isLoss)
  }

  get isFree(): boolean {
    return this.obstacles.length === 0
  }

  /** What stands in the way now, of all there is. */
  meet(all: Iterable<Obstacle>): void {
    const wasFree = this.isFree
    this.obstacles = [...all].filter(({ stops }) => stops(this.from, this.to))
    if (!this.isFree || wasFree) return
    // Who is released may come to wait again.
    const released = Array.from(this.waiting)
    for (const one of released) one.released()
  }

  /** Milliseconds for the next thing sent. */
  travelTime(): number {
    const { jitter, latency } = this.shape
    return latency + this.delay + (jitter === 0 ? 0 : this.world.chance() * jitter)
  }

  /** Sends something small that nobody sends again: it is lost, or comes late, or comes. */
  send(arrive: () => void): void {
    this.world.after(this.travelTime(), () => {
      if (this.isLost) return
      if (this.isFree) return arrive()
      const waiter = {
        released: (): void => {
          this.leave(waiter)
          arrive()
        }
      }
      this.wait(waiter)
    })
  }

  wait(waiter: Waiting): void {
    this.waiting.add(waiter)
  }

  leave(waiter: Waiting): void {
    this.waiting.delete(waiter)
  }
}
