/**
 * First in, first out, for what waits on a connection: outboxes and inboxes. Mutable and synchronous; whoever fills it
 * bounds it.
 *
 * @since 0.1.0
 */

/** Fewer used-up places than this are not worth moving the rest for. */
const compactFrom = 32

/**
 * A queue with O(1) amortised `push` and `shift`. An item taken out is no longer referenced, and an empty queue holds
 * storage for a few at most, however long it has been.
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
    // As nearly always where messages come one at a time. To set a length takes a call out of compiled code, and room anew.
    if (this.items.length === 1) return this.items.pop()
    const item = this.items[this.head]
    this.items[this.head++] = undefined
    if (this.head === this.items.length) this.clear()
    else if (this.head >= compactFrom && this.head * 2 >= this.items.length) this.compact()
    return item
  }

  /**
   * Moves the items to the beginning of the same array. Another one would leave an array behind that refers to them: of a
   * queue that has lived for long it lies in old memory, and keeps the items until the next full collection. (A receiver
   * of many messages kept half of them.)
   */
  private compact(): void {
    const { head, items } = this
    const { length } = this
    for (let i = 0; i < length; i++) items[i] = items[head + i]
    items.length = length
    this.head = 0
  }

  /** Takes all items, oldest first. The array is the caller's. */
  drain(): Array<A> {
    const items = (this.head === 0 ? this.items : this.items.slice(this.head)) as Array<A>
    this.items = []
    this.head = 0
    return items
  }

  clear(): void {
    this.items.length = 0
    this.head = 0
  }

  /** Oldest first. The queue must not be changed meanwhile. */
  *[Symbol.iterator](): IterableIterator<A> {
    for (let index = this.head; index < this.items.length; index++) yield this.items[index] as A
  }
}
