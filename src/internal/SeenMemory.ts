/**
 * The memory of messages already seen, so that what travels through the network is delivered and passed on once
 * (docs/PROTOCOL.md, section 8). Mutable, synchronous, bounded; time comes from the caller.
 *
 * @since 0.1.0
 */

/**
 * How long and how many. Whichever is reached first forgets.
 *
 * @since 0.1.0
 * @category models
 */
export interface SeenMemoryOptions {
  /** Milliseconds that a message is remembered for. Default 120,000. */
  readonly maxAgeMillis?: number
  /** Messages remembered in all, at least 1. Default 65,536. */
  readonly maxIds?: number
  /** Messages remembered of one sender, at least 1. Default 8,192: one busy sender cannot push out all the others. */
  readonly maxPerSender?: number
}

interface Seen {
  readonly sender: Sender
  readonly id: string
  readonly at: number
  older: Seen | undefined
  newer: Seen | undefined
  newerOfSender: Seen | undefined
}

interface Sender {
  readonly name: string
  readonly seen: Map<string, Seen>
  oldest: Seen | undefined
  newest: Seen | undefined
}

/**
 * Remembers pairs of sender and id. They are looked up by sender, then by id, never as one joined string, so no two
 * pairs can be taken for each other. The oldest is forgotten first: of the sender that is over its share, of all where
 * the whole is full or aged. Every operation is O(1) amortised.
 *
 * @since 0.1.0
 * @category models
 */
export class SeenMemory {
  private readonly maxAgeMillis: number
  private readonly maxIds: number
  private readonly maxPerSender: number
  private readonly senders = new Map<string, Sender>()
  private oldest: Seen | undefined
  private newest: Seen | undefined
  private count = 0

  constructor(options: SeenMemoryOptions = {}) {
    this.maxAgeMillis = options.maxAgeMillis ?? 120_000
    this.maxIds = Math.max(1, options.maxIds ?? 65_536)
    this.maxPerSender = Math.max(1, options.maxPerSender ?? 8_192)
  }

  /** How many messages are held, among them those aged since the last `add` or `expire`. */
  get size(): number {
    return this.count
  }

  /**
   * Whether the message is new; if so it is remembered from now on. Seeing it again does not make it younger. `now` is
   * monotonic, in milliseconds; a message is forgotten when it is `maxAgeMillis` old.
   */
  add(sender: string, id: string, now: number): boolean {
    this.expire(now)
    const known = this.senders.get(sender)
    if (known?.seen.has(id) === true) return false
    if (known !== undefined && known.seen.size >= this.maxPerSender) this.forget(known.oldest)
    else if (this.count >= this.maxIds) this.forget(this.oldest)
    this.remember(this.senderOf(sender), id, now)
    return true
  }

  /** Whether the message was seen, without remembering it. */
  has(sender: string, id: string, now: number): boolean {
    this.expire(now)
    return this.senders.get(sender)?.seen.has(id) === true
  }

  /** Forgets what has aged. `add` does so by itself; this is for a memory that nothing is added to. */
  expire(now: number): void {
    while (this.oldest !== undefined && now - this.oldest.at >= this.maxAgeMillis) this.forget(this.oldest)
  }

  clear(): void {
    this.senders.clear()
    this.oldest = undefined
    this.newest = undefined
    this.count = 0
  }

  private senderOf(name: string): Sender {
    const known = this.senders.get(name)
    if (known !== undefined) return known
    const sender: Sender = { name, seen: new Map(), oldest: undefined, newest: undefined }
    this.senders.set(name, sender)
    return sender
  }

  private remember(sender: Sender, id: string, at: number): void {
    const seen: Seen = { sender, id, at, older: this.newest, newer: undefined, newerOfSender: undefined }
    if (this.newest === undefined) this.oldest = seen
    else this.newest.newer = seen
    this.newest = seen
    if (sender.newest === undefined) sender.oldest = seen
    else sender.newest.newerOfSender = seen
    sender.newest = seen
    sender.seen.set(id, seen)
    this.count++
  }

  /** `seen` is its sender's oldest: the oldest of all is so too. */
  private forget(seen: Seen | undefined): void {
    if (seen === undefined) return
    if (seen.older === undefined) this.oldest = seen.newer
    else seen.older.newer = seen.newer
    if (seen.newer === undefined) this.newest = seen.older
    else seen.newer.older = seen.older
    const { sender } = seen
    sender.oldest = seen.newerOfSender
    sender.seen.delete(seen.id)
    if (sender.oldest === undefined) this.senders.delete(sender.name)
    this.count--
  }
}
