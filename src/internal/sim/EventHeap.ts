/**
 * What is to happen, by time: a binary heap in which things due at one instant keep the order in which they were added.
 *
 * @internal
 */

export interface Event {
  readonly at: number
  readonly order: number
  /** Taken back: it is passed over when its time comes. */
  run: (() => void) | undefined
}

const isBefore = (one: Event, other: Event): boolean =>
  one.at < other.at || (one.at === other.at && one.order < other.order)

export class EventHeap {
  private readonly events: Array<Event> = []
  private added = 0
  private live = 0

  /** How many are to happen. */
  get size(): number {
    return this.live
  }

  /** The function returned takes it back; idempotent, and without effect once it has happened. */
  add(at: number, run: () => void): () => void {
    const event: Event = { at, order: this.added++, run }
    this.siftUp(event)
    this.live++
    return () => {
      if (event.run === undefined) return
      event.run = undefined
      this.live--
    }
  }

  /** When the next one is due; undefined if there is none. */
  nextAt(): number | undefined {
    for (let first = this.events[0]; first !== undefined; first = this.events[0]) {
      if (first.run !== undefined) return first.at
      this.removeFirst()
    }
    return undefined
  }

  /** Takes the next one out. */
  take(): (() => void) | undefined {
    if (this.nextAt() === undefined) return undefined
    const first = this.events[0]
    const run = first?.run
    if (first !== undefined) first.run = undefined
    this.removeFirst()
    this.live--
    return run
  }

  private siftUp(event: Event): void {
    const { events } = this
    let index = events.length
    events.push(event)
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = events[above]
      if (parent === undefined || isBefore(parent, event)) break
      events[index] = parent
      index = above
    }
    events[index] = event
  }

  private removeFirst(): void {
    const { events } = this
    const last = events.pop()
    if (last === undefined || events.length === 0) return
    let index = 0
    for (;;) {
      const left = events[2 * index + 1]
      const right = events[2 * index + 2]
      const isRight = left !== undefined && right !== undefined && isBefore(right, left)
      const child = isRight ? right : left
      if (child === undefined || isBefore(last, child)) break
      events[index] = child
      index = 2 * index + (isRight ? 2 : 1)
    }
    events[index] = last
  }
}
