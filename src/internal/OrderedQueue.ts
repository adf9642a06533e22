/**
 * First in, first out, for what waits on a connection: outboxes and inboxes. Mutable and synchronous; whoever fills it
 * bounds it.
 *
 * @since 0.1.0
 */

/** Fewer used-up places than this are not worth moving the rest for. */
const compactFrom = 32

/**
 * A queue with O(1) amortised `push` and `shift`. An item taken out is no longer referenced, and an empty queue holds no
 * storage, however long it has been.
 *
 * @since 0.1.0
 * @category models
 */
export class OrderedQueue<A> implements Iterable<A> {
  private items: Array<A | undefined> = []
  private head = 0

  get length(): number {
    return this.items.length - this.head
  }

  push(item: A): void {
    this.items.push(item)
  }

  /** Puts an item before the oldest: what was taken out and is not used up. */
  unshift(item: A): void {
    if (this.head > 0) this.items[--this.head] = item
    else this.items.unshift(item)
  }

  /** The oldest item, which stays; `undefined` when empty. */
  peek(): A | undefined {
    return this.items[this.head]
  }

  /** Takes the oldest item; `undefined` when empty. */
  shift(): A | undefined {
    if (this.head === this.items.length) return undefined
    const item = this.items[this.head]
    this.items[this.head++] = undefined
    if (this.head === this.items.length) this.clear()
    else if (this.head >= compactFrom && this.head * 2 >= this.items.length) {
      this.items = this.items.slice(this.head)
      this.head = 0
    }
    return item
  }

  /** Takes all items, oldest first. The array is the caller's. */
  drain(): Array<A> {
    const items = (this.head === 0 ? this.items : this.items.slice(this.head)) as Array<A>
    this.items = []
    this.head = 0
    return items
  }

  clear(): void {
    this.items = []
    this.head = 0
  }

  /** Oldest first. The queue must not be changed meanwhile. */
  *[Symbol.iterator](): IterableIterator<A> {
    for (let index = this.head; index < this.items.length; index++) yield this.items[index] as A
  }
}
