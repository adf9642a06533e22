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
  /** Milliseconds that a message is remembered for, at least. Default 120,000. */
  readonly maxAgeMillis?: number
  /** Messages remembered in all, at least 1. Default 65,536. */
  readonly maxIds?: number
  /** Messages remembered of one sender, at least 1. Default 8,192: one busy sender cannot push out all the others. */
  readonly maxPerSender?: number
}

/**
 * Ids of one sender that differ in nothing but their last character. Nodes count their messages, so that what comes from
 * one is such a run after the other: of 36 ids with this package, each of which costs one bit instead of an object, a
 * place in a Map and the hash of its text. (A fifth of all that a receiver of broadcasts does went into those.)
 */
interface Run {
  readonly sender: Sender
  /** The ids without their last character. */
  readonly begin: string
  /** One bit for each last character: for those from 0x20, 0x40 and 0x60 on. */
  digits: number
  upper: number
  lower: number
  count: number
  /** When an id was last added. */
  at: number
  older: Run | undefined
  newer: Run | undefined
  olderOfSender: Run | undefined
  newerOfSender: Run | undefined
}

interface Sender {
  /** As it was last looked up: the same text is told from another at once where it is the same string. */
  name: string
  readonly runs: Map<string, Run>
  count: number
  oldest: Run | undefined
  newest: Run | undefined
}

/**
 * Remembers pairs of sender and id. They are looked up by sender, then by id, never as one joined string, so no two
 * pairs can be taken for each other. Ids that differ in their last character alone are forgotten together, with the last
 * of them. The oldest are forgotten first: of the sender that is over its share, of all where the whole is full or aged.
 * Every operation is O(1) amortised.
 *
 * @since 0.1.0
 * @category models
 */
export class SeenMemory {
  private readonly maxAgeMillis: number
  private readonly maxIds: number
  private readonly maxPerSender: number
  private readonly senders = new Map<string, Sender>()
  /** The one looked up last, most often also the next. */
  private last: Sender | undefined
  private oldest: Run | undefined
  private newest: Run | undefined
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
   * monotonic, in milliseconds; a message is forgotten when the latest of those with nearly its id is `maxAgeMillis` old.
   * The id is not empty, and printable ASCII.
   */
  add(sender: string, id: string, now: number): boolean {
    this.expire(now)
    const known = this.senderOf(sender)
    const run = known && runOf(known, id)
    if (run !== undefined && isIn(run, id)) return false
    if (known !== undefined && known.count >= this.maxPerSender) this.forget(known.oldest)
    else if (this.count >= this.maxIds) this.forget(this.oldest)
    // Either may be what was forgotten.
    this.remember(run === undefined || run.count === 0 ? this.begin(sender, id) : run, id, now)
    return true
  }

  /** Whether the message was seen, without remembering it. */
  has(sender: string, id: string, now: number): boolean {
    this.expire(now)
    const known = this.senderOf(sender)
    const run = known && runOf(known, id)
    return run !== undefined && isIn(run, id)
  }

  /** Forgets what has aged. `add` does so by itself; this is for a memory that nothing is added to. */
  expire(now: number): void {
    while (this.oldest !== undefined && now - this.oldest.at >= this.maxAgeMillis) this.forget(this.oldest)
  }

  clear(): void {
    this.senders.clear()
    this.last = undefined
    this.oldest = undefined
    this.newest = undefined
    this.count = 0
  }

  private senderOf(name: string): Sender | undefined {
    const { last } = this
    if (last?.name === name) {
      last.name = name
      return last
    }
    const known = this.senders.get(name)
    if (known !== undefined) this.last = known
    return known
  }

  /** A run for the id, and its sender where that is new. */
  private begin(name: string, id: string): Run {
    let sender = this.senders.get(name)
    if (sender === undefined) {
      sender = { name, runs: new Map(), count: 0, oldest: undefined, newest: undefined }
      this.senders.set(name, sender)
      this.last = sender
    }
    const run: Run = {
      sender,
      begin: id.slice(0, -1),
      digits: 0,
      upper: 0,
      lower: 0,
      count: 0,
      at: 0,
      older: undefined,
      newer: undefined,
      olderOfSender: undefined,
      newerOfSender: undefined
    }
    sender.runs.set(run.begin, run)
    return run
  }

  private remember(run: Run, id: string, at: number): void {
    const { sender } = run
    put(run, id)
    run.at = at
    run.count++
    sender.count++
    this.count++
    if (this.newest !== run) {
      this.unlink(run)
      run.older = this.newest
      if (this.newest === undefined) this.oldest = run
      else this.newest.newer = run
      this.newest = run
    }
    if (sender.newest !== run) {
      unlinkOfSender(run)
      run.olderOfSender = sender.newest
      if (sender.newest === undefined) sender.oldest = run
      else sender.newest.newerOfSender = run
      sender.newest = run
    }
  }

  private forget(run: Run | undefined): void {
    if (run === undefined) return
    const { sender } = run
    this.unlink(run)
    unlinkOfSender(run)
    sender.runs.delete(run.begin)
    this.count -= run.count
    sender.count -= run.count
    run.count = 0
    if (sender.oldest !== undefined) return
    this.senders.delete(sender.name)
    if (this.last === sender) this.last = undefined
  }

  private unlink(run: Run): void {
    const { newer, older } = run
    if (older !== undefined) older.newer = newer
    else if (this.oldest === run) this.oldest = newer
    if (newer !== undefined) newer.older = older
    else if (this.newest === run) this.newest = older
    run.older = undefined
    run.newer = undefined
  }
}

const unlinkOfSender = (run: Run): void => {
  const { newerOfSender: newer, olderOfSender: older, sender } = run
  if (older !== undefined) older.newerOfSender = newer
  else if (sender.oldest === run) sender.oldest = newer
  if (newer !== undefined) newer.olderOfSender = older
  else if (sender.newest === run) sender.newest = older
  run.olderOfSender = undefined
  run.newerOfSender = undefined
}

/** The run that an id of the sender is of: most often the latest. */
const runOf = ({ newest, runs }: Sender, id: string): Run | undefined =>
  // `startsWith` takes four times as long.
  newest !== undefined && id.length === newest.begin.length + 1 && id.indexOf(newest.begin) === 0
    ? newest
    : runs.get(id.slice(0, -1))

const lastOf = (id: string): number => id.charCodeAt(id.length - 1)

const isIn = ({ digits, lower, upper }: Run, id: string): boolean => {
  const last = lastOf(id)
  return ((last < 0x40 ? digits : last < 0x60 ? upper : lower) & (1 << (last & 31))) !== 0
}

const put = (run: Run, id: string): void => {
  const last = lastOf(id)
  const bit = 1 << (last & 31)
  if (last < 0x40) run.digits |= bit
  else if (last < 0x60) run.upper |= bit
  else run.lower |= bit
}
